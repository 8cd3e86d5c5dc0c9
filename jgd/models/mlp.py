"""The multi-layer perceptron: dense layers with an activation between them."""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jgd.models.dropout import dropout as drop
from jgd.models.model import Model
from jgd.models.sizes import check_sizes, checked_inputs


def _init(key, sizes, *, initializer=None):
    """Parameters of a multi-layer perceptron.

    Args:
      key: PRNG key.
      sizes: numbers of units, inputs first, outputs last, e.g. (784, 128, 10). None in the last
        place predicts a scalar.
      initializer: `(key, shape) -> weights`, from `jax.nn.initializers`; He's normal one if None,
        which suits relu. For tanh and sigmoid take `jax.nn.initializers.glorot_normal()`.

    Returns:
      `{"layer_1": {"weights": [inputs, units], "bias": [units]}, ...}`; biases are 0.

    Raises:
      ValueError: fewer than two sizes, or one that is not a whole number >= 1.

    >>> params = mlp.init(jax.random.key(0), (4, 8, 3))
    >>> params["layer_1"]["weights"].shape, params["layer_2"]["bias"].shape
    ((4, 8), (3,))

    Source: He et al. (2015), eq. 10; Glorot and Bengio (2010), eq. 16.
    """
    if not isinstance(sizes, Sequence):
        raise ValueError(f"mlp.init: sizes are {sizes!r}, but several are wanted, e.g. (784, 128, 10).")
    sizes = tuple(sizes)
    is_scalar = sizes[-1:] == (None,)
    widths = (*sizes[:-1], 1) if is_scalar else sizes
    check_sizes("mlp.init", widths)
    if len(widths) < 2:
        raise ValueError(f"mlp.init: sizes are {sizes}, but inputs and outputs at least are wanted.")
    initializer = initializer or jax.nn.initializers.he_normal()
    params = {}
    for layer, shape in enumerate(itertools.pairwise(widths), start=1):
        key, layer_key = jax.random.split(key)
        params[f"layer_{layer}"] = {
            "weights": initializer(layer_key, shape),
            "bias": jnp.zeros(shape[1]),
        }
    if is_scalar:
        last = params[f"layer_{len(widths) - 1}"]
        last.update(weights=last["weights"][:, 0], bias=last["bias"][0])
    return params


def _predict(params, inputs, activation=jax.nn.relu, *, dropout=None, key=None):
    """Prediction for one example.

    Args:
      params: from `mlp.init`.
      inputs: [D].
      activation: applied after every layer but the last.
      dropout: rate at which hidden units are left out, where a key is given.
      key: PRNG key of the visit, from a random objective; None predicts without dropout.

    Returns:
      [outputs], or a scalar if the last size was None.

    Raises:
      ValueError: the inputs are not [D].

    >>> params = mlp.init(jax.random.key(0), (4, 8, None))
    >>> mlp.predict(params, jnp.ones(4)).shape
    ()

    Source: Rumelhart, Hinton and Williams (1986), Nature 323.
    """
    inputs = checked_inputs("mlp", inputs, params["layer_1"]["weights"])
    for layer in range(1, len(params) + 1):
        if layer > 1:
            inputs = activation(inputs)
        if layer > 1 and key is not None:
            inputs = drop(jax.random.fold_in(key, layer), inputs, dropout)
        inputs = inputs @ params[f"layer_{layer}"]["weights"] + params[f"layer_{layer}"]["bias"]
    return inputs


mlp = Model(_init, _predict)

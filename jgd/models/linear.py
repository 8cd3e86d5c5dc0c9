"""The linear model: scalar, vector or class outputs, with or without bias."""

import jax.numpy as jnp

from jgd.models.model import Model
from jgd.models.sizes import check_sizes, checked_inputs


def _init(key, inputs, outputs=None, *, bias=True):
    """Parameters of `inputs @ weights + bias`, all 0.

    A convex problem needs no random start, and from 0 descent finds the solution of least norm
    where there are many. The key is taken so that all models are called alike.

    Args:
      key: PRNG key, not used.
      inputs: D, number of features.
      outputs: number of outputs, e.g. classes; None predicts a scalar.
      bias: whether there is an intercept.

    Returns:
      `{"weights": [D] or [D, outputs], "bias": [] or [outputs]}`; no "bias" without one.

    Raises:
      ValueError: a size is not a whole number >= 1.

    >>> params = linear.init(jax.random.key(0), 3)
    >>> params["weights"].shape, params["bias"].shape
    ((3,), ())
    """
    del key
    outer = () if outputs is None else (outputs,)
    check_sizes("linear.init", (inputs, *outer))
    params = {"weights": jnp.zeros((inputs, *outer))}
    return {**params, "bias": jnp.zeros(outer)} if bias else params


def _predict(params, inputs):
    """Prediction for one example: `inputs @ weights + bias`.

    Args:
      params: from `linear.init`.
      inputs: [D].

    Returns:
      A scalar, or [outputs].

    Raises:
      ValueError: the inputs are not [D].

    >>> params = {"weights": jnp.array([1.0, 2.0]), "bias": jnp.array(0.5)}
    >>> float(linear.predict(params, jnp.array([3.0, 4.0])))
    11.5
    """
    weights = params["weights"]
    inputs = checked_inputs("linear", inputs, weights)
    prediction = inputs @ weights
    return prediction + params["bias"] if "bias" in params else prediction


linear = Model(_init, _predict)

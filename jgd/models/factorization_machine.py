"""The factorization machine: linear terms, and all products of two features at low rank."""

import jax
import jax.numpy as jnp

from jgd.models.model import Model
from jgd.models.sizes import check_sizes, checked_inputs


def _init(key, inputs, rank=8, *, scale=0.01):
    """Parameters of a factorization machine.

    Args:
      key: PRNG key.
      inputs: D, number of features.
      rank: R, numbers that describe a feature.
      scale: standard deviation of these at the start. From 0 they would never move.

    Returns:
      `{"bias": [], "weights": [D], "factors": [D, R]}`.

    Raises:
      ValueError: a size is not a whole number >= 1.

    >>> params = factorization_machine.init(jax.random.key(0), 5, rank=2)
    >>> params["weights"].shape, params["factors"].shape
    ((5,), (5, 2))

    Source: Rendle (2010), Factorization Machines, ICDM, eq. 1.
    """
    check_sizes("factorization_machine.init", (inputs, rank))
    factors = scale * jax.random.normal(key, (inputs, rank))
    return {"bias": jnp.zeros(()), "weights": jnp.zeros(inputs), "factors": factors}


def _predict(params, inputs):
    """Prediction for one example: `bias + x @ weights + sum_{j<k} (factors_j @ factors_k) x_j x_k`.

    The sum over pairs costs D R, as `(|sum_j x_j factors_j|² - sum_j |x_j factors_j|²) / 2`.

    Args:
      params: from `factorization_machine.init`.
      inputs: [D]; users, items and what else is known, one-hot or as numbers.

    Returns:
      A scalar.

    Raises:
      ValueError: the inputs are not [D].

    >>> params = {"bias": jnp.array(1.0), "weights": jnp.array([1.0, 2.0]),
    ...           "factors": jnp.array([[1.0, 0.0], [0.5, 3.0]])}
    >>> float(factorization_machine.predict(params, jnp.array([2.0, 1.0])))
    6.0

    Source: Rendle (2010), Factorization Machines, ICDM, lemma 3.1.
    """
    inputs = checked_inputs("factorization_machine", inputs, params["weights"])
    each = inputs[:, None] * params["factors"]
    pairs = jnp.sum(jnp.square(jnp.sum(each, axis=0)) - jnp.sum(jnp.square(each), axis=0)) / 2
    return params["bias"] + inputs @ params["weights"] + pairs


factorization_machine = Model(_init, _predict)

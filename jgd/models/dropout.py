"""Dropout: hidden numbers that are left out at random while a network is trained."""

from typing import Any

import jax
import jax.numpy as jnp

from jgd.tree import require_number


def dropout(key: jax.Array | None, values: jax.Array, rate: Any) -> jax.Array:
    """Each number is 0 with probability `rate`, else `value / (1 - rate)`, so that its mean stays.

    Args:
      key: PRNG key of the visit, from the loss of `jgd.objective(loss, random=True)`; None, as for
        prediction, leaves all as it is.
      values: array of numbers.
      rate: from 0 to below 1; traced, so that it can be swept. None leaves all as it is.

    Returns:
      An array like `values`, of floats; NaN for a traced rate out of its range.

    Raises:
      ValueError: a concrete rate is not from 0 to below 1.

    >>> kept = jgd.models.dropout(jax.random.key(0), jnp.ones(1000), 0.25)
    >>> float(kept.min()), round(float(kept.max()), 3), abs(float(kept.mean()) - 1) < 0.05
    (0.0, 1.333, True)

    Source: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), JMLR 15.
    """
    if key is None or rate is None:
        return values
    rate = require_number("dropout: rate", rate, lambda r: (r >= 0) & (r < 1), "a number in [0, 1)")
    values = jnp.asarray(values)
    values = values if jnp.issubdtype(values.dtype, jnp.floating) else values.astype(float)
    kept = jax.random.bernoulli(key, 1 - rate, values.shape)
    scale = jnp.where((rate >= 0) & (rate < 1), 1 / (1 - rate), jnp.nan)
    return (jnp.where(kept, values, 0) * scale).astype(values.dtype)

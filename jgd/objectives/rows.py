"""Rows that do not count."""

from typing import Any

import jax
import jax.numpy as jnp


def counted_rows(data: Any, weights: Any) -> Any:
    """`data`, where a row of weight 0 is replaced by one that counts.

    Zero times NaN is NaN: a weight of 0 alone would keep neither a row of NaN nor a row of zeros
    under a logarithm out of the gradient.

    Args:
      data: pytree of arrays [N, ...].
      weights: [N], or None: then every row counts.

    Returns:
      A pytree like `data`.
    """
    if weights is None:
        return data
    some_row = jnp.argmax(weights != 0)

    def leaf(x):
        counts = (weights != 0).reshape(-1, *(1,) * (x.ndim - 1))
        return jnp.where(counts, x, x[some_row])

    return jax.tree.map(leaf, data)

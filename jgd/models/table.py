"""Rows of a table by their numbers, where some numbers are not in the table."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def as_ids(ids: Any) -> jax.Array:
    """Whole numbers, of 32 bits at least: the size of a table must fit in beside them."""
    if not isinstance(ids, jax.Array):
        ids = np.asarray(ids)
    if ids.size == 0:
        return jnp.zeros(ids.shape, jnp.int32)  # an empty list is one of floats
    if ids.dtype.kind not in "iu":
        raise ValueError(
            f"ids have dtype {ids.dtype}, but whole numbers are wanted, the rows of a table. Convert "
            "whole floats with .astype(int); names become ids by numpy.unique(names, "
            "return_inverse=True), texts by jgd.features.tokenize or hashing."
        )
    ids = jnp.asarray(ids)
    return ids if ids.dtype.itemsize >= 4 else ids.astype(jnp.int32)


def are_known(ids: Any, size: int) -> jax.Array:
    """Which ids, integers of any shape, are rows of a table of that size; ValueError for others."""
    ids = as_ids(ids)
    return (ids >= 0) & (ids < size)


def rows_at(table: jax.Array, ids: Any) -> jax.Array:
    """Rows of `table` [V, ...] at `ids`; 0, without a gradient, where an id is outside of it."""
    ids = as_ids(ids)
    # An id below 0 would count from the end.
    ids = jnp.where(are_known(ids, table.shape[0]), ids, table.shape[0])
    return jnp.asarray(table).at[ids].get(mode="fill", fill_value=0)

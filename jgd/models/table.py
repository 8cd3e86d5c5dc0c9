"""Rows of a table by their numbers, where some numbers are not in the table."""

import jax
import jax.numpy as jnp


def are_known(ids, size: int) -> jax.Array:
    """Which ids, integers of any shape, are rows of a table of that size; ValueError for others."""
    ids = jnp.asarray(ids)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise ValueError(
            f"ids have dtype {ids.dtype}, but whole numbers are wanted, the rows of a table of {size}. "
            "Convert whole floats with .astype(int); names become ids by numpy.unique(names, "
            "return_inverse=True)."
        )
    return (ids >= 0) & (ids < size)


def rows_at(table: jax.Array, ids) -> jax.Array:
    """Rows of `table` [V, ...] at `ids`; 0, without a gradient, where an id is outside of it."""
    # An id below 0 would count from the end.
    ids = jnp.where(are_known(ids, table.shape[0]), ids, table.shape[0])
    return table.at[ids].get(mode="fill", fill_value=0)

"""Checks of a block that has been read: whether it is like the first, and whether it is finite."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgd.objectives.checks import check_data


def check_block(block: Any, like: Any, what: str) -> int:
    """The rows of a block; ValueError unless it is like the first one but for their number.

    Args:
      block: pytree of arrays [n, ...].
      like: pytree of what has a shape [*, ...] and a dtype, such as the first block or its
        `jax.ShapeDtypeStruct`s; None asks for arrays of numbers with one leading axis alone.
      what: the name of the block in the message: `block 7 of DataLoader`.

    Returns:
      n.

    Raises:
      ValueError: the block has another structure, other dtypes, rows of another shape, leading axes that
        differ, or 0 rows.

    >>> import numpy as np
    >>> check_block({"x": np.zeros((2, 3))}, {"x": np.zeros((5, 3))}, "block 7")
    2
    """
    if like is not None:
        came, wanted = str(jax.tree.structure(block)), str(jax.tree.structure(like))
        if came != wanted:
            raise ValueError(
                f"{what} has the structure {came}, but that of the first is wanted: {wanted}. Name and "
                "order the parts of all blocks alike."
            )
    num_rows = check_data(block, what)
    if like is None:
        return num_rows
    leaves = jax.tree_util.tree_leaves_with_path(block)
    for (path, leaf), first in zip(leaves, jax.tree.leaves(like), strict=True):
        if leaf.shape[1:] != tuple(first.shape[1:]) or leaf.dtype != first.dtype:
            raise ValueError(
                f"{what}{jax.tree_util.keystr(path)} has rows of {_row(leaf)}, but {_row(first)} is "
                "wanted, as the first block has. Pad or cut what varies in length; .astype converts."
            )
    return num_rows


def _row(array: Any) -> str:
    return f"{jnp.dtype(array.dtype)}{list(array.shape[1:])}"


def find_bad(block: Any) -> tuple[str, int] | None:
    """The first row that holds NaN or infinity.

    Args:
      block: pytree of arrays [n, ...].

    Returns:
      The path of the leaf, and the number of the row within the block; None where all are finite.

    >>> import numpy as np
    >>> find_bad({"x": np.array([[0.0, 1.0], [2.0, np.nan]]), "y": np.array([0, 1])})
    ("['x']", 1)
    """
    bad = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(block):
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            is_finite = np.isfinite(leaf)
            if not is_finite.all():
                row = int(np.argmin(is_finite)) // (is_finite.size // len(leaf))
                bad.append((jax.tree_util.keystr(path), row))
    return min(bad, key=lambda found: found[1], default=None)

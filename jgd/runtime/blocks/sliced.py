"""Blocks of whatever can be sliced: arrays in memory, memory maps, datasets of HDF5 and Zarr."""

import functools
import math
from typing import Any

import jax
import numpy as np

from jgd.objectives.checks import check_data
from jgd.runtime.blocks.source import Blocks, check_range, rows_of_a_block, usual_rows


def arrays(data: Any, rows: int | None = None) -> Blocks:
    """Blocks of arrays that can be sliced; nothing is read before it is wanted.

    Args:
      data: pytree of what has a shape, a dtype and slices, and shares its leading axis N: `np.ndarray`,
        `np.memmap`, a dataset of h5py or zarr. It is read from other threads.
      rows: of a block, whole number >= 1; None takes as many as make 16 MiB.

    Returns:
      `Blocks` of the structure of `data`; what is read is a copy.

    Raises:
      ValueError: data holds something else than arrays of numbers with one leading axis, or 0 rows; rows
        is no whole number >= 1. When read: an array has fewer rows than it had.

    >>> import numpy as np
    >>> blocks = arrays({"x": np.arange(10.0).reshape(5, 2), "y": np.arange(5)}, rows=2)
    >>> blocks.num_rows, blocks.rows, blocks.place(4)
    (5, 2, 'data, row 4')
    >>> blocks.read(1, 3)["x"].tolist()
    [[2.0, 3.0], [4.0, 5.0]]
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(data):
        _check_dtype(f"data{jax.tree_util.keystr(path)}", leaf)
    num_rows = check_data(data)
    leaves = jax.tree.leaves(data)
    row_bytes = sum(math.prod(x.shape[1:]) * np.dtype(x.dtype).itemsize for x in leaves)
    rows = rows_of_a_block(rows, num_rows, usual_rows(row_bytes))
    return Blocks(num_rows, rows, functools.partial(_read, data, num_rows), "data, row {}".format)


def _check_dtype(name: str, leaf: Any) -> None:
    try:
        np.dtype(getattr(leaf, "dtype", None))
    except TypeError as error:
        raise ValueError(
            f"{name} has dtype {leaf.dtype}, but one of NumPy's is wanted. Of a tensor pass "
            "tensor.numpy(), which shares its memory."
        ) from error


def _read(data: Any, num_rows: int, first: int, last: int) -> Any:
    check_range(first, last, num_rows)
    return jax.tree_util.tree_map_with_path(
        functools.partial(_rows, num_rows=num_rows, first=first, last=last), data
    )


def _rows(path: Any, array: Any, *, num_rows: int, first: int, last: int) -> np.ndarray:
    part = array[first:last]
    # What a file was read into belongs to nobody else; a view would be read, or written, later.
    is_fresh = isinstance(part, np.ndarray) and part.flags.owndata
    dtype = np.dtype(array.dtype).newbyteorder("=")
    block = np.array(part, dtype, order="C", copy=None if is_fresh else True)
    if len(block) != last - first:
        raise ValueError(
            f"data{jax.tree_util.keystr(path)} gives {len(block)} of the rows from {first} to "
            f"{last - 1}, but it had {num_rows} rows when the blocks were made. Make them anew."
        )
    return block

"""Columns of tables as NumPy arrays: single ones, and many as the columns of a matrix."""

import difflib
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa

from jgd.runtime.blocks.arrow_files import File
from jgd.wording import listed

TILE_COLUMNS = 64  # that are transposed at a time
TILE_NUMBERS = 2**20  # in them; few enough for a cache, many enough for few calls
PADDING = 16  # numbers; columns at a distance of a power of 2 would share the same lines of the cache
WAYS_OUT = (
    (pa.types.is_temporal, "Store dates and times as numbers, e.g. the days since the first."),
    (pa.types.is_decimal, "Store decimals as floats: column.cast(pyarrow.float64())."),
    (pa.types.is_struct, "Store each of its fields as a column: table.flatten()."),
    (pa.types.is_nested, "Store lists of one length as pyarrow.list_(pyarrow.float32(), length)."),
)
OTHER_WAY_OUT = "Encode text and categories as numbers first, e.g. by jgd.features.one_hot or tokenize."


class Leaf(NamedTuple):
    """One array of a block.

    Attributes:
      names: of its columns.
      is_matrix: whether they are stacked.
      shape: of a row.
      dtype: of its numbers.
    """

    names: tuple[str, ...]
    is_matrix: bool
    shape: tuple[int, ...]
    dtype: np.dtype

    def row_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def fill(self, block: np.ndarray, table: Any, path: str, row: int) -> None:
        """Write the rows of a table, which begins at `row` of the file, into a block of as many."""
        columns = [_numbers(table.column(name), name, path, row) for name in self.names]
        if self.is_matrix:
            stack(block, columns)
        else:
            block[...] = columns[0]


def leaves_of(columns: Any, files: list[File]) -> tuple[list[Leaf], Any]:
    """The leaves of a block and its structure; ValueError where a file does not have the columns."""
    asked, structure = jax.tree.flatten(columns, is_leaf=lambda part: isinstance(part, list))
    if not asked:
        raise ValueError(
            f"columns is {columns!r}, but names of columns are wanted, in a dict or a tuple."
        )
    leaves = [_leaf(part, files[0]) for part in asked]
    for leaf in leaves:
        for name in leaf.names:
            first = _field(name, files[0]).type
            for file in files[1:]:
                found = _field(name, file).type
                if found != first:
                    raise ValueError(
                        f"column {name!r} of {file.path} has type {found}, but {first} is wanted, as in "
                        f"{files[0].path}. Write all files with one schema: table.cast(schema)."
                    )
    return leaves, structure


def _leaf(part: Any, file: File) -> Leaf:
    names = part if isinstance(part, list) else [part]
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"columns holds {part!r}, but each leaf wants the name of a column, or a list of names."
        )
    kinds = [_kind(name, file) for name in names]
    if not isinstance(part, list):
        return Leaf((part,), False, *kinds[0])
    for name, (shape, _) in zip(names, kinds, strict=True):
        if shape:
            raise ValueError(
                f"column {name!r} of {file.path} has {shape[0]} numbers in a row, but a column "
                f'of a list wants one. Name it alone: {{"{name}": "{name}"}}.'
            )
    # Whole numbers want the digits of the default type, float64 is cut to it, and float16 is kept.
    dtypes = [dtype if dtype.kind == "f" else jnp.result_type(float) for _, dtype in kinds]
    dtype = jax.dtypes.canonicalize_dtype(np.result_type(*dtypes))
    return Leaf(tuple(names), True, (len(names),), dtype)


def _field(name: str, file: File) -> Any:
    """The field of that name; ValueError unless there is one."""
    number = file.schema.names.count(name)
    if number == 1:
        return file.schema.field(name)
    if number:
        raise ValueError(f"{file.path} has {number} columns of the name {name!r}, but one is wanted.")
    near = difflib.get_close_matches(name, file.schema.names)
    told = f"the nearest are {listed(near)}" if near else f"there are {listed(file.schema.names)}"
    raise ValueError(f"{file.path} has no column {name!r}; {told}.")


def _kind(name: str, file: File) -> tuple[tuple[int, ...], np.dtype]:
    """Shape of a row and dtype of a column."""
    type = _field(name, file).type
    is_list = pa.types.is_fixed_size_list(type)
    of = type.value_type if is_list else type
    if pa.types.is_floating(of) or pa.types.is_integer(of) or pa.types.is_boolean(of):
        dtype = pa.array([], of).to_numpy(zero_copy_only=False).dtype
        return ((type.list_size,) if is_list else ()), dtype
    way_out = next((told for is_of, told in WAYS_OUT if is_of(type)), OTHER_WAY_OUT)
    raise ValueError(
        f"column {name!r} of {file.path} has type {type}, but floats, integers or bools are wanted, "
        f"or fixed-size lists of them. {way_out}"
    )


def _numbers(column: Any, name: str, path: str, row: int) -> np.ndarray:
    """A chunked array as [n] or [n, D]; ValueError where whole numbers or bools have a null."""
    arrays = []
    for chunk in column.chunks:
        values = _values(chunk)
        if (chunk.null_count or values.null_count) and not pa.types.is_floating(values.type):
            raise ValueError(
                f"column {name!r} of {path} has a null in row {row + _first_null(chunk, values)}, but "
                f"{values.type} has no NaN for it. Fill it, by pyarrow.compute.fill_null, or store the "
                "column as floats, whose nulls are read as NaN."
            )
        array = values.to_numpy(zero_copy_only=False)
        if values is not chunk:
            array = array.reshape(len(chunk), chunk.type.list_size)
            if chunk.null_count:
                array = np.where(chunk.is_valid().to_numpy(zero_copy_only=False)[:, None], array, np.nan)
        arrays.append(array)
        row += len(chunk)
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _values(chunk: Any) -> Any:
    """The numbers of a chunk: those in its lists, one after another, where it is of lists."""
    if not pa.types.is_fixed_size_list(chunk.type):
        return chunk
    width = chunk.type.list_size
    # `flatten` would leave out those of null lists.
    return chunk.values.slice(chunk.offset * width, len(chunk) * width)


def _first_null(chunk: Any, values: Any) -> int:
    is_null = values.is_null().to_numpy(zero_copy_only=False).reshape(len(chunk), -1).any(axis=1)
    return int(np.argmax(is_null | chunk.is_null().to_numpy(zero_copy_only=False)))


def stack(matrix: np.ndarray, columns: list[np.ndarray]) -> None:
    """Write arrays [n] into the columns of a matrix [n, D], some rows of some columns at a time.

    Column by column it would be fetched from memory D times. In tiles that fit the first cache it would
    take many calls, each of which waits 5 ms for the interpreter while another thread runs in Python.
    """
    width = min(len(columns), TILE_COLUMNS)
    height = min(len(matrix), TILE_NUMBERS // width)
    buffer = np.empty((width, height + PADDING), matrix.dtype)
    for left in range(0, len(columns), width):
        for top in range(0, len(matrix), height):
            tile = matrix[top : top + height, left : left + width]
            lines = buffer[: tile.shape[1], : tile.shape[0]]
            for line, column in zip(lines, columns[left : left + width], strict=True):
                line[...] = column[top : top + height]
            tile[...] = lines.T

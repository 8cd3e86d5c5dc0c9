"""Parquet and Arrow IPC files: where their groups of rows begin, and those that overlap a range."""

import itertools
import math
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jgd.wording import count

UNREADABLE = (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError)


class File(NamedTuple):
    """What the footer of a file tells.

    Attributes:
      path: str.
      stamp: size and time of the last change.
      schema: of pyarrow.
      starts: [G + 1] ints, the first row of each of its G groups, and the number of rows.
      footer: of a Parquet file; None of an Arrow file.
    """

    path: str
    stamp: tuple[int, int]
    schema: Any
    starts: np.ndarray
    footer: Any


def opened(path: str, format: str | None = None) -> File:
    """The file; ValueError where it is missing, broken or not of the format."""
    try:
        stamp = _stamp(path)
        with open(path, "rb") as stream:
            found = _format(path, stream.read(8))
        if found != (format or found):
            raise ValueError(f"{path} is in the format {found!r}, but format is {format!r}.")
        schema, lengths, footer = (_parquet if found == "parquet" else _arrow)(path)
    except UNREADABLE as error:
        raise _unreadable(path, error) from error
    return File(path, stamp, schema, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), footer)


def _stamp(path: str) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns


def _format(path: str, first_bytes: bytes) -> str:
    if first_bytes.startswith(b"PAR1"):
        return "parquet"
    if first_bytes.startswith(b"ARROW1"):
        return "arrow"
    told = "is neither a Parquet nor an Arrow IPC file. pyarrow.parquet.write_table writes one."
    if not first_bytes:
        told = "is empty. Leave it out, or write it once more."
    elif first_bytes.startswith(b"\xff\xff\xff\xff"):
        told = "is an Arrow stream, without word where its rows are. pyarrow.ipc.new_file writes a file."
    elif first_bytes.startswith(b"FEA1"):
        told = "is of Feather version 1. pyarrow.feather.write_feather writes version 2."
    raise ValueError(f"{path} {told}")


def _parquet(path: str) -> tuple[Any, list[int], Any]:
    with pq.ParquetFile(path) as file:
        footer = file.metadata
        lengths = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
        return file.schema_arrow, lengths, footer


def _arrow(path: str) -> tuple[Any, list[int], None]:
    schema = pa.ipc.open_file(pa.memory_map(path)).schema
    # The footer does not tell how long a batch is, and what is compressed is decompressed to see it.
    narrowest = sorted(range(len(schema)), key=lambda number: _bits(schema.field(number).type))[:1]
    batches = _batches(path, narrowest)
    lengths = [batches.get_batch(number).num_rows for number in range(batches.num_record_batches)]
    return schema, lengths, None


def _bits(type: Any) -> float:
    try:
        return type.bit_width
    except ValueError:  # of what has no fixed width
        return math.inf


def _batches(path: str, fields: list[int]) -> Any:
    # Mapped, because a batch may be as large as the file, which is read where it is looked at.
    options = pa.ipc.IpcReadOptions(included_fields=fields)
    return pa.ipc.open_file(pa.memory_map(path), options=options)


def _unreadable(path: str, error: Exception) -> ValueError:
    told = error.strerror if isinstance(error, OSError) and error.strerror else error
    return ValueError(f"{path} cannot be read: {told}. Is it there, and was it written to its end?")


def parts(names: list[str], held: list, file: File, first: int, last: int) -> Iterator[tuple[int, Any]]:
    """The rows `first` to `last - 1` of a file, in one table or several.

    Args:
      names: of the columns.
      held: what is kept from one call to the next: the last group, (path, number, table), if the range
        ended within it.
      file: the file.
      first: row of the file.
      last: row of the file, behind the range.

    Returns:
      An iterator of pairs: the number of the first row in the file, and a table.
    """
    _check_unchanged(file)
    low, high = np.searchsorted(file.starts, [first, last - 1], "right") - 1
    kept = {(path, number): table for path, number, table in held[:]}  # another thread may replace it
    is_cut = last < file.starts[high + 1]
    edges = {low, high + 1}
    if (file.path, low) in kept:
        edges.add(low + 1)
    if is_cut:
        edges.add(high)
    held.clear()
    for start, stop in itertools.pairwise(sorted(edges)):
        group = kept.get((file.path, start))
        if group is None:
            group = _groups(file, range(start, stop), names)
        if is_cut and start == high:
            held[:] = [(file.path, start, group)]
        begin, end = max(first, file.starts[start]), min(last, file.starts[stop])
        yield int(begin), group.slice(begin - file.starts[start], end - begin)


def _groups(file: File, numbers: range, names: list[str]) -> Any:
    """The groups of these numbers as one table."""
    try:
        if file.footer is not None:
            with pq.ParquetFile(file.path, metadata=file.footer) as source:
                return source.read_row_groups(list(numbers), columns=names)
        batches = _batches(file.path, [file.schema.get_field_index(name) for name in names])
        return pa.Table.from_batches([batches.get_batch(number) for number in numbers])
    except UNREADABLE as error:
        raise _unreadable(file.path, error) from error


def _check_unchanged(file: File) -> None:
    """ValueError unless the rows are where they were."""
    try:
        if _stamp(file.path) == file.stamp:
            return
        now = opened(file.path)
        is_same = np.array_equal(now.starts, file.starts) and now.schema == file.schema
        if is_same and (file.footer is None or file.footer.equals(now.footer)):
            return
        told = f"it has {count(int(now.starts[-1]), 'row')} now, written anew."
    except OSError as error:
        told = str(_unreadable(file.path, error))
    except ValueError as error:
        told = str(error)
    raise ValueError(
        f"{file.path} had {count(int(file.starts[-1]), 'row')} when the blocks were made, but {told} "
        "Blocks want files that stay as they are."
    )

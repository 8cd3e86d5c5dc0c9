"""Blocks of Parquet and Arrow IPC files, read by the groups of rows that they are written in."""

import functools
import itertools
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jgd.runtime.blocks.source import Blocks, check_range, rows_of_a_block, usual_rows
from jgd.wording import listed

SUFFIXES = {"parquet": (".parquet", ".parq", ".pq"), "arrow": (".arrow", ".feather", ".ipc")}
LONGEST = 4  # usual blocks in one that is a whole group; a part of a group costs the decoding of it all


def table(paths: Any, columns: Any, rows: int | None = None, format: str | None = None) -> Blocks:
    """Blocks of the columns of Parquet or Arrow IPC (Feather) files, file after file.

    A Parquet file is decoded by row groups and an Arrow file by record batches, of the columns that are
    wanted; the last of them is kept for the range that begins within it. Nulls among floats become NaN.
    Ranges that begin and end with a group are read fastest, and a random order of others decodes each
    group more than once.

    Args:
      paths: a file, a folder, whose files are taken by their names in alphabetical order, or a list of
        files; str or Path.
      columns: pytree (dict or tuple) with leaves: the name of a column, whose rows become [n], or [n, D]
        where it is a fixed-size list; or a list of D names, which become a matrix [n, D] of floats
        as JAX holds them.
      rows: of a block, whole number >= 1; None takes as many whole groups as make 16 MiB, one that is
        up to four times as large, or an equal part of a larger one.
      format: "parquet" or "arrow": what a folder is searched for, and what files must be; None takes
        either, but not both of a folder.

    Returns:
      `Blocks` of the structure of `columns`.

    Raises:
      ImportError: pyarrow is not installed.
      ValueError: a file is missing, empty, broken, or of another format; it lacks a column, or has it
        with another type than the first file; a column holds no numbers; there are no rows; rows is no
        whole number >= 1. When read: a file has changed or is broken; integers or bools have a null.

    >>> import tempfile
    >>> import pyarrow as pa
    >>> from pyarrow import feather
    >>> folder = tempfile.TemporaryDirectory()
    >>> columns = {"a": [0.0, 1.0, 2.0], "b": [3.0, 4.0, None], "label": [0, 1, 1]}
    >>> feather.write_feather(pa.table(columns), folder.name + "/part-0.feather")
    >>> blocks = table(folder.name, {"x": ["a", "b"], "y": "label"})
    >>> read = blocks.read(1, 3)
    >>> read["x"].tolist(), read["y"].tolist()
    ([[1.0, 4.0], [2.0, nan]], [1, 1])
    >>> folder.cleanup()
    """
    try:
        from jgd.runtime.blocks import arrow_columns, arrow_files
    except ImportError as error:
        raise ImportError(
            f"jgd.blocks.table wants pyarrow ({error}). Install it: pip install 'jgd[stream]'.",
            name=error.name,
        ) from error
    if format is not None and format not in SUFFIXES:
        raise ValueError(f"format is {format!r}, but one of {list(SUFFIXES)}, or None, is wanted.")
    files = [arrow_files.opened(path, format) for path in _listed(paths, format)]
    leaves, structure = arrow_columns.leaves_of(columns, files)
    paths, files = [file.path for file in files], [file for file in files if file.starts[-1]]
    if not files:
        raise ValueError(f"paths hold 0 rows in {listed(paths)}, but at least 1 is wanted.")
    ends = np.cumsum([file.starts[-1] for file in files])
    group = max(int(np.max(np.diff(file.starts))) for file in files)
    row_bytes = sum(leaf.row_bytes() for leaf in leaves)
    rows = rows_of_a_block(rows, int(ends[-1]), _default_rows(group, row_bytes))
    names = list(dict.fromkeys(name for leaf in leaves for name in leaf.names))
    parts_of = functools.partial(arrow_files.parts, names, [])
    read = functools.partial(_read, structure, leaves, files, ends, parts_of)
    return Blocks(int(ends[-1]), rows, read, functools.partial(_place, files, ends))


def _listed(paths: Any, format: str | None) -> list[str]:
    """The paths of all files."""
    given = paths if isinstance(paths, list | tuple) else [paths]
    if not given or not all(isinstance(path, str | os.PathLike) for path in given):
        raise ValueError(
            f"paths is {paths!r}, but the path of a file or a folder, or a list of files, is wanted."
        )
    if len(given) > 1 or not Path(given[0]).is_dir():
        return [os.fspath(path) for path in given]
    wanted = SUFFIXES[format] if format else tuple(itertools.chain(*SUFFIXES.values()))
    folder = Path(given[0])
    # Spark and others lay files about the files beside them: _metadata, .part-0.parquet.crc.
    found = [path for path in folder.iterdir() if path.name[0] not in "._" and path.suffix in wanted]
    kinds = [kind for kind, ends in SUFFIXES.items() if any(path.suffix in ends for path in found)]
    if len(kinds) > 1:
        raise ValueError(f"{folder} holds files of Parquet and of Arrow. Pass format, one of {kinds}.")
    if not found:
        raise ValueError(
            f"{folder} is a folder without a file whose name ends in {listed(wanted)}. Files "
            'with other names, or in folders below, are given as a list: sorted(folder.rglob("*.pq")).'
        )
    return [os.fspath(path) for path in sorted(found)]


def _default_rows(group: int, row_bytes: int) -> int:
    """Of a block: whole groups if they are not too large, so that none is decoded twice."""
    usual = usual_rows(row_bytes)
    if group <= usual:
        return usual // group * group
    parts = 1 if group <= LONGEST * usual else -(-group // usual)
    return -(-group // parts)


def _read(structure, leaves, files, ends, parts_of, first: int, last: int) -> Any:
    check_range(first, last, int(ends[-1]))
    blocks = [np.empty((last - first, *leaf.shape), leaf.dtype) for leaf in leaves]
    for number in range(int(np.searchsorted(ends, first, "right")), len(files)):
        file, begin = files[number], int(ends[number] - files[number].starts[-1])
        if begin >= last:
            break
        inside = max(first - begin, 0), min(last - begin, int(file.starts[-1]))
        for row, part in parts_of(file, *inside):
            at = begin + row - first
            for leaf, block in zip(leaves, blocks, strict=True):
                leaf.fill(block[at : at + len(part)], part, file.path, row)
    return jax.tree.unflatten(structure, blocks)


def _place(files, ends, row: int) -> str:
    number = int(np.searchsorted(ends, row, "right"))
    return f"{files[number].path}, row {row - int(ends[number] - files[number].starts[-1])}"

"""A table from a file."""

import os
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from jgd.tables.complaints import TableError, nearest
from jgd.tables.delimited import read_delimited
from jgd.tables.kinds import parsed
from jgd.wording import listed

DELIMITED = (".csv", ".tsv", ".txt")
LINES = (".jsonl", ".ndjson")
ARROW = (".arrow", ".feather", ".ipc")
SUFFIXES = (*DELIMITED, ".parquet", *ARROW, *LINES, ".npz")
COMPRESSED = (".gz", ".zst")
OTHERWISE = {
    ".xlsx": "Save it as CSV from the program that shows it",
    ".xls": "Save it as CSV from the program that shows it",
    ".json": "Write one record a line, as .jsonl: jq -c '.[]' FILE.json > FILE.jsonl",
    ".npy": "Give its columns names: numpy.savez('FILE.npz', x=x, y=y)",
    ".pkl": "Write it from pandas: frame.to_parquet('FILE.parquet')",
    ".zip": "Unpack it: unzip FILE.zip",
}
GLOB = "*?["
BROKEN: tuple[type[BaseException], ...] = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
)


def read_table(
    path: str | os.PathLike, separator: str | None = None, text: Collection[str] = ()
) -> pl.DataFrame:
    """The table in a file, which its name ends tell how to read.

    Text files (.csv, .tsv, .txt, .jsonl, .ndjson) may be compressed (.gz, .zst). In them text such as
    2024-12-31 becomes dates, and text that is a number throughout becomes numbers. In .csv, .tsv and
    .txt an empty field, NA, N/A, NaN, nan, null, None and ? are missing values. Of .npz an array [N]
    is a column, and an array [N, D] the columns name_0, name_1, ...

    Args:
      path: a file .csv, .tsv, .txt, .parquet, .arrow, .feather, .ipc, .jsonl, .ndjson or .npz.
      separator: what parts the fields of .csv, .tsv and .txt, one character. By default found out.
      text: names of columns that are text even where they look like numbers, e.g. `text_columns` of a
        schema; others than there are do no harm.

    Returns:
      The table, with at least one row and one column.

    Raises:
      TableError: there is no such file; it is of another kind, empty, broken, or not UTF-8; column names
        occur twice; a line has more or fewer fields than there are names.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "stones.csv"
    >>> _ = path.write_text("carat;cut\\n0,3;Ideal\\n?;Fair\\n")
    >>> read_table(path).rows()
    [(0.3, 'Ideal'), (None, 'Fair')]
    """
    path, name = _existing(path)
    suffix, compressed = _suffix(path, name)
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise TableError(f"{name} is empty. Was it written to the end?")
        if suffix in DELIMITED:
            frame = read_delimited(path, name, suffix, separator, text)
        elif suffix == ".npz":
            frame = _read_npz(path, name)
        else:
            frame = _read_binary(path, name, suffix, compressed, text)
    except OSError as error:
        raise TableError(f"{name} cannot be read: {error.strerror or error}.") from error
    if frame.width == 0 or frame.height == 0:
        has = "column names, but no rows" if frame.width else "no columns"
        raise TableError(f"{name} has {has}. Was it written to the end?")
    return frame


def _existing(path: str | os.PathLike) -> tuple[Path, str]:
    """The path of a file, and its name as people gave it."""
    name = os.fspath(path)
    if name.startswith(("http://", "https://")):
        raise TableError(f"{name} is an address, but a file is wanted. Fetch it: curl -LO {name}")
    path = Path(name).expanduser()
    if path.is_dir():
        raise TableError(f"{name} is a folder, but a file is wanted. {_tables_in(path, '')}")
    if not path.exists():
        if not path.parent.is_dir():
            raise TableError(f"There is no folder {path.parent}, so no file {name}.")
        raise TableError(f"There is no file {name}. {_tables_in(path.parent, path.name)}")
    return path, name


def _tables_in(folder: Path, name: str) -> str:
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    except OSError:
        return "Its folder cannot be listed."
    tables = [entry for entry in names if _parts(entry)[0] in SUFFIXES]
    return nearest(name, tables) if tables else "There are no tables in that folder."


def _parts(name: str) -> tuple[str, str]:
    """The ending that tells the kind, and that of the compression."""
    stem, last = os.path.splitext(name.lower())
    if last in COMPRESSED:
        return os.path.splitext(stem)[1], last
    return last, ""


def _suffix(path: Path, name: str) -> tuple[str, bool]:
    suffix, compression = _parts(path.name)
    if suffix in OTHERWISE:
        raise TableError(f"{name} is {suffix}, which is not read. {OTHERWISE[suffix]}.")
    if suffix not in SUFFIXES or (compression and suffix not in DELIMITED + LINES):
        ending = f"ends in {suffix + compression}" if suffix else "has no ending"
        raise TableError(
            f"{name} {ending}, so it is not clear how to read it. Rename or convert it; what is read: "
            f"{listed(SUFFIXES, len(SUFFIXES))}, and text also with .gz or .zst."
        )
    return suffix, bool(compression)


def _read_binary(path: Path, name: str, suffix: str, compressed: bool, text) -> pl.DataFrame:
    # A path with these signs would be taken for many files.
    source: Any = path.read_bytes() if any(sign in str(path) for sign in GLOB) else path
    readers: dict[str, Callable] = {".parquet": pl.read_parquet} | dict.fromkeys(ARROW, _read_arrow)
    try:
        if suffix in readers:
            return readers[suffix](source)
        frame = pl.read_ndjson(source, infer_schema_length=None)
        words = [column for column in frame if column.dtype == pl.String and column.name not in text]
        return frame.with_columns(parsed(column) for column in words)
    except BROKEN as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        if suffix in LINES:
            way_out = "Each line must be a JSON object, in UTF-8: {...}"
        else:
            way_out = "Was it written to the end, and does its name end as it should?"
        raise TableError(f"{name} cannot be read as {suffix} ({reason}).\n{way_out}") from error


def _read_arrow(source) -> pl.DataFrame:
    try:
        return pl.read_ipc(source)
    except pl.exceptions.PolarsError:
        return pl.read_ipc_stream(source)


def _read_npz(path: Path, name: str) -> pl.DataFrame:
    if not zipfile.is_zipfile(path):
        raise TableError(f"{name} is not what numpy.savez writes. Was it written to the end?")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            columns = {key: _column(name, key, arrays[key]) for key in arrays.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, TableError):
            raise
        reason = str(error).partition("\n")[0].rstrip(".")
        raise TableError(
            f"{name} cannot be read as .npz ({reason}).\nWrite it with numpy.savez, without objects: "
            "text as array.astype(str)."
        ) from error
    lengths = {key: len(array) for key, array in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = listed([f"{key} {length:,}" for key, length in lengths.items()])
        raise TableError(
            f"The arrays of {name} have different lengths: {shown}.\nA table wants the same number of "
            "rows of each: write the others to another file."
        )
    series: list[pl.Series] = []
    for key, array in columns.items():
        names = [key] if array.ndim == 1 else [f"{key}_{place}" for place in range(array.shape[1])]
        parts = array[:, None] if array.ndim == 1 else array
        series += [
            pl.Series(part, np.ascontiguousarray(parts[:, place])) for place, part in enumerate(names)
        ]
    counts: dict[str, int] = {}
    for part in series:
        counts[part.name] = counts.get(part.name, 0) + 1
    twice = [part for part, times in counts.items() if times > 1]
    if twice:
        raise TableError(f"{name} has columns twice: {listed(twice)}. Rename an array of it.")
    return pl.DataFrame(series)


def _column(name: str, key: str, array: np.ndarray) -> np.ndarray:
    if array.ndim not in (1, 2):
        raise TableError(
            f"{key} in {name} has shape {array.shape}, but [N] or [N, D] is wanted: numbers of N rows.\n"
            "Make it flat: array.reshape(len(array), -1)."
        )
    if array.dtype.kind in "cV":
        raise TableError(
            f"{key} in {name} has dtype {array.dtype}, but numbers or text are wanted.\n"
            "Convert it, e.g. array.astype('float32')."
        )
    if array.dtype.kind == "S":
        return array.astype(str)
    return array.astype(np.float32) if array.dtype == np.float16 else array

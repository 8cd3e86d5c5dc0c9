"""Text files whose lines are rows: CSV and its kin. What parts the fields is found out."""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from jgd.tables.complaints import TableError
from jgd.tables.kinds import parsed
from jgd.tables.lines import check_lines, check_utf8, raw_lines
from jgd.wording import listed

MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"]
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
HEAD, LONGEST_LINE, SAMPLE = 1 << 16, 1 << 26, 50
GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Form(NamedTuple):
    """How a file is written, and what its first line says."""

    names: list[str]
    separator: str
    decimal_comma: bool
    end: str


def read_delimited(
    path: Path, name: str, suffix: str, separator: str | None, text: Collection[str]
) -> pl.DataFrame:
    """The table in a file of `suffix` .csv, .tsv or .txt; TableError where there is none."""
    try:
        head = _head(path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TableError(f"{name} cannot be unpacked ({error}). Was it written to the end?") from error
    check_utf8(head, path, name, whole=False)
    form = _form(head.decode("utf-8-sig", "ignore"), name, suffix, separator)
    # A path with these signs would be taken for many files.
    source: Any = path.read_bytes() if any(sign in str(path) for sign in "*?[") else path
    frame = _read(source, path, name, form, text)
    if frame.width != len(form.names):
        raise TableError(
            f"The first line of {name} names {len(form.names)} columns, but its rows have {frame.width}."
            "\nWas it cut off, or is something quoted that is not closed?"
        )
    frame.columns = form.names
    last = frame.to_series(-1)
    # Polars fills short rows up without a word; only where the last field is missing there may be one.
    if frame.width > 1 and last.null_count():
        check_lines(source, name, form.separator, len(form.names), form.end)
    return _without_empty_end(_cleaned(frame, text))


def _read(source, path: Path, name: str, form: Form, text: Collection[str]) -> pl.DataFrame:
    options: dict[str, Any] = {
        "separator": form.separator,
        "null_values": MISSING,
        "decimal_comma": form.decimal_comma,
        "eol_char": form.end,
    }
    known = [place for place, column in enumerate(form.names) if column in text]
    try:
        if known:
            # By place, for polars knows the names as they are written.
            written = pl.read_csv(source, n_rows=0, infer_schema=False, **options).columns
            options["schema_overrides"] = {written[place]: pl.String for place in known}
        return pl.read_csv(source, infer_schema_length=1000, **options)
    except pl.exceptions.NoDataError as error:
        raise TableError(f"{name} is empty. Was it written to the end?") from error
    except pl.exceptions.PolarsError as error:
        check_lines(source, name, form.separator, len(form.names), form.end)
        check_utf8(None, path, name, whole=True)
        if "could not parse" not in str(error):
            raise _broken(name, error) from error
    # The first rows were numbers and a later one is none: all as text, which _cleaned makes numbers of.
    try:
        options.pop("schema_overrides", None)
        if form.decimal_comma:
            options.pop("decimal_comma")
        frame = pl.read_csv(source, infer_schema=False, **options)
    except pl.exceptions.PolarsError as error:
        raise _broken(name, error) from error
    if form.decimal_comma:
        kept = [column for place, column in enumerate(frame.columns) if place not in known]
        frame = frame.with_columns(_with_points(frame[column]) for column in kept)
    return frame


def _broken(name: str, error: Exception) -> TableError:
    if "not properly escaped" in str(error) or "quote" in str(error).lower():
        return TableError(
            f'{name} has a field that begins with a quotation mark (") and does not end with one.\n'
            "Close it, or write each mark within a field twice."
        )
    reason = str(error).partition("\n")[0].rstrip(".")
    return TableError(f"{name} cannot be read ({reason}).\nWrite it again as CSV with commas, in UTF-8.")


def _with_points(text: pl.Series) -> pl.Series:
    """Decimal commas as points where all of a column is such numbers."""
    points = text.str.replace(",", ".", literal=True)
    is_number = points.cast(pl.Float64, strict=False).null_count() == text.null_count()
    return points if is_number else text


def _cleaned(frame: pl.DataFrame, text: Collection[str]) -> pl.DataFrame:
    """Blanks around fields taken off, and text parsed that is numbers or dates throughout."""
    changed = []
    for column in frame:
        if column.dtype != pl.String:
            continue
        first = column.drop_nulls().head(1000)
        if (first != first.str.strip_chars()).any():
            stripped = column.str.strip_chars()
            column = stripped.set(stripped.is_in(MISSING), None)
        changed.append(column if column.name in text else parsed(column))
    return frame.with_columns(changed)


def _without_empty_end(frame: pl.DataFrame) -> pl.DataFrame:
    """Without the rows at the end that hold nothing, of empty lines and of spreadsheets."""
    if frame.is_empty() or not all(column[-1] is None for column in frame):
        return frame
    rows = frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series().arg_true()
    return frame.head(int(rows[-1]) + 1 if len(rows) else 0)


def _head(path: Path) -> bytes:
    """The first lines of a file."""
    with path.open("rb") as file:
        magic = file.read(4)
        if magic.startswith(ZSTANDARD):
            first = raw_lines(str(path), "\n", SAMPLE).collect().to_series()
            return "\n".join(first.fill_null("")).encode() + b"\n"
        file.seek(0)
        if magic.startswith(GZIP):
            with gzip.open(file) as unpacked:
                return unpacked.read(HEAD) + unpacked.readline(LONGEST_LINE)
        return file.read(HEAD) + file.readline(LONGEST_LINE)


def _form(head: str, name: str, suffix: str, separator: str | None) -> Form:
    end = "\r" if "\r" in head and "\n" not in head else "\n"
    if not head.strip():
        raise TableError(f"{name} is empty. Was it written to the end?")
    if separator is None:
        separator = _separator(head, name, suffix)
    elif len(separator) != 1 or not separator.isascii() or separator in '"\r\n':
        raise TableError(
            f"The separator is {separator!r}, but one character is wanted, such as ',' or ';'. "
            "Leave it out to have it found."
        )
    rows = _rows(head, separator)
    names = [field.strip() for field in rows[0]]
    _check_names(names, name, separator)
    names = [column or f"column_{place}" for place, column in enumerate(names, 1)]
    fields = [field.strip() for row in rows[1:] for field in row]
    return Form(names, separator, separator != "," and _has_decimal_commas(fields), end)


def _rows(head: str, separator: str) -> list[list[str]]:
    """The fields of the first lines, without empty lines; the last may be cut off."""
    lines = csv.reader(io.StringIO(head, newline=""), delimiter=separator)
    rows = []
    try:
        for row in lines:
            if row:
                rows.append(row)
            if len(rows) > SAMPLE:
                break
    except csv.Error:  # an unfinished quotation, of which polars complains
        pass
    return rows or [[head.strip()]]


def _separator(head: str, name: str, suffix: str) -> str:
    """What parts the fields. The usual one if the first line has it, else one that all lines have."""
    usual = "\t" if suffix == ".tsv" else ","
    if suffix != ".txt" and len(_rows(head, usual)[0]) > 1:
        return usual
    widths = {sign: [len(row) for row in _rows(head, sign)] for sign in SEPARATORS}
    fitting = [sign for sign, rows in widths.items() if rows[0] > 1 and len(set(rows)) == 1]
    if fitting:
        return max(fitting, key=lambda sign: widths[sign][0])
    present = [sign for sign, rows in widths.items() if rows[0] > 1]
    if present:
        words = " or ".join(SEPARATORS[sign] for sign in present)
        raise TableError(
            f"{name} seems to part its fields by {words}, but its lines differ in how many there are.\n"
            f"Mend the lines, or name the separator: --separator {present[0]!r}"
        )
    first = _rows(head, "\0")[0][0]
    if suffix == ".txt" and len(first.split()) > 1:
        raise TableError(
            f"{name} parts its fields by blanks, which is not read. Put commas: "
            f"tr -s ' ' ',' < {name} > {Path(name).with_suffix('.csv')}"
        )
    return usual


def _check_names(names: list[str], name: str, separator: str) -> None:
    numbers = [column for column in names if re.fullmatch(r"[-+]?\d*\.\d+([eE][-+]?\d+)?", column)]
    if numbers:
        raise TableError(
            f"The first line of {name} holds data ({listed(numbers, 3)}), but names of the columns are "
            f"wanted.\nPut a line of names before it: a{separator}b{separator}c"
        )
    twice = sorted({column for column in names if column and names.count(column) > 1}, key=names.index)
    if twice:
        raise TableError(
            f"{name} has columns twice: {listed(twice)}. Rename one of each in the first line, or leave "
            "it out."
        )


def _has_decimal_commas(fields: list[str]) -> bool:
    """Whether numbers are like 1,5. Three digits after the comma may be thousands, and prove nothing."""
    has_comma = any(re.fullmatch(r"[-+]?\d+,(\d{1,2}|\d{4,})", field) for field in fields)
    return has_comma and not any(re.fullmatch(r"[-+]?\d*\.\d+", field) for field in fields)

"""Lines of a text file that cannot be read, looked for once something has gone wrong."""

import codecs
from pathlib import Path

import polars as pl

from jgd.tables.complaints import TableError
from jgd.wording import count

BLOCK = 1 << 20
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UNPACK = {".gz": "gzip -dc", ".zst": "zstd -dc"}
COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


def raw_lines(source, end: str, most: int | None = None) -> pl.LazyFrame:
    """One column: the lines as they are written."""
    # No text has the separator 1, so a line is one field.
    return pl.scan_csv(
        source,
        has_header=False,
        separator="\x01",
        quote_char=None,
        infer_schema=False,
        eol_char=end,
        n_rows=most,
        truncate_ragged_lines=True,
    )


def check_lines(source, name: str, separator: str, wanted: int, end: str) -> None:
    """TableError with the first line that has another number of fields than the first one.

    Lines with quotation marks are passed over, for what stands between two of them may be anything.
    """
    line = pl.first()
    separators = line.str.count_matches(separator, literal=True)
    is_odd = (separators != wanted - 1) & ~line.str.contains('"', literal=True)
    is_there = line.str.strip_chars().str.len_bytes() > 0
    try:
        lines = raw_lines(source, end).with_columns(is_odd=is_odd & is_there, fields=separators + 1)
        # Within quotation marks a line may end, and then its parts are no rows.
        marks = lines.select((line.str.count_matches('"', literal=True) % 2).max()).collect().item()
        if marks:
            return
        found = lines.with_row_index("number", 1).filter("is_odd").head(1).collect()
    except pl.exceptions.PolarsError:
        return
    if found.height:
        row = found.row(0, named=True)
        raise TableError(
            f"{name} has {count(row['fields'], 'field')} in line {row['number']:,}, but its first line "
            f"names {count(wanted, 'column')}.\nMend that line: a field with a separator in it wants "
            'quotation marks ("...").'
        )


def check_utf8(head: bytes | None, path: Path, name: str, whole: bool) -> None:
    """TableError where a file is not UTF-8: its first part, or with `whole` all of it."""
    if head is not None and head.startswith(UTF16):
        raise TableError(f"{name} is UTF-16, but UTF-8 is wanted. {_way_out(name, 'UTF-16')}")
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = 1
    with path.open("rb") as file:
        is_packed = file.read(4).startswith(COMPRESSED)
        file.seek(0)
        if is_packed and whole:
            return
        blocks = iter(lambda: file.read(BLOCK), b"") if whole else iter([head or b""])
        for block in blocks:
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                # What the decoder kept of the block before holds no end of a line.
                lines += error.object[: error.start].count(b"\n")
                sign = error.object[error.start]
                raise TableError(
                    f"{name} is not UTF-8: line {lines:,} holds the byte 0x{sign:02x}. "
                    f"{_way_out(name, 'WINDOWS-1252')}"
                ) from error
            lines += block.count(b"\n")


def _way_out(name: str, encoding: str) -> str:
    path, unpack = Path(name), ""
    if path.suffix in UNPACK:
        path, unpack = path.with_suffix(""), f"{UNPACK[path.suffix]} {path} | "
    source = "" if unpack else f" {path}"
    result = path.with_stem(path.stem + "-utf8")
    return f"Convert it:\n{unpack}iconv -f {encoding} -t UTF-8{source} > {result}"

"""What all sources of rows have in common: a reader of any range, and how long a block is."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jgd.tree import is_whole

EVEN_ROWS = 1024
BLOCK_BYTES = 16 * 2**20  # long beside what a read costs besides, and a few of them are small in memory


class Blocks(NamedTuple):
    """Rows cut into blocks, each read when it is wanted.

    Attributes:
      num_rows: N, of all blocks.
      rows: of a block; the last may be shorter.
      read: `(first, last) -> pytree of NumPy arrays [last - first, ...]`: the rows `first` to
        `last - 1`, whatever they are, in any thread.
      place: `row -> str`, where that row lies, for messages: `part-3.parquet, row 17`.
    """

    num_rows: int
    rows: int
    read: Callable[[int, int], Any]
    place: Callable[[int], str]

    @property
    def num_blocks(self) -> int:
        """How many blocks there are."""
        return -(-self.num_rows // self.rows)


def usual_rows(row_bytes: int) -> int:
    """As many as make a block of 16 MiB, a number that divides among devices and into batches."""
    most = max(BLOCK_BYTES // max(row_bytes, 1), 1)
    return most // EVEN_ROWS * EVEN_ROWS or most


def rows_of_a_block(rows: Any, num_rows: int, default: int) -> int:
    """`rows`, checked, or the default; at most all rows."""
    if rows is not None and not (is_whole(rows) and rows >= 1):
        raise ValueError(f"rows is {rows!r}, but a whole number >= 1, or None, is wanted.")
    return min(default if rows is None else int(rows), num_rows)


def check_range(first: Any, last: Any, num_rows: int) -> None:
    """ValueError unless there are rows from `first` to `last - 1`."""
    if not (is_whole(first) and is_whole(last) and 0 <= first < last <= num_rows):
        raise ValueError(
            f"read({first!r}, {last!r}) is asked for, but whole numbers 0 <= first < last <= {num_rows} "
            "are wanted, the number of rows."
        )

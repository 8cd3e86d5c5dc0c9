"""Text that may be meant as numbers, and numbers that are none."""

import polars as pl

from jgd.tables.kinds import first_that, no_number
from jgd.wording import count

COUNTERS = {"", "id", "index", "row", "rows", "rownames", "row_number", "unnamed: 0", "column_1", "no"}
MOSTLY = 0.9
DECORATION = r"[,%$€£\s]"


def hint_of_numbers(series: pl.Series) -> list[str]:
    """A note where most of a column of text is numbers, for then a few fields of it are mistakes."""
    if series.dtype != pl.String:
        return []
    known = series.drop_nulls()
    mostly = MOSTLY * len(known)
    bad = no_number(series)
    number = int(bad.sum())
    if 0 < number <= len(known) - mostly:
        row = first_that(bad)
        are, they = ("is no number", "it stands") if number == 1 else ("are no numbers", "they stand")
        return [
            f"{series.name} is taken as text: {count(number, 'field')} of it {are}, e.g. "
            f"{series[row]!r} in row {row + 1:,}. If {they} for missing values, empty the field."
        ]
    # One look at the first rows spares most columns of words the rest.
    if no_number(known.head(100).str.replace_all(DECORATION, "")).sum() > 100 * (1 - MOSTLY):
        return []
    plain = no_number(known.str.replace_all(DECORATION, ""))
    if number and plain.sum() <= len(known) - mostly:
        row = first_that(bad)
        return [
            f"{series.name} is taken as text, for {series[row]!r} in row {row + 1:,} is no number. Is "
            "it meant as one? Then write it with digits and a point alone."
        ]
    return []


def is_row_count(series: pl.Series) -> bool:
    """Whether a column numbers the rows: 0, 1, 2, ... or 1, 2, 3, ..., under a name for that."""
    if (
        series.name.strip().lower() not in COUNTERS
        or not series.dtype.is_integer()
        or series.null_count()
    ):
        return False
    first = series[0]
    return first in (0, 1) and bool(
        (series == pl.int_range(first, first + len(series), eager=True)).all()
    )

"""Text that may be meant as numbers, and numbers that are none."""

import polars as pl

from jgd.tables.kinds import first_that, no_number
from jgd.wording import count

ROW_NUMBERS = {"id", "index", "row", "rows", "rownames", "row_number", "unnamed: 0", "column_1"}
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


def is_row_number(series: pl.Series) -> bool:
    """Whether a column tells rows apart and no more: different whole numbers under a name for that.

    They need not be 1, 2, 3, ..., for the rows may be drawn from a table.
    """
    if series.name.strip().lower() not in ROW_NUMBERS or not series.dtype.is_integer():
        return False
    return series.n_unique() == len(series)

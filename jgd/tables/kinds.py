"""What the types of polars are here: numbers, dates, text."""

from typing import Any

import numpy as np
import polars as pl

SECONDS, HOURS, DAYS = 1e6, 3.6e12, 86_400e6
ISO_DATE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?$"


def kind_of(dtype: pl.DataType) -> str | None:
    """number, category or date; None for what is none of them, such as lists."""
    if dtype.is_numeric() or dtype in (pl.Boolean, pl.Time, pl.Duration):
        return "number"
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return "category"
    return "date" if dtype in (pl.Date, pl.Datetime) else None


def without_nan(series: pl.Series) -> pl.Series:
    """NaN is missing as null is."""
    return series.fill_nan(None) if series.dtype.is_float() else series


def as_floats(series: pl.Series) -> np.ndarray:
    """Float64, NaN for missing: dates in days since 1970, spans in seconds, times in hours."""
    if series.dtype == pl.Date:
        series = series.to_physical()
    elif series.dtype == pl.Datetime:
        series = series.dt.epoch("us") / DAYS
    elif series.dtype == pl.Duration:
        series = series.dt.total_microseconds() / SECONDS
    elif series.dtype == pl.Time:
        series = series.cast(pl.Int64) / HOURS
    return series.cast(pl.Float64).to_numpy()


def as_text(series: pl.Series) -> pl.Series:
    """The same values as text."""
    return series.cast(pl.String)


def as_dates(text: pl.Series) -> pl.Series:
    """Text such as 2024-12-31 or 2024-12-31 23:59 as dates; null where it is none."""
    days = text.str.to_date("%Y-%m-%d", strict=False)
    if days.null_count() == text.null_count():
        return days
    # Polars takes the form from the first value, and cannot where that is no date.
    try:
        return text.str.to_datetime(strict=False)
    except pl.exceptions.PolarsError:
        return days


def parsed(text: pl.Series) -> pl.Series:
    """The same column as whole numbers, numbers, 0 and 1, or dates if all of its text is that."""
    known = text.drop_nulls()
    for convert in (_as(pl.Int64), _as(pl.Float64), _as_booleans, _as_iso_dates):
        # The first values tell most columns of words without a look at all of them.
        if convert(known.head(100)).null_count() == 0:
            converted = convert(text)
            if converted.null_count() == text.null_count():
                return converted
    return text


def first_that(mask: pl.Series) -> int:
    """The row, counted from 0, of the first true value."""
    return int(mask.fill_null(False).arg_true()[0])


def no_number(text: pl.Series) -> pl.Series:
    """Where text is there that is no number."""
    return text.is_not_null() & text.cast(pl.Float64, strict=False).is_null()


def _as(dtype: Any):
    return lambda text: text.cast(dtype, strict=False)


def _as_booleans(text: pl.Series) -> pl.Series:
    lower = text.str.to_lowercase()
    return lower.replace_strict(["true", "false"], [True, False], default=None, return_dtype=pl.Boolean)


def _as_iso_dates(text: pl.Series) -> pl.Series:
    is_date = text.str.contains(ISO_DATE)
    if not is_date.all():
        return pl.repeat(None, len(text), dtype=pl.Date, eager=True)
    return as_dates(text)

"""A table as an array of numbers."""

import os

import numpy as np
import polars as pl

from jgd.tables.columns import Column, Schema, check_finite, width
from jgd.tables.complaints import TableError, nearest, share
from jgd.tables.kinds import as_dates, as_floats, as_text, first_that, kind_of, no_number, without_nan
from jgd.wording import count, listed

ROWS = 4096
WANTED = {"number": "numbers", "date": "dates", "category": "text"}


def encode(schema: Schema, frame: pl.DataFrame) -> tuple[np.ndarray, list[str]]:
    """The features of each row.

    Args:
      schema: from `infer_columns`.
      frame: a table of N rows, with the columns of the schema and maybe others.

    Returns:
      [N, D] float32, C-contiguous, with the columns `feature_names(schema)`; and notes: sentences on
      categories that training had not, and on missing values where training had none. Such categories
      are 0 in all features of their column, and such values the mean.

    Raises:
      TableError: a column is not there, or is of another kind than in training; a number is infinite, or
        too far from those of training for float32; the array would not fit the memory.

    >>> import polars as pl
    >>> number = Column("x", "number", (), 3.0, 2.0, False)
    >>> letter = Column("c", "category", ("a", "b"), 0.0, 1.0, False)
    >>> array, notes = encode(Schema((number, letter)), pl.DataFrame({"x": [5, 3], "c": ["b", "q"]}))
    >>> array.tolist()
    [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    >>> notes
    ["Unseen in training: c 'q' in 1 row."]
    """
    _check_columns(schema, frame)
    widths = [width(column) for column in schema.columns]
    _check_memory(frame.height, sum(widths))
    array = np.zeros((frame.height, sum(widths)), np.float32)
    starts = np.cumsum([0, *widths]).tolist()
    standardised: list[tuple[int, np.ndarray]] = []
    unseen, missing = [], []
    for column, start in zip(schema.columns, starts, strict=False):
        series = without_nan(frame[column.name])
        if column.kind == "category":
            values, places = _categories(column, series)
            rows = np.flatnonzero(places >= 0)
            array[rows, start + places[rows]] = 1
            unseen += _unseen(values, places)
        else:
            numbers = _numbers(column, series)
            if column.scale > 0:
                standardised.append((start, _standardised(column, series, numbers)))
        if column.missing:
            array[:, start + width(column) - 1] = series.is_null().to_numpy()
        elif series.null_count():
            missing.append(f"{column.name} {share(series.null_count(), frame.height)}")
    # Some rows at a time, so that the lines of memory that all columns write to stay in the cache.
    for first in range(0, frame.height, ROWS):
        block = array[first : first + ROWS]
        for place, numbers in standardised:
            block[:, place] = numbers[first : first + ROWS]
    notes = [f"Unseen in training: {listed(unseen)}."] if unseen else []
    if missing:
        notes.append(f"Missing values where training had none: {listed(missing)}.")
    return array, notes


def _check_columns(schema: Schema, frame: pl.DataFrame) -> None:
    absent = [column.name for column in schema.columns if column.name not in frame.columns]
    if absent:
        others = [
            name for name in frame.columns if name not in {column.name for column in schema.columns}
        ]
        columns = "column" if len(absent) == 1 else "columns"
        hint = nearest(absent[0], others) if others else "It has no other columns."
        raise TableError(
            f"The table lacks the {columns} {listed(absent)} of training. {hint}\n"
            "Rename the column, or add it; its fields may be empty."
        )


def _check_memory(rows: int, features: int) -> None:
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has none of it
        return
    needed = 4 * rows * features
    if needed > memory:
        raise TableError(
            f"{rows:,} rows of {features:,} features are {needed / 1e9:,.0f} GB, but this machine has "
            f"{memory / 1e9:,.0f} GB of memory. Take fewer rows, or leave out columns of "
            "many categories."
        )


def _categories(column: Column, series: pl.Series) -> tuple[pl.Series, np.ndarray]:
    """The values as text, and the place of each among the categories: -1 where there is none."""
    if series.dtype != pl.Null and kind_of(series.dtype) is None:
        raise _wrong_kind(column, series, first_that(series.is_not_null()))
    values = as_text(series)
    places = pl.Series(range(len(column.values)), dtype=pl.Int32)
    known = pl.Series(column.values, dtype=pl.String)
    return values, values.replace_strict(known, places, default=-1, return_dtype=pl.Int32).to_numpy()


def _unseen(values: pl.Series, places: np.ndarray) -> list[str]:
    strange = values.filter(places < 0).drop_nulls()
    if strange.is_empty():
        return []
    counts = strange.value_counts(sort=True, name="rows")
    first = counts.head(3).sort("rows", values.name, descending=[True, False])
    shown = [f"{value!r} in {count(rows, 'row')}" for value, rows in first.iter_rows()]
    more = counts.height - len(shown)
    return [f"{values.name} {', '.join(shown)}" + (f" and {count(more, 'other value')}" if more else "")]


def _numbers(column: Column, series: pl.Series) -> np.ndarray:
    if series.dtype == pl.Null or series.null_count() == len(series):
        return np.full(len(series), np.nan)
    kind = kind_of(series.dtype)
    if kind == "category":
        text = as_text(series)
        converted = text.cast(pl.Float64, strict=False) if column.kind == "number" else as_dates(text)
        bad = text.is_not_null() & converted.is_null()
        if bad.any():
            mask = no_number(text) if column.kind == "number" else bad
            raise _wrong_kind(column, text, first_that(mask))
        kind, series = column.kind, without_nan(converted).alias(series.name)
    if kind != column.kind:
        raise _wrong_kind(column, series, first_that(series.is_not_null()))
    array = as_floats(series)
    check_finite(series, array)
    return array


def _standardised(column: Column, series: pl.Series, numbers: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        result = ((numbers - column.mean) / column.scale).astype(np.float32)
    if not np.isfinite(result).all():
        missing = np.isnan(numbers)
        result[missing] = 0
        far = np.flatnonzero(~np.isfinite(result))
        if far.size:
            row = int(far[0])
            raise TableError(
                f"{column.name} is {series[row]} in row {row + 1:,}, but about {column.mean:.3g} in "
                "training. Is it in another unit? Mend that row, or leave it out."
            )
    return result


def _wrong_kind(column: Column, series: pl.Series, row: int) -> TableError:
    value = series[row].to_list() if isinstance(series[row], pl.Series) else series[row]
    return TableError(
        f"{column.name} is {str(value)[:60]!r} in row {row + 1:,}, but {WANTED[column.kind]} in "
        "training. Convert it as for training; where a value is missing, leave the field empty."
    )

"""What is made of the columns of a table: numbers, dates as numbers, categories."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import polars as pl

from jgd.tables.complaints import TableError, nearest, share
from jgd.tables.kinds import as_floats, as_text, first_that, kind_of, without_nan
from jgd.tables.words import hint_of_numbers, is_row_number
from jgd.wording import count, listed

MOST_CATEGORIES, MOST_FEATURES, FEW = 1000, 100_000, 10


class Column(NamedTuple):
    """One column of the table.

    Attributes:
      name: of the column.
      kind: number, date or category.
      values: of categories, sorted; else empty.
      mean: of the numbers; 0 for categories.
      scale: their standard deviation; 1 for categories. 0 where all numbers are the same, and
        rows differ only in whether they are missing.
      missing: whether training had missing values, which a feature of its own tells then.
    """

    name: str
    kind: str
    values: tuple[str, ...]
    mean: float
    scale: float
    missing: bool


class Schema(NamedTuple):
    """The columns that are used, in the order of their features.

    Attributes:
      columns: of the table.
    """

    columns: tuple[Column, ...]


def infer_columns(
    frame: pl.DataFrame,
    target_name: str,
    drop: Collection[str] = (),
    most_categories: int = MOST_CATEGORIES,
) -> tuple[Schema, list[str]]:
    """What each column is, with the statistics of these rows.

    Numbers, truth values, spans (seconds), times (hours) and dates (days since 1970) are standardised:
    (x - mean) / scale. Missing ones are the mean, and a feature "NAME is missing" is 1. Text is
    categories: a feature of 0 and 1 for each, and one for what is missing. Left out are columns that are
    constant or missing throughout; lists; text with more than `most_categories` values, or with more
    values than half of the rows; and whole numbers that are all different under a name
    such as id.

    Args:
      frame: the rows of the training part.
      target_name: the column to predict, which is left out.
      drop: names of more columns to leave out.
      most_categories: the most values of a column of text.

    Returns:
      The schema, and notes: sentences on what was left out, what is missing, what looks like a mistake.

    Raises:
      TableError: a name is of no column; there are no rows; a number is infinite; nothing is left.

    >>> import polars as pl
    >>> stones = {"carat": [0.2, 0.4, None], "cut": ["Ideal", "Fair", "Fair"], "y": [1, 2, 3]}
    >>> frame = pl.DataFrame(stones)
    >>> schema, notes = infer_columns(frame, "y")
    >>> feature_names(schema)
    ['carat', 'carat is missing', 'cut=Fair', 'cut=Ideal']
    >>> notes
    ['Missing values: carat 1 (33%).']
    """
    _check_names(frame, target_name, drop)
    if frame.height == 0:
        raise TableError("The training part of the table has no rows. Take a table with more.")
    columns: list[Column] = []
    reasons: dict[str, list[str]] = {}
    notes: list[str] = []
    missing: dict[str, int] = {}
    for series in map(without_nan, frame):
        if series.name in (target_name, *drop):
            continue
        notes += hint_of_numbers(series)
        reason, note = _reason(series, most_categories)
        if reason:
            reasons.setdefault(reason, []).append(series.name + note)
            continue
        columns.append(_column(series))
        if series.null_count():
            missing[series.name] = series.null_count()
    left_out = [f"{reason}: {listed(names)}." for reason, names in reasons.items()]
    if missing:
        most_first = sorted(missing, key=missing.__getitem__, reverse=True)
        counts = [f"{name} {share(missing[name], frame.height)}" for name in most_first]
        notes.insert(0, f"Missing values: {listed(counts)}.")
    if not columns:
        raise TableError(
            f"No column is left to predict {target_name} from. "
            + ("\n".join(left_out) or "Take a table with more columns.")
        )
    schema = Schema(tuple(columns))
    _check_width(schema)
    return schema, left_out + notes


def feature_names(schema: Schema) -> list[str]:
    """The names of the columns of the array that `encode` makes.

    Args:
      schema: from `infer_columns`.

    Returns:
      D names: "carat", "cut=Ideal", "dep_delay is missing".

    >>> feature_names(Schema((Column("cut", "category", ("Fair", "Ideal"), 0.0, 1.0, False),)))
    ['cut=Fair', 'cut=Ideal']
    """
    names = []
    for column in schema.columns:
        names += [f"{column.name}={value}" for value in column.values]
        names += [column.name] * (column.kind != "category" and column.scale > 0)
        names += [f"{column.name} is missing"] * column.missing
    return names


def text_columns(schema: Schema) -> list[str]:
    """The names of the columns of text, for `read_table(path, text=...)` of a table to predict for.

    Args:
      schema: from `infer_columns`.

    Returns:
      Their names.

    >>> text_columns(Schema((Column("cut", "category", ("1", "1b"), 0.0, 1.0, False),)))
    ['cut']
    """
    return [column.name for column in schema.columns if column.kind == "category"]


def width(column: Column) -> int:
    """How many features a column makes."""
    return len(column.values) + (column.kind != "category" and column.scale > 0) + column.missing


def check_finite(series: pl.Series, array: np.ndarray) -> None:
    """TableError where a number is infinite."""
    infinite = np.flatnonzero(np.isinf(array))
    if infinite.size:
        row = int(infinite[0])
        raise TableError(
            f"{series.name} is {series[row]} in row {row + 1:,}, but finite numbers are wanted. Leave "
            f"that row out, empty the field, or leave the column out: --drop {series.name}"
        )


def _check_names(frame: pl.DataFrame, target_name: str, drop: Collection[str]) -> None:
    if target_name not in frame.columns:
        raise TableError(
            f"There is no column {target_name} to predict. {nearest(target_name, frame.columns)}"
        )
    for name in drop:
        if name not in frame.columns:
            raise TableError(f"There is no column {name} to drop. {nearest(name, frame.columns)}")
        if name == target_name:
            raise TableError(
                f"{name} is to be predicted, so it cannot be dropped. Leave out --drop {name}"
            )


def _reason(series: pl.Series, most_categories: int) -> tuple[str, str]:
    """Why a column is left out, empty where it is not, and what is to be said beside its name."""
    rows = len(series) - series.null_count()
    if rows == 0:
        return "Left out, for no row has a value", ""
    kind = kind_of(series.dtype)
    if kind is None:
        return "Left out, for they are neither numbers nor text", f" ({series.dtype})"
    if rows == len(series) and series[0] == series[-1] and (series == series[0]).all():
        return "Left out, for all rows have the same value", ""
    distinct = series.n_unique() - (rows < len(series)) if kind == "category" else 0
    if distinct > max(FEW, rows // 2):
        return (
            "Left out, for text with another value in nearly every row says nothing about new rows",
            f" ({distinct:,} in {count(rows, 'row')})",
        )
    if distinct > most_categories:
        return (
            f"Left out, for text may have {most_categories:,} different values at most (group them into "
            "fewer)",
            f" ({distinct:,})",
        )
    if is_row_number(series):
        return "Left out, for it numbers the rows (rename it if it means more)", ""
    return "", ""


def _column(series: pl.Series) -> Column:
    kind = kind_of(series.dtype) or ""
    missing = series.null_count() > 0
    if kind == "category":
        values = as_text(series).drop_nulls().unique().sort().to_list()
        return Column(series.name, kind, tuple(values), 0.0, 1.0, missing)
    array = as_floats(series)
    check_finite(series, array)
    mean, scale = _statistics(array[~np.isnan(array)] if missing else array)
    if not np.isfinite(scale):
        row = first_that(series.cast(pl.Float64).abs() == np.nanmax(np.abs(array)))
        raise TableError(
            f"{series.name} is {series[row]} in row {row + 1:,}, which is too large to reckon with. "
            f"Divide the column by a power of ten, or leave it out: --drop {series.name}"
        )
    return Column(series.name, kind, (), mean, scale, missing)


def _statistics(array: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; numbers whose squares are beyond float64 are no matter."""
    low, high = float(array.min()), float(array.max())
    if low == high:
        return low, 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        largest = max(-low, high)
        mean = min(max(float((array / largest).mean()) * largest, low), high)
        far = max(high - mean, mean - low)
        deviations = (array - mean) / far
        return mean, float(np.sqrt(np.mean(deviations * deviations))) * far


def _check_width(schema: Schema) -> None:
    total = sum(map(width, schema.columns))
    if total > MOST_FEATURES:
        widest = sorted(schema.columns, key=width, reverse=True)
        shown = listed([f"{column.name} {width(column):,}" for column in widest])
        raise TableError(
            f"The table would have {total:,} features, but {MOST_FEATURES:,} are the most: {shown}.\n"
            f"Group the values of text into fewer, or leave columns out: --drop {widest[0].name}"
        )

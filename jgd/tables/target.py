"""What is to be predicted: a number, one of two classes, or one of many."""

from typing import Any, NamedTuple

import polars as pl

from jgd.tables.complaints import TableError, nearest
from jgd.tables.kinds import as_floats, as_text, first_that, kind_of, no_number, without_nan
from jgd.wording import count

MOST_CLASSES, MOST_GUESSED = 100, 10
TASKS = ("regression", "classification", "binary", "multiclass")


class Target(NamedTuple):
    """What is to be predicted.

    Attributes:
      name: of the column.
      task: regression, binary or multiclass.
      classes: their values, sorted; empty for regression.
      missing: in how many rows it is missing.
    """

    name: str
    task: str
    classes: tuple[Any, ...]
    missing: int


def infer_target(frame: pl.DataFrame, name: str, task: str | None = None) -> Target:
    """What kind of column the target is.

    Two different values, of whatever kind, are classes (binary), and so are 3 to 100 texts (multiclass)
    and 3 to 10 whole numbers one after the other, such as 0..9, if each is there twice or more. Other
    numbers are regression.

    Args:
      frame: the table.
      name: of the column to predict.
      task: regression, classification, binary or multiclass, where the guess above is wrong.

    Returns:
      The target.

    Raises:
      TableError: there is no such column; it is missing in all rows, constant, infinite, a list or a
        date; it has too many classes; the task does not suit it.

    >>> import polars as pl
    >>> infer_target(pl.DataFrame({"cut": ["Fair", "Ideal", None]}), "cut")
    Target(name='cut', task='binary', classes=('Fair', 'Ideal'), missing=1)
    >>> infer_target(pl.DataFrame({"price": [326.0, 327.0, 334.0]}), "price").task
    'regression'
    """
    if task is not None and task not in TASKS:
        raise TableError(f"There is no task {task}. {nearest(task, TASKS)}")
    values = target_column(frame, name).drop_nulls()
    missing = frame.height - len(values)
    if values.is_empty():
        raise TableError(
            f"The target {name} is missing in all {count(frame.height, 'row')}. Name another column, or "
            "take the table that has it."
        )
    if values.dtype.is_float() and values.is_infinite().any():
        row = first_that(target_column(frame, name).is_infinite())
        raise TableError(
            f"The target {name} is {frame[name][row]} in row {row + 1:,}. Leave that row out, or empty "
            "the field."
        )
    distinct = values.n_unique()
    if distinct == 1:
        raise TableError(
            f"The target {name} is {values[0]!r} in all rows that have one, so there is nothing to "
            "learn. Name another column, or take more rows."
        )
    if task == "regression":
        _check_numbers(frame[name], name, distinct)
    guess = task or _guess(values, distinct)
    if guess == "regression":
        return Target(name, "regression", (), missing)
    _check_classes(frame[name], name, distinct, len(values), task)
    classes = tuple(as_words(values).unique().sort().to_list())
    is_binary = distinct == 2 and task != "multiclass"
    return Target(name, "binary" if is_binary else "multiclass", classes, missing)


def target_column(frame: pl.DataFrame, name: str) -> pl.Series:
    """The column, with null where it is missing; TableError where there is none."""
    if name not in frame.columns:
        raise TableError(f"There is no column {name} to predict. {nearest(name, frame.columns)}")
    series = frame[name]
    if series.dtype != pl.Null and kind_of(series.dtype) is None:
        raise TableError(
            f"The target {name} holds {series.dtype}, but numbers or text are wanted. Name another "
            "column."
        )
    if series.dtype in (pl.Decimal, pl.Duration, pl.Time):
        return pl.Series(name, as_floats(series), nan_to_null=True)
    return without_nan(series)


def as_words(series: pl.Series) -> pl.Series:
    """Categories as their text, and all else as it is."""
    return as_text(series) if series.dtype in (pl.Categorical, pl.Enum) else series


def _guess(values: pl.Series, distinct: int) -> str:
    if kind_of(values.dtype) != "number" or values.dtype == pl.Boolean:
        return "classification"
    if values.dtype.is_float():
        is_whole = distinct == 2 and bool((values == values.floor()).all())
        return "classification" if is_whole else "regression"
    if distinct == 2:
        return "classification"
    if not values.dtype.is_integer() or distinct > MOST_GUESSED or 2 * distinct > len(values):
        return "regression"
    low, high = int(values.min()), int(values.max())  # type: ignore[arg-type]
    # A gap of one is a class that the table happens to lack.
    return "classification" if high - low <= distinct else "regression"


def _check_numbers(series: pl.Series, name: str, distinct: int) -> None:
    if kind_of(series.dtype) == "number":
        return
    row, example = _example(series)
    raise TableError(
        f"The target {name} has {example!r} in row {row + 1:,}, but regression wants numbers. "
        + ("Mend the rows that are none." if distinct > MOST_CLASSES else "Take --task classification.")
    )


def _check_classes(series: pl.Series, name: str, distinct: int, rows: int, task: str | None) -> None:
    kind = kind_of(series.dtype)
    if kind == "date" and task is None:
        raise TableError(
            f"The target {name} holds dates, which are no numbers. Make them numbers, e.g. days since "
            "the first of them, or take --task classification."
        )
    if task == "binary" and distinct != 2:
        raise TableError(
            f"The target {name} has {distinct:,} different values, but the task binary wants 2. "
            "Take --task multiclass, or leave --task out."
        )
    if distinct > MOST_CLASSES or (kind == "category" and distinct == rows > MOST_GUESSED):
        different = f"{distinct:,} different values in {count(rows, 'row')}"
        if kind == "category":
            row, example = _example(series)
            raise TableError(
                f"The target {name} is text with {different}, e.g. {example!r} in row {row + 1:,}. "
                f"At most {MOST_CLASSES} classes, each in several rows, are learned.\n"
                "Regression wants numbers only: mend the rows that are none, group the values, or "
                "name another column."
            )
        raise TableError(
            f"The target {name} has {different}, but at most {MOST_CLASSES} classes are learned. "
            "Take --task regression, or group the values."
        )


def _example(series: pl.Series) -> tuple[int, Any]:
    """The row and value of the first text that is no number, or of the first value."""
    series = as_words(series)
    mask = no_number(series) if series.dtype == pl.String else series.is_not_null()
    if not mask.any():
        mask = series.is_not_null()
    row = first_that(mask)
    return row, series[row]

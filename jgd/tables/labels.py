"""The target as arrays, and back."""

from typing import Any

import numpy as np
import polars as pl

from jgd.tables.complaints import TableError
from jgd.tables.kinds import as_floats, as_text, first_that, kind_of
from jgd.tables.target import Target, as_words, target_column
from jgd.wording import listed


def has_target(frame: pl.DataFrame, target: Target) -> np.ndarray:
    """In which rows the target is there.

    Args:
      frame: a table of N rows.
      target: from `infer_target`.

    Returns:
      [N] booleans.

    Raises:
      TableError: there is no such column.

    >>> import polars as pl
    >>> from jgd.tables import infer_target
    >>> frame = pl.DataFrame({"y": [1.5, None, 2.5]})
    >>> has_target(frame, infer_target(frame, "y")).tolist()
    [True, False, True]
    """
    return target_column(frame, target.name).is_not_null().to_numpy()


def encode_target(target: Target, frame: pl.DataFrame) -> np.ndarray:
    """The target as numbers.

    Args:
      target: from `infer_target`.
      frame: a table of N rows, of all of which the target is known: frame.filter(has_target(...)).

    Returns:
      [N], for regression float32, else int32: places in `target.classes`.

    Raises:
      TableError: the column is not there, is missing in some row, is of another kind, is infinite in
        float32, or has a class that is not among the target's.

    >>> import polars as pl
    >>> from jgd.tables import infer_target
    >>> frame = pl.DataFrame({"cut": ["Ideal", "Fair", "Ideal"]})
    >>> encode_target(infer_target(frame, "cut"), frame).tolist()
    [1, 0, 1]
    """
    series = as_words(target_column(frame, target.name))
    if series.null_count():
        raise TableError(
            f"The target {target.name} is missing in {series.null_count():,} of {len(series):,} rows. "
            "Leave them out: frame.filter(has_target(frame, target))."
        )
    if target.task == "regression":
        return _numbers(series, target.name)
    places = _places(series, target.classes)
    unknown = places.is_null()
    if unknown.any():
        row = first_that(unknown)
        raise TableError(
            f"The target {target.name} is {series[row]!r} in row {row + 1:,}, which is none of the "
            f"classes of training: {listed([repr(value) for value in target.classes])}.\n"
            "Leave such rows out, or fit again with them."
        )
    return places.cast(pl.Int32).to_numpy()


def decode(target: Target, numbers: Any) -> pl.Series:
    """Numbers as values of the target.

    Args:
      target: from `infer_target`.
      numbers: [N], the numbers of classes; for regression the values themselves.

    Returns:
      The values, of the type that the column had; named as the target.

    Raises:
      TableError: a number is that of no class.

    >>> import polars as pl
    >>> from jgd.tables import infer_target
    >>> target = infer_target(pl.DataFrame({"cut": ["Ideal", "Fair"]}), "cut")
    >>> decode(target, [1, 1, 0]).to_list()
    ['Ideal', 'Ideal', 'Fair']
    """
    array = np.asarray(numbers)
    if target.task == "regression":
        return pl.Series(target.name, array.astype(float))
    if array.size and not (array.min() >= 0 and array.max() < len(target.classes)):
        raise TableError(
            f"The numbers of classes are {array.min()} to {array.max()}, but the target {target.name} "
            f"has the classes 0 to {len(target.classes) - 1}."
        )
    return pl.Series(target.name, list(target.classes)).gather(array.astype(np.int64))


def _numbers(series: pl.Series, name: str) -> np.ndarray:
    if kind_of(series.dtype) != "number":
        row = first_that(series.is_not_null())
        raise TableError(
            f"The target {name} is {series[row]!r} in row {row + 1:,}, but was numbers in training. "
            "Convert it as for training."
        )
    with np.errstate(over="ignore"):
        array = as_floats(series).astype(np.float32)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise TableError(
            f"The target {name} is {series[row]} in row {row + 1:,}, which is infinite or too large. "
            "Leave that row out, or divide the column by a power of ten."
        )
    return array


def _places(series: pl.Series, classes: tuple[Any, ...]) -> pl.Series:
    """The place of each value among the classes; null where there is none."""
    kind = type(classes[0])
    if kind is str:
        series, known = as_text(series), list(classes)
    elif kind in (int, float) and series.dtype.is_numeric():
        # Whole numbers come as floats where some are missing.
        series, known = series.cast(pl.Float64), [float(value) for value in classes]
    else:
        known = list(classes)
        if pl.Series(known).dtype.base_type() != series.dtype.base_type():
            return pl.repeat(None, len(series), dtype=pl.Int32, eager=True)
        series = series.cast(pl.Series(known).dtype)
    places = pl.Series(range(len(known)), dtype=pl.Int32)
    return series.replace_strict(pl.Series(known, dtype=series.dtype), places, default=None)

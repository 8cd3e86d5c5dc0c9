"""Categories as columns of 0 and 1."""

import functools
import itertools
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from jgd.features.checks import check_features, check_width
from jgd.tree import Static
from jgd.wording import listed

NAMES = {str: "text", float: "numbers"}


class Categories(NamedTuple):
    """The categories of the training part, by column of the result: M of them.

    Attributes:
      values: [M], the category: an array of numbers, or a tuple where a column of x is text.
      columns: [M] integers, the column of x that it is of; all 0 where x is [N].
    """

    values: Any
    columns: jax.Array


def one_hot(x: Any) -> tuple[Callable, Categories]:
    """A column of 0 and 1 for each category: 1 where `x[..., columns[m]] == values[m]`, else 0.

    A linear model has a weight for each category then. The columns are sorted by the column of x, then
    by category. Categories that training has not seen and missing values (NaN, None, pandas.NA) are 0
    in all columns of their block. How many those are: `(transform(x).sum(axis=-1) < D).sum()` examples,
    with D=1 where x is [N].

    Args:
      x: [N] or [N, D], the training part: numbers, text, or columns of either. Arrays, lists, and what
        NumPy makes an array of, e.g. columns and tables of pandas.

    Returns:
      The transform, a pure function of [...] or [..., D] to floats [..., M], and the statistics. For
      numbers it carries the statistics as leaves and is traceable; where a column is text it works on
      the host. Numbers are compared as what JAX makes of them, e.g. float32.

    Raises:
      ValueError: x is not [N] or [N, D] with N >= 1 and D >= 1, or is traced; a column mixes text and
        numbers, holds something else, or nothing; JAX cannot tell two of its numbers apart, or one of
        them from infinity; there would be more than 100,000 columns. The transform: its x is not
        [..., D], or not of the same kind.

    >>> transform, categories = one_hot(["red", "green", "red"])
    >>> categories.values
    ('green', 'red')
    >>> transform(["red", "blue", "green"]).tolist()
    [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    >>> int((transform(["red", "blue", "green"]).sum(axis=-1) < 1).sum())
    1
    >>> transform, _ = one_hot(jnp.array([[3, 0], [7, 1]]))
    >>> jax.jit(transform)(jnp.array([[7, 0], [5, 1]])).tolist()
    [[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]

    Source: Suits (1957), Use of Dummy Variables in Regression Equations, Journal of the American
    Statistical Association 52.
    """
    array = _trained_on(x)
    num_features = None if array.ndim == 1 else array.shape[1]
    table = array[:, None] if num_features is None else array
    kinds = _kinds(table)
    if None in kinds:
        empty = listed([column for column, kind in enumerate(kinds) if kind is None])
        raise ValueError(
            f"x holds nothing but missing values in columns [{empty}], so they have no categories. "
            "Leave these columns out."
        )
    found: list
    if str in kinds:
        found = [sorted(set(filter(_is_there, column))) for column in table.T.tolist()]
    else:
        found = [_distinct(column, number) for number, column in enumerate(_as_numbers(table).T)]
    check_width(
        sum(map(len, found)),
        "one_hot: the categories of x",
        "Are these measurements? Then leave them numbers, or cut them into bins. Text of many values: "
        "jgd.features.hashing.",
    )
    columns = jnp.asarray(np.repeat(np.arange(len(found)), [len(values) for values in found]))
    if str in kinds:
        statistics = Categories(tuple(itertools.chain.from_iterable(found)), columns)
        return functools.partial(_encode_text, num_features, kinds, statistics), statistics
    statistics = Categories(jnp.asarray(np.concatenate(found)), columns)
    return Partial(_encode_numbers, Static(num_features), statistics), statistics


def _encode_numbers(static: Static, statistics: Categories, x):
    num_features: Any = static.value
    values, columns = statistics
    if not isinstance(x, jax.Array):
        x = _as_array(x)
        if str in _kinds(x.reshape(-1, 1)):
            raise ValueError(
                "x holds text, but the training part held numbers. Convert it: np.asarray(x, float)."
            )
        x = jnp.asarray(_held(_as_numbers(x), values.dtype))
    x = x[..., None] if num_features is None else x
    check_features(x, num_features or 1)
    if jnp.issubdtype(x.dtype, jnp.floating) and jnp.issubdtype(values.dtype, jnp.floating):
        x = x.astype(values.dtype)  # 0.1 of float64 is the category 0.1 of float32
    return (x.at[..., columns].get(mode="promise_in_bounds") == values).astype(float)


def _encode_text(num_features: int | None, kinds: list, statistics: Categories, x):
    array = _as_array(x)
    array = array[..., None] if num_features is None else array
    check_features(array, len(kinds))
    table = array.reshape(-1, len(kinds))
    for column, (kind, wanted) in enumerate(zip(_kinds(table), kinds, strict=True)):
        if kind not in (None, wanted):
            raise ValueError(
                f"x holds {NAMES[kind]} in column {column}, but the training part held "
                f"{NAMES[wanted]} there. Convert it as it was converted for training."
            )
    places = zip(np.asarray(statistics.columns).tolist(), statistics.values, strict=True)
    number_of = {place: number for number, place in enumerate(places)}
    result = np.zeros((len(table), len(number_of)), jnp.result_type(float))
    for column, values in enumerate(table.T.tolist()):
        numbers_found = np.array([number_of.get((column, value), -1) for value in values], int)
        rows = np.flatnonzero(numbers_found >= 0)
        result[rows, numbers_found[rows]] = 1
    return jnp.asarray(result.reshape(*array.shape[:-1], len(number_of)))


def _trained_on(x) -> np.ndarray:
    """`x` in NumPy; ValueError where there is nothing to take categories from."""
    if isinstance(x, jax.core.Tracer):
        raise ValueError(
            "x is traced, but its categories shape the result, so its values are wanted: call one_hot "
            "outside of jit and vmap. The transform of numbers may be traced."
        )
    array = _as_array(x)
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(
            f"x has shape {array.shape}, but [N] or [N, D] with at least one example is wanted. "
            "A single value is a list of one: [value]."
        )
    return array


def _as_array(x) -> np.ndarray:
    """`x` in NumPy, as numbers or as objects."""
    # A list as objects, for NumPy would make text of numbers beside text.
    array = np.asarray(x) if hasattr(x, "__array__") else np.asarray(x, object)
    if array.dtype.kind in "SMmc":
        raise ValueError(
            f"x has dtype {array.dtype}, but numbers or text are wanted. Make it text: x.astype(str)."
        )
    is_numbers = array.dtype.kind in "biuf" or jnp.issubdtype(array.dtype, jnp.floating)
    return array if is_numbers else array.astype(object)


def _kinds(table: np.ndarray) -> list:
    """Of each column `str` or `float`, or None where it holds nothing."""
    if table.dtype.kind != "O":
        is_empty = np.isnan(table).all(axis=0)
        return [None if empty else float for empty in is_empty]
    return [_kind(column, number) for number, column in enumerate(table.T.tolist())]


def _kind(values: list, column: int):
    rows: dict[type, int] = {}
    for row, value in enumerate(values):
        if isinstance(value, str):
            rows.setdefault(str, row)
        elif isinstance(value, numbers.Real | np.bool_):
            if _is_there(value):
                rows.setdefault(float, row)
        elif _is_there(value):
            raise ValueError(
                f"x holds {value!r} of type {type(value).__name__} in row {row} of column {column}, but "
                "numbers or text are wanted. Make it text: str(value)."
            )
    if len(rows) > 1:
        text, number = (f"{values[rows[kind]]!r} in row {rows[kind]}" for kind in (str, float))
        raise ValueError(
            f"x mixes text and numbers in column {column}: {text}, {number}. Are 1 and '1' the same? "
            "Then make all of it text: [str(value) for value in column]."
        )
    return next(iter(rows), None)


def _is_there(value) -> bool:
    # NaN and NaT are unequal to themselves. pandas.NA says neither; pandas is not imported for it.
    return value is not None and type(value).__name__ != "NAType" and bool(np.all(value == value))


def _as_numbers(array: np.ndarray) -> np.ndarray:
    """Numbers among objects as integers where they are, else as floats; missing ones are NaN."""
    if array.dtype.kind == "O":
        flat = [value if _is_there(value) else np.nan for value in array.ravel().tolist()]
        array = np.array(flat).reshape(array.shape)
    if array.dtype.kind == "b":
        return array.astype(int)
    return array if array.dtype.kind in "iuf" else array.astype(float)


def _distinct(column: np.ndarray, number: int) -> np.ndarray:
    """The different numbers of a column, sorted, as JAX holds them."""
    known = np.unique(column[~np.isnan(column)])
    is_whole = known.dtype.kind in "iu"
    held = _held(known, jnp.result_type(int if is_whole else float))
    is_known = held > np.iinfo(held.dtype).min if is_whole else np.isfinite(held)
    if len(np.unique(held)) < len(known) or not is_known.all():
        raise ValueError(
            f"x holds numbers in column {number} that are infinite, or not different, as {held.dtype}, "
            f"which is what JAX makes of {known.dtype}. Make it text: x.astype(str)."
        )
    return held


def _held(array: np.ndarray, dtype) -> np.ndarray:
    """Numbers as `dtype`. The least of its integers, which is no category, is what is none of them."""
    if np.dtype(dtype).kind != "i":
        with np.errstate(over="ignore"):
            return array.astype(dtype)
    limits = np.iinfo(dtype)
    fits = (array > limits.min) & (array <= limits.max) & (array == np.floor(array))
    return np.where(fits, np.where(fits, array, 0).astype(dtype), limits.min)

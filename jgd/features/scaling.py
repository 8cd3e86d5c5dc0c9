"""Features brought to one scale, column by column."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from jgd.features.checks import as_table
from jgd.features.columns import SHRINK, columns_of, entering, fills_missing, shrunk, standardized
from jgd.tree import Static


class Standardization(NamedTuple):
    """Statistics of the training part.

    Attributes:
      mean: [D].
      scale: [D], standard deviation; 1 for a constant column, which becomes 0.
    """

    mean: jax.Array
    scale: jax.Array


class Range(NamedTuple):
    """Statistics of the training part.

    Attributes:
      minimum: [D].
      maximum: [D].
      mean: [D], which is put in the place of NaN with `missing="mean"`.
    """

    minimum: jax.Array
    maximum: jax.Array
    mean: jax.Array


def standardize(x: Any, missing: str | None = None) -> tuple[Partial, Standardization]:
    """Bring every feature to mean 0 and standard deviation 1: `(x - mean) / scale`.

    Gradient descent is slow along features of small scale and unstable along those of large scale;
    after this the same learning rate suits all of them.

    Args:
      x: [N, D], the training part only, so that nothing of the test part leaks into it. Whole numbers
        and bools are converted to floats, here and by the transform.
      missing: None: NaN is an error. "mean": the statistics are those of the numbers that are there,
        and the transform puts the mean of the training part in the place of NaN, which becomes 0.

    Returns:
      The transform, a pure function of arrays [..., D] that carries the statistics as leaves, and
      the statistics. With `missing=None` the transform leaves NaN as it is.

    Raises:
      ValueError: x is not [N, D] with N >= 1 and D >= 1; a concrete x holds infinity, or NaN without
        `missing="mean"`, or a column of nothing else; missing is another word. The transform: its x is
        not [..., D].

    >>> transform, statistics = standardize(jnp.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> transform(jnp.array([[1.0, 5.0], [4.0, 6.0]])).tolist()
    [[-1.0, 0.0], [2.0, 1.0]]
    >>> transform, statistics = standardize(jnp.array([[1.0], [jnp.nan], [3.0]]), missing="mean")
    >>> transform(jnp.array([[jnp.nan], [3.0]])).tolist()
    [[0.0], [1.0]]

    Source: LeCun, Bottou, Orr and Müller (1998), Efficient BackProp, section 4.3.
    """
    fills = fills_missing(missing)
    columns = columns_of(as_table(x), fills)
    statistics = Standardization(columns.mean, columns.scale)
    return Partial(_standardize, Static(fills), statistics), statistics


def minmax(x: Any, missing: str | None = None) -> tuple[Partial, Range]:
    """Bring every feature of the training part to [0, 1]: `(x - minimum) / (maximum - minimum)`.

    It keeps zeros of data that starts at 0, and is what models want that take inputs of one range, e.g.
    pixels. A single outlier squeezes all others together; `standardize` suffers less. Other parts may
    come out below 0 or above 1.

    Args:
      x: [N, D], the training part only. Whole numbers and bools are converted to floats, here and by
        the transform.
      missing: None: NaN is an error. "mean": the statistics are those of the numbers that are there,
        and the transform puts the mean of the training part in the place of NaN.

    Returns:
      The transform, a pure function of arrays [..., D] that carries the statistics as leaves, and
      the statistics. A constant column becomes 0, and another value in it stays what it is, less the
      constant. With `missing=None` the transform leaves NaN as it is.

    Raises:
      ValueError: x is not [N, D] with N >= 1 and D >= 1; a concrete x holds infinity, or NaN without
        `missing="mean"`, or a column of nothing else; missing is another word. The transform: its x is
        not [..., D].

    >>> transform, statistics = minmax(jnp.array([[1.0, 5.0], [2.0, 5.0], [5.0, 5.0]]))
    >>> transform(jnp.array([[1.0, 5.0], [3.0, 5.0], [9.0, 6.0]])).tolist()
    [[0.0, 0.0], [0.5, 0.0], [2.0, 1.0]]

    Source: Hsu, Chang and Lin (2003), A Practical Guide to Support Vector Classification, section 2.2.
    """
    fills = fills_missing(missing)
    columns = columns_of(as_table(x), fills)
    statistics = Range(columns.minimum, columns.maximum, columns.mean)
    return Partial(_minmax, Static(fills), statistics), statistics


def _standardize(fills: Static, statistics: Standardization, x):
    return standardized(entering(x, statistics.mean, bool(fills.value)), *statistics)


def _minmax(fills: Static, statistics: Range, x):
    x = entering(x, statistics.mean, bool(fills.value))
    return _within(x, statistics.minimum, statistics.maximum)


@jax.jit
def _within(x, minimum, maximum):
    dtype = jnp.result_type(x, minimum)
    x, minimum, maximum = shrunk(x, minimum, maximum)
    width = maximum - minimum
    # A width near the smallest float, which one cannot divide by, is taken for none.
    width = jnp.where(width >= 2 * jnp.finfo(width.dtype).tiny, width, 1 / SHRINK)
    return ((x - minimum) / width).astype(dtype)

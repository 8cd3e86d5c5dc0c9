"""What can be seen of the features without a gradient: scale, constant columns, columns that repeat.

A leaf [N, D] of numbers is looked at column by column. What is found here is a fact of the rows at hand.
"""

from typing import Any, NamedTuple

import numpy as np

TOLERANCE = 1e-5  # of a standard deviation: what is closer is the same column, as float32 goes
MOST_COLUMNS = 1024  # of which dependence is looked for: it costs N D²
FEWEST_ROWS = 4  # any two columns of 2 rows lie on a line


class Columns(NamedTuple):
    """The columns of a leaf of the data.

    Attributes:
      name: how a person finds the leaf, e.g. `data['x']`.
      place: its number among the leaves of the data.
      values: [n, D] float64, the rows of the sample.
      mean: [D], over the sample.
      deviation: [D], standard deviation over the sample; 0 for a constant column.
      constant: [D], whether a column has one value in all rows that count.
    """

    name: str
    place: int
    values: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    constant: np.ndarray

    def scale_ratio(self) -> float:
        """The largest standard deviation of a column over the smallest; NaN without two columns."""
        spread = self.deviation[self.deviation > 0]
        return float(spread.max() / spread.min()) if len(spread) > 1 else np.nan


def columns_of(name: str, place: int, leaf: Any, rows: np.ndarray, sample: np.ndarray) -> Columns:
    """The columns of a leaf.

    Args:
      name: of the leaf.
      place: its number among the leaves.
      leaf: [N, D], numbers.
      rows: [N] bools, which of them count.
      sample: [n], places of the rows to look at closely.
    """
    array = as_numpy(leaf)
    counted = array if rows.all() else array[rows]
    constant = counted.min(axis=0) == counted.max(axis=0)
    values = array[sample].astype(np.float64)
    deviation = np.where(constant, 0, values.std(axis=0))
    # The mean of a column without spread is rounded, and what that leaves is no deviation.
    deviation[values.min(axis=0) == values.max(axis=0)] = 0
    return Columns(name, place, values, values.mean(axis=0), deviation, constant)


def as_numpy(leaf: Any) -> np.ndarray:
    array = np.asarray(leaf)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def dependent_columns(columns: Columns, plus_constant: bool) -> list[tuple[int, list[int]]]:
    """Columns that are a combination of others, each with those others.

    Every pair is compared; larger combinations are looked for up to 1024 columns, of more rows than
    columns. Each is held against the rows of the sample before it is named.

    Args:
      columns: of a leaf.
      plus_constant: whether a combination may have a constant, too, for there is a bias to take it up.
    """
    used = np.flatnonzero(columns.deviation > 0)
    if len(columns.values) < FEWEST_ROWS or len(used) < 2:
        return []
    standard = columns.values[:, used]
    if plus_constant:
        standard = standard - columns.mean[used]
    standard = standard / np.sqrt(np.mean(np.square(standard), axis=0))
    copies = _copies(standard)
    kept = np.setdiff1d(np.arange(len(used)), list(copies))
    found = {copy: [original] for copy, original in copies.items()}
    if len(used) <= MOST_COLUMNS and len(standard) > len(kept) + 1:
        sums = _combinations(standard[:, kept])
        found |= {int(kept[column]): [int(k) for k in kept[others]] for column, others in sums.items()}
    return [(int(used[column]), used[others].tolist()) for column, others in sorted(found.items())]


def _copies(standard: np.ndarray) -> dict[int, int]:
    """Column -> an earlier one that it equals, but for the sign."""
    # Equal columns have equal products with a random vector: neighbours, once these are sorted.
    along = np.random.default_rng(0).normal(size=len(standard)) @ standard
    upright = standard * np.sign(along)
    rank = np.argsort(np.abs(along), kind="stable")
    found: dict[int, int] = {}
    group = [rank[0]]
    for column in rank[1:]:
        if _length(upright[:, column] - upright[:, group[-1]]) > TOLERANCE:
            group = []
        group.append(column)
        first = min(group)
        found.update({int(other): int(first) for other in group if other != first})
    return found


def _combinations(standard: np.ndarray) -> dict[int, np.ndarray]:
    """Column -> the earlier ones of which it is a combination."""
    triangle = np.linalg.qr(standard, mode="r")
    is_new = np.abs(np.diagonal(triangle)) > TOLERANCE * np.sqrt(len(standard))
    found = {}
    for column in np.flatnonzero(~is_new):
        others = np.flatnonzero(is_new[:column])
        weights = np.linalg.solve(triangle[np.ix_(others, others)], triangle[others, column])
        if _length(standard[:, others] @ weights - standard[:, column]) <= TOLERANCE:
            found[int(column)] = others[np.abs(weights) > 1e-3 * np.abs(weights).max()]
    return found


def _length(difference: np.ndarray) -> float:
    """Root mean square, in standard deviations."""
    return float(np.sqrt(np.mean(np.square(difference))))

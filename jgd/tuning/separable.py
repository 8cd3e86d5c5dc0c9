"""Separable classes: a plane that parts them is looked for, and is a proof where it is found.

Where a plane has all examples of one class on one side and all others on the other, a loss that falls
with the margin, such as the logistic one, falls along its normal without end: no params are the best.
"""

from typing import NamedTuple

import numpy as np

MOST_CLASSES = 100  # more values than that are no classes
MOST_STEPS = 40
MOST_WORK = 2e10  # multiplications; beyond it no more classes are tried
ROWS_AT_ONCE = 65_536


class Plane(NamedTuple):
    """A plane that parts one class from all others.

    Attributes:
      label: of the class.
      place: the number of the class among the labels, in ascending order.
      normal: [D], in units of one by those of the features; the margin is 1 or more.
      offset: a number.
    """

    label: float
    place: int
    normal: np.ndarray
    offset: float


def classes_of(labels: np.ndarray) -> np.ndarray | None:
    """The classes [C] in ascending order, or None where the labels [N] are no classes."""
    values = np.unique(labels)
    whole = values.dtype.kind in "bui" or bool(np.all(values == np.round(values)))
    return values if whole and 2 <= len(values) <= min(MOST_CLASSES, len(labels) // 2) else None


def parting_plane(
    x: np.ndarray, labels: np.ndarray, sample: np.ndarray, scale: np.ndarray, mean: np.ndarray | None
) -> Plane | None:
    """A plane that parts one class from the others in all rows, or None: none was found.

    None is no proof: the rows may be separable all the same.

    Args:
      x: [N, D], all rows that count.
      labels: [N].
      sample: [n], the places of the rows that the plane is sought by; it is held against all rows then.
      scale: [D], by which the columns are divided for the search, none of them 0.
      mean: [D], which is subtracted for it; None seeks a plane through the origin.
    """
    classes = classes_of(labels)
    if classes is None:
        return None
    shift = np.zeros(x.shape[1]) if mean is None else mean
    rows = (x[sample].astype(np.float64) - shift) / scale
    if mean is not None:
        rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    tried = max(1, int(MOST_WORK / (MOST_STEPS * len(rows) * rows.shape[1] ** 2)))
    # Of two classes one plane serves both.
    for place, label in list(enumerate(classes))[1 if len(classes) == 2 else 0 :][:tried]:
        signs = np.where(labels == label, 1.0, -1.0)
        normal = _separating(signs[sample, None] * rows)
        if normal is None:
            continue
        raw = normal[: x.shape[1]] / scale
        offset = (normal[-1] if mean is not None else 0.0) - float(shift @ raw)
        margin = _margin(x, raw, offset, signs)
        if margin > 0:
            return Plane(label.item(), place, raw / margin, offset / margin)
    return None


def _separating(rows: np.ndarray) -> np.ndarray | None:
    """A vector v with `rows @ v > 0` in every row, or None.

    Newton's method on `mean(max(0, 1 - rows @ v)²) / 2 + |v|² * tiny`, which is piecewise quadratic.

    Source: Mangasarian (2002), A finite Newton method for classification, Optim. Methods Softw. 17(5).
    """
    ridge = 1e-10

    def cost(v, short):
        return np.mean(np.square(short)) / 2 + ridge * (v @ v) / 2

    v = np.zeros(rows.shape[1])
    short = np.ones(len(rows))
    for _ in range(MOST_STEPS):
        active = rows[short > 0]
        gradient = ridge * v - rows.T @ short / len(rows)
        hessian = active.T @ active / len(rows) + ridge * np.eye(len(v))
        step = np.linalg.solve(hessian, gradient)
        for _ in range(20):
            new = v - step
            new_short = np.maximum(1 - rows @ new, 0)
            if cost(new, new_short) < cost(v, short):
                break
            step /= 2
        else:
            return None
        v, short = new, new_short
        if np.all(short < 1):
            return v
    return None


def _margin(x: np.ndarray, normal: np.ndarray, offset: float, signs: np.ndarray) -> float:
    """The smallest `sign * (x @ normal + offset)` of all rows."""
    smallest = np.inf
    for start in range(0, len(x), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        scores = x[rows].astype(np.float64) @ normal + offset
        smallest = min(smallest, float(np.min(signs[rows] * scores)))
    return smallest


class Parted(NamedTuple):
    """A plane, and what J does along its normal.

    Attributes:
      plane: the `Plane`.
      labels: name of the leaf of labels.
      features: name of the leaf of features.
      num_inside: how many examples have its label.
      values: J at 1, 10 and 100 times the normal.
    """

    plane: Plane
    labels: str
    features: str
    num_inside: int
    values: tuple[float, ...]

"""What comes in beside the features: targets, labels, weights."""

from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, column_or_1d


def target_of(y: np.ndarray) -> np.ndarray:
    """Numbers [N] or [N, T] as float32; a single column is [N], with the usual warning.

    Raises:
      ValueError: one is too large.
    """
    largest = np.abs(y).max(initial=0)
    if largest > np.finfo(np.float32).max:
        raise ValueError(
            f"y holds numbers up to {largest:g}, too large for float32. Scale them, e.g. by "
            "sklearn.compose.TransformedTargetRegressor with a StandardScaler."
        )
    y = np.asarray(y, np.float32)
    return column_or_1d(y, warn=True) if y.ndim == 1 or y.shape[1] == 1 else y


def labels_of(y: np.ndarray, known: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """The classes, and the number of the class of each label.

    Args:
      y: [N] labels.
      known: [C] classes, sorted, or None to take them from y.

    Raises:
      ValueError: y holds no labels, fewer than two classes, or one that is not known.
    """
    check_classification_targets(y)
    classes, numbers = np.unique(y, return_inverse=True)
    if known is not None:
        unknown = np.setdiff1d(classes, known)
        if unknown.size:
            raise ValueError(
                f"y holds the classes {unknown.tolist()}, but {known.tolist()} are known. Name all of "
                "them at the first call: partial_fit(X, y, classes=...)."
            )
        classes, numbers = known, np.searchsorted(known, y)
    if len(classes) < 2:
        raise ValueError(
            f"y holds one class alone, {classes.tolist()}, but at least 2 classes are wanted."
        )
    return classes, numbers.astype(np.int32)


def weights_of(sample_weight: Any, X: np.ndarray) -> np.ndarray | None:
    """Weights [N], or None where all are alike."""
    if sample_weight is None:
        return None
    return _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)


def with_class_weights(
    weights: np.ndarray | None, class_weight: Any, classes: np.ndarray, numbers: np.ndarray
) -> np.ndarray | None:
    """The weights of the examples times those of their classes.

    Args:
      weights: [N] or None.
      class_weight: dict label -> weight, "balanced" or None.
      classes: [C] labels.
      numbers: [N], the number of each example's class.
    """
    if class_weight is None:
        return weights
    if isinstance(class_weight, str) and class_weight == "balanced":
        counts = np.bincount(numbers, weights, len(classes))
        # A part of the examples may lack a class, whose weight then weighs nothing.
        by_class = counts.sum() / (np.count_nonzero(counts) * np.where(counts > 0, counts, 1))
    elif isinstance(class_weight, dict):
        stray = [label for label in class_weight if label not in classes]
        if stray:
            raise ValueError(
                f"class_weight names {stray}, but the classes are {classes.tolist()}. Leave the others "
                "out."
            )
        by_class = np.array([class_weight.get(label, 1.0) for label in classes.tolist()], float)
    else:
        raise ValueError(
            f'class_weight is {class_weight!r}, but a dict label -> weight, "balanced" or None is '
            "wanted."
        )
    of_class = by_class[numbers]
    return of_class if weights is None else weights * of_class

"""Configurations of one program on all folds: what each training sees, and how it scores."""

import copy
from typing import Any

import jax
import numpy as np
from sklearn.metrics import check_scoring
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import has_fit_parameter

from jgd.sklearn.arrays import with_class_weights
from jgd.sklearn.grid import Fold, fits_of_grid
from jgd.sklearn.tasks import HELD_OUT, held_out, normalized, numbers_of, seed_of, setup_of


def searched(
    estimators: list, X: Any, y: Any, sample_weight: Any, splits: list, scoring: Any
) -> tuple[np.ndarray, np.ndarray]:
    """How k estimators that differ in traced numbers alone end and score on F folds, each [k, F].

    Args:
      estimators: k of them.
      X: [N, D].
      y: [N], as it came.
      sample_weight: [N] or None.
      splits: F pairs of places: to learn from, and to be judged by.
      scoring: of scikit-learn; None is accuracy, or R².

    Raises:
      ValueError: the weights of a fold leave nothing to learn from.
    """
    first = copy.copy(estimators[0])
    first.class_weight, class_weight = None, getattr(first, "class_weight", None)  # by fold
    losses, outputs, data, weights = first._checked(X, y, sample_weight, True)
    seed = seed_of(first)
    numbers = [numbers_of(estimator, seed) for estimator in estimators]
    lanes = {name: np.stack([one[name] for one in numbers]) for name in numbers[0] if name != "seed"}

    def fold_of(number, rows, tested):
        of_rows = None if weights is None else weights[rows]
        if class_weight is not None:
            classes = data["y"] if data["y"].ndim == 1 else data["y"].argmax(axis=1)
            of_rows = with_class_weights(of_rows, class_weight, first.classes_, classes[rows])
        kept, held = rows, None
        if first.early_stopping:
            inner, out = held_out(first, data["y"][rows], losses, seed)
            kept, held = rows[inner], (rows[out], normalized(_at(of_rows, out), HELD_OUT))
            of_rows = _at(of_rows, inner)
        where = f"fold {number}"
        return Fold(
            kept,
            normalized(of_rows, f"what {where} learns from"),
            held,
            tested,
            normalized(_at(weights, tested), f"what {where} is judged by"),
        )

    folds = [fold_of(number, *split) for number, split in enumerate(splits)]
    status, scores = (
        np.empty((len(estimators), len(splits)), int),
        np.empty((len(estimators), len(splits))),
    )
    for places in _of_one_size(folds):
        together = jax.tree.map(lambda *parts: np.stack(parts), *(folds[place] for place in places))
        setup, given = setup_of(first, losses, outputs, together.rows.shape[1], False)
        # R² in float32 would be rounded more than the fits.
        is_scored = scoring is None and losses != "regression"
        ended = fits_of_grid(setup, lanes, np.uint32(seed), given, data, together, is_scored)
        found = ended.accuracy
        if not is_scored:
            tested = [splits[place][1] for place in places]
            found = _scored(estimators, first, ended.params, (X, y, sample_weight), tested, scoring)
        status[:, places], scores[:, places] = np.asarray(ended.status), np.asarray(found, float)
    return status, scores


def _at(weights: Any, rows: np.ndarray) -> Any:
    return None if weights is None else weights[rows]


def _of_one_size(folds: list[Fold]) -> list[list[int]]:
    sizes: dict[str, list[int]] = {}
    for place, fold in enumerate(folds):
        sizes.setdefault(str(jax.tree.map(np.shape, fold)), []).append(place)
    return list(sizes.values())


def _scored(estimators, checked, params, arrays: tuple, tested: list, scoring: Any) -> np.ndarray:
    """Scores by a scorer of scikit-learn, which wants an estimator for each fit."""
    score = check_scoring(estimators[0], scoring)
    weighs = scoring is None or has_fit_parameter(getattr(score, "_score_func", score), "sample_weight")
    params = jax.device_get(params)
    found = np.empty((len(estimators), len(tested)))
    for place, estimator in enumerate(estimators):
        fitted = copy.copy(checked).set_params(**estimator.get_params(deep=False))
        for fold, rows in enumerate(tested):
            fitted._set_coefficients(jax.tree.map(lambda x: x[place, fold], params))  # noqa: B023
            X, y, weights = (None if array is None else _safe_indexing(array, rows) for array in arrays)
            given = {} if weights is None or not weighs else {"sample_weight": weights}
            found[place, fold] = score(fitted, X, y, **given)
    return found

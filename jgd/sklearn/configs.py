"""What a search tries, in groups of one program; on which folds; and what it found, as a table."""

import copy
import warnings
from typing import Any

import numpy as np
from scipy.stats import rankdata

from jgd import choices
from jgd.descent.status import Status
from jgd.sklearn.base import DescentEstimator
from jgd.sklearn.tasks import ABSENT

TRACED = ("alpha", "l1_ratio", "learning_rate", "momentum", "tol")
STRENGTHS = tuple(np.logspace(-6, 1, 15).tolist())  # of the penalty, where no grid is given


def checked_grid(grid: Any, base: DescentEstimator) -> Any:
    if grid is None:
        return {"alpha": STRENGTHS}
    parts = [grid] if isinstance(grid, dict) else grid
    if not isinstance(parts, list | tuple) or not parts or not all(isinstance(p, dict) for p in parts):
        raise ValueError(
            f"param_grid is {grid!r}, but a dict of lists is wanted, or a list of these, e.g. "
            '{"alpha": [1e-4, 1e-2]}.'
        )
    names = base.get_params(deep=False)
    for part in parts:
        for name in part:
            choices.check_named("param_grid: a parameter", name, names)
    return grid


def checked_splits(splits: Any, num: int) -> list[tuple]:
    """The places of each fold; those of a mask are where it is True."""
    found = []
    for fold, parts in enumerate(splits):
        places = [np.asarray(part) for part in parts]
        places = [np.flatnonzero(part) if part.dtype == bool else part for part in places]
        if not all(p.size and p.dtype.kind in "iu" and p.min() >= 0 and p.max() < num for p in places):
            raise ValueError(
                f"cv: fold {fold} holds what is no place of an example, but whole numbers from 0 to "
                f"{num - 1} are wanted in both of its parts, or masks."
            )
        found.append(tuple(places))
    return found


def check_finite(scores: np.ndarray) -> None:
    lost = int(np.sum(~np.isfinite(scores).all(axis=1)))
    if lost == len(scores):
        raise ValueError(
            "scoring: no configuration has a score that is a number in every fold. R² of one example "
            'is none: take folds of more, or scoring="neg_mean_squared_error".'
        )
    if lost:
        warnings.warn(
            f"{lost} of {len(scores)} configurations have a score that is no number, and are last.",
            stacklevel=3,
        )


def with_parameters(base: DescentEstimator, config: dict) -> DescentEstimator:
    estimator = copy.copy(base)
    for name, value in config.items():  # set_params reads the signature anew each time
        setattr(estimator, name, value)
    return estimator


def groups_of(base: DescentEstimator, configs: list[dict]) -> list[list[int]]:
    """The places of the configurations that can share a program: they differ in traced numbers alone."""
    groups: dict[tuple, list[int]] = {}
    plain = base.get_params(deep=False)
    for place, config in enumerate(configs):
        parameters = {**plain, **config}
        for name in TRACED:
            if name not in ABSENT or parameters[name] != ABSENT[name]:
                parameters[name] = "traced"
        # Objects are known by their identity: that two of them make one program is not seen here.
        key = tuple(
            x if isinstance(x, str | int | float | tuple | None) else id(x) for x in parameters.values()
        )
        groups.setdefault(key, []).append(place)
    return list(groups.values())


def results_of(configs: list[dict], scores: np.ndarray, status: np.ndarray) -> dict[str, Any]:
    """The columns of scikit-learn's `cv_results_`, without its seconds, which lanes do not have."""
    mean = scores.mean(axis=1)
    names = sorted({name for config in configs for name in config})
    columns = {f"param_{name}": _column([config.get(name) for config in configs]) for name in names}
    ranked = np.where(np.isnan(mean), -np.inf, mean)
    return {
        **columns,
        "params": configs,
        **{f"split{fold}_test_score": scores[:, fold] for fold in range(scores.shape[1])},
        "mean_test_score": mean,
        "std_test_score": scores.std(axis=1),
        "rank_test_score": rankdata(-ranked, method="min").astype(np.int32),
        "diverged": np.sum(status == Status.DIVERGED, axis=1),
    }


def _column(values: list) -> np.ndarray:
    column = np.empty(len(values), object)
    column[:] = values
    return column

"""How good predictions are, in units that people know, beside those of a guess without a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from jgd.cli.learned import Learned, probabilities, scores, values
from jgd.cli.problem import Problem

Rows = list[list[Any]]


def metrics(learned: Learned, said: np.ndarray, y: np.ndarray) -> dict[str, float | None]:
    """The metrics of the task.

    Args:
      learned: the model.
      said: [N] or [N, C], its scores.
      y: [N], the target from `jgd.tables.encode_target`.

    Returns:
      Name -> number; None where it cannot be told.
    """
    predicted = values(learned, said)
    if learned.target.task == "regression":
        return of_numbers(predicted, y)
    found: dict[str, float | None] = {"accuracy": float(np.mean(predicted == y))}
    shares = probabilities(learned, said)
    if shares is not None:
        found["log loss"] = log_loss(shares, y)
    if learned.target.task == "binary":
        found["AUC"] = auc(said, y)
    return found


def baseline(learned: Learned, y_train: np.ndarray, y: np.ndarray) -> dict[str, float | None]:
    """The metrics of a guess: the mean of the rows trained on, or their most frequent class."""
    if learned.target.task == "regression":
        return of_numbers(np.full(len(y), y_train.mean(dtype=float)), y)
    shares = np.bincount(y_train, minlength=len(learned.target.classes)) / len(y_train)
    found: dict[str, float | None] = {"accuracy": float(np.mean(y == shares.argmax()))}
    if learned.loss == "log_loss":
        found["log loss"] = log_loss(np.broadcast_to(shares, (len(y), len(shares))), y)
    if learned.target.task == "binary":
        found["AUC"] = 0.5
    return found


def table(problem: Problem, params: Any) -> tuple[dict, Rows, list[str]]:
    """The metrics as part -> name -> number, as a row for each part, and the names of the columns."""
    learned = problem.learned
    parts = {"training": (problem.train, problem.y_train), "held out": (problem.held, problem.y_held)}
    found, y = {}, problem.y_train
    for name, (part, labels) in parts.items():
        if part is not None:
            found[name], y = metrics(learned, scores(learned, params, part["x"]), labels), labels
    guess = "always the mean" if learned.target.task == "regression" else "always the most frequent"
    found[guess] = baseline(learned, problem.y_train, y)
    names = list(found[guess])
    return found, [[part, *told.values()] for part, told in found.items()], ["", *names]


def of_numbers(predicted: np.ndarray, y: np.ndarray) -> dict[str, float | None]:
    """R², root mean squared error and mean absolute error."""
    y = y.astype(float)
    errors = predicted - y
    squares, spread = float(np.mean(errors**2)), float(np.var(y))
    return {
        "R²": 1 - squares / spread if spread > 0 else None,
        "RMSE": squares**0.5,
        "mean absolute error": float(np.mean(np.abs(errors))),
    }


def log_loss(shares: np.ndarray, y: np.ndarray) -> float:
    """Mean of -log of the probability of the true class; of 0 that of the smallest float is taken."""
    found = np.maximum(shares[np.arange(len(y)), y], np.finfo(float).tiny)
    return float(-np.mean(np.log(found)))


def auc(scores: np.ndarray, y: np.ndarray) -> float | None:
    """Area under the ROC curve, by the ranks of the scores; None where only one class is there."""
    ones = int(y.sum())
    zeros = len(y) - ones
    if not ones or not zeros or not np.isfinite(scores).all():
        return None
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[places]
    return float((ranks[y == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))

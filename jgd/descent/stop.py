"""Stop tests: when a descent is done.

Those of the gradient and of the duality gap speak of the params alone, whatever the learning rate.
`plateau` and `validation` look at how the loss moves: a rate so small that it hardly does has stalled.

The loop asks them after every epoch. Tolerances are leaves, so that they may be mapped over.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from jgd.descent.status import Status
from jgd.descent.verdict import Stop
from jgd.program import WANTS_A_VALUE
from jgd.tree import as_partial, require_number, select

STANDARD_ERRORS = 2.0  # by which one window of losses lies below another, to count as a fall


def gradient_norm(tolerance) -> Stop:
    """CONVERGED once `|gradient of J| <= tolerance`, over all examples.

    The parameters that meet the test are the ones returned. With a penalty that has kinks the
    gradient is the proximal one, `params - prox(params - gradient, 1)`, which is 0 at the minimum.

    Args:
      tolerance: number >= 0, in units of the loss by units of the parameters.

    Returns:
      A stop test.

    Raises:
      ValueError: the tolerance is below 0.

    >>> stop = gradient_norm(1e-4)

    Source: Nocedal and Wright (2006), Numerical Optimization, section 3.1; Beck (2017), First-Order
    Methods in Optimization, section 10.3, for the proximal gradient.
    """
    tolerance = require_number(
        "stop.gradient_norm: tolerance", tolerance, lambda t: t >= 0, "a number >= 0"
    )
    return Stop(Partial(_no_memory), Partial(_test_gradient, tolerance), wants_gradient=True)


def _no_memory(params):
    return ()


def _test_gradient(tolerance, memory, record, params):
    small = record.gradient_norm <= tolerance
    return memory, jnp.where(small, Status.CONVERGED, Status.EPOCHS_DONE)


def relative_gradient_norm(tolerance) -> Stop:
    """CONVERGED once `|gradient of J| <= tolerance * |gradient of J at the start|`, over all examples.

    It has no unit: another scale of the loss or of the parameters changes nothing. The start is that of
    the descent, also where it is continued by `state`. A gradient that is 0 at the start has CONVERGED.
    A start far off, where the gradient is huge, makes it an easy test: where starts are that wild, ask
    for `gradient_norm`. With a penalty that has kinks the gradient is the proximal one, as there.

    Args:
      tolerance: number from 0 to below 1, a share of the first gradient.

    Returns:
      A stop test.

    Raises:
      ValueError: the tolerance is below 0, or 1 and more, which the start would meet.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> fit = jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]), epochs=99,
    ...                         rule=jgd.sgd(0.25), stop=relative_gradient_norm(1e-3))
    >>> fit.status == jgd.Status.CONVERGED, int(fit.epochs)  # each epoch halves the gradient
    (Array(True, dtype=bool), 11)

    Source: Dennis and Schnabel (1983), Numerical Methods for Unconstrained Optimization, section 7.2,
    for tests without units; Kelley (1999), Iterative Methods for Optimization, chapter 2.
    """
    tolerance = require_number(
        "stop.relative_gradient_norm: tolerance",
        tolerance,
        lambda t: (t >= 0) & (t < 1),
        "a number from 0 to below 1, a share of the gradient at the start,",
    )
    test = Partial(_test_relative_gradient, tolerance)
    return Stop(Partial(_no_gradient_yet), test, wants_gradient=True)


def _no_gradient_yet(params):
    return jnp.asarray(jnp.inf, float)


def _test_relative_gradient(tolerance, first, record, params):
    norm = record.gradient_norm.astype(first.dtype)
    first = jnp.where(jnp.isinf(first), norm, first)
    return first, jnp.where(norm <= tolerance * first, Status.CONVERGED, Status.EPOCHS_DONE)


def duality_gap(tolerance) -> Stop:
    """CONVERGED once the objective is certified to be within the tolerance of its global minimum.

    `jgd.duality_gap(objective, params, data) <= tolerance`, whatever rule or method found the params;
    they are the ones returned. The gap of each epoch is in `fit.history.duality_gap`; a tolerance of
    0 records it and ends nothing. It costs two to three gradients over all examples in each epoch.

    Args:
      tolerance: number >= 0, in units of the loss. Below the rounding error of the gap, a few 1e-6 of J
        in float32, it does not fire.

    Returns:
      A stop test.

    Raises:
      ValueError: the tolerance is below 0; from `descend`, if the objective has no certificate: see
        `jgd.duality_gap`.

    >>> def loss(params, example):
    ...     return jgd.losses.squared_error(params @ example, 1.0)
    >>> objective = jgd.objective(loss, jgd.penalties.l1(0.1))
    >>> fit = jgd.batch_descent(objective, jnp.zeros(2), jnp.eye(2), rule=jgd.sgd(0.5), epochs=99,
    ...                         stop=duality_gap(1e-4))
    >>> fit.status == jgd.Status.CONVERGED, bool(fit.history.duality_gap[fit.epochs - 1] <= 1e-4)
    (Array(True, dtype=bool), True)

    Source: Boyd and Vandenberghe (2004), Convex Optimization, section 5.5.1, for dual stopping criteria.
    """
    tolerance = require_number(
        "stop.duality_gap: tolerance", tolerance, lambda t: t >= 0, "a number >= 0"
    )
    return Stop(Partial(_no_memory), Partial(_test_gap, tolerance), wants_gap=True)


def _test_gap(tolerance, memory, record, params):
    small = record.duality_gap <= tolerance
    return memory, jnp.where(small, Status.CONVERGED, Status.EPOCHS_DONE)


class Window(NamedTuple):
    """Losses of epochs in a row: their number, mean, and sum of squared distances from it."""

    epochs: jax.Array
    mean: jax.Array
    squares: jax.Array


class PlateauState(NamedTuple):
    """Lowest loss so far, the epochs since, and the mean of a window before them with its variance.

    The mean is infinite where there is no window before.
    """

    lowest: jax.Array
    since: Window
    before: jax.Array
    before_variance: jax.Array


def plateau(patience=10, tolerance=1e-4) -> Stop:
    """STALLED once the loss has not fallen by `tolerance * |loss|` for `patience` epochs.

    The mark is the lowest loss so far. But one epoch may be low by luck, and the noise of mini-batches
    hides a slow fall: where the `patience` epochs after the mark lie above it on average, they are a
    window, and the next ones another. The loss falls as long as the mean of each window lies below that
    of the one before by the tolerance and two standard errors of their difference. Without noise, a loss
    that stands still has STALLED after `patience` epochs; with it, as a rule after two windows. A fall
    of `2 sqrt(2 / patience)` standard deviations of a single epoch from window to window is seen in one
    test of two: more patience sees a slower fall. Steps that are far too short look like a plateau;
    `jgd.explain` says so.

    Args:
      patience: number of epochs, >= 1.
      tolerance: the fall that counts, as a share of the loss before it.

    Returns:
      A stop test.

    Raises:
      ValueError: the patience is below 1, or the tolerance below 0.

    >>> stop = plateau(patience=5, tolerance=1e-3)

    Source: Prechelt (1998), Early stopping - but when?, for patience; Welch (1947), Biometrika 34, for
    the means of two samples; Lang, Xiao and Zhang (2019), NeurIPS, for stopping progress by a test.
    """
    patience = require_number("stop.plateau: patience", patience, lambda p: p >= 1, "a number >= 1")
    tolerance = require_number("stop.plateau: tolerance", tolerance, lambda t: t >= 0, "a number >= 0")
    return Stop(Partial(_fresh_plateau), Partial(_test_plateau, patience, tolerance))


def _fresh_plateau(params):
    zero, infinity = jnp.zeros((), float), jnp.asarray(jnp.inf, float)
    return PlateauState(infinity, Window(zero, zero, zero), infinity, zero)


def _test_plateau(patience, tolerance, memory, record, params):
    fresh = _fresh_plateau(params)
    lowest, _, before, before_variance = memory
    loss = record.loss.astype(lowest.dtype)
    fell = loss < _below(lowest, tolerance)
    window = _lengthened(memory.since, loss)
    epochs, mean, squares = window
    # The variance of the mean; of a single epoch nobody knows it.
    variance = jnp.where(epochs > 1, squares / jnp.maximum(epochs * (epochs - 1), 1), jnp.inf)
    margin = STANDARD_ERRORS * jnp.sqrt(variance + before_variance)
    lower = jnp.where(jnp.isinf(before), mean > lowest, mean < _below(before, tolerance) - margin)
    ended = ~fell & (epochs >= patience)
    # What has fallen has a new mark, a window that has ended is the one before the next.
    later = select(
        ended, PlateauState(lowest, fresh.since, mean, variance), memory._replace(since=window)
    )
    memory = select(fell, fresh._replace(lowest=loss), later)
    return memory, jnp.where(ended & ~lower, Status.STALLED, Status.EPOCHS_DONE)


def _below(loss, tolerance):
    return loss - jnp.where(jnp.isinf(loss), 0, tolerance * jnp.abs(loss))


def _lengthened(window: Window, loss) -> Window:
    """The window with one epoch more, by Welford's update, which loses no digits."""
    epochs = window.epochs + 1
    mean = window.mean + (loss - window.mean) / epochs
    return Window(epochs, mean, window.squares + (loss - window.mean) * (loss - mean))


class ValidationState(NamedTuple):
    """Best score and its params; the last score that counts as a rise, and the epochs since."""

    best_score: jax.Array
    best_params: Any
    mark: jax.Array
    stale: jax.Array
    out_of_patience: jax.Array


def validation(patience=10, tolerance=0.0, score=None) -> Stop:
    """STALLED once the score on validation data has not risen for `patience` epochs; the best is kept.

    `fit.params` are those of the epoch with the best score, however the fit ended; but after CONVERGED
    they are those that converged. `fit.state` is where the descent stands, and continues it exactly. A
    score that is NaN is never the best. It judges what `evaluate` returned, and wants one.

    Args:
      patience: number of epochs, >= 1.
      tolerance: number >= 0: a rise that counts is larger, in units of the score. The best params are
        those of the best score, however small the rise.
      score: `evaluation -> scalar`, traceable, the higher the better; None takes the evaluation itself.
        For a loss give `jnp.negative`, for a dict `lambda e: e["accuracy"]`. Known by its identity.

    Returns:
      A stop test.

    Raises:
      ValueError: the patience is below 1, the tolerance below 0, or score is no function; from
        `descend`, where there is no `evaluate`, or the score is not one number.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> def evaluate(params, validation):
    ...     return jnp.mean((params - validation) ** 2)
    >>> fit = jgd.batch_descent(
    ...     jgd.objective(loss), jnp.array(0.0), jnp.array([2.0]), rule=jgd.sgd(0.05), epochs=50,
    ...     stop=validation(patience=3, score=jnp.negative), evaluate=evaluate, validation=jnp.ones(1))
    >>> best = int(fit.history.evaluation[:10].argmin())  # on the way from 0 to 2 it passes 1
    >>> best, int(fit.epochs), round(float(fit.params), 2), round(float(fit.state.params), 2)
    (6, 10, 1.04, 1.3)

    Source: Prechelt (1998), Early stopping - but when?
    """
    patience = require_number("stop.validation: patience", patience, lambda p: p >= 1, "a number >= 1")
    tolerance = require_number(
        "stop.validation: tolerance", tolerance, lambda t: t >= 0, "a number >= 0"
    )
    if score is not None and not callable(score):
        raise ValueError(
            f"stop.validation: score is {score!r}, but a function evaluation -> scalar, the higher the "
            "better, is wanted, or None where the evaluation is that scalar."
        )
    judge = None if score is None else as_partial(score)
    return Stop(
        Partial(_nothing_validated),
        Partial(_test_validation, judge, patience, tolerance),
        Partial(_best_params),
        wants_evaluation=True,
    )


def _nothing_validated(params):
    none = jnp.asarray(-jnp.inf, float)
    return ValidationState(none, params, none, jnp.zeros((), jnp.int32), jnp.zeros((), bool))


def _test_validation(score, patience, tolerance, memory, record, params):
    best_score, best_params, mark, stale, _ = memory
    value = _score(score, record.evaluation).astype(best_score.dtype)
    better, rose = value > best_score, value > mark + tolerance
    best_score, best_params = select(better, (value, params), (best_score, best_params))
    stale = jnp.where(rose, 0, stale + 1)
    out = stale >= patience
    memory = ValidationState(best_score, best_params, jnp.where(rose, value, mark), stale, out)
    return memory, jnp.where(out, Status.STALLED, Status.EPOCHS_DONE)


def _score(score, evaluation) -> jax.Array:
    """The one number by which an evaluation is judged; ValueError where it is not one."""
    try:
        value = evaluation if score is None else score(evaluation)
    except WANTS_A_VALUE as error:
        raise ValueError(
            "stop.validation: score wants the value of a number where it is traced, as float() and if "
            "do. Keep to jax.numpy and jnp.where."
        ) from error
    leaves = jax.tree.leaves(value)
    if len(leaves) != 1 or jnp.shape(leaves[0]):
        what, shapes = "evaluate" if score is None else "score", jax.tree.map(jnp.shape, value)
        raise ValueError(
            f"stop.validation: {what} returns numbers of shape {shapes}, but one scalar to judge by is "
            'wanted. Pick it: jgd.stop.validation(score=lambda evaluation: evaluation["accuracy"]).'
        )
    return jnp.asarray(leaves[0])


def _best_params(memory: ValidationState, params):
    """Those of the best epoch; where no score was a number, the last ones."""
    return select(memory.best_score > -jnp.inf, memory.best_params, params)

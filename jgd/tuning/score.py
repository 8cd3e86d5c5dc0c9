"""What makes one fit better than another: the higher its score, and never one that diverged."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jgd.descent.loop import Fit
from jgd.descent.status import Status
from jgd.program import WANTS_A_VALUE


def scores_of(score: Callable | None, fits: Fit) -> jax.Array:
    """The score of each of [K] fits, by default `negative_loss`; -inf where it diverged or is NaN."""
    check_score(score or negative_loss, "Fit -> scalar")
    return judged(score or negative_loss, fits, fits.status)


def scores_after(score: Callable | None, fits: Fit, before: jax.Array) -> jax.Array:
    """The scores of fits [K] that went on; one that had ended ran no epoch and keeps its own."""
    return jnp.where((fits.epochs == 0) & jnp.isfinite(before), before, scores_of(score, fits))


def judged(score: Callable, fits: Any, status: jax.Array) -> jax.Array:
    """`score` of each of [K] fits or parts of them; -inf where it diverged or its score is NaN."""
    try:
        scores = jax.vmap(score)(fits)
    except WANTS_A_VALUE as error:
        raise ValueError(
            "score wants the value of a number where it is traced, as float(), if and NumPy do. Keep to "
            "jax.numpy and jnp.where: the scores of all fits are computed in one program."
        ) from error
    if not isinstance(scores, jax.Array) or scores.shape != status.shape:
        came = jax.tree.map(lambda x: x.shape[1:], scores)
        raise ValueError(f"score returns arrays of shape {came} for a fit, but one scalar is wanted.")
    sound = (status != Status.DIVERGED) & ~jnp.isnan(scores)
    return jnp.where(sound, scores, -jnp.inf)


def negative_loss(fit: Fit) -> jax.Array:
    """The loss of the last epoch, below 0 that the highest is the best."""
    return -fit.history.loss[jnp.maximum(fit.epochs, 1) - 1]


def check_score(score: Any, signature: str) -> None:
    if not callable(score):
        raise ValueError(
            f"score is {score!r}, but a function {signature}, the higher the better, is wanted."
        )

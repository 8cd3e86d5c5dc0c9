"""What makes one fit better than another: the higher its score, and never one that diverged."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jgd.descent.loop import Fit
from jgd.descent.status import Status


def scores_of(score: Callable | None, fits: Fit) -> jax.Array:
    """The score of each of [K] fits; -inf where it diverged or its score is NaN."""
    scores = jax.vmap(score or negative_loss)(fits)
    if scores.shape != fits.status.shape:
        raise ValueError(
            f"score returns an array of shape {scores.shape[1:]} for a fit, but a scalar is wanted."
        )
    sound = (fits.status != Status.DIVERGED) & ~jnp.isnan(scores)
    return jnp.where(sound, scores, -jnp.inf)


def negative_loss(fit: Fit) -> jax.Array:
    """The loss of the last epoch, below 0 that the highest is the best."""
    return -fit.history.loss[jnp.maximum(fit.epochs, 1) - 1]

"""Polyak's step: as long as the loss is above its minimum, by the slope."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jgd.descent.rule import make_rule, scaled
from jgd.descent.trial import check_no_schedule
from jgd.tree import norm


class PolyakState(NamedTuple):
    """What `polyak` remembers.

    Attributes:
      learning_rate: of the step just done; before the first step, the largest allowed.
      lowest: lowest value so far; None where the minimum is known.
      gap: how far below it the minimum is taken to be; None where it is known.
    """

    learning_rate: jax.Array
    lowest: Any = None
    gap: Any = None


def polyak(minimum=0.0, learning_rate=jnp.inf, damping=1.0) -> optax.GradientTransformationExtraArgs:
    """Polyak's step size: `p -= rate * g` with `rate = (f(p) - minimum) / (damping |g|²)`.

    On mini-batches f and g are those of the batch, and `minimum` that of its loss: 0 for most losses, if
    the model can fit every batch. Where it cannot, the steps do not settle; bound them by
    `learning_rate`, or use `armijo`.

    Args:
      minimum: smallest value of the objective, or of the loss of a batch; a number, or None: then it is
        taken to lie below the lowest value so far, by a gap that grows where that is reached and is
        halved where the value rose. None is for batch descent, where values of steps compare.
      learning_rate: the largest rate allowed, a number >= 0.
      damping: number > 0; 1/2 is the longest step that is safe for a convex function.

    Returns:
      A rule; with a known minimum and damping 1 equal to `optax.polyak_sgd(learning_rate, 1, minimum)`,
      whose scaling is not damping: it multiplies what the bound has left.

    Raises:
      ValueError: a number is out of its range; the learning rate is a schedule.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> fit = jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([3.0]),
    ...                         rule=polyak(), epochs=20)
    >>> round(float(fit.params), 3)
    3.0

    Source: Polyak (1969); Loizou et al. (2021), "Stochastic Polyak step-size", for batches; Nedić and
    Bertsekas (2001), eq. 2.19-2.21, for an estimated minimum.
    """
    check_no_schedule("polyak", learning_rate)
    return make_rule("polyak", _init, _update, learning_rate, minimum=minimum, damping=damping)


def _init(numbers, params) -> PolyakState:
    rate = numbers["learning_rate"]
    if numbers["minimum"] is not None:
        return PolyakState(rate)
    return PolyakState(rate, jnp.full_like(rate, jnp.inf), jnp.full_like(rate, jnp.nan))


def _update(numbers, grads, state, params=None, *, value, **extra_args):
    value = jnp.asarray(value, state.learning_rate.dtype)
    minimum = numbers["minimum"]
    if minimum is None:
        state = _estimate(state, value)
        minimum = state.lowest - state.gap
    length = norm(grads)
    length = jnp.where(length > 0, length, 1)
    # Neither a square that overflows nor a rate that does.
    rate = jnp.maximum(value - minimum, 0) / length / length / numbers["damping"]
    rate = jnp.minimum(rate.astype(value.dtype), jnp.finfo(value.dtype).max)
    rate = jnp.minimum(rate, numbers["learning_rate"])
    return scaled(-rate, grads), state._replace(learning_rate=rate)


def _estimate(state: PolyakState, value) -> PolyakState:
    """The gap: at first the value itself, as if the minimum were 0."""
    is_first = jnp.isnan(state.gap)
    reached, fell = value <= state.lowest - state.gap, value < state.lowest
    gap = state.gap * jnp.where(reached, 1.5, jnp.where(fell, 1, 0.5))
    gap = jnp.where(is_first, jnp.where(value == 0, 1, jnp.abs(value)), gap)
    return state._replace(lowest=jnp.minimum(state.lowest, value), gap=gap)

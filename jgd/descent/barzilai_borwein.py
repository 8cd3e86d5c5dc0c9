"""Barzilai-Borwein: the rate from the change of the gradient over the last step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jgd.descent.rule import make_rule
from jgd.descent.trial import (
    MOST_IN_VAIN,
    Vain,
    check_no_schedule,
    check_scale_fits,
    checked_scale,
    evaluations,
    inner,
    nothing_in_vain,
    over,
    times,
    try_step,
)
from jgd.tree import select

MEMORY_OF_VALUES = 0.85  # weight of the past in the running mean of the objective
SUFFICIENT = 1e-4  # share of its promise that a step must gain on the running mean
LARGEST_CHANGE = 100.0  # of the rate from one step to the next


def barzilai_borwein(learning_rate=1.0, scale=None) -> optax.GradientTransformationExtraArgs:
    """Barzilai-Borwein: `p -= rate * g`, the rate from the change of the gradient over the last step.

    With `s` the last step and `y` the change of the gradient over it, the rate is `s·s / s·y`, or
    `s·y / y·y` where that is less than half of it. The objective may rise now and then, which makes the
    method fast, but not above a running mean of its values: a step that does is refused, and a shorter
    one is tried next. For batch descent: mini-batches differ by more than steps do, so that on them most
    steps are refused, and sooner or later the fit has STALLED. So it is with a random objective.

    Args:
      learning_rate: rate of the first step, a number >= 0; only a start.
      scale: pytree like the params, or None: steps go along `scale * g`, for params of unlike
        curvature. With a penalty that has kinks, None.

    Returns:
      A rule. It evaluates the objective, so the batch size must not be traced.

    Raises:
      ValueError: a number is out of its range; the learning rate is a schedule; from `descend`, if the
        scale does not fit the params.

    >>> def loss(params, example):
    ...     return jnp.sum(jnp.array([1.0, 30.0, 1000.0]) * (params - example) ** 2)
    >>> fit = jgd.batch_descent(jgd.objective(loss), jnp.ones(3), jnp.zeros((1, 3)),
    ...                         rule=barzilai_borwein(), epochs=40)
    >>> bool(jnp.abs(fit.params).max() < 1e-4)
    True

    Source: Barzilai and Borwein (1988); Zhou, Gao and Dai (2006) for the choice of the two; Zhang and
    Hager (2004) for the running mean; Wright, Nowak and Figueiredo (2009) with a proximal map.
    """
    check_no_schedule("barzilai_borwein", learning_rate)
    scale = checked_scale("barzilai_borwein", scale)
    return make_rule("barzilai_borwein", _init, _update, learning_rate, scale)


class BarzilaiBorweinState(NamedTuple):
    """What `barzilai_borwein` remembers.

    Attributes:
      learning_rate: of the step just done; 0 where it was refused.
      next_rate: of the last step taken, or shorter after a refusal.
      params: before the last step taken.
      grads: there.
      reference: running mean of the objective.
      weight: sum of weights in that mean; 0 before the first step.
      refused: whether the last step was.
      vain: the steps in a row that gained nothing.
      stalled: whether they are so many that no step will be found.
    """

    learning_rate: jax.Array
    next_rate: jax.Array
    params: Any
    grads: Any
    reference: jax.Array
    weight: jax.Array
    refused: jax.Array
    vain: Vain
    stalled: jax.Array


def _init(numbers, scale, params):
    check_scale_fits("barzilai_borwein", scale, params)
    rate = numbers["learning_rate"]
    zero = jnp.zeros_like(rate)
    return BarzilaiBorweinState(
        learning_rate=rate,
        next_rate=rate,
        params=params,
        grads=optax.tree.zeros_like(params),
        reference=zero,
        weight=zero,
        refused=jnp.zeros((), bool),
        vain=nothing_in_vain(rate),
        stalled=jnp.zeros((), bool),
    )


def _update(numbers, scale, grads, state, params=None, **evaluated):
    evaluated = evaluations("barzilai_borwein", evaluated)
    rate = _spectral_rate(state, scale, grads, params)
    trial = try_step(rate, scale, grads, params, **evaluated)
    arrived = ~state.refused  # else the params are those of the step before, whose value is in
    weight = jnp.where(arrived, MEMORY_OF_VALUES * state.weight + 1, state.weight)
    newest = jnp.where(arrived, 1 / weight, 0)
    reference = (1 - newest) * state.reference + newest * trial.before
    taken = trial.taken(rate, reference - SUFFICIENT * trial.promise)
    # Of the parabola through value, slope and new value the lowest point is here.
    lowest = trial.promise / (2 * (trial.promise - (trial.before - trial.after)))
    shorter = rate * jnp.clip(jnp.nan_to_num(lowest), 0.1, 0.5)
    vain = trial.vain(state.vain)
    came_from, grads_there = select(taken, (params, grads), (state.params, state.grads))
    state = BarzilaiBorweinState(
        learning_rate=jnp.where(taken, rate, 0),
        next_rate=jnp.where(taken, rate, shorter),
        params=came_from,
        grads=grads_there,
        reference=reference,
        weight=weight,
        refused=~taken,
        vain=vain,
        stalled=vain.num >= MOST_IN_VAIN,
    )
    return select(taken, trial.updates, optax.tree.zeros_like(trial.updates)), state


def _spectral_rate(state: BarzilaiBorweinState, scale, grads, params):
    """The rate of Barzilai and Borwein; the one at hand at first, after a refusal, and at rest."""
    s = jax.tree.map(jnp.subtract, params, state.params)
    y = jax.tree.map(jnp.subtract, grads, state.grads)
    ss, sy, yy = inner(s, over(s, scale)), inner(s, y), inner(y, times(scale, y))
    bends = sy > 0
    long, short = ss / jnp.where(bends, sy, 1), sy / jnp.where(yy > 0, yy, 1)
    # Along a line that bends down or not at all, no length is the right one: a longer one is tried.
    factor = jnp.where(bends, jnp.where(short < long / 2, short, long) / state.next_rate, 2)
    factor = jnp.clip(factor, 1 / LARGEST_CHANGE, LARGEST_CHANGE)
    has_moved = (state.weight > 0) & ~state.refused & (ss > 0)
    return jnp.where(has_moved, state.next_rate * factor.astype(state.next_rate.dtype), state.next_rate)

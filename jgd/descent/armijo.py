"""Stochastic Armijo: a rate for mini-batches that follows what steps gain, and gives way to noise."""

from typing import NamedTuple

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
    nothing_in_vain,
    try_step,
)
from jgd.tree import select

FOLLOWS = 2.0  # how fast the rate follows what steps gain
MOST_AT_ONCE = 2.0  # times that it grows or shrinks in one step
SOME_IN_VAIN, MUCH_SHORTER = 8, 0.1  # after so many in a row it shrinks to that part at once
LONGER = 1.5  # each phase is so many times as long as the one before
HOVERS = 0.25  # standard errors by which the loss must fall from phase to phase
ROSE = -2.0  # standard errors by which the loss falls from epoch to epoch where the rate is too high
FELL = 0.5  # where the rate may be higher
WIDER = 1.3  # how many times higher the rate may then be
CUT = 0.25  # of the mean rate of a phase, what rates may reach after it


def armijo(
    learning_rate=1.0, decrease=0.3, memory=64, scale=None
) -> optax.GradientTransformationExtraArgs:
    """Stochastic Armijo: `p -= rate * g`, the rate raised while steps gain what they promise.

    A step promises `rate |g|²` and gains `f(p) - f(p - rate g)` on its own batch. Where it gains more
    than the share `decrease` of its promise the rate rises, else it falls, by

        rate *= exp(2 / memory * (gain - decrease * promise) / (mean promise of the last steps))

    so that gains are that share of promises on average: of single examples the easy ones would allow
    any rate. A step that raises the loss of its own batch is not taken.

    What a step gains on its own batch it may lose on the others. So the mean loss of the last `memory`
    steps is compared with that of as many before them, by the standard error of their difference. The
    rate rises only after the loss fell by half an error; where it rose by two, no rate exceeds a quarter
    of the mean one from then on. That bound widens by 1.3 whenever the loss falls, and comes down in the
    same way where the loss has not fallen over a phase; each phase is half as long again as the one
    before, so that under noise the rate goes down about as one by the number of steps.

    Args:
      learning_rate: rate of the first step, a number >= 0; only a start, rather too high than too low:
        steps that are too long are refused and cut at once, while short ones grow no faster than the
        loss of small batches shows that they may.
      decrease: share of the promise that is asked for, between 0 and 1. On a quadratic a step at
        `2 (1 - decrease) / curvature` has just that.
      memory: number of steps of the means and of the first phase; best those of an epoch.
      scale: pytree like the params, or None: steps go along `scale * g`, for params of unlike
        curvature. With a penalty that has kinks, None.

    Returns:
      A rule. It evaluates the objective, so the batch size must not be traced.

    Raises:
      ValueError: a number is out of its range; the learning rate is a schedule; from `descend`, if the
        scale does not fit the params.

    >>> def loss(params, example):
    ...     return jnp.sum(jnp.array([1.0, 30.0]) * (params - example) ** 2)
    >>> fit = jgd.minibatch_descent(jgd.objective(loss), jnp.ones(2), jnp.zeros((64, 2)), batch_size=8,
    ...                             rule=armijo(100.0, memory=8), epochs=20, key=jax.random.key(0))
    >>> bool(jnp.abs(fit.params).max() < 1e-2)
    True

    Source: Armijo (1966); Vaswani et al. (2019), "Painless stochastic gradient", for batches; Pflug
    (1983) for rates that are cut where steps have become noise.
    """
    check_no_schedule("armijo", learning_rate)
    scale = checked_scale("armijo", scale)
    return make_rule("armijo", _init, _update, learning_rate, scale, decrease=decrease, memory=memory)


class Phase(NamedTuple):
    """The losses of a number of steps and their mean rate, and the losses of the phase before."""

    length: jax.Array
    num_steps: jax.Array
    rate: jax.Array
    mean: jax.Array
    squares: jax.Array
    last_mean: jax.Array
    last_error: jax.Array


class ArmijoState(NamedTuple):
    """What `armijo` remembers.

    Attributes:
      learning_rate: of the step just done; 0 where it was refused.
      next_rate: of the step to come.
      bound: what the rate may not exceed.
      may_rise: whether it may rise.
      slope: running sum of `|g|²`.
      weight: the sum of its weights.
      epoch: phase of `memory` steps.
      phase: phase of ever more of them.
      refused: whether the last step was.
      vain: the steps in a row that gained nothing.
      stalled: whether they are so many that no step will be found.
    """

    learning_rate: jax.Array
    next_rate: jax.Array
    bound: jax.Array
    may_rise: jax.Array
    slope: jax.Array
    weight: jax.Array
    epoch: Phase
    phase: Phase
    refused: jax.Array
    vain: Vain
    stalled: jax.Array


def _init(numbers, scale, params):
    check_scale_fits("armijo", scale, params)
    rate = numbers["learning_rate"]
    zero, infinity = jnp.zeros_like(rate), jnp.full_like(rate, jnp.inf)
    first = Phase(numbers["memory"], zero, zero, zero, zero, infinity, zero)
    return ArmijoState(
        learning_rate=rate,
        next_rate=rate,
        bound=infinity,
        may_rise=jnp.ones((), bool),
        slope=zero,
        weight=zero,
        epoch=first,
        phase=first,
        refused=jnp.zeros((), bool),
        vain=nothing_in_vain(rate),
        stalled=jnp.zeros((), bool),
    )


def _update(numbers, scale, grads, state, params=None, **evaluated):
    rate = state.next_rate
    trial = try_step(rate, scale, grads, params, **evaluations("armijo", evaluated))
    taken = trial.taken(rate, trial.before)
    forgets = 1 / numbers["memory"]
    slope = (1 - forgets) * state.slope + forgets * trial.slope
    weight = (1 - forgets) * state.weight + forgets
    epoch, fell = _phase_after(state.epoch, rate, trial.before, 1.0)
    phase, fell_over_phase = _phase_after(state.phase, rate, trial.before, LONGER)
    may_rise = jnp.where(jnp.isnan(fell), state.may_rise, fell > FELL)
    bound = jnp.where(fell > FELL, WIDER * state.bound, state.bound)
    too_high = (fell < ROSE) | (fell_over_phase < HOVERS)
    bound = jnp.where(too_high, CUT * jnp.minimum(state.bound, epoch.rate), bound)
    more = (_gained(trial, rate) - numbers["decrease"] * trial.slope) * weight
    more = jnp.where(slope > 0, more / jnp.where(slope > 0, slope, 1), 0)
    growth = jnp.clip(jnp.exp(FOLLOWS * forgets * more), 1 / MOST_AT_ONCE, MOST_AT_ONCE)
    growth = jnp.where(may_rise, growth, jnp.minimum(growth, 1))
    growth = jnp.where(trial.promise > trial.rounding, growth, 1)
    vain = trial.vain(state.vain)
    shorter = jnp.where(vain.num > SOME_IN_VAIN, MUCH_SHORTER, 1 / MOST_AT_ONCE)
    growth = jnp.where(state.refused & ~taken, shorter, growth)
    state = ArmijoState(
        learning_rate=jnp.where(taken, rate, 0),
        next_rate=jnp.minimum(rate * growth, bound),
        bound=bound,
        may_rise=may_rise,
        slope=slope,
        weight=weight,
        epoch=epoch,
        phase=phase,
        refused=~taken,
        vain=vain,
        stalled=vain.num >= MOST_IN_VAIN,
    )
    return select(taken, trial.updates, optax.tree.zeros_like(trial.updates)), state


def _gained(trial, rate):
    """What the step gains, by its rate; one that went wild lost what it promised."""
    gained = jnp.maximum(trial.before - trial.after, -trial.promise)
    return jnp.where(jnp.isnan(gained), -trial.promise, gained) / jnp.where(rate > 0, rate, 1)


def _phase_after(phase: Phase, rate, loss, longer) -> tuple[Phase, jax.Array]:
    """The phase with one more loss, or a new one; and by how many standard errors the loss fell.

    NaN before the end of a phase; infinity at the end of the first, and where there is no noise.
    """
    num = phase.num_steps + 1
    mean_rate = phase.rate + (rate - phase.rate) / num
    mean = phase.mean + (loss - phase.mean) / num
    squares = phase.squares + (loss - phase.mean) * (loss - mean)
    error = squares / num**2
    doubt = jnp.sqrt(error + phase.last_error)
    is_known = (doubt > 0) & jnp.isfinite(doubt)
    fell = jnp.where(is_known, (phase.last_mean - mean) / jnp.where(is_known, doubt, 1), jnp.inf)
    ends, zero = num >= phase.length, jnp.zeros_like(num)
    fresh = Phase(longer * phase.length, zero, mean_rate, zero, zero, mean, error)
    same = Phase(phase.length, num, mean_rate, mean, squares, phase.last_mean, phase.last_error)
    return select(ends, fresh, same), jnp.where(ends, fell, jnp.nan)

"""Rules that choose the length of their steps, by what the objective does along them.

Each tries the step, looks at the objective where it leads (one more evaluation, without a gradient),
and takes the step or stays. There is no inner loop: a step that is refused makes the next one shorter,
so that a scan, a `vmap` and a mini-batch have one and the same program at every step. Where nothing is
gained however short the steps get, `stalled` is True in the state, and the descent ends as STALLED.

Other line searches (strong Wolfe: `optax.scale_by_zoom_linesearch`) come from optax as they are. The
constant `1 / L` is `jgd.sgd(1 / jgd.curvature.sharpness(...))`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jgd.descent.rule import make_rule, scaled
from jgd.tree import select

ROUNDING = 8  # spacings of floats by which the values of two sums may differ and be the same
LONGER = 2.0  # each phase is so many times as long as the one before
CUT = 0.5  # of the mean rate of a phase that hovered, what rates may reach from then on
HOVERS = 0.25  # standard errors by which the mean loss of a phase must be below that of the one before
RISE = 1.0
DROP = 2.0
RISES, FALLS = 2.0, 4.0  # how fast the rate follows what the last `memory` steps gained
MOST_IN_VAIN = 64  # steps in a row that gain no more than rounding: then none is found any more


class Vain(NamedTuple):
    """The steps in a row that gained nothing: how many, and the least slope that they met."""

    num: jax.Array
    least_slope: jax.Array


class Trial(NamedTuple):
    """A step that was tried.

    Attributes:
      updates: what the step adds to the params, before the proximal map.
      too_short: whether params that are to move stay where they are, by the rounding of floats.
      slope: `|gradient|²`, of the gradient that the proximal map leaves.
      promise: `rate |gradient|²`: what the step would gain if the objective were a plane.
      before: objective before the step.
      after: objective after it.
      rounding: by which two values of the objective may differ and be the same.
    """

    updates: Any
    too_short: jax.Array
    slope: jax.Array
    promise: jax.Array
    before: jax.Array
    after: jax.Array
    rounding: jax.Array

    def vain(self, before: Vain) -> Vain:
        """The steps in vain with this one, given those before it.

        Near a minimum the objective hides in its rounding what the gradient still shows. So a step that
        gains no more than rounding is not in vain where the gradient is smaller than it was before.
        """
        gains = (self.before - self.after > self.rounding) | (self.promise == 0)
        gains = (gains | (self.slope < before.least_slope)) & ~self.too_short
        num = jnp.where(gains, 0, before.num + 1)
        return Vain(num, jnp.where(gains, self.slope, before.least_slope))


def _try_step(rate, scale, grads, params, value, value_fn, prox_fn=None, penalty_fn=None, **extra_args):
    """The trial of a step of length `rate` along the scaled gradient."""
    updates = scaled(-rate, _times(scale, grads))
    landed = optax.apply_updates(params, updates)
    too_short = ~_equal(updates, optax.tree.zeros_like(updates)) & _equal(landed, params)
    before, after_fn = value, value_fn
    if prox_fn is not None:
        landed = prox_fn(landed, rate)
        before, after_fn = value + penalty_fn(params), lambda p: value_fn(p) + penalty_fn(p)
    step = jax.tree.map(jnp.subtract, landed, params)
    unit = jnp.where(rate > 0, rate, 1)
    promise = _inner(step, _over(step, scale)) / unit
    before = jnp.asarray(before)
    rounding = ROUNDING * jnp.finfo(before.dtype).eps * jnp.abs(before)
    numbers = promise / unit, promise, before, after_fn(landed), rounding
    return Trial(updates, too_short, *(jnp.asarray(x, rate.dtype) for x in numbers))


def armijo(
    learning_rate=1.0, decrease=0.35, memory=64, scale=None
) -> optax.GradientTransformationExtraArgs:
    """Stochastic Armijo: `p -= rate * g`, the rate raised while steps gain what they promise.

    A step promises `rate |g|²` and gains `f(p) - f(p - rate g)` on its own batch. The rate rises while
    gains, averaged over the last `memory` steps, are more than the share `decrease` of promises, and
    falls while they are less: averaged, since of single examples the easy ones would allow any rate. A
    step that raises the loss of its own batch is not taken.

    Where batches are noisy a rate that is safe still leaves the loss hovering. So the loss is compared
    in phases, each twice as long as the one before: where it has not fallen from one to the next by a
    quarter of its standard error, rates may from then on not exceed half of the mean of that phase.

    Args:
      learning_rate: rate of the first step, a number >= 0; only a start.
      decrease: share of the promise that is asked for, between 0 and 1. On a quadratic the rate comes
        to `2 (1 - decrease) / curvature`.
      memory: number of steps of the means and of the first phase; best those of an epoch.
      scale: pytree like the params, or None: steps go along `scale * g`, for params of unlike
        curvature. With a penalty that has kinks, None.

    Returns:
      A rule. It evaluates the objective, so the batch size must not be traced.

    Raises:
      ValueError: a number is out of its range; the learning rate is a schedule.

    >>> def loss(params, example):
    ...     return jnp.sum(jnp.array([1.0, 30.0]) * (params - example) ** 2)
    >>> fit = jgd.minibatch_descent(jgd.objective(loss), jnp.ones(2), jnp.zeros((64, 2)), batch_size=8,
    ...                             rule=armijo(100.0, memory=8), epochs=20, key=jax.random.key(0))
    >>> bool(jnp.abs(fit.params).max() < 1e-2)
    True

    Source: Armijo (1966); Vaswani et al. (2019), "Painless stochastic gradient", for batches; Pflug
    (1983) for rates that are halved where the steps have become noise.
    """
    _check_no_schedule("armijo", learning_rate)
    return make_rule(
        "armijo", _init_armijo, _update_armijo, learning_rate, scale, decrease=decrease, memory=memory
    )


class Phase(NamedTuple):
    """The losses of a number of steps, their mean rate, and the losses of the phase before."""

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
      gain: running mean of what steps gained.
      promise: running mean of what they promised.
      refused: whether the last step was.
      vain: the steps in a row that gained nothing.
      stalled: whether they are so many that no step will be found.
      phase: a `Phase`.
    """

    learning_rate: jax.Array
    next_rate: jax.Array
    bound: jax.Array
    gain: jax.Array
    promise: jax.Array
    refused: jax.Array
    vain: Vain
    stalled: jax.Array
    phase: Phase
    epoch: Phase
    may_rise: jax.Array


def _init_armijo(numbers, scale, params):
    rate = numbers["learning_rate"]
    zero = jnp.zeros_like(rate)
    return ArmijoState(
        learning_rate=rate,
        next_rate=rate,
        bound=jnp.full_like(rate, jnp.inf),
        gain=zero,
        promise=zero,
        refused=jnp.zeros((), bool),
        vain=Vain(jnp.zeros((), jnp.int32), jnp.full_like(rate, jnp.inf)),
        stalled=jnp.zeros((), bool),
        phase=Phase(numbers["memory"], zero, zero, zero, zero, jnp.full_like(rate, jnp.inf), zero),
        epoch=Phase(numbers["memory"], zero, zero, zero, zero, jnp.full_like(rate, jnp.inf), zero),
        may_rise=jnp.ones((), bool),
    )


def _update_armijo(numbers, scale, grads, state, params=None, **evaluated):
    rate = state.next_rate
    trial = _try_step(rate, scale, grads, params, **_evaluations("armijo", evaluated))
    taken = trial.after <= trial.before + trial.rounding  # of NaN it is False
    forgets = 1 / numbers["memory"]
    # By the unit of the rate, for gains of steps of unlike length to compare. A step that went wild
    # counts as one that lost what it promised.
    gained = jnp.maximum(trial.before - trial.after, -trial.promise)
    gained = jnp.where(jnp.isnan(gained), -trial.promise, gained) / jnp.where(rate > 0, rate, 1)
    promised = trial.promise / jnp.where(rate > 0, rate, 1)
    gain, promise = (
        (1 - forgets) * old + forgets * new
        for old, new in ((state.gain, gained), (state.promise, promised))
    )
    vain = trial.vain(state.vain)
    share = jnp.where(promise > 0, gain / jnp.where(promise > 0, promise, 1), numbers["decrease"])
    more = share - numbers["decrease"]
    growth = jnp.exp(forgets * more * jnp.where(more > 0, RISES, FALLS))
    growth = jnp.where(trial.promise > trial.rounding, growth, 1)
    growth = jnp.where(state.refused & ~taken, 0.5, growth)
    phase, fell = _phase_after(state.phase, rate, trial.before, LONGER)
    epoch, fell_at_once = _phase_after(state.epoch, rate, trial.before, 1.0)
    may_rise = jnp.where(jnp.isnan(fell_at_once), state.may_rise, fell_at_once > RISE)
    bound = jnp.where(fell < HOVERS, CUT * jnp.minimum(state.bound, phase.rate), state.bound)
    bound = jnp.where(fell_at_once < -DROP, CUT * jnp.minimum(bound, epoch.rate), bound)
    growth = jnp.where(may_rise, growth, jnp.minimum(growth, 1))
    state = ArmijoState(
        learning_rate=jnp.where(taken, rate, 0),
        next_rate=jnp.minimum(rate * growth, bound),
        bound=bound,
        gain=gain,
        promise=promise,
        refused=~taken,
        vain=vain,
        stalled=vain.num >= MOST_IN_VAIN,
        phase=phase,
        epoch=epoch,
        may_rise=may_rise,
    )
    return select(taken, trial.updates, optax.tree.zeros_like(trial.updates)), state


def _phase_after(phase: Phase, rate, loss, longer) -> tuple[Phase, jax.Array]:
    """The phase with one more loss, or a new one; and by how many standard errors the loss fell.

    NaN before the end of a phase, infinity at the end of the first.
    """
    num = phase.num_steps + 1
    mean_rate = phase.rate + (rate - phase.rate) / num
    mean = phase.mean + (loss - phase.mean) / num
    squares = phase.squares + (loss - phase.mean) * (loss - mean)
    error = squares / num**2
    ends = num >= phase.length
    doubt = jnp.sqrt(error + phase.last_error)
    fell = jnp.where(doubt > 0, (phase.last_mean - mean) / jnp.where(doubt > 0, doubt, 1), jnp.inf)
    zero = jnp.zeros_like(num)
    fresh = Phase(longer * phase.length, zero, mean_rate, zero, zero, mean, error)
    same = Phase(phase.length, num, mean_rate, mean, squares, phase.last_mean, phase.last_error)
    return select(ends, fresh, same), jnp.where(ends, fell, jnp.nan)


def barzilai_borwein(learning_rate=1.0, scale=None) -> optax.GradientTransformationExtraArgs:
    """Barzilai-Borwein: `p -= rate * g`, the rate from the change of the gradient over the last step.

    With `s` the last step and `y` the change of the gradient over it, the rate is `s·s / s·y`, or
    `s·y / y·y` where that is less than half of it. The objective may rise now and then, which makes the
    method fast, but not above a running mean of its values: a step that does is refused, and a shorter
    one is tried next. For batch descent: mini-batches differ by more than steps do.

    Args:
      learning_rate: rate of the first step, a number > 0; only a start.
      scale: pytree like the params, or None: steps go along `scale * g`, for params of unlike
        curvature. With a penalty that has kinks, None.

    Returns:
      A rule. It evaluates the objective, so the batch size must not be traced.

    Raises:
      ValueError: a number is out of its range; the learning rate is a schedule.

    >>> def loss(params, example):
    ...     return jnp.sum(jnp.array([1.0, 30.0, 1000.0]) * (params - example) ** 2)
    >>> fit = jgd.batch_descent(jgd.objective(loss), jnp.ones(3), jnp.zeros((1, 3)),
    ...                         rule=barzilai_borwein(), epochs=40)
    >>> bool(jnp.abs(fit.params).max() < 1e-4)
    True

    Source: Barzilai and Borwein (1988); Zhou, Gao and Dai (2006) for the choice of the two; Zhang and
    Hager (2004) for the running mean; Wright, Nowak and Figueiredo (2009) with a proximal map.
    """
    _check_no_schedule("barzilai_borwein", learning_rate)
    return make_rule(
        "barzilai_borwein", _init_barzilai_borwein, _update_barzilai_borwein, learning_rate, scale
    )


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


MEMORY_OF_VALUES = 0.85
SUFFICIENT = 1e-4  # share of its promise that a step must gain on the running mean
LARGEST_CHANGE = 100.0  # of the rate from one step to the next


def _init_barzilai_borwein(numbers, scale, params):
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
        vain=Vain(jnp.zeros((), jnp.int32), jnp.full_like(rate, jnp.inf)),
        stalled=jnp.zeros((), bool),
    )


def _update_barzilai_borwein(numbers, scale, grads, state, params=None, **evaluated):
    evaluated = _evaluations("barzilai_borwein", evaluated)
    rate = _spectral_rate(state, scale, grads, params)
    trial = _try_step(rate, scale, grads, params, **evaluated)
    arrived = ~state.refused  # else the params are those of the step before, whose value is in
    weight = jnp.where(arrived, MEMORY_OF_VALUES * state.weight + 1, state.weight)
    newest = jnp.where(arrived, 1 / weight, 0)
    reference = (1 - newest) * state.reference + newest * trial.before
    taken = trial.after <= reference - SUFFICIENT * trial.promise + trial.rounding
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
    ss, sy, yy = _inner(s, _over(s, scale)), _inner(s, y), _inner(y, _times(scale, y))
    bends = sy > 0
    long, short = ss / jnp.where(bends, sy, 1), sy / jnp.where(yy > 0, yy, 1)
    # Along a line that bends down or not at all, no length is the right one: a longer one is tried.
    factor = jnp.where(bends, jnp.where(short < long / 2, short, long) / state.next_rate, 2)
    factor = jnp.clip(factor, 1 / LARGEST_CHANGE, LARGEST_CHANGE)
    has_moved = (state.weight > 0) & ~state.refused & (ss > 0)
    return jnp.where(has_moved, state.next_rate * factor.astype(state.next_rate.dtype), state.next_rate)


def _evaluations(name: str, extra_args: dict) -> dict:
    if "value" not in extra_args or "value_fn" not in extra_args:
        raise ValueError(
            f"{name} has no value and value_fn, but wants both in `update`, to look where a step leads. "
            "jgd.descend gives them to it; so does update(..., value=loss, value_fn=function)."
        )
    return extra_args


def _check_no_schedule(name: str, learning_rate: Callable | Any) -> None:
    if callable(learning_rate):
        raise ValueError(
            f"{name}: learning_rate is a schedule, but a number is wanted, for the first step: this "
            "rule chooses the others by itself. With a schedule use jgd.sgd."
        )


def _times(scale, tree):
    return tree if scale is None else jax.tree.map(lambda s, x: s.astype(x.dtype) * x, scale, tree)


def _over(tree, scale):
    return tree if scale is None else jax.tree.map(lambda x, s: x / s.astype(x.dtype), tree, scale)


def _equal(a, b) -> jax.Array:
    return jnp.all(jnp.stack(jax.tree.leaves(jax.tree.map(lambda x, y: jnp.all(x == y), a, b))))


def _inner(a, b) -> jax.Array:
    return optax.tree.vdot(a, b)

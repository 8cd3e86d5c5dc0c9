"""A step that is tried: what it promises, and what the objective says where it leads.

Rules that choose the length of their steps evaluate the objective there, without a gradient, and take
the step or stay. There is no inner loop: a step that is refused makes the next one shorter, so that a
scan, a `vmap` and a mini-batch have one and the same program at every step. Where nothing is gained
however short the steps get, the rule says `stalled` in its state, and the descent ends as STALLED.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.tree_util import keystr

from jgd.descent.rule import scaled
from jgd.tree import require_number

ROUNDING = 8  # spacings of floats by which the values of two sums may differ and be the same
MOST_IN_VAIN = 64  # steps in a row that gain nothing: then none is found any more


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

    def taken(self, rate, bound) -> jax.Array:
        """Whether the objective after the step is at most `bound`, but for rounding.

        A rate that is not finite is taken, so that the descent ends as DIVERGED and says so.
        """
        return (self.after <= bound + self.rounding) | ~jnp.isfinite(rate)

    def vain(self, before: Vain) -> Vain:
        """The steps in vain with this one, given those before it.

        Near a minimum the objective hides in its rounding what the gradient still shows. So a step that
        gains no more than rounding is not in vain where the gradient is smaller than it was before.
        """
        gains = (self.before - self.after > self.rounding) | (self.promise == 0)
        gains = (gains | (self.slope < before.least_slope)) & ~self.too_short
        num = jnp.where(gains, 0, before.num + 1)
        return Vain(num, jnp.where(gains, self.slope, before.least_slope))


def nothing_in_vain(rate: jax.Array) -> Vain:
    """Before the first step."""
    return Vain(jnp.zeros((), jnp.int32), jnp.full_like(rate, jnp.inf))


def try_step(rate, scale, grads, params, value, value_fn, prox_fn=None, penalty_fn=None, **extra_args):
    """The trial of a step of length `rate` along the scaled gradient."""
    if scale is not None and prox_fn is not None:
        raise ValueError(
            "rule has a scale, but the penalty has kinks, whose proximal map wants one length for all "
            "params: give scale=None, or a smooth penalty (jgd.penalties.l2)."
        )
    updates = scaled(-rate, times(scale, grads))
    landed = optax.apply_updates(params, updates)
    too_short = ~_equal(updates, optax.tree.zeros_like(updates)) & _equal(landed, params)
    before, after_fn = value, value_fn
    if prox_fn is not None:
        landed = prox_fn(landed, rate)
        before, after_fn = value + penalty_fn(params), lambda p: value_fn(p) + penalty_fn(p)
    step = jax.tree.map(jnp.subtract, landed, params)
    unit = jnp.where(rate > 0, rate, 1)
    promise = inner(step, over(step, scale)) / unit
    before = jnp.asarray(before)
    rounding = ROUNDING * jnp.finfo(before.dtype).eps * jnp.abs(before)
    numbers = promise / unit, promise, before, after_fn(landed), rounding
    return Trial(updates, too_short, *(jnp.asarray(x, rate.dtype) for x in numbers))


def evaluations(name: str, extra_args: dict) -> dict:
    if "value" not in extra_args or "value_fn" not in extra_args:
        raise ValueError(
            f"{name} has no value and value_fn, but wants both in `update`, to look where a step leads. "
            "jgd.descend gives them to it; so does update(..., value=loss, value_fn=function)."
        )
    return extra_args


def check_no_schedule(name: str, learning_rate: Any) -> None:
    if callable(learning_rate):
        raise ValueError(
            f"{name}: learning_rate is a schedule, but a number is wanted: this rule chooses the rates "
            "of its steps by itself. With a schedule use jgd.sgd."
        )


def checked_scale(name: str, scale: Any) -> Any:
    """The scale as arrays, or None; ValueError where a number of it is not above 0 and finite."""
    if scale is None:
        return None
    return jax.tree.map_with_path(
        lambda path, x: require_number(
            f"{name}: scale{keystr(path)}",
            x,
            lambda s: (s > 0) & np.isfinite(s),
            "a pytree like the params of numbers > 0",
        ),
        scale,
    )


def check_scale_fits(name: str, scale: Any, params: Any) -> None:
    """ValueError unless every leaf of the scale can multiply that of the params."""
    if scale is None:
        return
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (scale, params)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{name}: scale has the shapes {shapes[0]}, but those of the params are wanted, {shapes[1]}."
        )


def times(scale, tree):
    return tree if scale is None else jax.tree.map(lambda s, x: s.astype(x.dtype) * x, scale, tree)


def over(tree, scale):
    return tree if scale is None else jax.tree.map(lambda x, s: x / s.astype(x.dtype), tree, scale)


def _equal(a, b) -> jax.Array:
    return jnp.all(jnp.stack(jax.tree.leaves(jax.tree.map(lambda x, y: jnp.all(x == y), a, b))))


def inner(a, b) -> jax.Array:
    return optax.tree.vdot(a, b)

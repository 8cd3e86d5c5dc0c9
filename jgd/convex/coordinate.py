"""Coordinate descent for penalised linear models: a quadratic model, minimised one coordinate at a time.

An epoch reads the data for the gradient and for the Hessian of the coordinates that it works on,
minimises that model with the penalty, and goes along the line to there as far as J falls. Of squared
error the model is J itself, and its Hessian is made once.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.tree_util import Partial

from jgd.convex.all_examples import check_all_at_once, count_of, shares_of
from jgd.convex.by_coordinates import held, kinks_of
from jgd.convex.curvature_bound import LARGEST
from jgd.convex.quadratic import (
    Groups,
    Separable,
    descend_coordinates,
    descend_groups,
    newton_point,
    newton_point_of_few_rows,
)
from jgd.descent.checks import Arguments
from jgd.descent.method import Method
from jgd.descent.step import Position
from jgd.objectives.conjugates import CONVEX
from jgd.objectives.linear_form import check_linear, linear_form, predictions
from jgd.objectives.objective import penalty_value
from jgd.objectives.rows import counted_rows
from jgd.objectives.sums import wide
from jgd.tree import Static, is_whole, select

MOST_DENSE = 1024  # params up to which all are worked on at once
MOST_ROWS = 4096  # up to which a system of the rows is solved where there are more params than that
BLOCK = 2048  # rows of which the Hessian is summed at once
LENGTHS = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 1e-3, 0.0)  # of the way to the minimum of the model
SUFFICIENT = 1e-2  # share of what the gradient promises that must come true
ROUNDING = 4  # spacings of floats by which two values of J may differ and be the same
MOST_IN_VAIN = 3  # epochs in a row that gain nothing
# Huber bends by 0 where an example is an outlier: there its bound stands in.
BOUNDED = ("huber",)


def coordinate(working_set=256) -> Method:
    """Coordinate descent for linear models with l1, l2, elastic net, box or group penalties.

        p_j = prox(p_j - (g_j + (H step)_j) / H_jj),   j = 1 ... P, again and again
        p += length (p_model - p)

    The steps are on the quadratic model of J about the params, with its gradient g and Hessian H over
    all examples, and cost a row of H each. It is the fastest way to many digits where there are up to
    some thousand features, or more of them than examples: a handful of epochs, each of which costs a
    product XᵀX beside a gradient (with squared error only the first does). A purely quadratic penalty is
    solved as a linear system (Newton's method).

    Args:
      working_set: number of coordinates that an epoch works on where there are over 1,024: those
        that are not zero and those that violate the optimality most. More solves wide problems in
        fewer epochs.

    Returns:
      A `Method`, for `rule=` of `jgd.batch_descent`. J never rises. It ends as STALLED where J cannot
      fall any more for rounding.

    Raises:
      ValueError: working_set is no int >= 1; from `descend`, if there is a batch size, the loss is no
        smooth loss of `jgd.losses` at a linear prediction of one number, or the penalty is another one.

    >>> def loss(params, example):
    ...     return jgd.losses.squared_error(params @ example[0], example[1])
    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> objective = jgd.objective(loss, jgd.penalties.l1(0.5))
    >>> fit = jgd.batch_descent(objective, jnp.zeros(2), (x, x @ jnp.array([2.0, 0.1])),
    ...                         rule=coordinate(), epochs=3)
    >>> [round(float(p), 3) for p in fit.params]
    [1.675, 0.0]

    Source: Friedman, Hastie and Tibshirani (2010), J. Statistical Software 33(1); Tseng and Yun (2009)
    and Lee, Sun and Saunders (2014) for the line search; Massias, Gramfort and Salmon (2018) for working
    sets; Yuan and Lin (2006) for groups.
    """
    if not (is_whole(working_set) and working_set >= 1):
        raise ValueError(f"coordinate: working_set is {working_set!r}, but an int >= 1 is wanted.")
    bound = (Static(int(working_set)),)
    return Method(Partial(_init, *bound), Partial(_run, *bound))


class CoordinateState(NamedTuple):
    """What `coordinate` remembers.

    Attributes:
      hessian: [P, P] of squared error, which does not change; None of others.
      vain: epochs in a row that gained nothing.
      stalled: whether they are so many that J cannot fall any more.
    """

    hessian: jax.Array | None
    vain: jax.Array
    stalled: jax.Array


def _init(working_set, arguments: Arguments, params) -> CoordinateState:
    check_all_at_once("coordinate", arguments)
    name = check_linear(arguments.objective.loss, params, arguments.data, "jgd.coordinate")
    _check_smooth(name)
    example = jax.tree.map(lambda x: x[0], arguments.data)
    shape = jax.eval_shape(lambda e: linear_form(arguments.objective.loss, params, e)[2], example).shape
    if shape:
        raise ValueError(
            f"loss has a prediction of shape {shape}, but coordinate wants one number for each example. "
            "Use jgd.accelerated()."
        )
    size = _num_params(params)
    num_rows = jax.tree.leaves(arguments.data)[0].shape[0]
    kinks = kinks_of(arguments.objective.penalty, params)
    if kinks is None and size > MOST_DENSE and num_rows > MOST_ROWS:
        raise ValueError(
            f"params hold {size:,} numbers and data {num_rows:,} examples, but with a quadratic penalty "
            f"coordinate wants at most {MOST_DENSE:,} or {MOST_ROWS:,} of them. Use jgd.accelerated()."
        )
    hessian = None
    if name == "squared_error" and size <= MOST_DENSE:
        hessian = _hessian(arguments, params, jnp.full(num_rows, LARGEST[name]))
    return CoordinateState(hessian, jnp.zeros((), jnp.int32), jnp.zeros((), bool))


def _check_smooth(name: str) -> None:
    if name not in LARGEST | {"poisson": None} or name == "softmax":
        raise ValueError(
            f"loss is {name}, but coordinate wants one that bends: squared_error, logistic, huber, "
            "squared_hinge or poisson. For softmax use jgd.accelerated(), for kinks jgd.primal_dual()."
        )


def _rows(arguments: Arguments, params, data) -> jax.Array:
    """What a unit of each number adds to the predictions, [B, P]."""

    def row(example):
        slope = jax.grad(lambda p: linear_form(arguments.objective.loss, p, example)[2])(params)
        return ravel_pytree(slope)[0]

    return jax.vmap(row)(data)


def _hessian(arguments: Arguments, params, bends) -> jax.Array:
    """`(1/n) sum_i w_i bends_i a_i a_iᵀ`, [P, P], over blocks of rows."""
    data = counted_rows(arguments.data, arguments.weights)
    scales = jnp.sqrt(shares_of(arguments, bends.dtype) * bends)
    num, block = len(scales), min(BLOCK, len(scales))

    def add(total, position):
        # The last block begins early enough to be whole; rows seen before then weigh nothing.
        start = jnp.minimum(position * block, num - block)
        part, own = jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, start, block), (data, scales))
        fresh = start + jnp.arange(block) >= position * block
        rows = jnp.where(fresh, own, 0)[:, None] * _rows(arguments, params, part)
        return total + jnp.matmul(rows.T, rows, precision=lax.Precision.HIGHEST), None

    size = _num_params(params)
    zero = jnp.zeros((size, size), bends.dtype)
    return lax.scan(add, zero, jnp.arange(-(-num // block)))[0]


def _num_params(params) -> int:
    return sum(p.size for p in jax.tree.leaves(params))


def _run(working_set, arguments: Arguments, position: Position, index):
    del index
    params, memory = position
    objective = arguments.objective
    name = check_linear(objective.loss, params, arguments.data, "jgd.coordinate")
    data = counted_rows(arguments.data, arguments.weights)

    def predicted(params):
        of_one = lambda example: linear_form(objective.loss, params, example)[1:]  # noqa: E731
        numbers, z, targets = jax.vmap(of_one)(data)
        return z, (targets, numbers)

    # The predictions once, for the loss, the gradient, the Hessian and the way along the step.
    z, pull, (targets, numbers) = jax.vjp(predicted, params, has_aux=True)
    loss = CONVEX[name].loss(*(number[0] for number in numbers))
    shares = shares_of(arguments, z.dtype)
    mean = jnp.sum(shares * jax.vmap(loss)(z, targets))
    (mean_grads,) = pull(shares * jax.vmap(jax.grad(loss))(z, targets))
    here = mean + penalty_value(objective, params)
    start, unravel = ravel_pytree(params)
    slope = ravel_pytree(mean_grads)[0]
    bends = memory.hessian
    if bends is None:
        bends = jnp.full(len(z), LARGEST[name], z.dtype) if name in BOUNDED else _bends(loss, z, targets)
    lowest = _model_minimum(working_set.value, arguments, params, bends, start, slope, here)
    # A system that rounding has left without a solution leads nowhere; the descent then says STALLED.
    target = unravel(jnp.where(jnp.isfinite(lowest), lowest, start))
    landed, after = _along(arguments, loss, z, targets, params, target, slope, here)
    rounding = ROUNDING * jnp.finfo(here.dtype).eps * jnp.abs(here)
    vain = jnp.where(here - after > rounding, 0, memory.vain + 1)
    memory = CoordinateState(memory.hessian, vain, vain >= MOST_IN_VAIN)
    total = (mean * count_of(arguments)).astype(wide(mean.dtype))
    return Position(landed, memory), total, mean_grads


def _bends(loss, z, targets) -> jax.Array:
    """Second derivative of the loss of each example by its prediction, [N]."""
    slope = jax.grad(loss)
    return jax.vmap(lambda z, y: jax.jvp(lambda z: slope(z, y), (z,), (jnp.ones_like(z),))[1])(
        z, targets
    )


def _model_minimum(working_set, arguments: Arguments, params, bends, start, slope, here) -> jax.Array:
    """Where the quadratic model with the penalty is least, [P].

    `bends` are those of the examples, [N], or the Hessian itself, [P, P].
    """
    penalty: Any = arguments.objective.penalty
    kinks = kinks_of(penalty, params)
    is_held = np.zeros(len(start), bool) if penalty is None else held(penalty.value.args[-1], params)
    if len(start) <= MOST_DENSE:
        hessian = bends if bends.ndim == 2 else _hessian(arguments, params, bends)
        if kinks is None:
            l2 = penalty.value.args[0] if is_held.any() else 0.0
            return newton_point(hessian, slope, jnp.where(is_held, l2, 0).astype(start.dtype), start)
        if isinstance(kinks, Groups):
            return descend_groups(hessian, slope, kinks, start, here)
        return descend_coordinates(hessian, slope, kinks, start, here)
    data = counted_rows(arguments.data, arguments.weights)
    rows, shares = _rows(arguments, params, data), shares_of(arguments, start.dtype)
    if kinks is None:
        if not is_held.any():
            raise ValueError(
                f"objective has no penalty, but with {len(start):,} params coordinate wants one: there "
                "are many minima. Add jgd.penalties.l2, or use jgd.accelerated()."
            )
        strength = penalty.value.args[0].astype(start.dtype)
        return newton_point_of_few_rows(rows, shares * bends, slope, strength, is_held, start)
    if isinstance(kinks, Groups):
        raise ValueError(
            f"params hold {len(start):,} numbers, but with group_l1 coordinate wants at most "
            f"{MOST_DENSE:,}. Use jgd.accelerated()."
        )
    chosen = _worst(kinks, start, slope, min(working_set, len(start)))
    own = jnp.sqrt(shares * bends)[:, None] * rows[:, chosen]
    hessian = jnp.matmul(own.T, own, precision=lax.Precision.HIGHEST)
    of_chosen = Separable(*(number[chosen] for number in kinks))
    solution = descend_coordinates(hessian, slope[chosen], of_chosen, start[chosen], here)
    return start.at[chosen].set(solution)


def _worst(kinks: Separable, start, slope, num: int) -> jax.Array:
    """The places of the numbers that violate the optimality most; those that move come first."""
    one_step, _ = kinks.prox(start - slope, jnp.ones_like(start))
    violation = jnp.abs(start - one_step)
    is_active = start != 0
    # Where the active ones fill more than half of the set, they too compete.
    first = is_active & (jnp.sum(is_active) <= num // 2)
    return lax.top_k(violation + jnp.where(first, jnp.max(violation), 0), num)[1]


def _along(arguments: Arguments, loss, z, targets, params, target, slope, here):
    """The params on the way to the target as far as J falls by a share of its promise, and J there."""
    objective = arguments.objective
    step = jax.tree.map(jnp.subtract, target, params)
    data = counted_rows(arguments.data, arguments.weights)
    change = jax.jvp(lambda p: predictions(objective.loss, p, data), (params,), (step,))[1]
    shares = shares_of(arguments, z.dtype)
    promise = (
        slope @ ravel_pytree(step)[0]
        + penalty_value(objective, target)
        - penalty_value(objective, params)
    )
    rounding = ROUNDING * jnp.finfo(here.dtype).eps * jnp.abs(here)
    lengths = jnp.asarray(LENGTHS, z.dtype)

    def at(place):
        landed = jax.tree.map(lambda p, s: p + lengths[place].astype(p.dtype) * s, params, step)
        # A whole step ends at the zeros of the target.
        return select(place == 0, target, landed)

    def value(place):
        losses = jax.vmap(loss)(z + lengths[place] * change, targets)
        return jnp.sum(shares * losses) + penalty_value(objective, at(place))

    def is_refused(carry):
        place, found = carry
        falls = found <= here + SUFFICIENT * lengths[place] * promise + rounding
        return ~falls & (place < len(LENGTHS) - 1)

    def shorten(carry):
        place, _ = carry
        return place + 1, value(place + 1)

    place, found = lax.while_loop(is_refused, shorten, (0, value(0)))
    return at(place), found

"""Accelerated proximal gradient descent: momentum that is made for convex problems."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.tree_util import Partial

from jgd.convex.all_examples import check_all_at_once, count_of, sum_and_gradient
from jgd.convex.curvature_bound import known_bound, largest_curvature, power_iteration
from jgd.descent.checks import Arguments
from jgd.descent.method import Method
from jgd.descent.rule import RANGES, like
from jgd.descent.step import Position, smooth_gradient, smooth_penalty
from jgd.descent.trial import inner
from jgd.objectives.sums import loss_sum
from jgd.tree import Static, is_whole, of_one_shape, require_number, select

ROUNDING = 8  # spacings of floats by which two values of the objective may differ and be the same
MOST_REFUSED = 64  # steps in a row: then none is found any more
GROWTH = 1.05  # of a step that was taken, where its length is searched


def accelerated(learning_rate=None, strong_convexity=None, *, steps=10) -> Method:
    """Accelerated proximal gradient descent, for convex problems: an error of 1/k² after k steps.

        y = x + momentum (x - x_before)
        x = prox(y - learning_rate gradient(y))

    The gradient is that of the mean loss and of a smooth penalty, over all examples. The momentum grows
    with the steps and starts anew where it leads uphill (`(y - x)·(x - x_before) > 0`), which finds out
    how strongly convex the problem is. Penalties with kinks, and sets, come out exactly: it is the
    accelerated projected gradient too. An epoch is `steps` steps, each over all examples; J and gradient
    of its start, which the record and the stop tests want, are one pass more.

    Args:
      learning_rate: number > 0. None takes `1 / L`, where L bounds the curvature: for `jgd.losses` at a
        linear prediction it is known up to an eigenvalue, found by power iteration at the start. For
        other losses steps are tried, and halved until they gain what their gradient promises.
      strong_convexity: number > 0, a lower bound mu of the curvature, such as the strength of an l2
        penalty; the momentum is then constant, `(1 - q) / (1 + q)` with `q = sqrt(learning_rate * mu)`.
        None lets it grow and start anew.
      steps: of an epoch, an int.

    Returns:
      A `Method`, for `rule=` of `jgd.batch_descent`.

    Raises:
      ValueError: a number is out of its range; from `descend`, if there is a batch size.

    >>> def loss(params, example):
    ...     return jgd.losses.squared_error(example @ params, 1.0)
    >>> x = jnp.array([[1.0, 0.0], [0.0, 0.1]])
    >>> fit = jgd.batch_descent(jgd.objective(loss), jnp.zeros(2), x, rule=accelerated(), epochs=50,
    ...                         stop=jgd.stop.gradient_norm(1e-5))
    >>> fit.status == jgd.Status.CONVERGED, fit.params.round(1)
    (Array(True, dtype=bool), Array([ 1., 10.], dtype=float32))

    Source: Nesterov (1983); Beck and Teboulle (2009), SIAM Journal on Imaging Sciences 2(1), for the
    proximal form; O'Donoghue and Candès (2015) for the restart; Nesterov (2004), section 2.2, for strong
    convexity; Scheinberg, Goldfarb and Bai (2014) for steps that may grow again.
    """
    checked = {
        name: None if number is None else require_number(f"accelerated: {name}", number, *RANGES[name])
        for name, number in (("learning_rate", learning_rate), ("strong_convexity", strong_convexity))
    }
    if not (is_whole(steps) and steps >= 1):
        raise ValueError(f"accelerated: steps is {steps!r}, but an int >= 1 is wanted.")
    bound = of_one_shape("accelerated", checked), Static(int(steps))
    return Method(Partial(_init, *bound), Partial(_run, *bound))


class AcceleratedState(NamedTuple):
    """What `accelerated` remembers.

    Attributes:
      learning_rate: length of a step.
      before: the params before the last step.
      growth: t of the momentum `(t_before - 1) / t`; 1 where it starts anew.
      refused: how many steps in a row were refused.
      stalled: whether they are so many that no step will be found.
    """

    learning_rate: jax.Array
    before: Any
    growth: jax.Array
    refused: jax.Array
    stalled: jax.Array


def _init(numbers, steps, arguments: Arguments, params) -> AcceleratedState:
    check_all_at_once("accelerated", arguments)
    rate = numbers["learning_rate"]
    if rate is None:
        bound = known_bound(arguments, params)
        curvature = (
            power_iteration(lambda v: _hessian_product(arguments, params, v), params)
            if bound is None
            else largest_curvature(arguments, params, bound)
        )
        # A plane has no longest step, and any length will do.
        rate = jnp.where(curvature > 0, 1 / jnp.where(curvature > 0, curvature, 1), 1.0).astype(float)
    none = jnp.zeros((), jnp.int32)
    return AcceleratedState(rate, params, jnp.ones_like(rate), none, jnp.zeros((), bool))


def _hessian_product(arguments: Arguments, params, vector):
    return jax.jvp(lambda p: _smooth_part(arguments, p)[1], (params,), (vector,))[1]


def _smooth_part(arguments: Arguments, params):
    """Value and gradient of what is differentiated: mean loss and smooth penalty."""
    total, mean_grads = sum_and_gradient(arguments, params)
    value = total / count_of(arguments) + smooth_penalty(arguments.objective, params)
    return value, smooth_gradient(arguments.objective, params, mean_grads)


def _smooth_value(arguments: Arguments, params):
    total, _ = loss_sum(arguments.objective.loss, params, arguments.data, arguments.weights)
    return total / count_of(arguments) + smooth_penalty(arguments.objective, params)


def _run(numbers, steps, arguments: Arguments, position: Position, index):
    del index
    is_searched = numbers["learning_rate"] is None and known_bound(arguments, position.params) is None
    total, mean_grads = sum_and_gradient(arguments, position.params)

    def step(carry, _):
        return _step(arguments, numbers["strong_convexity"], is_searched, *carry), None

    end, _ = lax.scan(step, (position.params, position.rule_state), length=steps.value)
    return Position(*end), total, mean_grads


def _step(arguments: Arguments, strong_convexity, is_searched, params, state: AcceleratedState):
    rate = state.learning_rate
    growth = (1 + jnp.sqrt(1 + 4 * state.growth**2)) / 2
    momentum = (state.growth - 1) / growth
    if strong_convexity is not None:
        root = jnp.sqrt(jnp.minimum(rate * strong_convexity, 1))
        momentum = (1 - root) / (1 + root)
    ahead = jax.tree.map(lambda x, b: x + like(momentum, x) * (x - b), params, state.before)
    value, grads = _smooth_part(arguments, ahead)
    landed = jax.tree.map(lambda y, g: y - like(rate, y) * g, ahead, grads)
    penalty = arguments.objective.penalty
    if penalty is not None and not penalty.smooth:
        landed = penalty.prox(landed, rate)
    along = jax.tree.map(jnp.subtract, landed, ahead)
    uphill = inner(along, jax.tree.map(jnp.subtract, landed, params)) < 0
    taken = jnp.ones((), bool)
    if is_searched:
        after = _smooth_value(arguments, landed)
        rounding = ROUNDING * jnp.finfo(after.dtype).eps * jnp.abs(value)
        promised = value + inner(grads, along) + inner(along, along) / (2 * rate)
        taken = (after <= promised + rounding) | ~jnp.isfinite(value)
    new_rate = jnp.where(taken, GROWTH * rate if is_searched else rate, rate / 2)
    refused = jnp.where(taken, 0, state.refused + 1)
    state = AcceleratedState(
        learning_rate=new_rate.astype(rate.dtype),
        before=select(taken, params, state.before),
        growth=jnp.where(taken, jnp.where(uphill, 1, growth), state.growth).astype(rate.dtype),
        refused=refused,
        stalled=refused >= MOST_REFUSED,
    )
    return select(taken, landed, params), state

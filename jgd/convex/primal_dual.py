"""Losses with kinks at linear predictions: primal-dual descent for support vectors, medians, quantiles.

Where the loss has kinks its gradient does not tell the way. But it is the largest of planes,
`phi(z) = max_alpha alpha z - phi*(alpha)` over alpha from a low to a high bound, and the objective is

    min_p max_alpha  sum_i share_i (alpha_i z_i(p) - phi_i*(alpha_i)) + g(p)

on which proximal steps in p and in alpha take turns.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.tree_util import Partial

from jgd.convex.all_examples import (
    check_all_at_once,
    shares_of,
    sum_and_gradient,
    weighted,
)
from jgd.convex.curvature_bound import power_iteration
from jgd.descent.checks import Arguments
from jgd.descent.method import Method
from jgd.descent.rule import like
from jgd.descent.step import Position
from jgd.descent.trial import inner
from jgd.objectives.conjugates import CONVEX
from jgd.objectives.linear_form import check_linear, linear_form
from jgd.objectives.rows import counted_rows
from jgd.tree import Static, is_whole, select

ENOUGH = 0.2  # of the unrest at the start: then the steps begin anew


def primal_dual(steps=50) -> Method:
    """Primal-dual proximal descent, for hinge, absolute error and quantile at a linear prediction.

        p' = prox(p - tau Aᵀ(share alpha), tau)
        alpha = clip(alpha + sigma (A (2 p' - p) - slope of phi*), low, high),    p = p'

    with tau sigma |A|² = 1. Every penalty will do, or none. An epoch is so many steps, each over all
    examples; the params after it are the mean of the steps or the last one, whichever is nearer to
    standing still. From there the steps start anew once that is a fifth of what it was, so that it
    converges linearly on piecewise linear problems; the balance of tau and sigma then follows how far
    params and alpha have moved.

    Args:
      steps: of an epoch, an int.

    Returns:
      A `Method`, for `rule=` of `jgd.batch_descent`.

    Raises:
      ValueError: steps is no int >= 1; from `descend`, if there is a batch size, or the loss is another
        one.

    >>> def loss(params, example):  # the median
    ...     return jgd.losses.absolute_error(params, example)
    >>> fit = jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 2.0, 9.0]),
    ...                         rule=primal_dual(), epochs=20)
    >>> round(float(fit.params), 3)
    2.0

    Source: Chambolle and Pock (2011), J. Mathematical Imaging and Vision 40; Applegate et al. (2021),
    NeurIPS, for restarts at means and the balance of the two steps.
    """
    if not (is_whole(steps) and steps >= 1):
        raise ValueError(f"primal_dual: steps is {steps!r}, but an int >= 1 is wanted.")
    bound = (Static(int(steps)),)
    return Method(Partial(_init, *bound), Partial(_run, *bound))


class PrimalDualState(NamedTuple):
    """What `primal_dual` remembers; a point is a pair of params and alpha [N] or [N, C].

    Attributes:
      size: |A|, of the rows times the roots of their shares.
      balance: of the two steps, `tau = 1 / (balance |A|)` and `sigma = balance / |A|`.
      point: the last one.
      sums: of the points since the start.
      num: how many they are.
      start: where the steps began anew.
      unrest: how far from standing still that was; infinite where it was not looked at.
    """

    size: jax.Array
    balance: jax.Array
    point: Any
    sums: Any
    num: jax.Array
    start: Any
    unrest: jax.Array


class _Game(NamedTuple):
    """The saddle problem: predictions and their transpose, shares, and the box of alpha."""

    forward: Any
    backward: Any
    offset: jax.Array
    low: jax.Array
    high: jax.Array
    slope: jax.Array


def _game(arguments: Arguments, params) -> _Game:
    data = counted_rows(arguments.data, arguments.weights)
    name = check_linear(arguments.objective.loss, params, data, "jgd.primal_dual")
    convex = CONVEX[name]
    if convex.domain is None:
        raise ValueError(
            f"loss is {name}, but primal_dual wants one with kinks: hinge, absolute_error or quantile. "
            "For this one use jgd.coordinate() or jgd.accelerated()."
        )

    def predicted(params):
        of_one = lambda row: linear_form(arguments.objective.loss, params, row)[1:]  # noqa: E731
        numbers, z, targets = jax.vmap(of_one)(data)
        return z, (targets, numbers)

    z, forward, (targets, numbers) = jax.linearize(predicted, params, has_aux=True)
    numbers = tuple(number[0].astype(z.dtype) for number in numbers)
    targets = targets.astype(z.dtype)
    domain: Any = convex.domain
    low, high = jax.vmap(lambda y: domain(*numbers, y))(targets)
    # phi* is linear within its domain: its slope is that of the excess at the prediction 0.
    at_zero = lambda a, y: jnp.sum(convex.excess(*numbers, jnp.zeros_like(a), a, y))  # noqa: E731
    slope = jax.vmap(jax.grad(at_zero))((low + high) / 2, targets)
    transposed = jax.linear_transpose(forward, params)
    shares = shares_of(arguments, z.dtype)

    def backward(alpha):
        return transposed(weighted(alpha, shares))[0]

    return _Game(forward, backward, z - forward(params), low, high, slope)


def _init(steps, arguments: Arguments, params) -> PrimalDualState:
    check_all_at_once("primal_dual", arguments)
    game = _game(arguments, params)
    square = power_iteration(lambda v: game.backward(game.forward(v)), params)
    alpha = jnp.clip(jnp.zeros_like(game.low), game.low, game.high)
    size = jnp.sqrt(jnp.where(square > 0, square, 1)).astype(alpha.dtype)
    return _anew(size, jnp.ones_like(size), (params, alpha), jnp.full_like(size, jnp.inf))


def _anew(size, balance, point, unrest) -> PrimalDualState:
    zeros = jax.tree.map(jnp.zeros_like, point)
    return PrimalDualState(size, balance, point, zeros, jnp.zeros_like(size), point, unrest)


def _run(steps, arguments: Arguments, position: Position, index):
    del index
    params, memory = position
    total, mean_grads = sum_and_gradient(arguments, params)
    game, penalty = _game(arguments, params), arguments.objective.penalty
    shares = shares_of(arguments, memory.size.dtype)
    tau, sigma = 1 / (memory.balance * memory.size), memory.balance / memory.size

    def step(point):
        p, alpha = point
        moved = jax.tree.map(lambda x, g: x - like(tau, x) * g, p, game.backward(alpha))
        moved = moved if penalty is None else penalty.prox(moved, tau)
        ahead = game.forward(jax.tree.map(lambda m, x: 2 * m - x, moved, p)) + game.offset
        return moved, jnp.clip(alpha + sigma * (ahead - game.slope), game.low, game.high)

    def add(carry, _):
        point, sums = carry
        point = step(point)
        return (point, jax.tree.map(jnp.add, sums, point)), None

    def squares(a, b):
        """Of the distances of the params and of the alphas."""
        p, alpha = jax.tree.map(jnp.subtract, a, b)
        return inner(p, p), jnp.sum(weighted(jnp.square(alpha), shares))

    def unrest_of(point):
        of_params, of_alpha = squares(step(point), point)
        return jnp.sqrt(of_params / tau + of_alpha / sigma)

    (last, sums), _ = lax.scan(add, (memory.point, memory.sums), length=steps.value)
    num = memory.num + steps.value
    mean = jax.tree.map(lambda s: s / num.astype(s.dtype), sums)
    unrests = unrest_of(mean), unrest_of(last)
    nearest = select(unrests[0] < unrests[1], mean, last)
    unrest = jnp.minimum(*unrests)
    of_params, of_alpha = squares(nearest, memory.start)
    both = (of_params > 0) & (of_alpha > 0)
    moved = jnp.sqrt(jnp.where(both, of_alpha, 1) / jnp.where(both, of_params, 1))
    balance = jnp.where(both, jnp.sqrt(memory.balance * moved), memory.balance)
    anew = _anew(memory.size, balance.astype(memory.size.dtype), nearest, unrest)
    on = memory._replace(point=last, sums=sums, num=num)
    memory = select(unrest <= ENOUGH * memory.unrest, anew, on)
    return Position(nearest[0], memory), total, mean_grads

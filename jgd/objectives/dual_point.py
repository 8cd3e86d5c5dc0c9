"""A point of the dual problem: the numbers alpha that a certificate is made of, near the best ones.

Of a smooth loss they are its derivatives, after the params that no penalty holds (an intercept, as a
rule) are put where their gradient is 0. Of a loss with kinks they are climbed to.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jgd.objectives.conjugates import Convex
from jgd.objectives.linear_form import linear_form
from jgd.objectives.penalties.penalty import as_vector, masked, with_vector
from jgd.objectives.penalty_conjugates import Conjugate
from jgd.objectives.rows import counted_rows
from jgd.objectives.sums import wide
from jgd.tree import norm

MOST_FREE = 64  # params that no penalty holds: each wants a column of its own
NEWTON_STEPS = 20  # to where their gradient is 0
LENGTHS = (1.0, 0.25, 0.03, 0.0)  # of such a step that are tried
ASCENT_STEPS = 400  # towards the dual solution, where the loss is piecewise linear
ROUNDING = 16  # spacings of floats, of the numbers that the gap is the difference of


class DualProblem(NamedTuple):
    """What the gap is made of.

    Attributes:
      loss: its conjugate and its domain.
      numbers: that it is bound to.
      z: predictions at the params, [N] or [N, C].
      targets: [N] or [N, C].
      shares: [N], the weights by their count.
      backward: `alpha -> u`.
      forward: `direction -> change of the predictions`.
    """

    loss: Convex
    numbers: tuple
    z: jax.Array
    targets: jax.Array
    shares: jax.Array
    backward: Any
    forward: Any

    def each(self, function, *args):
        """`function(*numbers, *args of an example, target)`, summed over outputs, times the shares."""
        of_one = lambda *row: jnp.sum(function(*self.numbers, *row))  # noqa: E731
        return jnp.sum(self.shares * jax.vmap(of_one)(*args, self.targets))

    def loss_at(self, z):
        """Mean loss at predictions z."""
        return self.each(lambda *a: self.loss.loss(*a[:-2])(a[-2], a[-1]), z)

    def slopes_at(self, z):
        """Derivative of the loss of each example by its prediction."""
        function = lambda z, y: self.loss.loss(*self.numbers)(z, y)  # noqa: E731
        return jax.vmap(jax.grad(function))(z, self.targets)


def dual_problem(objective, loss, params, data, weights) -> DualProblem:
    rows = counted_rows(data, weights)

    def predictions(params):
        of_one = lambda example: linear_form(objective.loss, params, example)[1:]  # noqa: E731
        numbers, prediction, target = jax.vmap(of_one)(rows)
        return prediction, (target, numbers)

    z, forward, (targets, numbers) = jax.linearize(predictions, params, has_aux=True)
    dtype = wide(z.dtype)
    num_examples = len(z)
    shares = jnp.full(num_examples, 1 / num_examples, dtype)
    if weights is not None:
        counts = weights.astype(dtype)
        shares = counts / jnp.maximum(jnp.sum(counts != 0), 1)
    transposed = jax.linear_transpose(forward, params)

    def backward(alpha):
        scaled = -shares.reshape(-1, *(1,) * (alpha.ndim - 1)) * alpha
        return transposed(scaled.astype(z.dtype))[0]

    numbers = tuple(number[0] for number in numbers)  # alike for all examples
    return DualProblem(loss, numbers, z.astype(dtype), targets, shares, backward, forward)


def free_columns(problem: DualProblem, mask, params) -> jax.Array | None:
    """What a unit of each unpenalised number adds to the predictions, [q, N] or [q, N, C]."""
    pairs, treedef = masked(mask, params)
    left = [np.broadcast_to(~np.asarray(m), p.shape) for m, p in pairs]
    num = sum(int(free.sum()) for free in left)
    if num > MOST_FREE:
        raise ValueError(
            f"penalty leaves {num} params alone, but jgd.duality_gap allows for {MOST_FREE}: the "
            "gradient of each must be made 0. Penalise all but the intercepts."
        )
    if num == 0:
        return None
    unit = np.eye(num)
    start, leaves = 0, []
    for free, (_, p) in zip(left, pairs, strict=True):
        size = int(free.sum())
        columns = np.zeros((num, *p.shape))
        columns[:, free] = unit[:, start : start + size]
        leaves.append(jnp.asarray(columns, p.dtype))
        start += size
    return jax.vmap(problem.forward)(jax.tree.unflatten(treedef, leaves)).astype(problem.z.dtype)


def without_gradient(problem: DualProblem, free) -> jax.Array:
    """The predictions after the unpenalised numbers are put where their gradient is 0."""
    if free is None:
        return problem.z

    shares = problem.shares.reshape(-1, *(1,) * (problem.z.ndim - 1))
    eps = jnp.finfo(problem.z.dtype).eps

    def goes_on(carry):
        step, _, rest, allowed = carry
        return (step < NEWTON_STEPS) & (rest > allowed / 64)

    def step(carry):
        num, z, *_ = carry
        slopes, bends = jax.vmap(lambda column: jax.jvp(problem.slopes_at, (z,), (column,)))(free)
        gradient = jnp.tensordot(free, shares * slopes[0], z.ndim)
        hessian = jnp.einsum("a...,b...->ab", free, shares * bends)
        # Of Huber nothing bends where all are outliers, of softmax nothing along the sum of the scores:
        # some of the columns, and a little of what bends, keeps it solvable.
        size = jnp.einsum("a...,a...->a", free, shares * free)
        bend = jnp.diagonal(hessian)
        hessian += jnp.diag(1e-3 * size * (bend < 1e-3 * size) + jnp.sqrt(eps) * bend + 1e-30)
        along = -jnp.tensordot(jnp.linalg.solve(hessian, gradient), free, 1)
        along = jnp.where(jnp.isfinite(along), along, 0)
        lengths = jnp.asarray(LENGTHS, z.dtype)
        values = jax.vmap(lambda length: problem.loss_at(z + length * along))(lengths)
        values = jnp.where(jnp.isnan(values), jnp.inf, values)
        # Near the end the values no longer differ, and a whole step is right.
        rounding = 4 * eps * jnp.abs(values[-1])
        z = z + lengths[jnp.argmax(values <= values.min() + rounding)] * along
        return num + 1, z, *free_gradient(problem, free, problem.slopes_at(z), z)

    start = free_gradient(problem, free, problem.slopes_at(problem.z), problem.z)
    return lax.while_loop(goes_on, step, (0, problem.z, *start))[1]


def free_gradient(problem: DualProblem, free, alpha, z) -> tuple[jax.Array, jax.Array]:
    """Largest gradient of an unpenalised number, and how large it may be by rounding alone."""
    if free is None:
        return jnp.zeros((), alpha.dtype), jnp.zeros((), alpha.dtype)
    eps = jnp.finfo(alpha.dtype).eps
    units = jnp.abs(problem.shares).reshape(-1, *(1,) * (alpha.ndim - 1)) * free
    axes = tuple(range(1, units.ndim))
    # Predictions are rounded too, and alpha with them.
    moves = problem.slopes_at(z * (1 + ROUNDING * eps)) - problem.slopes_at(z)
    noise = jnp.abs(units) * (ROUNDING * eps * jnp.abs(alpha) + jnp.abs(moves))
    return jnp.max(jnp.abs(jnp.sum(units * alpha, axes))), 64 * jnp.max(jnp.sum(noise, axes))


def ascended(problem: DualProblem, conjugate: Conjugate, numbers, mask, params, free) -> jax.Array:
    """Alpha near the dual solution, of a loss that is piecewise linear.

    Accelerated gradient steps down `(1/n) sum_i w_i phi_i*(alpha_i) + g*(u)` within the domain of phi*,
    where phi* is linear, from the derivative of the loss on.
    """
    slope_of: Any = conjugate.slope
    if conjugate.curvature is None:
        raise ValueError(
            "objective has a loss with kinks (hinge, absolute_error, quantile), for which "
            "jgd.duality_gap wants the penalty l2 or elastic_net."
        )
    if free is not None and (len(free) > 1 or problem.z.ndim > 1):
        raise ValueError(
            f"penalty leaves {len(free)} params alone, but of a loss with kinks (hinge, absolute_error, "
            "quantile) jgd.duality_gap allows for one, an intercept."
        )
    domain: Any = problem.loss.domain
    targets = problem.targets.astype(problem.z.dtype)
    low, high = jax.vmap(lambda y: domain(*problem.numbers, y))(targets)
    shares = problem.shares
    curvature = conjugate.curvature(*numbers)

    def conjugate_of(alpha, target):
        """But for a constant: the excess at the prediction 0."""
        return problem.loss.excess(*problem.numbers, jnp.zeros_like(alpha), alpha, target)

    def slope(alpha):
        """Of the negative dual, by the alpha of an example, per share of the example."""
        linear = jax.vmap(jax.grad(lambda a, y: jnp.sum(conjugate_of(a, y))))(alpha, targets)
        at = with_vector(
            mask,
            jax.tree.map(jnp.zeros_like, params),
            slope_of(*numbers, mask, as_vector(mask, problem.backward(alpha))),
        )
        return linear - problem.forward(at)

    def onto(alpha):
        return _onto_domain(alpha, low, high, shares, None if free is None else free[0])

    vector = jnp.ones_like(problem.z)
    for _ in range(12):  # power iteration on the rows' products
        product = problem.forward(problem.backward(vector))
        largest = norm(product) / jnp.maximum(norm(vector), 1e-30)
        vector = product / jnp.maximum(norm(product), 1e-30)
    rate = jnp.where(largest > 0, curvature / (1.1 * jnp.maximum(largest, 1e-30)), 1.0)

    def step(carry, _):
        alpha, before, growth = carry
        longer = (1 + jnp.sqrt(1 + 4 * growth**2)) / 2
        ahead = alpha + (growth - 1) / longer * (alpha - before)
        landed = onto(ahead - rate * slope(ahead))
        uphill = jnp.sum(shares * (ahead - landed) * (landed - alpha)) > 0
        return (landed, alpha, jnp.where(uphill, 1, longer)), None

    start = onto(jnp.clip(problem.slopes_at(problem.z), low, high))
    carry = start, start, jnp.ones((), start.dtype)
    return lax.scan(step, carry, length=ASCENT_STEPS)[0][0]


def _onto_domain(alpha, low, high, shares, column):
    """The nearest alpha within the domain; with a column c, where `sum_i share_i c_i alpha_i = 0`."""
    if column is None:
        return jnp.clip(alpha, low, high)

    def at(pull):
        return jnp.clip(alpha - pull * column, low, high)

    def halve(ends, _):
        middle = (ends[0] + ends[1]) / 2
        is_above = jnp.sum(shares * column * at(middle)) > 0
        return (jnp.where(is_above, middle, ends[0]), jnp.where(is_above, ends[1], middle)), None

    least = jnp.min(jnp.where(column != 0, jnp.abs(column), jnp.inf))
    most = (jnp.max(jnp.abs(alpha)) + jnp.max(high) - jnp.min(low)) / least
    ends, _ = lax.scan(halve, (-most, most), length=50)
    return at((ends[0] + ends[1]) / 2)

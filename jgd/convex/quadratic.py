"""The minimum of a quadratic model with a penalty of single numbers or groups: one coordinate at a time.

    minimise  g·(p - p0) + (p - p0)·H (p - p0) / 2 + sum_j (l1_j |p_j| + l2_j p_j² / 2)
    where     low <= p <= high

A step on one coordinate is exact and costs a row of H. With a purely quadratic penalty a linear system
is solved instead.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

MOST_SWEEPS = 300


class Separable(NamedTuple):
    """A penalty on single numbers, each [P], or a number.

    Attributes:
      l1: strength of |p|.
      l2: strength of p²/2.
      low: lower bound.
      high: upper bound.
    """

    l1: jax.Array
    l2: jax.Array
    low: jax.Array
    high: jax.Array

    def prox(self, p, bend):
        """`argmin_x bend (x - p / bend)² / 2 + penalty(x)`, for p that is multiplied by bend already."""
        bend = bend + self.l2
        shrunk = (p - jnp.clip(p, -self.l1, self.l1)) / jnp.where(bend > 0, bend, 1)
        return jnp.clip(shrunk, self.low, self.high), bend > 0


def descend_coordinates(hessian, gradient, penalty: Separable, start, scale) -> jax.Array:
    """The minimum by sweeps over the coordinates, until they gain next to nothing.

    Args:
      hessian: [P, P].
      gradient: [P], of the smooth part at the start.
      penalty: of single numbers.
      start: [P].
      scale: J, by which it is judged what is next to nothing.

    Returns:
      [P].
    """
    diagonal = jnp.diagonal(hessian)

    def step(carry, row):
        pull, most, place = carry  # pull = H (p - start)
        of_row, bend, slope, own, p = row
        slope = slope + lax.dynamic_index_in_dim(pull, place, keepdims=False)
        new, bends = own.prox(bend * p - slope, bend)
        # What neither bends nor is held stays where it is: a column of zeros.
        change = jnp.where(bends, new - p, 0)
        gain = change * change * bend
        return (pull + change * of_row, jnp.maximum(most, gain), place + 1), p + change

    def sweep(carry):
        num, p, pull, _ = carry
        rows = hessian, diagonal, gradient, penalty, p
        (pull, most, _), p = lax.scan(step, (pull, jnp.zeros_like(scale), 0), rows)
        return num + 1, p, pull, most

    def goes_on(carry):
        num, _, _, most = carry
        return (num < MOST_SWEEPS) & (most > _next_to_nothing(scale))

    carry = 0, start, jnp.zeros_like(start), jnp.full_like(scale, jnp.inf)
    return lax.while_loop(goes_on, sweep, carry)[1]


def _next_to_nothing(scale) -> jax.Array:
    """What a step gains falls with the square of its length, so that digits of params want more of J."""
    return jnp.finfo(scale.dtype).eps ** 1.5 * jnp.abs(scale)


class Groups(NamedTuple):
    """A penalty on groups of numbers.

    Attributes:
      members: [G, S] places, filled up with P.
      strengths: [G], of the norm of each group.
    """

    members: jax.Array
    strengths: jax.Array


def descend_groups(hessian, gradient, groups: Groups, start, scale) -> jax.Array:
    """The minimum by sweeps over groups, each a proximal gradient step of its own length.

    Args:
      hessian: [P, P].
      gradient: [P], of the smooth part at the start.
      groups: that hold all coordinates.
      start: [P].
      scale: J, by which it is judged what is next to nothing.

    Returns:
      [P].
    """
    size = len(start)
    # A row and a number more, of zeros, for the places that fill up.
    padded = jnp.pad(hessian, ((0, 1), (0, 1)))
    gradient = jnp.pad(gradient, (0, 1))
    own = jax.vmap(lambda places: padded[places][:, places])(groups.members)
    bends = jnp.max(jnp.sum(jnp.abs(own), axis=2), axis=1)  # no less than the largest eigenvalue

    def step(carry, group):
        p, pull, most = carry
        places, strength, bend = group
        safe = jnp.where(bend > 0, bend, 1)
        target = p[places] - (gradient[places] + pull[places]) / safe
        squares = jnp.sum(jnp.square(target))
        length = jnp.sqrt(jnp.where(squares > 0, squares, 1))
        new = jax.nn.relu(1 - strength / (safe * length)) * target
        change = jnp.where(bend > 0, new - p[places], 0)
        pull = pull + change @ padded[places]
        gain = bend * jnp.sum(change * change)
        return (p.at[places].add(change), pull, jnp.maximum(most, gain)), None

    def sweep(carry):
        num, p, pull, _ = carry
        rows = groups.members, groups.strengths, bends
        (p, pull, most), _ = lax.scan(step, (p, pull, jnp.zeros_like(scale)), rows)
        return num + 1, p.at[size].set(0), pull, most

    def goes_on(carry):
        num, _, _, most = carry
        return (num < MOST_SWEEPS) & (most > _next_to_nothing(scale))

    p = jnp.pad(start, (0, 1))
    carry = 0, p, jnp.zeros_like(p), jnp.full_like(scale, jnp.inf)
    return lax.while_loop(goes_on, sweep, carry)[1][:size]


def newton_point(hessian, gradient, l2, start) -> jax.Array:
    """The minimum where the penalty is `sum_j l2_j p_j² / 2`, by a linear system.

    Args:
      hessian: [P, P].
      gradient: [P], of the loss at the start.
      l2: [P].
      start: [P].

    Returns:
      [P].
    """
    diagonal = jnp.diagonal(hessian) + l2
    # Columns that depend on each other leave eigenvalues of 0, rounded to either side.
    size = jnp.where(diagonal > 0, diagonal, 1)
    scale = 1 / jnp.sqrt(size)
    scaled = scale[:, None] * (hessian + jnp.diag(l2)) * scale
    rounding = 8 * len(start) * jnp.finfo(scaled.dtype).eps
    system = scaled + rounding * jnp.eye(len(start), dtype=scaled.dtype)
    factor = jax.scipy.linalg.cho_factor(system)
    step = scale * jax.scipy.linalg.cho_solve(factor, scale * (gradient + l2 * start))
    return start - jnp.where(diagonal > 0, step, 0)


def newton_point_of_few_rows(rows, bends, gradient, strength, is_held, start) -> jax.Array:
    """The same where the Hessian is `rowsᵀ diag(bends) rows` of fewer rows than columns.

    The system is that of the rows: `K y = B_free step_free - c`, where `B = sqrt(bends) rows`,
    `K = B_held B_heldᵀ / strength + 1` and y is what the step adds to the predictions.

    Args:
      rows: [N, P].
      bends: [N], >= 0.
      gradient: [P], of the loss at the start.
      strength: of the penalty, scalar.
      is_held: [P], bools of NumPy: which coordinates it holds.
      start: [P].

    Returns:
      [P].
    """
    strength = jnp.maximum(strength, jnp.finfo(start.dtype).tiny)
    scaled = jnp.sqrt(bends)[:, None] * rows
    held, free = scaled[:, is_held], scaled[:, ~is_held]
    slope = gradient[is_held] + strength * start[is_held]
    product = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)
    inner = product(held, held.T) / strength + jnp.eye(len(rows), dtype=rows.dtype)
    solve = functools.partial(jax.scipy.linalg.cho_solve, jax.scipy.linalg.cho_factor(inner))
    c, of_free = product(held, slope) / strength, jnp.zeros(0, start.dtype)
    if free.shape[1]:
        of_free = jnp.linalg.solve(product(free.T, solve(free)), free.T @ solve(c) - gradient[~is_held])
    along = solve(free @ of_free - c)
    step = jnp.zeros_like(start).at[is_held].set(-(slope + along @ held) / strength)
    return start + step.at[~is_held].set(of_free)

"""Curvature: what the Hessian of the objective says, without ever holding the Hessian.

All of it is made of products of the Hessian with vectors. The Hessian is that of

    J(params) = mean_i loss(params, example_i) + penalty(params)

with a smooth penalty; one that is not smooth (l1, elastic_net) has no Hessian and is left out, as it is
for descent, which leaves it to the proximal map. Params of 16 bits are taken as of 32, and products of
matrices with all digits. Every number is traced: map over params or penalty strengths with `jax.vmap`.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jgd.objectives.checks import check_key
from jgd.tree import norm
from jgd.tuning.density import Density, spectral_density
from jgd.tuning.diagonal import feature_curvature
from jgd.tuning.hessian import (
    Problem,
    Rows,
    checked_problem,
    checked_steps,
    checked_vector,
    drawn,
    flat_product,
    product,
)
from jgd.tuning.lanczos import lanczos, ritz

__all__ = [
    "Density",
    "Extremes",
    "condition_number",
    "extreme_eigenvalues",
    "feature_curvature",
    "hessian_vector_product",
    "sharpness",
    "spectral_density",
]


class Extremes(NamedTuple):
    """The ends of the spectrum of the Hessian.

    Attributes:
      largest: its largest eigenvalue, in units of the loss by units of the params squared.
      smallest: its smallest; below 0 where J is not convex.
      error: bound on the distance of each of the two to an eigenvalue.
      vector: pytree like `params` of norm 1, the eigenvector of the smallest.
    """

    largest: jax.Array
    smallest: jax.Array
    error: jax.Array
    vector: Any


def hessian_vector_product(
    objective: Any,
    params: Any,
    data: Any,
    vector: Any,
    weights: Any = None,
    block: int | None = None,
) -> Any:
    """The product `H vector` of the Hessian of J with a vector, over all examples.

    It costs two to three gradients, and holds what one block of rows needs.

    Args:
      objective: from `jgd.objective`; a penalty that is not smooth is left out.
      params: pytree of float arrays.
      data: pytree of arrays that share their leading axis N.
      vector: pytree like `params`.
      weights: [N] or None. An example of weight 0 is as if it were not there.
      block: rows that are taken at once; None takes all, but on a CPU as many as its cache holds.

    Returns:
      A pytree like `params`.

    Raises:
      ValueError: the vector is not like `params`; data, weights or block do not fit.

    >>> def loss(params, example):
    ...     return example * params[0] ** 2 + params[0] * params[1]
    >>> product = jgd.curvature.hessian_vector_product(
    ...     jgd.objective(loss), jnp.zeros(2), jnp.array([1.0, 3.0]), jnp.array([1.0, 0.0]))
    >>> product.tolist()
    [4.0, 1.0]

    Source: Pearlmutter (1994), Neural Computation 6(1).
    """
    problem, rows = checked_problem(objective, params, data, weights, block)
    vector = checked_vector(vector, problem.params)
    return _hessian_vector_product(problem, vector, rows=rows)


@functools.partial(jax.jit, static_argnames="rows")
@jax.default_matmul_precision("highest")
def _hessian_vector_product(problem: Problem, vector, *, rows: Rows):
    return product(problem, rows)(vector)


def extreme_eigenvalues(
    objective: Any,
    params: Any,
    data: Any,
    *,
    key: jax.Array,
    steps: int | None = None,
    sample: int | None = None,
    weights: Any = None,
    block: int | None = None,
) -> Extremes:
    """The largest and the smallest eigenvalue of the Hessian of J, by the Lanczos iteration.

    With as many steps as params both are exact but for rounding. With fewer they lie inside of the
    spectrum: the largest may be larger and the smallest smaller than what is returned. `error` is the
    length of `H v - value v`, which Lanczos knows as `|beta_m s_m|`, and of what rounding has left.

    Args:
      objective: from `jgd.objective`; a penalty that is not smooth is left out.
      params: pytree of float arrays, P numbers in all.
      data: pytree of arrays that share their leading axis N.
      key: PRNG key of the vector to start from, and of the sample.
      steps: products with the Hessian, at most P of which are taken; None takes P where there are at
        most 512 params, else 64. Memory is `steps * P` numbers.
      sample: number of examples to draw without replacement; None takes all.
      weights: [N] or None. An example of weight 0 is as if it were not there.
      block: rows that are taken at once; None takes all, but on a CPU as many as its cache holds.

    Returns:
      An `Extremes`; NaN where the Hessian has a number that is not finite.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     return example * params[0] ** 2 - params[1] ** 2
    >>> found = jgd.curvature.extreme_eigenvalues(
    ...     jgd.objective(loss), jnp.zeros(2), jnp.array([1.0, 3.0]), key=jax.random.key(0))
    >>> round(float(found.largest), 4), round(float(found.smallest), 4)
    (4.0, -2.0)
    >>> [round(abs(float(x)), 4) for x in found.vector]
    [0.0, 1.0]

    Source: Lanczos (1950), J. Res. Natl. Bur. Stand. 45(4); Parlett (1998), The Symmetric Eigenvalue
    Problem, sections 13.2 and 4.5.
    """
    check_key(key)
    problem, rows = checked_problem(objective, params, data, weights, block, sample)
    return _extreme_eigenvalues(problem, key, rows=rows, steps=checked_steps(steps, params))[0]


@functools.partial(jax.jit, static_argnames=("rows", "steps"))
@jax.default_matmul_precision("highest")
def _extreme_eigenvalues(problem: Problem, key, *, rows: Rows, steps: int):
    """The `Extremes` and the condition number."""
    sample_key, start_key = jax.random.split(key)
    multiply, flat, like_params = flat_product(drawn(problem, rows.sample, sample_key), rows)
    start = jax.random.normal(start_key, flat.shape, flat.dtype)
    found = lanczos(multiply, start, steps)
    values, vectors = ritz(found)
    ends = vectors[:, jnp.array([0, -1])]
    # H v - value v has a part within the basis, which rounding left there, and one that leads out of it.
    within = jnp.max(jax.vmap(norm)(ends.T @ found.dropped))
    blur = within + jnp.sqrt(steps) * jnp.finfo(flat.dtype).eps * jnp.max(jnp.abs(values))
    error = norm((blur, jnp.max(jnp.abs(found.beside[-1] * ends[-1]))))
    vector = like_params(vectors[:, 0] @ found.basis)
    is_flat = values[0] <= blur
    condition = jnp.where(is_flat, jnp.inf, values[-1] / jnp.where(is_flat, 1, values[0]))
    return Extremes(values[-1], values[0], error, vector), condition


def sharpness(objective: Any, params: Any, data: Any, **options: Any) -> jax.Array:
    """The largest eigenvalue of the Hessian of J; gradient descent is stable below `2 / sharpness`.

    Args:
      objective: from `jgd.objective`; a penalty that is not smooth is left out.
      params: pytree of float arrays.
      data: pytree of arrays that share their leading axis N.
      **options: those of `extreme_eigenvalues`; the key is wanted.

    Returns:
      A float scalar, in units of the loss by units of the params squared.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     return example * params**2
    >>> round(float(jgd.curvature.sharpness(jgd.objective(loss), jnp.array(0.0),
    ...     jnp.array([1.0, 3.0]), key=jax.random.key(0))), 4)
    4.0

    Source: Cohen, Kaur, Li, Kolter and Talwalkar (2021), Gradient descent on neural networks typically
    occurs at the edge of stability, ICLR.
    """
    return extreme_eigenvalues(objective, params, data, **options).largest


def condition_number(
    objective: Any,
    params: Any,
    data: Any,
    *,
    key: jax.Array,
    steps: int | None = None,
    sample: int | None = None,
    weights: Any = None,
    block: int | None = None,
) -> jax.Array:
    """The condition number `largest / smallest` eigenvalue of the Hessian of J.

    Rounding blurs an eigenvalue by `r = sqrt(m) * eps * largest` and by what it is seen to leave in the
    m products. A smallest eigenvalue up to r, or below 0, cannot be told from 0, and the condition
    number is infinite then. Else its relative error is below `c * r / largest`. On matrices of 4 to 500
    params it was below `3 * eps * c`: 1% up to 3e4 in float32, up to 1e13 in float64. With fewer steps
    than params it is a lower bound.

    Args:
      objective: from `jgd.objective`; a penalty that is not smooth is left out.
      params: pytree of float arrays, P numbers in all.
      data: pytree of arrays that share their leading axis N.
      key: PRNG key of the vector to start from, and of the sample.
      steps: as in `extreme_eigenvalues`.
      sample: number of examples to draw without replacement; None takes all.
      weights: [N] or None. An example of weight 0 is as if it were not there.
      block: rows that are taken at once; None takes all, but on a CPU as many as its cache holds.

    Returns:
      A float scalar, 1 or more.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     return example * params[0] ** 2 + params[1] ** 2
    >>> round(float(jgd.curvature.condition_number(jgd.objective(loss), jnp.zeros(2),
    ...     jnp.array([1.0, 3.0]), key=jax.random.key(0))), 4)
    2.0

    Source: Nesterov (2004), Introductory Lectures on Convex Optimization, section 2.1.3.
    """
    check_key(key)
    problem, rows = checked_problem(objective, params, data, weights, block, sample)
    return _extreme_eigenvalues(problem, key, rows=rows, steps=checked_steps(steps, params))[1]

"""The density of the eigenvalues of the Hessian."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jgd.objectives.checks import check_key
from jgd.tree import is_whole
from jgd.tuning.hessian import (
    STEPS,
    Problem,
    Rows,
    checked_problem,
    checked_steps,
    drawn,
    flat_product,
)
from jgd.tuning.lanczos import lanczos, ritz


class Density(NamedTuple):
    """The density of the eigenvalues of the Hessian.

    Attributes:
      at: [points], eigenvalues, ascending and equally spaced.
      density: [points], the part of all eigenvalues that lies there, by unit of `at`.
    """

    at: jax.Array
    density: jax.Array


def spectral_density(
    objective: Any,
    params: Any,
    data: Any,
    *,
    key: jax.Array,
    draws: int = 8,
    steps: int = STEPS,
    points: int = 256,
    sample: int | None = None,
    weights: Any = None,
    block: int | None = None,
) -> Density:
    """The density of the eigenvalues of the Hessian of J, by stochastic Lanczos quadrature.

    From a random vector, Lanczos finds nodes and weights of a Gauss quadrature of the spectrum; the mean
    over `draws` of them is the estimate. Each node is drawn as a Gaussian of two spaces between points,
    so that nothing narrower is seen, and the density integrates to 1.

    Args:
      objective: from `jgd.objective`; a penalty that is not smooth is left out.
      params: pytree of float arrays, P numbers in all.
      data: pytree of arrays that share their leading axis N.
      key: PRNG key of the vectors to start from, and of the sample.
      draws: number of random vectors. Memory is `draws * steps * P` numbers.
      steps: products with the Hessian for each of them, at most P of which are taken.
      points: number of places at which the density is given, 32 or more.
      sample: number of examples to draw without replacement; None takes all.
      weights: [N] or None. An example of weight 0 is as if it were not there.
      block: rows that are taken at once; None takes all, but on a CPU as many as its cache holds.

    Returns:
      A `Density`; NaN where the Hessian has a number that is not finite.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     return example * jnp.sum(jnp.array([0.0, 1.0, 1.0, 1.0]) * params**2)
    >>> at, density = jgd.curvature.spectral_density(
    ...     jgd.objective(loss), jnp.zeros(4), jnp.array([1.0, 3.0]), key=jax.random.key(0), draws=64)
    >>> round(float(jnp.trapezoid(density, at)), 3), round(float(at[jnp.argmax(density)]), 1)
    (1.0, 4.0)

    Source: Lin, Saad and Yang (2016), SIAM Review 58(1); Ghorbani, Krishnan and Xiao (2019), An
    investigation into neural net optimization via Hessian eigenvalue density, ICML.
    """
    check_key(key)
    for name, number, least in (("draws", draws, 1), ("points", points, 32)):
        if not (is_whole(number) and number >= least):
            raise ValueError(f"{name} is {number!r}, but a whole number >= {least} is wanted.")
    problem, rows = checked_problem(objective, params, data, weights, block, sample)
    numbers = {"draws": int(draws), "points": int(points), "steps": checked_steps(steps, params)}
    return _spectral_density(problem, key, rows=rows, **numbers)


@functools.partial(jax.jit, static_argnames=("rows", "draws", "steps", "points"))
@jax.default_matmul_precision("highest")
def _spectral_density(problem: Problem, key, *, rows: Rows, draws: int, steps: int, points: int):
    sample_key, draw_key = jax.random.split(key)
    multiply, flat, _ = flat_product(drawn(problem, rows.sample, sample_key), rows)

    def nodes_and_weights(key):
        start = jax.random.normal(key, flat.shape, flat.dtype)
        values, vectors = ritz(lanczos(multiply, start, steps))
        return values, jnp.square(vectors[0])

    nodes, weights = jax.vmap(nodes_and_weights)(jax.random.split(draw_key, draws))
    low, high = jnp.min(nodes), jnp.max(nodes)
    scale = jnp.maximum(jnp.abs(low), jnp.abs(high))
    # Where all eigenvalues are one, a part of it is as good a width as any.
    span = jnp.maximum(high - low, jnp.where(scale == 0, 1, scale) / points)
    space = span / (points - 17)  # 8 of them are left on either side: four widths of a Gaussian
    at = (low + high) / 2 + space * (jnp.arange(points, dtype=flat.dtype) - (points - 1) / 2)
    bells = jnp.exp(-jnp.square((at[:, None] - nodes.ravel()) / (2 * space)) / 2)
    density = bells @ weights.ravel()
    return Density(at, density / jnp.trapezoid(density, at))

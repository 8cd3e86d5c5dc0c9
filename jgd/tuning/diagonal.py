"""The diagonal of the Hessian: curvature along each parameter by itself."""

import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax

from jgd.objectives.checks import check_key
from jgd.tuning.hessian import (
    MOST_PRODUCTS,
    Problem,
    Rows,
    checked_problem,
    drawn,
    flat_product,
    num_params_of,
)

PROBES_AT_ONCE = 16  # vectors in one product: the data are read once for all of them


def feature_curvature(
    objective: Any,
    params: Any,
    data: Any,
    *,
    weights: Any = None,
    block: int | None = None,
    sample: int | None = None,
    key: jax.Array | None = None,
) -> Any:
    """The diagonal of the Hessian of J: how much J bends along each parameter by itself.

    Up to 512 params it is exact, by a product with the Hessian for each of them. For more, 512 random
    vectors z of signs give the unbiased estimate `mean(z * H z)`, whose entry i has the standard error
    `sqrt(sum_{j != i} H_ij² / 512)`: large beside an entry that is much smaller than the others.

    Args:
      objective: from `jgd.objective`; a penalty that is not smooth is left out.
      params: pytree of float arrays, P numbers in all.
      data: pytree of arrays that share their leading axis N.
      weights: [N] or None. An example of weight 0 is as if it were not there.
      block: rows that are taken at once; None takes all, but on a CPU as many as its cache holds. Each
        is held for 16 vectors at a time.
      sample: number of examples to draw without replacement; None takes all.
      key: PRNG key; wanted for a sample and for more than 512 params.

    Returns:
      A pytree like `params`.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     return (params @ example) ** 2
    >>> x = jnp.array([[1.0, 100.0], [-1.0, 100.0]])
    >>> jgd.curvature.feature_curvature(jgd.objective(loss), jnp.zeros(2), x).tolist()
    [2.0, 20000.0]

    Source: Bekas, Kokiopoulou and Saad (2007), Applied Numerical Mathematics 57(11-12), for more params.
    """
    problem, rows = checked_problem(objective, params, data, weights, block, sample)
    if key is None and (sample is not None or num_params_of(params) > MOST_PRODUCTS):
        raise ValueError(
            "key is None, but a PRNG key is wanted, jax.random.key(0), for a sample and for more than "
            f"{MOST_PRODUCTS} params (here {num_params_of(params)}), whose curvatures are estimated."
        )
    if key is not None:
        check_key(key)
    return _feature_curvature(problem, key, rows=rows)


@functools.partial(jax.jit, static_argnames="rows")
@jax.default_matmul_precision("highest")
def _feature_curvature(problem: Problem, key, *, rows: Rows):
    sample_key, probe_key = (None, None) if key is None else jax.random.split(key)
    multiply, flat, like_params = flat_product(drawn(problem, rows.sample, sample_key), rows)
    is_exact = flat.size <= MOST_PRODUCTS
    num_probes = flat.size if is_exact else MOST_PRODUCTS

    def probe(place):
        if is_exact:
            return (jnp.arange(flat.size) == place).astype(flat.dtype)
        signs = jax.random.rademacher(
            jax.random.fold_in(cast(jax.Array, probe_key), place), flat.shape, flat.dtype
        )
        return signs / jnp.sqrt(num_probes).astype(flat.dtype)

    def add_probes(total, first):
        # A place beyond the last is that of no param, and its vector is 0.
        vectors = jax.vmap(probe)(first + jnp.arange(at_once))
        return total + jnp.sum(vectors * jax.vmap(multiply)(vectors), axis=0), None

    at_once = min(PROBES_AT_ONCE, num_probes)
    total, _ = lax.scan(add_probes, jnp.zeros_like(flat), jnp.arange(0, num_probes, at_once))
    return like_params(total)

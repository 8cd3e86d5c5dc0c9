"""How much the loss can bend at most: the longest step that is safe everywhere.

Of a loss of `jgd.losses` at a linear prediction the bound is known: its second derivative by the
prediction is at most c, so the Hessian is at most `c (1/n) sum_i w_i a_i a_iᵀ`, whatever the params.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jgd.convex.all_examples import count_of, weighted
from jgd.descent.checks import Arguments
from jgd.descent.step import smooth_penalty
from jgd.objectives.linear_form import check_linear, predictions
from jgd.objectives.objective import Objective
from jgd.objectives.rows import counted_rows
from jgd.tree import norm

# The largest second derivative by the prediction; of softmax, the largest eigenvalue.
LARGEST = {"squared_error": 2.0, "logistic": 0.25, "huber": 1.0, "squared_hinge": 2.0, "softmax": 0.5}
STEPS = 24  # of the power iteration
MARGIN = 1.05  # by which its result, which comes from below, is raised


def known_bound(arguments: Arguments, params: Any) -> float | None:
    """The largest second derivative of the loss by its prediction; None where it is not known."""
    try:
        name = check_linear(arguments.objective.loss, params, arguments.data, "a bound")
    except ValueError:
        return None
    return LARGEST.get(name)


def largest_curvature(arguments: Arguments, params: Any, bound: float) -> jax.Array:
    """About the largest eigenvalue of `bound (1/n) sum_i w_i a_i a_iᵀ` + Hessian of a smooth penalty."""
    objective, weights = arguments.objective, arguments.weights
    rows = counted_rows(arguments.data, weights)
    forward = jax.linearize(lambda p: predictions(objective.loss, p, rows), params)[1]
    backward = jax.linear_transpose(forward, params)
    count = count_of(arguments)

    def product(vector):
        along = forward(vector)
        (bent,) = backward(weighted(jnp.asarray(bound / count, along.dtype) * along, weights))
        return jax.tree.map(jnp.add, bent, _bent_by_penalty(objective, params, vector))

    return power_iteration(product, params)


def penalty_curvature(objective: Objective, params: Any) -> jax.Array:
    """About the largest eigenvalue of the Hessian of a smooth penalty; 0 where there is none."""
    if objective.penalty is None or not objective.penalty.smooth:
        return jnp.zeros(())
    return power_iteration(lambda vector: _bent_by_penalty(objective, params, vector), params)


def _bent_by_penalty(objective: Objective, params, vector):
    slope = jax.grad(lambda p: jnp.asarray(smooth_penalty(objective, p), float))
    return jax.jvp(slope, (params,), (vector,))[1]


def power_iteration(product: Callable, like: Any) -> jax.Array:
    """About the largest eigenvalue of a symmetric matrix, from its products with pytrees."""
    rng = np.random.default_rng(0)
    start = jax.tree.map(lambda p: jnp.asarray(rng.standard_normal(p.shape), p.dtype), like)

    def step(carry, _):
        vector, _ = carry
        length = norm(vector)
        unit = jax.tree.map(lambda v: v / jnp.where(length > 0, length, 1).astype(v.dtype), vector)
        vector = product(unit)
        return (vector, norm(vector)), None

    (_, largest), _ = lax.scan(step, (start, norm(start)), length=STEPS)
    return MARGIN * largest

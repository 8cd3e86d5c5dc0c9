"""A certificate: how far above the lowest possible value an objective can be at most.

For numbers alpha_i, one for each prediction, and `u = -(1/n) sum_i w_i alpha_i a_i`, no params give

    J < J(params) - gap,
    gap = (1/n) sum_i w_i (phi_i(z_i) + phi_i*(alpha_i) - alpha_i z_i) + g(params) + g*(u) - <u, params>

where z_i are the predictions at `params`, phi the loss and g the penalty (Fenchel's duality). What the
sum and what g is in are sums of terms that are not negative. Any alpha will do; the nearer to the dual
solution, the smaller the gap. Of a smooth loss it is the derivative, after the params that no penalty
holds (the intercept, as a rule) are put where their gradient is 0, without which g* is infinite.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgd.objectives.checks import check_data, check_params, checked_weights
from jgd.objectives.conjugates import CONVEX
from jgd.objectives.dual_point import (
    ROUNDING,
    ascended,
    dual_problem,
    free_columns,
    free_gradient,
    without_gradient,
)
from jgd.objectives.linear_form import check_linear
from jgd.objectives.objective import Objective, check_objective, check_one_penalty, penalty_value
from jgd.objectives.penalties.penalty import as_vector, with_vector
from jgd.objectives.penalty_conjugates import CONJUGATES, Conjugate
from jgd.tree import norm, strong
from jgd.xla import all_digits


def duality_gap(objective: Objective, params: Any, data: Any, weights: Any = None) -> jax.Array:
    """By how much `J(params)` is at most above the global minimum of J: a certificate.

        gap = (1/n) sum_i w_i (phi_i(z_i) + phi_i*(alpha_i) - alpha_i z_i)
              + g(params) + g*(u) - <u, params>

    It holds whatever found the params, for a loss of `jgd.losses` at a linear prediction with a penalty
    that has a conjugate: l1, l2, elastic_net, group_l1, nuclear, box, l2_ball, l1_ball, simplex. A
    smooth loss costs two to three gradients. Hinge, absolute error and quantile, whose derivative does
    not tell the dual solution, cost some 800, and want l2 or elastic_net. The gap is never below its own
    rounding error, which is a few 1e-6 of J in float32. It is infinite where the penalty has strength 0,
    the params lie outside of a set, or the gradient of what is not penalised cannot be made 0.

    Args:
      objective: from `jgd.objective`.
      params: pytree of float arrays.
      data: pytree of arrays that share their leading axis N.
      weights: [N], none below 0, or None.

    Returns:
      A float scalar >= 0, in units of the loss; NaN where a weight that is traced is below 0.

    Raises:
      ValueError: the loss is no loss of jgd at a linear prediction, or there is no penalty that has a
        conjugate, or more than 64 params are not penalised; a weight is below 0.

    >>> def loss(params, example):
    ...     return jgd.losses.squared_error(params @ example, 1.0)
    >>> objective = jgd.objective(loss, jgd.penalties.l2(1.0))
    >>> x = jnp.array([[1.0], [2.0]])
    >>> lowest = jgd.value(objective, jnp.array([0.5]), x)
    >>> gap = duality_gap(objective, jnp.array([0.4]), x)
    >>> bool(jgd.value(objective, jnp.array([0.4]), x) - lowest <= gap < 0.5)
    True
    >>> bool(duality_gap(objective, jnp.array([0.5]), x) < 1e-5)
    True

    Source: Rockafellar (1970), Convex Analysis, section 31; Johnson and Guestrin (2015) and Ndiaye,
    Fercoq, Gramfort and Salmon (2017), JMLR 18, for gaps of penalised linear models.
    """
    check_objective(objective)
    check_params(params)
    weights = _checked_weights(weights, check_data(data))
    return gap_at(objective, *strong((params, data)), weights)


def _checked_weights(weights: Any, num_examples: int) -> jax.Array | None:
    if weights is not None and not isinstance(weights, jax.core.Tracer):
        weights = np.asarray(weights)
        if weights.dtype.kind in "bfiu" and np.any(weights < 0):
            raise ValueError(
                f"weights go down to {weights.min()}, but none below 0 is wanted: the objective would "
                "not be convex, and nothing could be said of its minimum."
            )
    return checked_weights(weights, num_examples)


def largest_strength(objective: Objective, params: Any, data: Any, weights: Any = None) -> jax.Array:
    """The strength of an l1, elastic net, group or nuclear penalty from which on all it holds is 0.

        largest = max_j |(gradient of the mean loss)_j|   at penalised params of 0, the others at best

    for l1, and its dual norm for the others (for elastic net divided by the share of l1). A path of
    strengths begins there: `largest * jnp.logspace(0, -3, 100)`.

    Args:
      objective: from `jgd.objective`; the strength of its penalty does not matter, if it is above 0.
      params: pytree of float arrays, for their shapes.
      data: pytree of arrays that share their leading axis N.
      weights: [N], none below 0, or None.

    Returns:
      A float scalar, in units of the strength.

    Raises:
      ValueError: the loss is no loss of jgd at a linear prediction that is smooth, or the penalty makes
        no zeros; a weight is below 0.

    >>> def loss(params, example):
    ...     return jgd.losses.squared_error(params @ example[0], example[1])
    >>> data = jnp.eye(2), jnp.array([1.0, -3.0])
    >>> objective = jgd.objective(loss, jgd.penalties.l1(0.1))
    >>> round(float(largest_strength(objective, jnp.zeros(2), data)), 4)
    3.0

    Source: Friedman, Hastie and Tibshirani (2010), J. Statistical Software 33(1), section 2.5.
    """
    check_objective(objective)
    check_params(params)
    weights = _checked_weights(weights, check_data(data))
    with all_digits():
        return _largest_strength(objective, *strong((params, data)), weights)


@jax.jit
def _largest_strength(objective: Objective, params: Any, data: Any, weights: Any) -> jax.Array:
    loss = CONVEX[check_linear(objective.loss, params, data, "jgd.largest_strength")]
    conjugate, numbers, mask = _conjugate(objective)
    if conjugate.scale is None or loss.domain is not None:
        raise ValueError(
            "objective has "
            + ("a penalty that makes no zeros" if conjugate.scale is None else "a loss with kinks")
            + ", but jgd.largest_strength wants l1, elastic_net, group_l1 or nuclear and a smooth loss."
        )
    nothing = with_vector(mask, params, jnp.zeros_like(as_vector(mask, params)))
    problem = dual_problem(objective, loss, nothing, data, weights)
    free = free_columns(problem, mask, params)
    u = problem.backward(problem.slopes_at(without_gradient(problem, free)))
    # By a strength that is much too small, the scale is its share of the one that is just enough.
    tiny = jnp.sqrt(jnp.finfo(problem.z.dtype).tiny).astype(numbers[0].dtype)
    return tiny / conjugate.scale(tiny, *numbers[1:], mask, u)


@jax.jit
def gap_at(objective: Objective, params: Any, data: Any, weights: Any) -> jax.Array:
    """`duality_gap` of arguments that are checked."""
    with all_digits():
        return _gap(objective, params, data, weights)


def _gap(objective: Objective, params: Any, data: Any, weights: Any) -> jax.Array:
    check_one_penalty(objective, params)
    loss = CONVEX[check_linear(objective.loss, params, data, "jgd.duality_gap")]
    conjugate, numbers, mask = _conjugate(objective)
    problem = dual_problem(objective, loss, params, data, weights)
    free = free_columns(problem, mask, params)
    if loss.domain is None:
        moved = without_gradient(problem, free)
        alpha = problem.slopes_at(moved)
    else:
        alpha = ascended(problem, conjugate, numbers, mask, params, free)
    u = problem.backward(alpha)
    scales = [1.0] if conjugate.scale is None else [1.0, conjugate.scale(*numbers, mask, u)]
    gap = jnp.stack(
        [
            problem.each(loss.excess, problem.z, scale * alpha)
            + conjugate.excess(*numbers, mask, params, jax.tree.map(lambda x, s=scale: s * x, u))
            for scale in scales
        ]
    ).min()
    value, penalty = problem.loss_at(problem.z), penalty_value(objective, params)
    eps = jnp.finfo(gap.dtype).eps
    sizes = (
        jnp.abs(value)
        + jnp.abs(penalty)
        + jnp.sum(jnp.abs(as_vector(mask, u) * as_vector(mask, params)))
    )
    rest, allowed = free_gradient(problem, free, alpha, problem.z)
    gap = jnp.where((rest > allowed) | jnp.isposinf(penalty), jnp.inf, gap)
    # What rounding leaves of the gradient of the intercept counts by the size of the intercept.
    gap += ROUNDING * eps * sizes + rest * (1 + norm(params))
    if weights is not None:
        gap = jnp.where(jnp.any(weights < 0), jnp.nan, gap)
    return jnp.where(jnp.isfinite(value), gap, jnp.nan)


def _conjugate(objective: Objective) -> tuple[Conjugate, tuple, Any]:
    """The conjugate of the penalty, its numbers, and its mask."""
    penalty: Any = objective.penalty
    found = None if penalty is None else CONJUGATES.get(penalty.value.func)
    if found is None:
        raise ValueError(
            "objective has "
            + ("no penalty" if penalty is None else "a penalty whose conjugate is not known")
            + ", but jgd.duality_gap wants l1, l2, elastic_net, group_l1, nuclear, box, l2_ball, "
            "l1_ball or simplex of jgd.penalties: without one, rounding alone makes the bound infinite. "
            "A small l2 will do; or use jgd.stop.gradient_norm."
        )
    *numbers, mask = penalty.value.args
    return found, tuple(numbers), mask

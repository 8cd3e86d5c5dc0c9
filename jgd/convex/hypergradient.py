"""Derivatives of a fitted point by what it was fitted with, through the condition that it satisfies.

A minimum is where a proximal gradient step leads back to it,

    p = T(p, theta) = prox(p - s gradient of f(p; theta)),    f = mean loss + smooth penalty

so that a change of theta moves it by `dp = P (1 - s H) dp + t`, with the Hessian H of f, the derivative
P of the proximal map, and what theta alone does to a step, t. P is symmetric with eigenvalues from 0 to
1, and the solution is `dp = t + P w`, where w solves a symmetric system that conjugate gradients can:

    (P - P² + s P H P) w = P (1 - s H) t

On a kink P is 0: what is zero stays zero, and only the support moves.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.scipy.sparse.linalg import cg

from jgd.convex.curvature_bound import power_iteration
from jgd.descent.loop import Fit
from jgd.descent.step import smooth_gradient
from jgd.objectives.checks import check_data, check_params, checked_weights
from jgd.objectives.objective import check_objective
from jgd.objectives.sums import loss_and_gradient_sums, mean_like
from jgd.tree import as_partial, norm, strong
from jgd.xla import all_digits

MOST_PRODUCTS = 1000  # with the Hessian, in a linear system
FAILED = 1e-2  # of its right side may be left, else the derivative is NaN


def implicit(fit_function: Callable) -> Callable:
    """A fit whose params have exact derivatives by strengths, weights, data: those of the minimum.

        dp = t + P w,    (P - P² + s P H P) w = P (1 - s H) t

    Forward and reverse derivatives of any order go through it, under `jit` and `vmap`. They do not go
    through the loop, so that the fit may be of any method, with stop tests, and takes no memory for its
    steps; one system is solved by conjugate gradients on Hessian-vector products. They are as good as
    the fit is near a minimum. Without stop tests `jax.grad` also goes through the loop of `jgd.descend`
    itself, which differentiates what the loop does, wherever it ended.

    Args:
      fit_function: `(objective, params, data, weights=None) -> Fit`, such as a function that calls
        `jgd.batch_descent` with its rule and epochs; or it returns params.

    Returns:
      A function of the same arguments and result. Of a `Fit` the params alone have a derivative; by the
      params that it starts from it is 0. It is NaN where the system cannot be solved, since the minimum
      is not the only one: without a penalty, with columns that depend on each other, say.

    Raises:
      ValueError: fit_function is no function, or returns neither a Fit nor params like those given; the
        arguments are not those of `jgd.descend`.

    >>> def loss(params, example):
    ...     return jgd.losses.squared_error(params, example)
    >>> def fit(objective, params, data, weights=None):
    ...     return jgd.batch_descent(objective, params, data, rule=jgd.accelerated(), epochs=5,
    ...                              weights=weights)
    >>> def fitted(strength):  # the minimum of mean (p - 2)² + strength p² / 2 is 4 / (2 + strength)
    ...     objective = jgd.objective(loss, jgd.penalties.l2(strength))
    ...     return implicit(fit)(objective, jnp.array(0.0), jnp.array([1.0, 3.0])).params
    >>> round(float(jax.grad(fitted)(2.0)), 4)
    -0.25

    Source: Bengio (2000), Neural Computation 12(8); Bertrand et al. (2022), JMLR 23, for penalties with
    kinks; Blondel et al. (2022), NeurIPS, for fixed points of proximal steps.
    """
    if not callable(fit_function):
        raise ValueError(
            f"fit_function is {fit_function!r}, but a function (objective, params, data, weights=None) "
            "-> Fit is wanted, such as one that calls jgd.batch_descent."
        )
    inner = as_partial(fit_function)

    def fitted(objective, params, data, weights=None):
        check_objective(objective)
        check_params(params)
        weights = checked_weights(weights, check_data(data))
        params, data = strong((params, data))
        fit = inner(*lax.stop_gradient((objective, params, data)), weights=lax.stop_gradient(weights))
        found = fit.params if isinstance(fit, Fit) else fit
        _check_like(found, params)
        found = lax.stop_gradient(found)
        moved = _solution(found, (objective, data, weights))
        return lax.stop_gradient(fit)._replace(params=moved) if isinstance(fit, Fit) else moved

    return fitted


def _check_like(found: Any, params: Any) -> None:
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (found, params)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"fit_function returns {type(found).__name__} of the shapes {shapes[0]}, but a Fit, or "
            f"params like those given, {shapes[1]}, are wanted."
        )


@jax.custom_jvp
def _solution(found, theta):
    """The params that were found, as a function of what the problem is made of."""
    del theta
    return found


def _solution_jvp(primals, tangents):
    (found, theta), (_, theta_dot) = primals, tangents
    params = _solution(found, theta)  # so that derivatives of this derivative go through it again
    leaves, tree = jax.tree.flatten(theta)
    moves = [not isinstance(t, SymbolicZero) for t in jax.tree.leaves(theta_dot)]
    moving = [x for x, m in zip(leaves, moves, strict=True) if m]

    def with_moving(xs):
        rest = iter(xs)
        return jax.tree.unflatten(
            tree, [next(rest) if m else x for x, m in zip(leaves, moves, strict=True)]
        )

    dots = [t for t, m in zip(jax.tree.leaves(theta_dot), moves, strict=True) if m]
    if not dots:
        return params, jax.tree.map(jnp.zeros_like, params)
    with all_digits():
        return params, _moved(params, with_moving, moving, dots)


_solution.defjvp(_solution_jvp, symbolic_zeros=True)


def _smooth_slope(theta, params):
    objective, data, weights = theta
    _, grads, count = loss_and_gradient_sums(objective.loss, params, data, weights)
    return smooth_gradient(objective, params, mean_like(grads, count, params))


def _moved(params, with_moving, moving, dots):
    """How the minimum moves when the moving parts of the problem do."""
    theta = with_moving(moving)
    frozen = lax.stop_gradient((params, theta))
    curvature = power_iteration(
        lambda v: jax.jvp(lambda p: _smooth_slope(frozen[1], p), (frozen[0],), (v,))[1], frozen[0]
    )
    length = lax.stop_gradient(1 / jnp.where(curvature > 0, curvature, 1))

    def prox(theta, point):
        penalty = theta[0].penalty
        return point if penalty is None or penalty.smooth else penalty.prox(point, length)

    def step(theta, params):
        slope = _smooth_slope(theta, params)
        return prox(theta, jax.tree.map(lambda p, g: p - length.astype(p.dtype) * g, params, slope))

    slope = _smooth_slope(theta, params)
    point = jax.tree.map(lambda p, g: p - length.astype(p.dtype) * g, params, slope)

    def by_prox(vector):
        return jax.jvp(lambda x: prox(theta, x), (point,), (vector,))[1]

    def shortened(vector):
        bent = jax.jvp(lambda p: _smooth_slope(theta, p), (params,), (vector,))[1]
        return jax.tree.map(lambda v, b: v - length.astype(v.dtype) * b, vector, bent)

    def system(vector):
        once = by_prox(vector)
        return by_prox(jax.tree.map(jnp.subtract, vector, shortened(once)))

    alone = jax.jvp(lambda xs: step(with_moving(xs), params), (moving,), (dots,))[1]
    right = by_prox(shortened(alone))
    within = lax.custom_linear_solve(system, right, _conjugate_gradients, symmetric=True)
    return jax.tree.map(jnp.add, alone, by_prox(within))


def _conjugate_gradients(product, right):
    eps = jnp.finfo(jnp.result_type(*jax.tree.leaves(right))).eps
    found, _ = cg(product, right, tol=4 * eps, maxiter=MOST_PRODUCTS)
    left = norm(jax.tree.map(jnp.subtract, right, product(found)))
    solved = left <= FAILED * norm(right)
    return jax.tree.map(lambda x: jnp.where(solved, x, jnp.nan), found)

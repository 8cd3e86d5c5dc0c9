"""A rule that takes its numbers from the problem: curvature, noise, and the scale of each parameter."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from jgd.descent.armijo import armijo
from jgd.descent.barzilai_borwein import barzilai_borwein
from jgd.descent.checks import split_batch_size
from jgd.descent.loop import batch_descent
from jgd.descent.step import smooth_gradient
from jgd.objectives.checks import check_key
from jgd.objectives.objective import value
from jgd.tuning.hessian import Problem, Rows, checked_problem, drawn, flat_product
from jgd.tuning.lanczos import lanczos, ritz
from jgd.tuning.noise import moments_of

SAMPLE = 1024  # examples that are looked at
LANCZOS_STEPS = 16  # the largest eigenvalue is wanted to a few percent
TRIAL_STEPS = 24
CLEARLY = 0.75  # of what scaled steps gained: unscaled ones that gained less are given up
FEWEST_STEPS = 16  # of the means of the stochastic rule, where an epoch has fewer
SMALLEST = 1e-14  # mean square gradient, by the largest, below which a parameter plays no part


def auto_rule(
    objective: Any,
    params: Any,
    data: Any,
    *,
    batch_size: int | None = None,
    key: Any,
    weights: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """A rule without numbers to choose: `barzilai_borwein` over all examples, else `armijo`.

    A random objective takes `armijo` always: its gradients of two epochs differ by their noise, too.

    From up to 1,024 examples it takes

    - the length of the first step, `1 / (L (1 + noise_scale / batch_size))`, where L is the sharpness,
    - whether each parameter wants a length of its own: the gradient is divided by its mean square over
      examples, where 24 steps of batch descent then gain a third more than without (features of unlike
      scale; not with a penalty that has kinks, whose proximal map wants one length for all).

    All later steps go by what the objective does along them, so the numbers need not be right for long.
    It costs about 200 gradients of the sample, and a program to be compiled. Each step then evaluates
    the objective once more than `sgd` does; with single examples of a small model, where a step of `sgd`
    is next to nothing, it takes about ten times as long.

    Args:
      objective: from `jgd.objective`.
      params: pytree of float arrays, where the descent starts.
      data: pytree of arrays that share their leading axis N.
      batch_size: that of the descent: None for all examples, or an int. Not traced, for the rule
        evaluates the objective on its batch.
      key: PRNG key of the sample.
      weights: [N] or None, as for the descent.

    Returns:
      A rule, a pytree of its numbers. The function is pure: it may stand in `jax.jit` and `jax.vmap`.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     return jgd.losses.squared_error(example["x"] @ params, example["y"])
    >>> x = jax.random.normal(jax.random.key(0), (200, 3)) * jnp.array([1.0, 1e3, 1e-3])
    >>> data = {"x": x, "y": x @ jnp.array([1.0, 1e-3, 1e3])}
    >>> rule = auto_rule(jgd.objective(loss), jnp.zeros(3), data, key=jax.random.key(1))
    >>> fit = jgd.batch_descent(jgd.objective(loss), jnp.zeros(3), data, rule=rule, epochs=20)
    >>> bool(fit.history.loss[-1] < 1e-6)
    True

    Source: Barzilai and Borwein (1988); Armijo (1966); McCandlish et al. (2018), eq. 2.7, for the length
    of a step under noise; Becker and LeCun (1988) for the scale of each parameter.
    """
    check_key(key)
    problem, _ = checked_problem(objective, params, data, weights, None, key=key)
    num_examples = jax.tree.leaves(problem.data)[0].shape[0]
    static_size, traced_size = split_batch_size(batch_size, num_examples)
    if traced_size is not None:
        raise ValueError(
            f"batch_size is {batch_size!r}, but an int, or None, is wanted: the rule evaluates the "
            "objective on its batch, and the examples of a traced batch are not kept."
        )
    if static_size is None and objective.random:
        static_size = num_examples
    numbers = _numbers(problem, key, batch_size=static_size)
    if static_size is None:
        return barzilai_borwein(*numbers)
    rate, scale = numbers
    memory = max(-(-num_examples // static_size), FEWEST_STEPS)
    return armijo(rate, memory=memory, scale=scale)


@functools.partial(jax.jit, static_argnames="batch_size")
def _numbers(problem: Problem, key, *, batch_size):
    """The first rate, and the scale of each parameter or None."""
    num_examples = jax.tree.leaves(problem.data)[0].shape[0]
    problem = drawn(problem, min(SAMPLE, num_examples), key)
    objective, params, rows, weights = problem
    moments = moments_of(objective.loss, params, rows, weights)
    flat, unravel = ravel_pytree(params)
    grads, _ = ravel_pytree(smooth_gradient(objective, params, unravel(moments.mean.astype(flat.dtype))))
    first_rate = functools.partial(_first_rate, problem, key, grads)
    variances = moments.squares / jnp.maximum(moments.num, 1)
    mean_squares = jnp.square(moments.mean) + variances
    plain = jnp.ones_like(mean_squares)
    if objective.penalty is not None and not objective.penalty.smooth:
        rate, scale = first_rate(plain), None
    else:
        scales = jnp.stack([plain, _inverse(mean_squares)])
        rates = jax.vmap(first_rate)(scales)
        left = jax.vmap(lambda rate, scale: _after_trial(problem, rate, unravel(scale)))(rates, scales)
        gained = value(objective, params, rows, weights) - left
        chosen = (gained[0] < CLEARLY * gained[1]).astype(int)
        rate, plain = rates[chosen], scales[chosen]
        scale = unravel(plain.astype(flat.dtype))
    noise = jnp.sum(plain * variances) / jnp.sum(plain * jnp.square(grads))
    if batch_size is not None:
        # A mean over n gradients is known to the variance / n: it may be 0 by chance.
        noise = jnp.minimum(jnp.nan_to_num(noise, nan=0.0), jnp.maximum(moments.num, 1))
        rate = rate / (1 + noise / batch_size)
    return rate, scale


def _inverse(mean_squares):
    """One by the mean squares; of a parameter that plays no part, the shortest length of all."""
    largest = jnp.max(mean_squares)
    plays = mean_squares > SMALLEST * largest
    return 1 / jnp.where(plays, mean_squares, jnp.where(largest > 0, largest, 1))


def _first_rate(problem: Problem, key, grads, scale):
    """`1 / L` along the scaled gradient; without curvature the step that would end at 0 on a plane."""
    product, flat, _ = flat_product(problem, Rows(None, None, None))
    root = jnp.sqrt(scale)
    steps = min(LANCZOS_STEPS, flat.size)
    values, _ = ritz(
        lanczos(lambda v: root * product(root * v), jax.random.normal(key, flat.shape), steps)
    )
    largest = jnp.max(jnp.abs(values))
    objective, params, rows, weights = problem
    slope = jnp.sum(scale * jnp.square(grads))
    to_zero = jnp.abs(value(objective, params, rows, weights)) / jnp.where(slope > 0, slope, 1)
    bends = largest * to_zero > jnp.finfo(flat.dtype).eps
    return jnp.where(bends, 1 / jnp.where(bends, largest, 1), jnp.where(to_zero > 0, to_zero, 1))


def _after_trial(problem: Problem, rate, scale):
    """The objective after a short batch descent on the sample."""
    objective, params, rows, weights = problem
    fit = batch_descent(
        objective,
        params,
        rows,
        rule=barzilai_borwein(rate, scale),
        epochs=TRIAL_STEPS,
        weights=weights,
    )
    return value(objective, fit.params, rows, weights)

"""Gradient noise: how much gradients of single examples differ, and the batch size that suits it."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree

from jgd.descent.step import proximal_gradient, smooth_gradient
from jgd.objectives.checks import check_block, check_data, check_params, checked_weights
from jgd.objectives.objective import Objective, check_objective
from jgd.objectives.rows import counted_rows, rows_per_block
from jgd.objectives.sums import loss_dtype, wide
from jgd.tree import norm, strong

GRADIENT_BYTES = 2**22  # of the gradients of single examples that are held at once


class GradientNoise(NamedTuple):
    """The noise in the gradient of J at one place.

    Attributes:
      gradient_norm: of the gradient of J over all examples (of its proximal form where the penalty has
        kinks).
      variance: trace of the covariance of the gradients of single examples.
      noise_scale: `variance / gradient_norm²`, a number of examples: the critical batch size. Infinity
        where the gradient is 0 and the variance is not; 0 where both are.
    """

    gradient_norm: jax.Array
    variance: jax.Array
    noise_scale: jax.Array


class Moments(NamedTuple):
    """How many gradients have been seen, their mean [P] and the sum of squares about it [P]."""

    num: jax.Array
    mean: jax.Array
    squares: jax.Array


def gradient_noise(
    objective: Objective, params: Any, data: Any, *, weights: Any = None, block: int | None = None
) -> GradientNoise:
    """The variance of per-example gradients of the loss, and the simple noise scale `B = tr(S) / |G|²`.

    G is the gradient of J and S the covariance of `w_i * gradient of loss_i` over the n examples that
    count, divided by n. A batch of B examples has a gradient of variance `tr(S) / B`. Well below the
    noise scale twice the batch size halves the number of steps; well above it gains nothing. It grows
    as the gradient falls: take it where the training spends its steps.

    Args:
      objective: from `jgd.objective`.
      params: pytree of float arrays, P numbers in all.
      data: pytree of arrays that share their leading axis N.
      weights: [N] or None. An example of weight 0 is as if it were not there.
      block: rows that are taken at once, at most; never more than gradients fill 4 MiB.

    Returns:
      A `GradientNoise` of float scalars.

    Raises:
      ValueError: data, weights or block do not fit; the loss is not a scalar.

    >>> def loss(params, example):
    ...     return (params - example) ** 2 / 2
    >>> noise = jgd.gradient_noise(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]))
    >>> float(noise.gradient_norm), float(noise.variance), float(noise.noise_scale)
    (2.0, 1.0, 0.25)

    Source: McCandlish, Kaplan, Amodei et al. (2018), An Empirical Model of Large-Batch Training,
    eq. 2.9; Chan, Golub and LeVeque (1983), The American Statistician 37(3), for sums over blocks.
    """
    check_objective(objective)
    check_params(params)
    weights = checked_weights(weights, check_data(data))
    check_block(block)
    params, data = strong((params, data))
    return _gradient_noise(objective, params, data, weights, block=block)


@functools.partial(jax.jit, static_argnames="block")
def _gradient_noise(objective, params, data, weights, *, block) -> GradientNoise:
    loss_dtype(objective.loss, params, data)  # raises where the loss is no scalar
    flat, unravel = ravel_pytree(params)
    moments = moments_of(objective.loss, params, data, weights, block)
    grads = smooth_gradient(objective, params, unravel(moments.mean.astype(flat.dtype)))
    gradient_norm = norm(proximal_gradient(objective, params, grads)).astype(moments.mean.dtype)
    variance = jnp.sum(moments.squares) / jnp.maximum(moments.num, 1)
    is_still = gradient_norm == 0
    ratio = jnp.square(jnp.sqrt(variance) / jnp.where(is_still, 1, gradient_norm))
    noise_scale = jnp.where(is_still & (variance > 0), jnp.inf, ratio)
    return GradientNoise(gradient_norm, variance, noise_scale)


def moments_of(loss, params, data, weights, block=None) -> Moments:
    """Moments of all gradients, merged block by block: no difference of large sums is ever taken."""
    num_examples = jax.tree.leaves(data)[0].shape[0]
    flat, _ = ravel_pytree(params)
    bytes_per_row = flat.size * wide(flat.dtype).itemsize
    most = min(max(GRADIENT_BYTES // bytes_per_row, 1), rows_per_block(data))
    block = min(block or most, most)
    if weights is None:
        weights = jnp.ones(num_examples)

    def add_block(moments, position):
        # The last block begins early enough to be whole; rows seen before then weigh nothing.
        start = jnp.minimum(position * block, num_examples - block)
        rows, row_weights = jax.tree.map(
            lambda x: lax.dynamic_slice_in_dim(x, start, block), (data, weights)
        )
        fresh = start + jnp.arange(block) >= position * block
        return _merged(moments, _moments_of_block(loss, params, rows, row_weights * fresh)), None

    nothing = Moments(jnp.zeros((), wide(flat.dtype)), *[jnp.zeros(flat.size, wide(flat.dtype))] * 2)
    return lax.scan(add_block, nothing, jnp.arange(-(-num_examples // block)))[0]


def _moments_of_block(loss, params, rows, weights) -> Moments:
    def gradient(row):
        flat, _ = ravel_pytree(jax.grad(loss)(params, row))
        return flat.astype(wide(flat.dtype))

    gradients = jax.vmap(gradient)(counted_rows(rows, weights))
    counts = (weights != 0)[:, None]
    gradients = jnp.where(counts, weights[:, None].astype(gradients.dtype) * gradients, 0)
    count = jnp.sum(counts, dtype=gradients.dtype)
    mean = jnp.sum(gradients, axis=0) / jnp.maximum(count, 1)
    squares = jnp.sum(jnp.where(counts, jnp.square(gradients - mean), 0), axis=0)
    return Moments(count, mean, squares)


def _merged(one: Moments, other: Moments) -> Moments:
    num = one.num + other.num
    share = other.num / jnp.maximum(num, 1)
    apart = other.mean - one.mean
    mean = one.mean + share * apart
    return Moments(num, mean, one.squares + other.squares + share * one.num * jnp.square(apart))

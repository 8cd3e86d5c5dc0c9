"""Sums of losses and gradients over examples: what adds up over batches, row blocks and devices.

Everything that is minimised goes through `loss_sum`: the sum of weighted losses and the number of
examples that count. A mean is taken once, at the end.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec
from jax.tree_util import Partial

from jgd.objectives.rows import Layout, counted_rows, rows_per_block
from jgd.program import WANTS_A_VALUE
from jgd.tree import select


def loss_sum(loss: Partial, params: Any, examples: Any, weights: Any = None):
    """Sum of `w_i loss_i` and the number of examples that count.

    Args:
      loss: of one example.
      params: pytree.
      examples: pytree of arrays [B, ...].
      weights: [B] or None.

    Returns:
      A scalar, of float32 at least, and the count: an integer where all examples count, else traced.
    """
    num_examples = jax.tree.leaves(examples)[0].shape[0]
    if num_examples == 1:
        # Without a batch axis the products stay vector products, which XLA folds into the loop.
        losses = _checked(loss(params, jax.tree.map(lambda x: x[0], examples)))[None]
    else:
        rows = counted_rows(examples, weights)
        losses = _checked(jax.vmap(loss, in_axes=(None, 0))(params, rows), batch_axes=1)
    if weights is not None:
        losses = jnp.where(weights != 0, weights.astype(losses.dtype) * losses, 0)
    total = jnp.sum(losses, dtype=wide(losses.dtype))
    return total, num_examples if weights is None else jnp.sum(weights != 0)


def loss_and_gradient_sums(
    loss: Partial,
    params: Any,
    data: Any,
    weights: Any = None,
    block: int | None = None,
    layout: Layout | None = None,
):
    """Sums of loss and gradient over all examples, and their count.

    Args:
      loss: of one example.
      params: pytree.
      data: pytree of arrays [N, ...].
      weights: [N] or None.
      block: rows that are taken at once; None takes `rows_per_block`.
      layout: how the rows are laid over devices, each of which then sums its own; None takes them as
        lying together.

    Returns:
      The sum of losses, the sum of gradients (like `params`), both of float32 at least; the number
      of examples that count.
    """
    sums = functools.partial(_sums_over_blocks, block=block)
    if layout is not None:
        sums = _over_devices(sums, layout)
    total, grads, count = sums(loss, params, data, weights)
    num_examples = jax.tree.leaves(data)[0].shape[0]
    return total, grads, num_examples if weights is None else count


def _over_devices(sums, layout: Layout):
    """`sums`, where each device takes the rows that lie with it."""
    rows, whole = PartitionSpec(layout.axis), PartitionSpec()

    def own_rows(*args):
        total, grads, count = sums(*args)
        # All of one dtype, as a rule, for these go through one collective.
        return lax.psum((total, grads, jnp.asarray(count, total.dtype)), layout.axis)

    return layout.on_each(own_rows, whole, whole, rows, rows, out_specs=whole)


def _sums_over_blocks(loss, params, data, weights, *, block):
    num_examples = jax.tree.leaves(data)[0].shape[0]
    block = min(block or rows_per_block(data), num_examples)
    if block == num_examples:
        return _sums(loss, params, data, weights)

    @jax.checkpoint  # a derivative through the scan would keep every block otherwise, a copy of the data
    def sums_of_block(params, data, weights, position):
        # The last block begins early enough to be whole; rows seen before then weigh nothing.
        start = jnp.minimum(position * block, num_examples - block)
        rows, row_weights = jax.tree.map(
            lambda x: lax.dynamic_slice_in_dim(x, start, block), (data, weights)
        )
        if num_examples % block:
            fresh = start + jnp.arange(block) >= position * block
            row_weights = jnp.where(fresh, 1.0 if weights is None else row_weights, 0)
        return _sums(loss, params, rows, row_weights)

    def add_block(sums, position):
        added = sums_of_block(params, data, weights, position)
        return jax.tree.map(jnp.add, sums, added), None

    one_block = jax.eval_shape(lambda: _sums(loss, params, data, weights))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), one_block)
    return lax.scan(add_block, zeros, jnp.arange(-(-num_examples // block)))[0]


def _sums(loss, params, examples, weights):
    (total, count), grads = jax.value_and_grad(loss_sum, argnums=1, has_aux=True)(
        loss, params, examples, weights
    )
    if weights is not None:
        # Where nothing counts, not even a NaN of the data may come through.
        total, grads = select(count > 0, (total, grads), jax.tree.map(jnp.zeros_like, (total, grads)))
    return total, jax.tree.map(lambda g: g.astype(wide(g.dtype)), grads), count


def mean_like(sums: Any, count: Any, like: Any) -> Any:
    """The sums divided by their count, or by 1 where it is 0, in the dtypes of `like`."""
    count = at_least_one(count)
    return jax.tree.map(lambda s, x: (s / jnp.asarray(count, s.dtype)).astype(x.dtype), sums, like)


def at_least_one(count: Any) -> Any:
    """A count to divide by."""
    return max(count, 1) if isinstance(count, int) else jnp.maximum(count, 1)


def wide(dtype):
    """The dtype in which many numbers of `dtype` are summed: a long sum in 16 bits stands still."""
    return jnp.promote_types(dtype, jnp.float32)


def loss_dtype(loss: Partial, params: Any, data: Any):
    """The dtype that the loss of one example has; ValueError where it is no float scalar."""
    example = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), data)
    try:
        return _checked(jax.eval_shape(loss, params, example)).dtype
    except WANTS_A_VALUE as error:
        raise ValueError(
            "loss wants the value of a number where it is traced, as if, float() and NumPy do. Keep to "
            "jax.numpy, jnp.where and jax.lax.cond."
        ) from error


def _checked(losses, batch_axes: int = 0):
    """Raise ValueError where the loss of one example is not a float scalar."""
    leaves = [x if hasattr(x, "dtype") else jnp.asarray(x) for x in jax.tree.leaves(losses)]
    if len(leaves) != 1 or leaves[0].ndim != batch_axes:
        shapes = [x.shape[batch_axes:] for x in leaves]
        raise ValueError(
            f"loss returns {shapes[0] if len(shapes) == 1 else shapes} for one example, but a "
            "scalar of shape () is wanted. Sum or average over the outputs of the example, and "
            "predict a scalar rather than an array of length 1."
        )
    if not jnp.issubdtype(leaves[0].dtype, jnp.floating):
        raise ValueError(
            f"loss returns dtype {leaves[0].dtype}, but a float is wanted, for an integer has no "
            "gradient. Convert the prediction with .astype(float)."
        )
    return leaves[0]

"""What methods with variance reduction know of single examples, and an epoch over them.

The entry of an example tells its gradient: where the loss has a linear form, the derivative of the loss
by its prediction, a number; else the gradient itself.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jgd.convex.curvature_bound import (
    LARGEST,
    known_bound,
    largest_curvature,
    penalty_curvature,
)
from jgd.descent.checks import Arguments
from jgd.descent.epoch import batches_of, cut_up
from jgd.descent.order import plan
from jgd.descent.products import with_parallel_products
from jgd.objectives.conjugates import CONVEX
from jgd.objectives.linear_form import check_linear, linear_form
from jgd.objectives.rows import counted_rows


class Entries(NamedTuple):
    """How the gradients of examples are told.

    Attributes:
      of: `(params, rows [B, ...]) -> entries [B, ...]`.
      pulled: `(params, rows, entries) -> sum over the rows of the gradients that the entries tell`.
      are_numbers: whether an entry is a number for each prediction, so that those of all are kept.
    """

    of: Callable
    pulled: Callable
    are_numbers: bool


def entries_of(arguments: Arguments) -> Entries:
    """Those of the loss: numbers where it has a linear form, else gradients."""
    loss = arguments.objective.loss
    try:
        name = check_linear(loss, arguments.params, arguments.data, "a table of numbers")
    except ValueError:
        return Entries(
            lambda params, rows: jax.vmap(jax.grad(loss), (None, 0))(params, rows),
            lambda params, rows, entries: jax.tree.map(lambda e: jnp.sum(e, axis=0), entries),
            are_numbers=False,
        )

    def slope(params, row):
        _, numbers, z, target = linear_form(loss, params, row)
        return jax.grad(CONVEX[name].loss(*numbers))(z, target)

    def pulled(params, rows, entries):
        prediction = lambda params, row: linear_form(loss, params, row).prediction  # noqa: E731
        if len(entries) == 1:  # without a batch axis the products stay vector products
            row, entry = jax.tree.map(lambda x: x[0], (rows, entries))
            return jax.vjp(lambda p: prediction(p, row), params)[1](entry)[0]
        of_all = lambda p: jax.vmap(prediction, (None, 0))(p, rows)  # noqa: E731
        return jax.vjp(of_all, params)[1](entries)[0]

    def of(params, rows):
        if len(jax.tree.leaves(rows)[0]) == 1:
            return slope(params, jax.tree.map(lambda x: x[0], rows))[None]
        return jax.vmap(slope, (None, 0))(params, rows)

    return Entries(of, pulled, are_numbers=True)


def scan_examples(arguments: Arguments, index, step: Callable, carry: Any, beside: Any) -> tuple:
    """One epoch of steps: the carry after it, and what the steps say of each example, [N, ...].

    Args:
      arguments: of `descend`; a batch size of None is all examples.
      index: [N], the order of the examples, or None: as they lie.
      step: `(carry, rows, weights, beside) -> (carry, said [B, ...])`.
      carry: pytree.
      beside: pytree of arrays [N, ...], handed to the step by rows.
    """
    leaves = jax.tree.leaves(arguments.data)
    num = leaves[0].shape[0]
    bytes_per_example = sum(x.dtype.itemsize * x.size for x in leaves) // num
    cut = plan(num, arguments.batch_size or num, bytes_per_example)
    both = arguments._replace(data=(arguments.data, beside))
    in_parallel = jax.default_backend() == "cpu" and cut.batch_size == 1
    one_step = with_parallel_products(step) if in_parallel else step

    def take(carry, where, steps, size):
        (rows, beside), weights = batches_of(both, where, steps, size)
        carry, said = lax.scan(lambda c, b: one_step(c, *b), carry, (rows, weights, beside))
        return carry, jax.tree.map(lambda x: x.reshape(steps * size, *x.shape[2:]), said)

    def take_chunk(carry, where):
        return take(carry, where, cut.steps, cut.batch_size)

    carry, said = lax.scan(take_chunk, carry, cut_up(index, 0, cut.chunks, cut.rows))
    parts = [jax.tree.map(lambda x: x.reshape(cut.chunks * cut.rows, *x.shape[2:]), said)]
    for start, steps, size in cut.rests:
        carry, said = take(carry, cut_up(index, start, 1, steps * size)[0], steps, size)
        parts.append(said)
    said = jax.tree.map(lambda *xs: jnp.concatenate(xs), *parts)
    if index is not None:
        said = jax.tree.map(lambda x: jnp.zeros_like(x).at[index].set(x, unique_indices=True), said)
    return carry, said


def safe_rate(name: str, arguments: Arguments, params) -> jax.Array:
    """`1 / (3 L)`, where L bounds the curvature of the mean over a batch, in expectation."""
    bound = known_bound(arguments, params)
    if bound is None:
        raise ValueError(
            f"{name}: learning_rate is None, but it is known for {', '.join(LARGEST)} of jgd.losses "
            "at a linear prediction only, whose curvature has a known bound. Give a number, such as "
            "1 / (3 L) with the largest curvature L of a single example."
        )
    data = counted_rows(arguments.data, arguments.weights)
    num = jax.tree.leaves(data)[0].shape[0]

    def square(row):
        prediction = lambda p: linear_form(arguments.objective.loss, p, row).prediction  # noqa: E731
        slope = jax.grad(lambda p: jnp.sum(prediction(p)))(params)
        # Each of several outputs is taken to have params of its own.
        outputs = jax.eval_shape(prediction, params).size
        return sum(jnp.sum(jnp.square(s)) for s in jax.tree.leaves(slope)) / max(outputs, 1)

    squares = jax.vmap(square)(data)
    if arguments.weights is not None:
        squares = jnp.where(arguments.weights != 0, jnp.abs(arguments.weights) * squares, 0)
    single = bound * jnp.max(squares) + penalty_curvature(arguments.objective, params)
    size = arguments.batch_size or num
    curvature = single
    if size > 1:
        # Of batches without replacement, between that of a single example and that of the mean.
        of_mean = jnp.minimum(largest_curvature(arguments, params, bound), single)
        share = (num - size) / (size * max(num - 1, 1))
        curvature = share * single + (1 - share) * of_mean
    return jnp.where(curvature > 0, 1 / (3 * jnp.where(curvature > 0, curvature, 1)), 1.0).astype(float)

"""The Hessian of the objective as a product with vectors, over all rows or a sample of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jgd.descent.order import order
from jgd.descent.step import smooth_gradient
from jgd.objectives.checks import check_block, check_data, check_params, checked_weights
from jgd.objectives.objective import Objective, check_objective
from jgd.objectives.rows import Layout, row_layout
from jgd.objectives.sums import loss_and_gradient_sums, loss_dtype, mean_like, wide
from jgd.objectives.visits import with_keys
from jgd.tree import is_whole, strong

MOST_PRODUCTS = 512  # with a Hessian of as many params, what is exact takes a product for each of them
STEPS = 64  # of Lanczos where there are more


class Problem(NamedTuple):
    """What defines the Hessian, checked.

    Attributes:
      objective: an `Objective`.
      params: pytree of float arrays.
      data: pytree of arrays [N, ...].
      weights: [N] floats, or None.
    """

    objective: Objective
    params: Any
    data: Any
    weights: jax.Array | None


class Rows(NamedTuple):
    """Which rows are taken, and how; static.

    Attributes:
      sample: how many are drawn, or None: all.
      block: how many are taken at once, or None: as many as the cache holds.
      layout: how they are laid over devices, or None.
    """

    sample: int | None
    block: int | None
    layout: Layout | None


def checked_problem(
    objective: Any, params: Any, data: Any, weights: Any, block: Any, sample: Any = None, key: Any = None
) -> tuple[Problem, Rows]:
    """The arguments, checked and in the form that compiled functions take; ValueError if wrong.

    A random objective is taken with the keys of its first epoch where a key is given.
    """
    check_objective(objective, may_be_random=key is not None)
    check_params(params)
    num_examples = check_data(data)
    weights = checked_weights(weights, num_examples)
    check_block(block)
    if sample is not None and not (is_whole(sample) and 1 <= sample <= num_examples):
        raise ValueError(
            f"sample is {sample!r}, but a number of examples from 1 to {num_examples}, or None for all "
            "of them, is wanted."
        )
    params, data = strong((params, data))
    if key is not None:
        objective, data = with_keys(objective, data, key)
    loss_dtype(objective.loss, params, data)  # raises where the loss is no scalar
    sample = None if sample == num_examples else sample
    layout = row_layout(data) if sample is None else None
    return Problem(objective, params, data, weights), Rows(sample, block, layout)


def checked_vector(vector: Any, params: Any) -> Any:
    """`vector` in the dtypes of `params`; ValueError where structure or shapes differ."""
    came, wanted = str(jax.tree.structure(vector)), str(jax.tree.structure(params))
    if came != wanted:
        raise ValueError(f"vector has the structure {came}, but that of params, {wanted}, is wanted.")
    for (path, leaf), like in zip(
        jax.tree_util.tree_leaves_with_path(vector), jax.tree.leaves(params), strict=True
    ):
        if jnp.shape(leaf) != like.shape:
            raise ValueError(
                f"vector{jax.tree_util.keystr(path)} has shape {jnp.shape(leaf)}, but that of params, "
                f"{like.shape}, is wanted. For several vectors map over them with jax.vmap."
            )
    return jax.tree.map(lambda v, p: jnp.asarray(v, p.dtype), vector, params)


def checked_steps(steps: Any, params: Any) -> int:
    """How many steps to take; ValueError where `steps` is no number of them."""
    if steps is not None and not (is_whole(steps) and steps >= 1):
        raise ValueError(f"steps is {steps!r}, but a whole number >= 1, or None, is wanted.")
    num_params = num_params_of(params)
    return min(steps or (num_params if num_params <= MOST_PRODUCTS else STEPS), num_params)


def num_params_of(params: Any) -> int:
    return sum(jnp.size(p) for p in jax.tree.leaves(params))


def drawn(problem: Problem, sample: int | None, key: jax.Array | None) -> Problem:
    """The problem with `sample` of its rows, drawn without replacement from those that count."""
    if sample is None or key is None:
        return problem
    num_examples = jax.tree.leaves(problem.data)[0].shape[0]
    index = order(key, 0, num_examples)
    if problem.weights is not None:
        index = index[jnp.argsort(problem.weights[index] == 0, stable=True)]
    index = index[:sample]
    data, weights = jax.tree.map(lambda x: x[index], (problem.data, problem.weights))
    return problem._replace(data=data, weights=weights)


def product(problem: Problem, rows: Rows) -> Callable:
    """The function `vector -> H vector`, over pytrees like the params."""
    objective, params, data, weights = problem

    def gradient(params):
        _, grads, count = loss_and_gradient_sums(
            objective.loss, params, data, weights, rows.block, rows.layout
        )
        return smooth_gradient(objective, params, mean_like(grads, count, params))

    return lambda vector: jax.jvp(gradient, (params,), (vector,))[1]


def flat_product(problem: Problem, rows: Rows) -> tuple[Callable, jax.Array, Callable]:
    """The Hessian over vectors [P], of float32 at least.

    Returns:
      The function `vector -> H vector`, the params as a vector, and the function that makes a pytree
      like the params of a vector.
    """
    params = jax.tree.map(lambda p: p.astype(wide(p.dtype)), problem.params)
    flat, unravel = ravel_pytree(params)
    of_tree = product(problem._replace(params=params), rows)

    def like_params(vector):
        return jax.tree.map(lambda v, p: v.astype(p.dtype), unravel(vector), problem.params)

    return lambda vector: ravel_pytree(of_tree(unravel(vector)))[0], flat, like_params

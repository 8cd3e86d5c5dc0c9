"""What convex methods ask of all examples at once."""

from typing import Any

import jax
import jax.numpy as jnp

from jgd.descent.checks import Arguments
from jgd.objectives.sums import loss_and_gradient_sums, mean_like


def check_all_at_once(name: str, arguments: Arguments) -> None:
    """ValueError where a method that takes all examples at once is given a batch size."""
    if arguments.batch_size is not None or arguments.traced_batch_size is not None:
        raise ValueError(
            f"batch_size is given, but {name} takes all examples at once. Leave it out, as "
            "jgd.batch_descent does; for few examples at a time take jgd.svrg() or jgd.saga()."
        )


def count_of(arguments: Arguments) -> Any:
    """The number of examples that count."""
    if arguments.weights is None:
        return jax.tree.leaves(arguments.data)[0].shape[0]
    return jnp.maximum(jnp.sum(arguments.weights != 0), 1)


def shares_of(arguments: Arguments, dtype) -> jax.Array:
    """The weights of the examples by their count, [N]."""
    num_rows = jax.tree.leaves(arguments.data)[0].shape[0]
    weights = jnp.ones(num_rows) if arguments.weights is None else arguments.weights
    return (weights / count_of(arguments)).astype(dtype)


def sum_and_gradient(arguments: Arguments, params: Any) -> tuple[jax.Array, Any]:
    """The sum of the losses, and the gradient of their mean."""
    total, grads, count = loss_and_gradient_sums(
        arguments.objective.loss, params, arguments.data, arguments.weights, layout=arguments.layout
    )
    return total, mean_like(grads, count, params)


def weighted(values: Any, weights: jax.Array | None) -> Any:
    """Each leaf [B, ...] times the weights [B]; what does not count is 0, whatever it holds."""
    if weights is None:
        return values

    def leaf(x):
        factors = weights.reshape(-1, *(1,) * (x.ndim - 1))
        return jnp.where(factors != 0, factors.astype(x.dtype) * x, 0)

    return jax.tree.map(leaf, values)

"""Losses with a key: one of its own for each example and visit.

Random numbers come in as data: an example that holds its key makes the loss a plain one again, so that
batches, blocks of rows, weights and lanes need to know nothing of keys.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from jgd.objectives.checks import check_data, check_key
from jgd.objectives.objective import check_objective

STREAM = 0x6A6764  # sets these keys apart from those by which the order of examples is drawn


class Visit(NamedTuple):
    """One example, and the key of one visit to it."""

    example: Any
    key: jax.Array


def with_keys(objective: Any, data: Any, key: Any, epoch: Any = 0) -> tuple[Any, Any]:
    """A plain objective and data that hold the keys: what a random objective is in one epoch.

    The key of a visit is a function of the key, the epoch and the number of the example, whatever
    batch the example comes in: `fold_in(fold_in(key', epoch), i)`, where key' is drawn from the key.
    So it is with JAX's own kind of key, threefry; others, such as rbg, draw otherwise under `vmap`.
    `descend` does this in every epoch. Do it yourself to ask for a value, a gradient or a diagnosis,
    which want a loss that is the same at every call.

    Args:
      objective: from `jgd.objective(loss, random=True)`; a plain one comes back as it is.
      data: pytree of arrays that share their leading axis N.
      key: PRNG key: that of the descent, or another.
      epoch: number of the epoch, an integer.

    Returns:
      An `Objective` of `loss(params, visit)`, and the data as a `Visit(example, key)` of [N, ...].

    Raises:
      ValueError: the objective is none, the key is no PRNG key, the epoch no whole number; the data hold
        no array, or leading axes differ.

    >>> def loss(params, example, key):
    ...     return (params - example - jax.random.normal(key)) ** 2
    >>> noisy, data = jgd.objective(loss, random=True), jnp.array([1.0, 3.0])
    >>> plain, visits = with_keys(noisy, data, jax.random.key(0))
    >>> visits.key.shape, float(jgd.value(plain, 0.0, visits)) > 0
    ((2,), True)

    Source: Salmon, Moraes, Dror and Shaw (2011), Parallel Random Numbers: As Easy as 1, 2, 3.
    """
    check_objective(objective, may_be_random=True)
    if not objective.random:
        return objective, data
    check_key(key)
    if jnp.ndim(epoch) != 0 or not jnp.issubdtype(jnp.result_type(epoch), jnp.integer):
        raise ValueError(f"epoch is {epoch!r}, but the number of an epoch, 0 or more, is wanted.")
    loss = Partial(_loss_of_visit, objective.loss)
    keys = _keys(key, epoch, check_data(data))
    return dataclasses.replace(objective, loss=loss, random=False), Visit(data, keys)


def with_any_key(objective: Any) -> Partial:
    """The loss of an example, for those who look at what no key changes: its targets."""
    return Partial(_with_any_key, objective.loss) if objective.random else objective.loss


def _with_any_key(loss: Partial, params: Any, example: Any) -> jax.Array:
    return loss(params, example, jax.random.key(0))


def _loss_of_visit(loss: Partial, params: Any, visit: Visit) -> jax.Array:
    return loss(params, visit.example, visit.key)


def _keys(key, epoch, num_examples: int) -> jax.Array:
    of_epoch = jax.random.fold_in(jax.random.fold_in(key, STREAM), epoch)
    return jax.vmap(jax.random.fold_in, (None, 0))(of_epoch, jnp.arange(num_examples))

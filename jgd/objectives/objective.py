"""What is minimised: the mean of a loss over examples, plus a penalty.

    J(params) = sum_i w_i loss(params, example_i) / #{i : w_i != 0} + penalty(params)

The sums behind it, over all examples or a few, are in `sums`.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from jgd.objectives.checks import check_block, check_data, check_params, checked_weights
from jgd.objectives.penalties import Penalty
from jgd.objectives.rows import row_layout
from jgd.objectives.sums import (
    at_least_one,
    loss_and_gradient_sums,
    loss_dtype,
    loss_sum,
    mean_like,
)
from jgd.tree import as_partial, strong


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss of one example and the penalty; made by `objective`.

    Attributes:
      loss: `(params, example) -> scalar`; with a key in the third place where it is random.
      penalty: a `Penalty`, or None.
      random: whether the loss takes a key.
    """

    loss: Partial
    penalty: Penalty | None
    random: bool = dataclasses.field(default=False, metadata={"static": True})


def objective(loss: Callable, penalty: Penalty | None = None, random: bool = False) -> Objective:
    """The objective `mean_i loss(params, example_i) + penalty(params)`.

    Args:
      loss: `(params, example) -> scalar`, a pure function of one example, without a batch axis.
        Known by its identity: define it once, at the top of a module. Numbers that shall change
        without compiling belong into `jax.tree_util.Partial(loss, numbers)`.
      penalty: from `jgd.penalties`, or None.
      random: whether the loss is `(params, example, key) -> scalar`, for dropout, augmentation and
        sampled noise. Each example has a key of its own at each visit, a function of the key of the
        descent, the epoch and the example, so that a fit resumes exactly. `evaluate` sees no key: it
        predicts without noise. Losses of the history and norms of gradients hold the noise of the
        visits: stop by `stop.plateau` or `stop.validation`.

    Returns:
      An `Objective`, a pytree whose leaves are the numbers of loss and penalty.

    Raises:
      ValueError: loss is not a function, or of other arguments; penalty is not a `Penalty`; random is
        not True or False.

    >>> def loss(params, example):
    ...     return (params @ example["x"] - example["y"]) ** 2
    >>> data = {"x": jnp.array([[1.0], [2.0]]), "y": jnp.array([1.0, 3.0])}
    >>> float(value(objective(loss), jnp.zeros(1), data))
    5.0
    """
    if not callable(loss):
        raise ValueError(
            f"loss is {loss!r}, but a function (params, example) -> scalar is wanted. "
            "For a loss of jgd.losses write the model around it: "
            "lambda params, example: jgd.losses.logistic(params @ example[0], example[1])."
        )
    if penalty is not None and not isinstance(penalty, Penalty):
        raise ValueError(
            f"penalty is {penalty!r}, but a Penalty is wanted, e.g. jgd.penalties.l2(0.01)."
        )
    if not isinstance(random, bool | np.bool_):
        raise ValueError(
            f"random is {random!r}, but True or False is wanted. The key is given to the descent: "
            "jgd.descend(..., key=jax.random.key(0))."
        )
    _check_arguments(loss, bool(random))
    if penalty is not None:
        penalty = Penalty(as_partial(penalty.value), as_partial(penalty.prox), penalty.smooth)
    return Objective(as_partial(loss), penalty, bool(random))


def _check_arguments(loss: Callable, random: bool) -> None:
    """ValueError unless the loss can be called with what it will be called with."""
    try:
        signature = inspect.signature(loss)
    except (TypeError, ValueError):  # some functions of C tell none
        return
    try:
        signature.bind(*(None,) * (3 if random else 2))
    except TypeError as error:
        wanted = "(params, example, key)" if random else "(params, example)"
        raise ValueError(
            f"loss takes {signature}, but {wanted} is wanted. A loss that takes a key says so: "
            "jgd.objective(loss, random=True); numbers are bound by jax.tree_util.Partial(loss, number)."
        ) from error


def check_objective(objective: Any, may_be_random: bool = False) -> None:
    """ValueError unless it is an `Objective`, and one whose loss takes a key only where that may be."""
    if not isinstance(objective, Objective):
        raise ValueError(
            f"objective is {objective!r}, but an Objective is wanted: jgd.objective(loss, penalty), "
            "where loss(params, example) returns a scalar for one example."
        )
    if objective.random and not may_be_random:
        raise ValueError(
            "objective is random, but one whose loss is the same at every call is wanted here. Give the "
            "loss without its noise, or hold the keys fast: "
            "objective, data = jgd.with_keys(objective, data, key)."
        )


def value(objective: Objective, params: Any, data: Any, weights: Any = None) -> jax.Array:
    """The objective `J(params)`, over all examples.

    Args:
      objective: from `jgd.objective`.
      params: pytree of float arrays.
      data: pytree of arrays that share their leading axis N.
      weights: [N] or None. An example of weight 0 is as if it were not there.

    Returns:
      A float scalar.

    Raises:
      ValueError: leading axes differ, N = 0, the weights do not fit, the loss is not a scalar.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> float(value(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0])))
    5.0
    """
    check_objective(objective)
    check_params(params)
    weights = checked_weights(weights, check_data(data))
    return _value(objective, *strong((params, data)), weights)


@jax.jit
def _value(objective, params, data, weights):
    dtype = loss_dtype(objective.loss, params, data)
    total, count = loss_sum(objective.loss, params, data, weights)
    mean = (total / at_least_one(count)).astype(dtype)
    return mean + penalty_value(objective, params)


def value_and_gradient(
    objective: Objective, params: Any, data: Any, weights: Any = None, block: int | None = None
) -> tuple[jax.Array, Any]:
    """The objective `J(params)` and its gradient, over all examples.

    Where the penalty has a kink, the gradient is a subgradient. Data laid over several devices by
    rows (`jax.device_put(data, NamedSharding(mesh, PartitionSpec("rows")))`) are used where they lie;
    on a CPU of two cores, set `jax_num_cpu_devices` to 2 for that.

    Args:
      objective: from `jgd.objective`.
      params: pytree of float arrays.
      data: pytree of arrays that share their leading axis N.
      weights: [N] or None. An example of weight 0 is as if it were not there.
      block: rows that are taken at once. Memory is then that of `block` examples, and a row is
        read once for value and gradient. None takes all rows at once, but on a CPU as many as its
        cache holds.

    Returns:
      J, a float scalar, and the gradient, a pytree like `params`.

    Raises:
      ValueError: leading axes differ, N = 0, the weights do not fit, the loss is not a scalar, a
        block below 1.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> mean_squares, slope = value_and_gradient(
    ...     jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]))
    >>> float(mean_squares), float(slope)
    (5.0, -4.0)
    """
    check_objective(objective)
    check_params(params)
    weights = checked_weights(weights, check_data(data))
    check_block(block)
    params, data = strong((params, data))
    layout = row_layout(data)
    return _value_and_gradient(objective, params, data, weights, block=block, layout=layout)


@functools.partial(jax.jit, static_argnames=("block", "layout"))
def _value_and_gradient(objective, params, data, weights, *, block, layout):
    dtype = loss_dtype(objective.loss, params, data)
    total, grads, count = loss_and_gradient_sums(objective.loss, params, data, weights, block, layout)
    penalty, penalty_grads = jax.value_and_grad(penalty_value, argnums=1)(objective, params)
    mean = (total / at_least_one(count)).astype(dtype)
    mean_grads = mean_like(grads, count, params)
    return mean + penalty, jax.tree.map(jnp.add, mean_grads, penalty_grads)


def penalty_value(objective: Objective, params: Any) -> jax.Array:
    """Value of the penalty, 0 where there is none."""
    if objective.penalty is None:
        return jnp.zeros((), jnp.result_type(*jax.tree.leaves(params)))
    return objective.penalty.value(params)


def check_one_penalty(objective: Objective, params: Any) -> None:
    """ValueError where the penalty is a batch of them, for `vmap`."""
    penalty = objective.penalty
    shape = () if penalty is None else jax.eval_shape(penalty.value, params).shape
    if shape:
        raise ValueError(
            f"penalty holds a batch of numbers of shape {shape}, but one number is wanted. Map over "
            "them: jax.vmap(lambda penalty: jgd.descend(jgd.objective(loss, penalty), ...))(penalty)."
        )

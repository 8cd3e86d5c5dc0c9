"""One step of descent: gradient, rule, proximal map.

Batch, stochastic and mini-batch descent share it; they differ in the examples that they hand to it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jgd.descent.rule import flags, remembered
from jgd.objectives.objective import Objective
from jgd.objectives.sums import (
    at_least_one,
    loss_and_gradient_sums,
    loss_dtype,
    loss_sum,
    mean_like,
    wide,
)
from jgd.tree import norm, select


class Position(NamedTuple):
    """Where a descent stands.

    Attributes:
      params: pytree of float arrays.
      rule_state: what the rule remembers.
    """

    params: Any
    rule_state: Any


def _for_kinks(objective: Objective) -> dict[str, Callable]:
    """What a rule that tries its steps needs beside `value_fn`, to see where the proximal map leads."""
    penalty = objective.penalty
    if penalty is None or penalty.smooth:
        return {}
    return {"prox_fn": penalty.prox, "penalty_fn": penalty.value}


def smooth_penalty(objective: Objective, params: Any) -> jax.Array | float:
    """Value of the penalty if descent differentiates it, 0.0 if it is none or applied by its prox."""
    penalty = objective.penalty
    return penalty.value(params) if penalty is not None and penalty.smooth else 0.0


def smooth_gradient(objective: Objective, params: Any, loss_grads: Any) -> Any:
    """Gradient of mean loss and smooth penalty, given that of the mean loss."""
    if objective.penalty is None or not objective.penalty.smooth:
        return loss_grads
    return jax.tree.map(jnp.add, loss_grads, jax.grad(objective.penalty.value)(params))


def proximal_gradient(objective: Objective, params: Any, smooth_grads: Any) -> Any:
    """What is 0 at a minimum: the gradient, or `params - prox(params - gradient, 1)`."""
    if objective.penalty is None or objective.penalty.smooth:
        return smooth_grads
    target = objective.penalty.prox(jax.tree.map(jnp.subtract, params, smooth_grads), 1.0)
    return jax.tree.map(jnp.subtract, params, target)


def gradient_norm(objective: Objective, params: Any, loss_grads: Any) -> jax.Array:
    """Norm of what is 0 at a minimum, given the gradient of the mean loss."""
    return norm(proximal_gradient(objective, params, smooth_gradient(objective, params, loss_grads)))


def move(
    objective: Objective,
    rule: optax.GradientTransformationExtraArgs,
    position: Position,
    mean_loss: jax.Array,
    mean_grads: Any,
    mean_loss_at: Callable[[Any], jax.Array],
) -> Position:
    """The position after one step of the rule.

    Args:
      objective: its penalty is added here.
      rule: any rule of jgd or optax.
      position: before the step.
      mean_loss: of the batch, at the position.
      mean_grads: gradient of the mean loss.
      mean_loss_at: params -> mean loss of the same batch, for rules that search along the step.

    Returns:
      The position after the step, in the dtypes of the one before.
    """
    params, rule_state = position
    grads = smooth_gradient(objective, params, mean_grads)
    updates, new_rule_state = rule.update(
        grads,
        rule_state,
        params,
        value=mean_loss + smooth_penalty(objective, params),
        grad=grads,
        value_fn=lambda p: mean_loss_at(p) + smooth_penalty(objective, p),
        **_for_kinks(objective),
    )
    new_params = optax.apply_updates(params, updates)
    if objective.penalty is not None and not objective.penalty.smooth:
        new_params = objective.penalty.prox(new_params, learning_rate(new_rule_state))
    # Some rules of optax widen their state; a scan wants what it was given.
    return jax.tree.map(
        lambda new, old: jnp.asarray(new, jnp.result_type(old)),
        Position(new_params, new_rule_state),
        position,
    )


def learning_rate(rule_state: Any) -> jax.Array:
    """The current learning rate that a rule's state carries.

    Args:
      rule_state: of any rule.

    Returns:
      A scalar.

    Raises:
      ValueError: the state carries none, or several.
    """
    found = remembered(rule_state, "learning_rate")
    if len(found) != 1:
        raise ValueError(
            f"rule carries {len(found)} learning rates in its state, but a penalty that is not "
            "smooth (l1, elastic_net) wants exactly one, for the length of its proximal step. Use "
            "jgd.sgd, jgd.adagrad, jgd.rmsprop or jgd.adam, or wrap a rule of optax: "
            "optax.inject_hyperparams(optax.sgd)(0.1)."
        )
    return found[0]


def found_no_step(rule_state: Any) -> jax.Array | None:
    """Whether a rule declares that it found no step: a boolean named `stalled` in its state.

    Args:
      rule_state: of any rule.

    Returns:
      A bool scalar, True where any of them says so; None where no rule declares anything.
    """
    found = [jnp.any(flag) for flag in flags(rule_state, "stalled")]
    return jnp.any(jnp.stack(found)) if found else None


def batch_step(objective, rule, position: Position, batch: Any, weights: Any, layout=None):
    """One step on one batch.

    Args:
      objective: from `jgd.objective`.
      rule: any rule.
      position: before the step.
      batch: pytree of arrays [B, ...].
      weights: [B] or None. A batch in which nothing counts makes no step.
      layout: how the rows of the batch are laid over devices, or None.

    Returns:
      The position after the step; of the batch before it, the sum of losses and the mean gradient.
    """
    total, grads, num = loss_and_gradient_sums(
        objective.loss, position.params, batch, weights, layout=layout
    )
    # Of a single example it is 1, or there is no step; XLA would divide each number of each lane by it.
    count = 1 if weights is not None and len(weights) == 1 else at_least_one(num)
    dtype = loss_dtype(objective.loss, position.params, batch)

    def mean_loss_at(params):
        return (loss_sum(objective.loss, params, batch, weights)[0] / count).astype(dtype)

    mean_grads = mean_like(grads, count, position.params)
    mean_loss = (total / count).astype(dtype)
    moved = move(objective, rule, position, mean_loss, mean_grads, mean_loss_at)
    if weights is not None:
        moved = select(num > 0, moved, position)
    return moved, total, mean_grads


class Gathered(NamedTuple):
    """The part of a batch that has been seen: sums, and how many examples."""

    total: jax.Array
    grads: Any
    num: jax.Array


def nothing_gathered(params: Any, total: jax.Array) -> Gathered:
    """The sums before the first example of a batch; `total` is their zero of the loss."""
    grads = jax.tree.map(lambda p: jnp.zeros(p.shape, wide(p.dtype)), params)
    return Gathered(total, grads, jnp.zeros((), jnp.int32))


def gathering_step(objective, rule, batch_size, carry, example: Any, weight: Any, layout=None):
    """Add one example to the batch; step once the batch has reached its traced size.

    Args:
      objective: from `jgd.objective`.
      rule: any rule that does not evaluate the objective on its own.
      batch_size: traced integer.
      carry: pair of `Position` and `Gathered`.
      example: pytree of arrays [1, ...].
      weight: [1] or None.
      layout: how the rows are laid over devices, or None; with one, the example is [P, ...] from P
        places, of which one has it and the others have weight 0.

    Returns:
      The carry, and the loss of the example.
    """
    position, gathered = carry
    total, grads, count = loss_and_gradient_sums(
        objective.loss, position.params, example, weight, layout=layout
    )
    added = Gathered(total, grads, jnp.asarray(count, jnp.int32))
    gathered = jax.tree.map(jnp.add, gathered, added)
    return step_if(gathered.num >= batch_size, objective, rule, (position, gathered)), total


def step_if(condition, objective, rule, carry):
    """Step along what has been gathered and start afresh, where the condition holds."""
    position, gathered = carry
    mean_grads = mean_like(gathered.grads, gathered.num, position.params)
    mean_loss = gathered.total / at_least_one(gathered.num).astype(gathered.total.dtype)
    moved = move(objective, rule, position, mean_loss, mean_grads, _no_loss_at)
    return select(condition, (moved, optax.tree.zeros_like(gathered)), carry)


def _no_loss_at(params):
    raise ValueError(
        "rule evaluates the objective within a step (a line search), but batch_size is an array, "
        "and the examples of a traced batch are not kept. Give batch_size as a Python int."
    )


def carry_at_start(start: Position, batch_size: Any, zero: jax.Array) -> Any:
    """What steps carry on: the position, and with a traced batch size what has been gathered."""
    return start if batch_size is None else (start, nothing_gathered(start.params, zero))


def carry_after(constants: tuple, carry: Any, batch: Any, weights: Any, layout=None):
    """The carry after a batch, or after one more example of a batch of traced size; the sum of losses.

    Args:
      constants: objective, rule, and the traced batch size or None.
      carry: from `carry_at_start`.
      batch: pytree of arrays [B, ...].
      weights: [B] or None.
      layout: how the rows of the batch are laid over devices, or None.
    """
    objective, rule, batch_size = constants
    if batch_size is None:
        position, total, _ = batch_step(objective, rule, carry, batch, weights, layout)
        return position, total
    return gathering_step(objective, rule, batch_size, carry, batch, weights, layout)


def position_at_end(constants: tuple, carry: Any) -> Position:
    """The position after all batches; the last one of a traced size may be smaller than the others."""
    objective, rule, batch_size = constants
    if batch_size is None:
        return carry
    return step_if(carry[1].num > 0, objective, rule, carry)[0]

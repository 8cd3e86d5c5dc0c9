"""One epoch: every example once, in the order of the epoch, cut into chunks of steps of batches.

Three things make it fast. The order is computed for the whole epoch at once, outside of the loop.
Rows are gathered a chunk at a time. The steps of a chunk are one scan, which XLA folds into one
function on the CPU.
"""

from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jgd.descent.checks import Arguments
from jgd.descent.laid import pass_over_laid, places_of, rows_between
from jgd.descent.lanes import scan_steps
from jgd.descent.method import Method
from jgd.descent.order import order, plan
from jgd.descent.status import Status
from jgd.descent.step import (
    Position,
    batch_step,
    carry_after,
    carry_at_start,
    found_no_step,
    gradient_norm,
    position_at_end,
)
from jgd.descent.verdict import ask
from jgd.objectives.duality import gap_at
from jgd.objectives.objective import penalty_value
from jgd.objectives.sums import loss_and_gradient_sums, loss_dtype, mean_like, wide
from jgd.objectives.visits import with_keys
from jgd.tree import all_finite, select
from jgd.xla import all_digits

GRADIENT_SAMPLE = 256  # examples from which the gradient norm of an epoch is estimated


class State(NamedTuple):
    """What a descent needs to go on.

    Attributes:
      params: pytree of float arrays.
      rule_state: what the rule remembers.
      stop_state: what the stop tests remember, a tuple.
      status: int32 scalar, a `Status`. A fit that has ended stays ended.
      epoch: int32 scalar, number of epochs done; with the key it gives the order of the next.
      key: PRNG key, or None where nothing is shuffled and no loss takes a key.
    """

    params: Any
    rule_state: Any
    stop_state: Any
    status: jax.Array
    epoch: jax.Array
    key: jax.Array | None


class Record(NamedTuple):
    """What one epoch leaves behind. Of an epoch that a lane did not run, all is blank.

    Attributes:
      loss: mean over the epoch of the losses that the steps met, and the penalty at its start.
      gradient_norm: at the start of the epoch.
      evaluation: at the end of the epoch.
      ran: whether the lane ran it; False where its fit had ended before.
      duality_gap: at the start of the epoch; None where no stop test wants it.
    """

    loss: jax.Array
    gradient_norm: jax.Array
    evaluation: Any
    ran: jax.Array
    duality_gap: jax.Array | None = None


def blank_record(shape, dtype) -> jax.Array:
    """NaN, or 0 where the dtype has none."""
    return jnp.full(shape, jnp.nan if jnp.issubdtype(dtype, jnp.floating) else 0, dtype)


def run_epoch(arguments: Arguments, shuffle: bool, state: State) -> tuple[State, Record]:
    """The state after one epoch and the record of it. Where the fit has ended, neither moves."""
    objective, data = with_keys(arguments.objective, arguments.data, state.key, state.epoch)
    arguments = arguments._replace(objective=objective, data=data)
    position, loss, slope = _pass(arguments, shuffle, state)
    gap = None
    if any(test.wants_gap for test in arguments.stop):
        gap = gap_at(arguments.objective, state.params, arguments.data, arguments.weights)
    return end_epoch(arguments, state, position, Record(loss, slope, None, jnp.array(True), gap))


def end_epoch(arguments: Arguments, state: State, position: Position, record: Record):
    """The state after an epoch and the record of it, given where its steps have led.

    Args:
      arguments: of the descent.
      state: before the epoch.
      position: after its steps.
      record: what was found on the way; the evaluation is made here.
    """
    running, loss, slope = state.status == Status.EPOCHS_DONE, record.loss, record.gradient_norm
    record = record._replace(ran=running)
    memories, verdict = ask(arguments.stop, state.stop_state, record, state.params)
    # Finiteness comes first: a NaN answers False to every other question.
    finite = all_finite((loss, slope, position.params))
    status = jnp.where(finite, verdict, Status.DIVERGED)
    # A test for convergence speaks of the parameters that the epoch began with.
    moves = running & finite & (status != Status.CONVERGED)
    params, rule_state = select(moves, position, Position(state.params, state.rule_state))
    stalled = found_no_step(position.rule_state)
    if stalled is not None:
        status = jnp.where(stalled & (status == Status.EPOCHS_DONE), Status.STALLED, status)
    if arguments.evaluate is not None:
        record = record._replace(evaluation=arguments.evaluate(params, arguments.validation))
        record = jax.tree.map(jnp.asarray, record)
        memories, verdict = ask(arguments.stop, memories, record, params, evaluated=True)
        status = jnp.where(status == Status.EPOCHS_DONE, verdict, status)
    state = State(
        params=params,
        rule_state=rule_state,
        stop_state=select(running, memories, state.stop_state),
        status=jnp.where(running, status.astype(jnp.int32), state.status),
        epoch=state.epoch + 1,
        key=state.key,
    )
    blank = jax.tree.map(lambda x: blank_record(x.shape, x.dtype), record)
    return state, select(running, record, blank)


def _pass(arguments: Arguments, shuffle: bool, state: State):
    """The steps of one epoch: the position after them, mean loss, norm of the gradient before."""
    objective, data, weights = arguments.objective, arguments.data, arguments.weights
    num_examples = jax.tree.leaves(data)[0].shape[0]
    count = num_examples if weights is None else jnp.maximum(jnp.sum(weights != 0), 1)
    start = Position(state.params, state.rule_state)
    is_batch = arguments.batch_size is None and arguments.traced_batch_size is None
    if isinstance(arguments.rule, Method):
        in_order = shuffle and not is_batch
        index = order(cast(jax.Array, state.key), state.epoch, num_examples) if in_order else None
        with all_digits():
            position, total, mean_grads = arguments.rule.run(arguments, start, index)
    elif is_batch:
        position, total, mean_grads = batch_step(
            objective, arguments.rule, start, data, weights, arguments.layout
        )
    else:
        position, total, mean_grads = pass_over_batches(
            arguments, shuffle, state.key, state.epoch, start
        )
    mean_loss = (total / count).astype(loss_dtype(objective.loss, state.params, data))
    slope = gradient_norm(objective, state.params, mean_grads)
    return position, mean_loss + penalty_value(objective, state.params), slope


def pass_over_batches(arguments: Arguments, shuffle: bool, key, epoch, start: Position):
    """The steps of an epoch, each on a batch.

    Args:
      arguments: of the descent.
      shuffle: whether the batches come in the order of the epoch.
      key: PRNG key of the order, or None.
      epoch: its number.
      start: the position before them.

    Returns:
      The position after them, the sum of all losses, and the mean gradient of the loss at the start: of
      all examples if a stop test wants it, else of some.
    """
    num_examples = jax.tree.leaves(arguments.data)[0].shape[0]
    if arguments.layout is not None:
        places = places_of(arguments, shuffle, key, epoch)
        first = rows_between(arguments, places, 0, GRADIENT_SAMPLE, GRADIENT_SAMPLE) if shuffle else None
        mean_grads = _gradient_before(arguments, start.params, first, arguments.layout)
        return *pass_over_laid(arguments, places, start, shuffle), mean_grads
    index = order(key, epoch, num_examples) if shuffle else None
    first = None
    if index is not None:
        sample = index[:GRADIENT_SAMPLE]
        first = jax.tree.map(lambda x: x[sample], (arguments.data, arguments.weights))
    mean_grads = _gradient_before(arguments, start.params, first, None)
    return *_pass_over_batches(arguments, start, index), mean_grads


def _gradient_before(arguments: Arguments, params, first: tuple[Any, Any] | None, layout):
    """Mean gradient of the loss: of all examples if a stop test wants it, else of the first in the
    order, with their weights and as they are laid, or of some from all over where they lie in order."""
    rows, weights = arguments.data, arguments.weights
    exact = any(test.wants_gradient for test in arguments.stop)
    num_examples = jax.tree.leaves(rows)[0].shape[0]
    if exact or num_examples <= GRADIENT_SAMPLE:
        layout = arguments.layout
    elif first is not None:
        rows, weights = first
    else:
        layout = None
        spread = np.linspace(0, num_examples - 1, GRADIENT_SAMPLE).astype(np.int32)
        rows, weights = jax.tree.map(lambda x: x[spread], (rows, weights))
    _, grads, count = loss_and_gradient_sums(
        arguments.objective.loss, params, rows, weights, layout=layout
    )
    return mean_like(grads, count, params)


def _pass_over_batches(arguments: Arguments, start: Position, index):
    """One epoch of batches: the position after it, and the sum of all losses."""
    objective, rule, batch_size = arguments.objective, arguments.rule, arguments.traced_batch_size
    leaves = jax.tree.leaves(arguments.data)
    bytes_per_example = sum(x.dtype.itemsize * x.size for x in leaves) // len(leaves[0])
    cut = plan(len(leaves[0]), arguments.batch_size or 1, bytes_per_example)
    zero = jnp.zeros((), wide(loss_dtype(objective.loss, start.params, arguments.data)))
    constants = objective, rule, batch_size

    def take_step(constants, carry_and_total, batch):
        carry, total = carry_and_total
        carry, added = carry_after(constants, carry, *batch)
        return carry, total + added

    def take_steps(carry_and_total, where, steps, size):
        carry, total = carry_and_total
        # A sum of its own for each chunk, for a long sum of small numbers loses its digits.
        batches = batches_of(arguments, where, steps, size)
        if steps == 1:
            carry, added = take_step(constants, (carry, zero), jax.tree.map(lambda x: x[0], batches))
        else:
            carry, added = scan_steps(take_step, constants, (carry, zero), batches, lanes_last=size == 1)
        return carry, total + added

    def take_chunk(carry_and_total, where):
        return take_steps(carry_and_total, where, cut.steps, cut.batch_size), None

    result = carry_at_start(start, batch_size, zero), zero
    result, _ = lax.scan(take_chunk, result, cut_up(index, 0, cut.chunks, cut.rows))
    for start_of_rest, steps, size in cut.rests:
        where = cut_up(index, start_of_rest, 1, steps * size)[0]
        result = take_steps(result, where, steps, size)
    carry, total = result
    return position_at_end(constants, carry), total


def cut_up(index, start: int, pieces: int, rows: int):
    """Where to find the rows of each piece: their numbers [pieces, rows], or the first of them."""
    if index is None:
        return start + rows * jnp.arange(pieces)
    return index[start : start + pieces * rows].reshape(pieces, rows)


def batches_of(arguments: Arguments, where, steps: int, size: int):
    """Rows [steps, size, ...] and their weights [steps, size], or None where all count alike."""

    def rows(x):
        if where.ndim == 0:
            taken = lax.dynamic_slice_in_dim(x, where, steps * size)
        else:
            taken = x.at[where].get(mode="promise_in_bounds")
        return taken.reshape(steps, size, *x.shape[1:])

    return jax.tree.map(rows, (arguments.data, arguments.weights))

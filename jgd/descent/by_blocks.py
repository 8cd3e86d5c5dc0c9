"""An epoch whose rows come block by block: what it has passed, and what its end makes of it.

The steps within a block are those of an epoch over it. In batch descent the sums of all blocks make one
step at the end.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jgd.descent.checks import Arguments, check_state
from jgd.descent.epoch import Record, State, end_epoch, pass_over_batches
from jgd.descent.start import cut_of, first_state, say_that_it_was_projected
from jgd.descent.step import Position, gradient_norm, move
from jgd.objectives.labels import check_targets
from jgd.objectives.objective import penalty_value
from jgd.objectives.sums import at_least_one, loss_and_gradient_sums, loss_dtype, mean_like, wide
from jgd.objectives.visits import with_any_key, with_keys
from jgd.tree import all_finite, norm, select


class Passed(NamedTuple):
    """What an epoch has come through.

    Attributes:
      position: after the blocks so far.
      total: sum of their losses.
      num: how many of their examples count.
      grads: sum of their gradients, in batch descent; else None.
      gradient_norm: at the start of the epoch, over some of the first block; not in batch descent.
      finite: whether all of it is. From a block where it is not, nothing moves any more.
      blocks: int32 scalar, how many.
    """

    position: Position
    total: jax.Array
    num: jax.Array
    grads: Any
    gradient_norm: jax.Array
    finite: jax.Array
    blocks: jax.Array


class StreamState(NamedTuple):
    """What a descent over blocks needs to go on: a `State` as an epoch began, and what of it is done.

    Attributes:
      params: as the epoch began.
      rule_state: likewise.
      stop_state: what the stop tests remember, a tuple.
      status: int32 scalar, a `Status`.
      epoch: int32 scalar, number of epochs done.
      key: PRNG key, or None.
      passed: a `Passed`.
    """

    params: Any
    rule_state: Any
    stop_state: Any
    status: jax.Array
    epoch: jax.Array
    key: jax.Array | None
    passed: Passed


@functools.partial(jax.jit, static_argnames=("batch_size", "layout", "shuffle"))
def through_block(arguments, state, rows, weights, number, *, batch_size, layout, shuffle) -> Passed:
    """What an epoch has passed after one more block.

    Args:
      arguments: of the descent.
      state: a `StreamState`.
      rows: pytree of arrays [n, ...].
      weights: [n], or None.
      number: of the block, from 1 on; folded into the key it gives the order of the rows.
      batch_size: static: an int, or None in batch descent.
      layout: static: how the rows are laid over devices.
      shuffle: static: whether they come in an order of their own.
    """
    before, epoch = state.passed, state.epoch
    key = None if state.key is None else jax.random.fold_in(state.key, number)
    objective, rows = with_keys(arguments.objective, rows, key, epoch)
    arguments = arguments._replace(
        objective=objective, data=rows, weights=weights, batch_size=batch_size, layout=layout
    )
    num_rows = jax.tree.leaves(rows)[0].shape[0]
    num = num_rows if weights is None else jnp.sum(weights != 0)
    position, grads, slope = before.position, before.grads, before.gradient_norm
    if batch_size is None:
        total, added, _ = loss_and_gradient_sums(
            objective.loss, state.params, rows, weights, layout=layout
        )
        grads = jax.tree.map(jnp.add, grads, added)
    else:
        position, total, mean_grads = pass_over_batches(arguments, shuffle, key, epoch, before.position)
        slope_here = gradient_norm(objective, state.params, mean_grads)
        slope = jnp.where(before.blocks == 0, slope_here, slope)
    after = Passed(
        position=position,
        total=before.total + total,
        num=before.num + num,
        grads=grads,
        gradient_norm=slope,
        finite=before.finite & all_finite((total, position.params, grads)),
        blocks=before.blocks + 1,
    )
    return select(after.finite, after, before._replace(finite=after.finite, blocks=after.blocks))


@jax.jit
def end_blocks(arguments: Arguments, before: StreamState) -> tuple[StreamState, Record]:
    """The state after an epoch all of whose blocks have passed, and the record of it."""
    objective, rule, passed = arguments.objective, arguments.rule, before.passed
    start = State(*before[:-1])
    position, slope = passed.position, passed.gradient_norm
    mean_loss = passed.total / at_least_one(passed.num)
    if passed.grads is not None:
        mean_grads = mean_like(passed.grads, passed.num, start.params)
        position = move(objective, rule, position, mean_loss, mean_grads, _no_loss_at)
        position = select(passed.num > 0, position, passed.position)
        slope = gradient_norm(objective, start.params, mean_grads)
    loss = mean_loss + penalty_value(objective, start.params)
    # What diverges keeps the last finite params: of the last block that was.
    kept = start._replace(params=passed.position.params, rule_state=passed.position.rule_state)
    start = select(passed.finite, start, kept)
    record = Record(jnp.where(passed.finite, loss, jnp.nan), slope, None, jnp.array(True))
    state, record = end_epoch(arguments, start, position, record)
    return StreamState(**state._asdict(), passed=_nothing_passed(state, passed)), record


def _nothing_passed(state: State, like: Passed) -> Passed:
    zeros = jax.tree.map(jnp.zeros_like, like)
    position = Position(state.params, state.rule_state)
    return zeros._replace(position=position, finite=jnp.ones((), bool))


@functools.partial(jax.jit, static_argnames=("is_batch", "cut"))
def _fresh(arguments: Arguments, *, is_batch: bool, cut) -> tuple[StreamState, jax.Array | None]:
    state, was_outside = first_state(arguments, batch_size=None, layout=None, cut=cut)
    zero = jnp.zeros(
        (), wide(loss_dtype(with_any_key(arguments.objective), state.params, arguments.data))
    )
    grads = jax.tree.map(lambda p: jnp.zeros(p.shape, wide(p.dtype)), state.params)
    passed = Passed(
        position=Position(state.params, state.rule_state),
        total=zero,
        num=jnp.zeros((), jnp.int32),
        grads=grads if is_batch else None,
        gradient_norm=jnp.zeros_like(norm(state.params)),
        finite=jnp.ones((), bool),
        blocks=jnp.zeros((), jnp.int32),
    )
    return StreamState(**state._asdict(), passed=passed), was_outside


def begin_blocks(arguments: Arguments, state: Any, batch_size: int | None) -> StreamState:
    """The state to begin with: that of an earlier fit, checked, or a fresh one."""
    check_targets(with_any_key(arguments.objective), arguments.params, arguments.data, arguments.weights)
    leaves = arguments._replace(layout=None, validation=None)
    start = functools.partial(_fresh, is_batch=batch_size is None, cut=cut_of(arguments.params))
    if state is not None:
        fresh = jax.eval_shape(start, leaves)[0]
        check_state(state, fresh)
        if (state.passed.grads is None) != (fresh.passed.grads is None):
            raise ValueError(
                "state is of a batch descent and batch_size is given, or the other way round. Go on "
                "with the batch_size of the earlier fit, or start from its params without state."
            )
        return state
    state, was_outside = start(leaves)
    say_that_it_was_projected(was_outside)
    return state


def _no_loss_at(params):
    raise ValueError(
        "rule evaluates the objective within a step (a line search), but the rows of all blocks are not "
        "at hand. Take mini-batches, or a rule with a learning rate."
    )

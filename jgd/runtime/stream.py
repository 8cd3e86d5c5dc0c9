"""Descent over rows that do not fit in memory: block after block, driven from the host.

Within a block the steps are those of `jgd.descend`. The order of the blocks, and of the rows in each, is
a function of the key, the epoch and the number of the block, so that a descent goes on exactly where it
was left, in the middle of an epoch, too.
"""

import functools
import itertools
import warnings
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgd.descent.by_blocks import StreamState, begin_blocks, end_blocks, through_block
from jgd.descent.checks import Arguments, check_epochs, checked_arguments, checked_key
from jgd.descent.epoch import Record
from jgd.descent.loop import Fit, History
from jgd.descent.status import Status
from jgd.descent.verdict import returned_params
from jgd.objectives.labels import check_targets
from jgd.objectives.rows import row_layout
from jgd.objectives.visits import with_any_key
from jgd.runtime.blocks import find_bad
from jgd.runtime.chunks import collected, whole
from jgd.runtime.feed import Block, blocks_of_epoch, rows_at_hand, shapes_of
from jgd.runtime.mesh import row_sharding
from jgd.runtime.processes import first_of, said_by_all
from jgd.runtime.stream_checks import check_options, check_parts, check_stop

INTERRUPTED = "interrupted: the fit ran {} of {} epochs. It goes on from its state."


class StreamError(ValueError):
    """A block cannot be trained on. Nothing is lost: what was done before it is in `fit`, a `Fit`."""

    def __init__(self, message: str, fit: Fit):
        super().__init__(message)
        self.fit = fit


def descend_stream(objective, params, blocks, *, epochs, **options) -> Fit:
    """Descend as `jgd.descend` does, over rows that do not fit in memory.

    Runs on the host: a block is trained on while the next one is read. Blocks come in an order of
    their own in each epoch, and the rows are shuffled within each. The last batch of a block is smaller
    where `batch_size` does not divide its rows. In batch descent the gradients of all blocks add up to
    one step an epoch. Ctrl-C ends it after the running block, with what is done.

    Args:
      objective: from `jgd.objective`.
      params: pytree of float arrays, where the descent starts.
      blocks: from `jgd.blocks`: `npy`, `table` (Parquet, Arrow), `arrays`, `iterate` (any loader, whose
        batches are blocks in its own order).
      epochs: how many are to be ended from here, an int.
      **options: those of `descend`, but
        rule: no method for convex problems, and in batch descent no search along the step;
        batch_size: None or an int, at most the rows of a block;
        weights: [N] of all rows, of `Blocks` alone; a memory map will do;
        stop: no `stop.duality_gap`; `stop.gradient_norm` in batch descent alone;
        validation: wanted where there is `evaluate`;
        state: of an earlier `descend_stream` over the same blocks, in the middle of an epoch, too;
        mesh: over whose axis "rows" each block is laid, as by `jgd.shard_rows`; of several processes
          each reads its part of the rows.

    Returns:
      A `Fit`; its state is a `StreamState`.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.
      StreamError: a ValueError, with `.fit`: a block cannot be read, is of another kind than the first,
        or holds NaN or infinity where the loss became so; the message names file and row.
      KeyboardInterrupt: it was interrupted before the first block was done.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> blocks = jgd.blocks.arrays(np.array([1.0, 3.0, 1.0, 3.0], np.float32), rows=2)
    >>> fit = descend_stream(jgd.objective(loss), jnp.array(0.0), blocks, rule=jgd.sgd(0.1),
    ...                      batch_size=2, epochs=50, key=jax.random.key(0))
    >>> round(float(fit.params), 3)
    2.0

    Source: Bottou (2010), Large-Scale Machine Learning with Stochastic Gradient Descent; Meng et al.
    (2019), Convergence Analysis of Distributed SGD with Random Shuffling, for shuffling within blocks.
    """
    check_epochs(epochs)
    fits: list[Fit] = []
    parts = stream(objective, params, blocks, epochs=epochs, **options)
    try:
        for fit in parts:
            collected(fits, fit)
    except StreamError as error:
        raise StreamError(str(error), whole(collected(fits, error.fit), epochs)) from error.__cause__
    except KeyboardInterrupt:
        if not fits:
            raise
        done = sum(int(fit.epochs) for fit in fits)
        warnings.warn(INTERRUPTED.format(done, epochs), stacklevel=2)
    return whole(fits, epochs)


def stream(
    objective,
    params,
    blocks,
    *,
    rule,
    batch_size=None,
    epochs,
    key=None,
    weights=None,
    shuffle=True,
    stop=None,
    evaluate=None,
    validation=None,
    state=None,
    mesh=None,
) -> Iterator[Fit]:
    """The fits on the way: at the start, after each block but the last of an epoch, after each epoch.

    Args: those of `descend_stream`.

    Yields:
      A `Fit` with the history of the epoch that has ended, or with an empty one.
    """
    check_options(blocks, batch_size, rule, weights, evaluate, validation)
    if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves((objective, params, rule, key))):
        raise ValueError(
            "descend_stream is traced, but it reads while it runs: call it outside of jax.jit and "
            "jax.vmap."
        )
    rows_of = None if mesh is None else row_sharding(mesh)
    check_parts(blocks, rows_of)
    in_order = bool(shuffle) and batch_size is not None
    if in_order or getattr(objective, "random", False):
        key = checked_key(key if getattr(state, "key", None) is None else state.key, in_order)
    source = functools.partial(
        blocks_of_epoch,
        blocks,
        key if in_order else None,
        weights=weights,
        rows_of=rows_of,
    )
    coming = _of_all_processes(source(*_place(state), like=None))
    first = next(coming, None)
    if first is None:
        raise ValueError(
            f"blocks end before block {_place(state)[1]} of epoch {_place(state)[0]}, from which state "
            "goes on. Give the blocks of the earlier descent, or start from its params without state."
        )
    arguments = checked_arguments(
        objective,
        params,
        first.rows,
        rule=rule,
        batch_size=None,
        epochs=epochs,
        key=key,
        weights=None,
        shuffle=shuffle,
        stop=stop,
        evaluate=evaluate,
        validation=validation,
        state=None,
    )._replace(key=key, weights=first.weights)
    check_stop(arguments, batch_size)
    state = begin_blocks(arguments, state, batch_size)
    shared = arguments._replace(data=None, weights=None, layout=None)
    size = None if batch_size is None else int(batch_size)
    course = Course(shared, size, bool(shuffle), _no_records(shared, state))
    like, coming = shapes_of(first.rows), itertools.chain([first], coming)
    del first  # a block is large
    yield _fit(course, state, course.none)
    for _ in range(int(epochs)):
        state = yield from _epoch(course, state, coming)
        if state.status != Status.EPOCHS_DONE:
            break
        coming = _of_all_processes(source(int(state.epoch), 0, like=like))


class Course(NamedTuple):
    """What all blocks have in common.

    Attributes:
      arguments: of the descent, without data.
      batch_size: an int, or None: all blocks make one step.
      shuffle: whether the rows of a block come in an order of their own.
      none: the record of no epochs.
    """

    arguments: Arguments
    batch_size: int | None
    shuffle: bool
    none: Any


def _epoch(
    course: Course, state: StreamState, coming: Iterator[Block]
) -> Generator[Fit, None, StreamState]:
    """One epoch, or the rest of it; the state after it."""
    arguments, block = course.arguments, None
    try:
        for next_block in coming:
            if block is not None:
                if not state.passed.finite:  # waits for the block, so that no more than two are at hand
                    break
                yield _fit(course, state, course.none)
                if state.epoch == 0:
                    loss = with_any_key(arguments.objective)
                    check_targets(loss, state.params, next_block.rows, next_block.weights)
            block = next_block
            state = _after(course, state, block)
    except (ValueError, OSError) as error:
        raise StreamError(str(error), _fit(course, state, course.none)) from error
    if not state.passed.finite:
        # The place before the block, to which the descent comes back when its rows have been mended.
        passed = state.passed._replace(finite=jnp.array(True), blocks=state.passed.blocks - 1)
        _check_rows(block, _fit(course, state._replace(passed=passed), course.none))
    state, record = end_blocks(arguments, state)
    yield _fit(course, state, jax.tree.map(lambda x: x[None], record))
    return state


def _no_records(arguments: Arguments, state: StreamState) -> Any:
    """Of no epochs."""
    shapes = jax.eval_shape(end_blocks, arguments, state)[1]
    return jax.tree.map(lambda x: np.zeros((0, *x.shape), x.dtype), shapes)


def _after(course: Course, state: StreamState, block: Block) -> StreamState:
    passed = through_block(
        course.arguments._replace(params=None, key=None, validation=None),
        state,
        block.rows,
        block.weights,
        block.number + 1,
        batch_size=None if course.batch_size is None else min(course.batch_size, block.num_rows),
        layout=row_layout(block.rows),
        shuffle=course.shuffle,
    )
    return state._replace(passed=passed)


def _fit(course: Course, state: Any, record: Record) -> Fit:
    """The fit where the state is, with a record [k] of the epochs that have ended since the last."""
    stop = course.arguments.stop
    keeps = any(test.keep is not None for test in stop)
    is_within = state.passed.blocks > 0 and not keeps
    return Fit(
        params=state.passed.position.params if is_within else returned_params(stop, state),
        status=state.status,
        epochs=jnp.asarray(len(record.ran), jnp.int32),
        history=History(record.loss, record.gradient_norm, record.evaluation),
        state=state,
    )


def _place(state: Any) -> tuple[int, int]:
    """The epoch, and how many of its blocks are done."""
    if not isinstance(state, StreamState):
        return 0, 0
    return int(state.epoch), int(state.passed.blocks)


def _of_all_processes(coming: Iterator[Block]) -> Iterator[Block]:
    """The blocks; where one process cannot read its part, or has no more, ValueError in all of them."""
    while True:
        block, error = None, None
        try:
            block = next(coming, None)
        except ValueError as failure:
            error = failure
        failures, ends = said_by_all(error is not None, block is None).T
        failed, ended = first_of(failures), first_of(ends)
        if failed is not None:
            raise error or ValueError(f"process {failed} could not read; it says why")
        if ended is not None and not ends.all():
            raise ValueError(f"process {ended} has fewer batches than the others")
        if block is None:
            return
        yield block


def _check_rows(block: Any, fit: Fit) -> None:
    """StreamError where NaN or infinity was read; else the descent has diverged by itself."""
    rows, weights = jax.tree.map(rows_at_hand, (block.rows, block.weights))
    place = ""
    counted = np.flatnonzero(np.ones(len(jax.tree.leaves(rows)[0])) if weights is None else weights)
    found = find_bad(jax.tree.map(lambda x: x[counted], rows))
    if found is not None:
        row = block.place(int(counted[found[1]]))
        place = f"{row} holds NaN or infinity, in data{found[0]}"
    other = first_of(said_by_all(bool(place))[:, 0])
    if other is not None:
        place = place or f"process {other} has read NaN or infinity, and says where"
        raise StreamError(
            f"{place}, and so the loss is none. Mend the row, or leave it out by a weight of 0. The fit "
            "so far is in the .fit of this error.",
            fit,
        )

"""A descent that ends after so many seconds, driven from the host in chunks of epochs."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jgd.descent.loop import Fit, descend
from jgd.descent.status import Status
from jgd.tree import is_whole
from jgd.tuning.rounds import joined, lengthened

LOOKS = 50  # at the clock, in the time that there is


def descend_within(
    seconds: float,
    objective: Any,
    params: Any,
    data: Any,
    *,
    epochs: int,
    state: Any = None,
    **options: Any,
) -> Fit:
    """`jgd.descend` with a bound on the wall clock: it ends after `seconds`, where it has not before.

    It runs chunks of epochs, each continued from the state of the one before, and looks at the clock in
    between. The first two are of one epoch; how long the others are follows from what that takes, so
    that two programs are compiled. Compiling counts. Ctrl-C ends it as the clock does, without loss.

    Args:
      seconds: number > 0. The chunk that runs when they are over is finished.
      objective: from `jgd.objective`.
      params: pytree of float arrays, where the descent starts.
      data: pytree of arrays that share their leading axis N.
      epochs: the most that are run, an int >= 1.
      state: of an earlier fit, to continue it.
      **options: those of `descend`; the rule is wanted.

    Returns:
      A `Fit`, whose history has `epochs` epochs; those that were not run hold NaN. Where time ended it,
      the status is EPOCHS_DONE, and `fit.state` goes on.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.
      KeyboardInterrupt: it was interrupted before the first epoch was done.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> fit = descend_within(60, jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...                      rule=jgd.sgd(0.5), epochs=10)
    >>> float(fit.params), int(fit.epochs)
    (2.0, 10)

    Source: chunks of a scan, because a callback from inside it costs tens of microseconds (measured).
    """
    _check(seconds, epochs)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((params, data, options))):
        raise ValueError(
            "params, data or an option is traced, but the clock ticks outside of jit alone."
        )
    end = time.monotonic() + seconds

    def run(num: int, state: Any) -> Fit:
        fit = descend(objective, params, data, epochs=num, state=state, **options)
        return jax.block_until_ready(fit)

    fits = [run(1, state)]
    start = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        for length in _lengths(int(epochs) - 1, lambda: (time.monotonic() - start) / seconds):
            if fits[-1].status != Status.EPOCHS_DONE or time.monotonic() >= end:
                break
            fits.append(run(length, fits[-1].state))
    batches = [jax.tree.map(lambda x: x[None], fit) for fit in fits]
    return jax.tree.map(lambda x: x[0], lengthened(joined(batches), int(epochs)))


def _lengths(epochs: int, spent: Callable[[], float]) -> Iterator[int]:
    """Epochs of each chunk: one, to learn how long it takes, then chunks of one length.

    `spent` is the part of the time that the first of these took. Epochs that are left over by chunks of
    one length go first, one by one, for their program is there already.
    """
    if epochs > 0:
        yield 1
    if epochs < 2:
        return
    chunks = min(max(math.ceil(spent() * (epochs - 1) * LOOKS), 1), epochs - 1)
    length, rest = divmod(epochs - 1, chunks)
    yield from [1] * rest
    yield from [length] * chunks


def _check(seconds: Any, epochs: Any) -> None:
    is_number = isinstance(seconds, int | float | np.number) and not isinstance(seconds, bool)
    if not is_number or not seconds > 0:
        raise ValueError(f"seconds is {seconds!r}, but a number > 0 is wanted, of the wall clock.")
    if not is_whole(epochs) or epochs < 1:
        raise ValueError(f"epochs is {epochs!r}, but an int >= 1 is wanted: the most that are run.")

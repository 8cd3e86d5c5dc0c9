"""A descent that ends when its time is up: chunks of epochs, and a look at the clock between them."""

import math
import warnings
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import jax

from jgd.descent.checks import check_epochs
from jgd.descent.loop import Fit, descend
from jgd.runtime.chunks import any_runs, in_chunks
from jgd.tree import require_number
from jgd.tuning.rounds import joined, lengthened

LONG_EPOCH = 0.1  # seconds; beside it the host's work between two chunks, some 2 ms, is nothing
LOOKS = 8  # at the clock, at least, in the time there is; what is too short for a chunk runs one by one
INTERRUPTED = "interrupted: the fit ran {} of {} epochs. It goes on from its state."


def descend_within(seconds, objective, params, data, *, epochs, **options) -> Fit:
    """Descend as `jgd.descend` does, until the time on the clock is up.

    Runs on the host: compiled chunks of epochs, each continued from the state of the one before. The
    time counts from the call, compiling included, but one epoch is run in any case; the epoch within
    which the time runs out is finished. Ctrl-C ends it after the running chunk, with what is done.

    Args:
      seconds: number > 0.
      objective: from `jgd.objective`.
      params: pytree of float arrays, where the descent starts.
      data: pytree of arrays that share their leading axis N.
      epochs: the most that are run, an int.
      **options: those of `descend`.

    Returns:
      A `Fit` with a history of all `epochs`, NaN for those that were not run. Where the time was up its
      status is EPOCHS_DONE, and its state goes on.

    Raises:
      ValueError: an argument does not fit, or is traced; the message names it and the way out.
      KeyboardInterrupt: it was interrupted before the first epoch was done.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> fit = descend_within(60, jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...                      rule=jgd.sgd(0.1), epochs=50)
    >>> int(fit.epochs), round(float(fit.params), 3)
    (50, 2.0)

    Source: chunks of a scan, because a compiled loop cannot look at a clock.
    """
    begun = perf_counter()
    given = (seconds, objective, params, data, options)
    if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(given)):
        raise ValueError(
            "descend_within is traced, but it looks at the clock while it runs: call it outside of "
            "jax.jit and jax.vmap, or use jgd.descend there."
        )
    end = begun + checked_seconds(seconds)
    check_epochs(epochs)
    start = options.pop("state", None)

    def run(length, state):
        state = start if state is None else state
        return descend(objective, params, data, epochs=length, state=state, **options)

    fits = in_chunks(run, _lengths(end, int(epochs)))
    fit = lengthened(joined(fits), int(epochs))
    asked = sum(len(part.history.loss) for part in fits)
    if asked < epochs and any_runs(fit) and perf_counter() < end:
        warnings.warn(INTERRUPTED.format(fit.epochs, epochs), stacklevel=2)
    return fit


def _lengths(end: float, epochs: int) -> Iterator[int]:
    """Epochs of each chunk, until the time is up: few lengths, for each of them is compiled.

    The first epoch tells what compiling takes. What later chunks take tells how long they may be: a
    short one takes mostly the host's time, so that they may grow more than once. What is left at the
    end is run in chunks as short again as it takes.
    """
    begun = perf_counter()
    yield min(1, epochs)
    compiling, left = perf_counter() - begun, epochs - 1
    took: dict[int, float] = {}  # by a chunk of that length; its first time, with compiling, is left out
    compiled = {1}
    while left > 0 and perf_counter() < end:
        begun = perf_counter()
        length = _best_length(took, left, end - begun, compiling)
        yield length
        spent, left = perf_counter() - begun, left - length
        if length in compiled:
            took[length] = min(took.get(length, math.inf), spent)
        compiled.add(length)


def _best_length(took: dict[int, float], left: int, seconds: float, compiling: float) -> int:
    """That of the best pace among those that fit, or a longer one, where compiling it pays."""
    paces = {n: spent / n for n, spent in took.items() if n <= left and spent <= seconds}
    if not paces:
        return 1
    best = min(paces, key=lambda length: paces[length])
    longer = _longest(paces[best], seconds, left, compiling)
    return longer if longer > best and longer not in took else best


def _longest(epoch: float, seconds: float, epochs: int, compiling: float) -> int:
    """Epochs of a longer chunk, a power of 4 that other runs will choose too; 1 where none pays."""
    if epoch >= LONG_EPOCH or min(seconds, epochs * epoch) < 2 * compiling:
        return 1
    most = min(epochs, seconds / (LOOKS * max(epoch, 1e-6)))
    return 4 ** max(math.floor(math.log(max(most, 1), 4)), 0)


def checked_seconds(
    seconds: Any, name: str = "seconds", is_right: Callable = lambda s: s > 0, wanted: str = "number > 0"
) -> float:
    """The seconds; ValueError unless they are one number, and a right one."""
    number = require_number(name, seconds, is_right, f"a {wanted}")
    if number.ndim:
        raise ValueError(f"{name} is {seconds!r}, but one {wanted} is wanted.")
    return float(number)

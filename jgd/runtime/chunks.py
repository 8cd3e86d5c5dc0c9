"""A training in parts, driven from the host, which looks at it between two of them."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from jgd.descent.loop import Fit
from jgd.descent.status import Status
from jgd.tuning.rounds import joined, lengthened


def chunks(run: Callable, lengths: Iterable[int]) -> Iterator[Fit]:
    """The fits after each chunk of epochs, until none of them runs or the lengths are over.

    Args:
      run: `(epochs, state) -> Fit`, of one training or of [K]; the state is None at first.
      lengths: epochs of each chunk. The next is asked for when the one before is done.

    Yields:
      A `Fit` with the history of its chunk.
    """
    fit: Any = None
    for length in lengths:
        if fit is not None and not any_runs(fit):
            return
        fit = jax.block_until_ready(run(length, None if fit is None else fit.state))
        yield fit


def in_chunks(run: Callable, lengths: Iterable[int], after: Callable | None = None) -> list[Fit]:
    """The fits after each chunk, until none of them runs, the lengths are over or Ctrl-C comes.

    Args:
      run: as in `chunks`.
      lengths: as in `chunks`.
      after: is told the fits after each chunk; None tells nobody.

    Returns:
      A list of them, see `collected`.

    Raises:
      KeyboardInterrupt: it came before the first chunk was done.
    """
    parts = chunks(run, lengths)
    fits = [next(parts)]
    with contextlib.suppress(KeyboardInterrupt):
        if after is not None:
            after(fits[-1])
        for fit in parts:
            collected(fits, fit)
            if after is not None:
                after(fit)
    return fits


def collected(fits: list[Fit], fit: Fit) -> list[Fit]:
    """The list with one more, params and state of the last alone: what memory holds does not grow."""
    if fits:
        before = fits.pop()
        if len(before.history.loss):
            fits.append(before._replace(params=None, state=None))  # type: ignore[arg-type]
    fits.append(fit)
    return fits


def whole(fits: list[Fit], epochs: int) -> Fit:
    """The parts as one fit, with a history of so many epochs."""
    return lengthened(joined(fits), int(epochs))


def any_runs(fits: Fit) -> bool:
    """Whether any of the fits has not ended."""
    return bool(np.any(fits.status == Status.EPOCHS_DONE))

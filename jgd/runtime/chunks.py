"""A training in chunks of epochs, driven from the host, which looks at it between two of them."""

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from jgd.descent.loop import Fit
from jgd.descent.status import Status


def in_chunks(run: Callable, lengths: Iterable[int], after: Callable | None = None) -> list[Fit]:
    """The fits after each chunk, until none of them runs, the lengths are over or Ctrl-C comes.

    Args:
      run: `(epochs, state) -> Fit`, of one training or of [K]; the state is None at first.
      lengths: epochs of each chunk. The next is asked for when the one before is done.
      after: is told the fits after each chunk; None tells nobody.

    Returns:
      A list of them. Params and state are those of the last alone: what memory holds does not grow.

    Raises:
      KeyboardInterrupt: it came before the first chunk was done.
    """
    lengths = iter(lengths)
    fits: list[Any] = [jax.block_until_ready(run(next(lengths), None))]
    with contextlib.suppress(KeyboardInterrupt):
        if after is not None:
            after(fits[-1])
        for length in lengths:
            if not any_runs(fits[-1]):
                break
            fits.append(jax.block_until_ready(run(length, fits[-1].state)))
            fits[-2] = fits[-2]._replace(params=None, state=None)
            if after is not None:
                after(fits[-1])
    return fits


def any_runs(fits: Fit) -> bool:
    """Whether any of the fits has not ended."""
    return bool(np.any(fits.status == Status.EPOCHS_DONE))

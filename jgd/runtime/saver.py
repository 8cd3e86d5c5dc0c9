"""Where the checkpoints of one training go: a directory that is its own while it runs."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import jax
import numpy as np

from jgd.descent.loop import Fit
from jgd.runtime.checkpoint import Checkpoints, close, open_checkpoints, save
from jgd.tuning.rounds import joined


@dataclasses.dataclass
class Saver:
    """Where checkpoints go, and what has been saved.

    Attributes:
      checkpoints: an open directory.
      structure: what must be the same where the training goes on.
      every: seconds between two of them.
      number: of the newest.
      at: when that was, by `perf_counter`.
      saved: the state in it.
    """

    checkpoints: Checkpoints
    structure: dict[str, str]
    every: float
    number: int = 0
    at: float = 0.0
    saved: Any = None


@contextlib.contextmanager
def opened(directory, keep, every, structure: dict[str, str]) -> Iterator[Saver | None]:
    """Where the checkpoints of a training go while it runs; None where there is no directory."""
    if directory is None:
        yield None
        return
    lock = _lock(directory)
    checkpoints = open_checkpoints(directory, keep)
    try:
        yield Saver(checkpoints, structure, float(every), at=perf_counter())
    finally:
        close(checkpoints)
        if lock is not None:
            lock.close()


def _lock(directory: Any) -> Any:
    """A file of the directory, locked; the system unlocks it when the process ends, however it does.

    None where there is nothing to lock: in all processes but the first, where the directory cannot be
    written, which is told of later, and where the system or the disk knows no locks.
    """
    if jax.process_index() > 0 or not isinstance(directory, str | os.PathLike) or not str(directory):
        return None
    lock = None
    try:
        import fcntl

        folder = Path(directory).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(
            f"directory is {str(directory)!r}, but another training is at work there. Give each one "
            "of its own; several processes of one training begin with jax.distributed.initialize()."
        ) from error
    except (ImportError, OSError):
        pass
    return lock


def save_fits(saver: Saver, fits: list[Fit]) -> None:
    """Save the state of the last of the fits, and the history of all."""
    fit = joined(fits)
    about = {
        "structure": saver.structure,
        "epochs": int(fit.epochs),
        "history": [np.asarray(x, float).tolist() for x in jax.tree.leaves(fit.history)],
    }
    save(saver.checkpoints, saver.number + 1, {"state": fit.state}, about)
    saver.number, saver.at, saver.saved = saver.number + 1, perf_counter(), fit.state

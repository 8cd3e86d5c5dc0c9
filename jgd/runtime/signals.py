"""Ctrl-C and SIGTERM: they ask a training for its end, which comes after the running part."""

import contextlib
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from jgd.descent.loop import Fit


@contextlib.contextmanager
def signals(with_sigterm: bool) -> Iterator[list[int]]:
    """The signals that have asked for an end; a second one is an interrupt. Elsewhere than in the main
    thread Python hears none."""
    asked: list[int] = []

    def note(number, frame):
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        sys.stderr.write("\njgd: the running part is finished first; once more ends it at once.\n")

    is_main = threading.current_thread() is threading.main_thread()
    wanted = (signal.SIGINT, signal.SIGTERM) if with_sigterm else (signal.SIGINT,)
    before = {number: signal.signal(number, note) for number in wanted if is_main}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave(number: int, fit: Fit, epochs: int, directory: Any) -> None:
    """Say that it was interrupted; after SIGTERM the program ends."""
    way = "It goes on from its state" if directory is None else f"The same call goes on from {directory}"
    message = f"interrupted: the fit ran {fit.epochs} of {epochs} epochs. {way}."
    if number == signal.SIGTERM:
        sys.stderr.write(f"jgd: {message}\n")
        raise SystemExit(128 + number)
    warnings.warn(message, stacklevel=3)

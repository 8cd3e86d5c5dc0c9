"""The training of a run: with a bar, checkpoints and a history; what is said where it is interrupted."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jgd
from jgd.cli.directory import CHECKPOINTS, HISTORY
from jgd.cli.failing import Interrupted
from jgd.cli.problem import Problem, rule_of, training_options
from jgd.cli.showing import bars_on_stderr, say

PACKAGE = Path(jgd.__file__).parent
LOOKS = 100  # at a training: between two of them it hears no Ctrl-C, and says nothing
OURS = ("interrupted:", "the fit in ")  # warnings that are said here in other words


def chunk_of(epochs: int) -> int:
    """Epochs between two looks. A run keeps it, for with another one roundings differ."""
    return max(epochs // LOOKS, 1)


def trained(problem: Problem, path: Path, chunk: int, quiet: bool) -> jgd.Fit:
    """Train, or go on from the newest checkpoint in the directory.

    Args:
      problem: what is minimised.
      path: directory of the run.
      chunk: from `chunk_of`.
      quiet: whether nothing is shown.

    Returns:
      The fit.

    Raises:
      Interrupted: by Ctrl-C; the message says how to go on.
    """
    with interrupts(path), bars_on_stderr(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        is_auto = problem.options.learning_rate == "auto" and problem.options.rule == "sgd"
        if is_auto:
            say("Telling the learning rate by curvature and noise ...", quiet)
        rule = rule_of(problem)
        fit = jgd.train(
            problem.objective,
            problem.params,
            problem.train,
            rule=rule,
            epochs=problem.options.epochs,
            directory=path / CHECKPOINTS,
            chunk=chunk,
            log=jgd.logs.jsonl(path / HISTORY),
            show=not quiet,
            **training_options(problem),
        )
    said = [str(warning.message) for warning in caught]
    for text, warning in zip(said, caught, strict=True):
        if not text.startswith(OURS) and PACKAGE in Path(warning.filename).parents:
            say(f"Note: {text}", quiet)
    if any(text.startswith(OURS[0]) for text in said):
        raise Interrupted(
            f"Interrupted after {int(fit.epochs)} of {problem.options.epochs} epochs, which are saved.\n"
            f"Go on: jgd resume {path}"
        )
    return fit


@contextlib.contextmanager
def interrupts(path: Path) -> Iterator[None]:
    """Ctrl-C at a time when nothing is heard of it between two epochs ends the run in words, too."""
    try:
        yield
    except Interrupted:
        raise
    except SystemExit:  # after SIGTERM
        print(f"Go on: jgd resume {path}", file=sys.stderr)
        raise
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"Interrupted. What was saved before is in {path}.\nGo on: jgd resume {path}"
        ) from error


def losses(fit: jgd.Fit) -> dict[str, Any]:
    """The losses by epoch: `{"training": [E], "held out": [E]}`."""
    num = int(fit.epochs)
    found = {"training": fit.history.loss[:num].tolist()}
    if fit.history.evaluation is not None:
        found["held out"] = fit.history.evaluation["held_out_loss"][:num].tolist()
    return found

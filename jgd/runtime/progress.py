"""A long sweep in chunks of epochs, driven from the host: with a bar, and ended without loss."""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jgd.descent.loop import Fit
from jgd.descent.status import Status
from jgd.program import Program, call
from jgd.runtime.chunks import any_runs, in_chunks
from jgd.tree import is_whole
from jgd.tuning.rounds import first_round, joined, lengthened, next_round
from jgd.tuning.run import (
    check_lanes,
    compiled,
    lane_mesh,
    of_one_lane,
    on_all_devices,
    on_first_device,
    over_lanes,
)
from jgd.tuning.score import check_score, negative_loss, scores_after
from jgd.tuning.space import Space
from jgd.tuning.sweep import Group, Sweep, check_space

CHUNKS = 50  # of a sweep, where the length of a chunk is left open
INTERRUPTED = (
    "interrupted: the fits of {} of {} configurations are here; the last of them ran {} of {} epochs. "
    "Those that are EPOCHS_DONE go on from their state."
)


def sweep_with_progress(
    train: Callable,
    space: Space,
    *,
    epochs: int,
    chunk: int | None = None,
    score: Callable | None = None,
    show: bool = True,
    mesh: Mesh | None = None,
    lanes: int | None = None,
) -> Sweep:
    """A sweep in chunks of epochs, with a bar: lanes still running, best so far, time left.

    The compiled programs know nothing of it: between two chunks the host looks at status and scores.
    Ctrl-C ends the sweep after the running chunk, with the fits as they are then.

    Args:
      train: `(config, epochs, state) -> Fit`, pure: as a rule a closure over the data that calls
        `jgd.descend(..., epochs=epochs, state=state)`. `epochs`, an int, is how many to run now; `state`
        is None at first, then that of the fit so far.
      space: from `jgd.grid` or `jgd.sample`.
      epochs: of each configuration, an int.
      chunk: epochs between two looks, an int; None takes a fiftieth of all.
      score: `Fit -> scalar`, traceable, the higher the better, of a fit with the history of its chunk,
        for the best so far; None takes the negative loss of the last epoch.
      show: whether there is a bar.
      mesh: over whose first axis the lanes are laid, see `jgd.sweep`; None takes all devices of this
        process.
      lanes: how many run at once; None takes as many as the devices hold well.

    Returns:
      A `Sweep`, equal to that of `jgd.sweep` with as many epochs in one go.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.
      ImportError: a bar is wanted, and rich is not installed.
      KeyboardInterrupt: it was interrupted before the first chunk was done.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> def train(config, epochs, state):
    ...     return jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...                              rule=jgd.sgd(config["learning_rate"]), epochs=epochs, state=state)
    >>> space = jgd.grid(learning_rate=[0.01, 0.1])
    >>> found = sweep_with_progress(train, space, epochs=10, chunk=5, show=False)
    >>> found.best().place, found.fits.history.loss.shape
    (1, (2, 10))

    Source: chunks of a scan, because a callback from inside it costs tens of microseconds (measured).
    """
    check_space(space)
    check_lanes(lanes)
    check_score(score or negative_loss, "Fit -> scalar")
    lengths = _lengths(epochs, chunk)
    mesh = lane_mesh(mesh)
    groups: list[Group] = []
    is_interrupted = False
    programs = list(space.groups())
    with bar("sweep", len(programs) * int(epochs), show) as move:

        def tell(done, status, scores):
            move(done, _told(status, scores))

        for static, places in programs:
            configs = {name: axis[places] for name, axis in space.numbers().items()}
            training = functools.partial(_train, train, static)
            try:
                fits = _fits(training, (places, configs), lengths, score, tell, mesh, lanes)
            except KeyboardInterrupt:
                if not groups:
                    raise
                is_interrupted = True
                break
            groups.append(Group(places, lengthened(joined(fits), int(epochs))))
            is_interrupted = len(fits) < len(lengths) and any_runs(fits[-1])
            if is_interrupted:
                break
    found = _of_groups(space, groups)
    if is_interrupted:
        most = int(np.max(groups[-1].fits.epochs))
        warnings.warn(INTERRUPTED.format(len(found.configs), len(space), most, epochs), stacklevel=2)
    return found


def _train(train: Callable, static: dict, place_and_config: tuple, epochs: int, state: Any) -> Fit:
    return train({**static, **place_and_config[1]}, epochs, state)


def _fits(train, arguments, lengths, score, tell, mesh, lanes) -> list[Fit]:
    """The fits [K] after each chunk, until all lanes have ended or somebody has interrupted."""
    arguments = on_all_devices(jax.tree.map(jnp.asarray, arguments), mesh)
    one = of_one_lane(arguments)
    first = first_round(train, lengths[0], one)
    rescore = jax.jit(functools.partial(scores_after, score))
    scores = jnp.full(len(jax.tree.leaves(arguments)[0]), -jnp.inf)
    programs: list[Callable] = []
    left = list(lengths)

    def run(length, state):
        given = (arguments,) if state is None else (arguments, on_all_devices(state, mesh))
        if len(programs) < len(given):
            training = first if state is None else next_round(train, length, one, first.shapes)
            programs.append(_compiled(training, given, mesh, lanes))
        return on_first_device(programs[-1](*given), mesh)

    def after(fits):
        nonlocal scores
        scores = rescore(fits, scores)
        length = left.pop(0)
        tell(length if any_runs(fits) else length + sum(left), fits.status, scores)

    return in_chunks(run, lengths, after)


def _compiled(training: Program, arguments: tuple, mesh: Mesh, lanes: int | None) -> Callable:
    program = functools.partial(over_lanes, functools.partial(call, training), mesh)
    closed_over = on_all_devices(training.closed_over, mesh)
    kept = training.shapes.params, training.shapes.state.rule_state
    run = compiled(program, (closed_over, arguments), mesh, lanes, kept)
    return lambda *arguments: run(closed_over, arguments)


def _lengths(epochs: Any, chunk: Any) -> list[int]:
    """Epochs of each chunk; only the first, which has a program of its own anyway, may be shorter."""
    for name, number in (("epochs", epochs), ("chunk", 1 if chunk is None else chunk)):
        if not (is_whole(number) and number >= 1):
            raise ValueError(f"{name} is {number!r}, but an int >= 1 is wanted.")
    chunk = min(int(chunk or max(epochs // CHUNKS, 1)), int(epochs))
    num = -(-int(epochs) // chunk)
    return [int(epochs) - (num - 1) * chunk] + [chunk] * (num - 1)


def _of_groups(space: Space, groups: list[Group]) -> Sweep:
    """The sweep over those configurations whose groups are there."""
    done = np.sort(np.concatenate([group.places for group in groups]))
    if len(done) == len(space):
        return Sweep(space, tuple(groups))
    part = Space({name: axis[done] for name, axis in space.axes.items()})
    return Sweep(part, tuple(Group(np.searchsorted(done, g.places), g.fits) for g in groups))


@contextlib.contextmanager
def bar(what: str, epochs: int, show: bool) -> Iterator[Callable]:
    """`move(epochs done since, text)` moves a bar of rich, or nothing."""
    if not show:
        yield lambda done, text: None
        return
    try:
        from rich import progress
    except ImportError as error:
        raise ImportError(
            f"a bar wants rich ({error}). Install it: pip install 'jgd[cli]', or pass show=False.",
            name=error.name,
        ) from error
    columns = (
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("epochs{task.fields[told]}"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns) as shown:
        task = shown.add_task(what, total=epochs, told=" · compiling")
        yield lambda done, text: shown.update(task, advance=done, told=text)


def _told(status: Any, scores: Any) -> str:
    """What stands beside the bar."""
    status, scores = np.asarray(status), np.asarray(scores)
    running, diverged = (int(np.sum(status == s)) for s in (Status.EPOCHS_DONE, Status.DIVERGED))
    best = f"best {scores.max():.4g}" if scores.max() > -np.inf else "no score yet"
    lost = f" ({diverged} diverged)" if diverged else ""
    return f" · {running} of {len(status)} lanes run{lost} · {best}"

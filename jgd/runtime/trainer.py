"""A long training, driven from the host: a bar, a log, a clock, checkpoints, and signals that end it."""

import contextlib
import functools
import warnings
from collections.abc import Callable, Generator, Iterator
from time import perf_counter
from typing import Any

import jax
import numpy as np

from jgd.descent.checks import check_epochs
from jgd.descent.loop import Fit, descend
from jgd.descent.status import Status
from jgd.objectives.checks import check_data
from jgd.runtime.blocks import Blocks, Iterated
from jgd.runtime.checkpoint import newest
from jgd.runtime.chunks import any_runs, chunks, collected, whole
from jgd.runtime.clock import checked_seconds
from jgd.runtime.processes import first_of, said_by_all
from jgd.runtime.progress import bar
from jgd.runtime.saver import Saver, opened, save_fits
from jgd.runtime.signals import leave, signals
from jgd.runtime.stream import StreamError, StreamState, stream
from jgd.runtime.structure import structure_of
from jgd.tree import is_whole

LOOKS = 100  # at a training in memory, where the length of a chunk is left open
STRUCTURE = ("rule", "batch_size", "evaluate")  # of the options, beside the objective


def train(
    objective,
    params,
    data,
    *,
    epochs,
    directory=None,
    save_every=60,
    keep=3,
    seconds=None,
    chunk=None,
    log=None,
    show=True,
    **options,
) -> Fit:
    """Descend as `jgd.descend` or `jgd.descend_stream` does, for as long as it takes.

    Runs on the host, in parts: some epochs of data in memory, a block of a stream. Between two of them
    it moves a bar, tells the log, looks at the clock and saves. With a directory, the same call goes on
    from its newest checkpoint, however the one before ended; on the same number of devices the numbers
    are then those of a training that was never interrupted, bit for bit. Ctrl-C ends it after the
    running part, saves, and returns the fit; SIGTERM likewise, and then ends the program with code 143.
    A second Ctrl-C ends it at once. In several processes, each makes the same call, on a directory that
    all share.

    Args:
      objective: from `jgd.objective`.
      params: pytree of float arrays, where the descent starts.
      data: pytree of arrays that share their leading axis N, or blocks from `jgd.blocks`.
      epochs: of all parts together, those of an earlier call counted, an int.
      directory: for checkpoints, a path; None saves none.
      save_every: seconds between two checkpoints, a number >= 0; 0 saves after every part. The end is
        saved in any case.
      keep: how many of the newest checkpoints are kept, an int >= 1.
      seconds: number > 0: within it a last part begins; None sets no limit.
      chunk: epochs of one part of data in memory, an int >= 1; None takes a hundredth of all. Between
        two parts alone it saves, looks at the clock and hears signals: let a part be short beside those.
        Batches are the same with another, roundings are not.
      log: `(epoch, record)`, or several of these in a tuple, told of every epoch: its number, and a dict
        of the numbers `loss`, `gradient_norm` and what `evaluate` returned.
      show: whether there is a bar.
      **options: those of `jgd.descend` without `state`; of blocks, those of `jgd.descend_stream`.

    Returns:
      A `Fit` with the history of all epochs.

    Raises:
      ValueError: an argument does not fit, or the directory is of another training; the message names it
        and the way out.
      StreamError: a block cannot be trained on; what was done before it is saved.
      ImportError: checkpoints are wanted and orbax is not installed, or a bar and rich is not.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> said = []
    >>> fit = train(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]), rule=jgd.sgd(0.1),
    ...             epochs=50, show=False, log=lambda epoch, record: said.append(record["loss"]))
    >>> round(float(fit.params), 3), len(said)
    (2.0, 50)

    Source: Chandy and Lamport (1985) for checkpoints that all processes agree on; chunks of a scan,
    because a compiled loop cannot look at a clock.
    """
    begun = perf_counter()
    _check(data, epochs, save_every, chunk, log, options)
    end = np.inf if seconds is None else begun + checked_seconds(seconds)
    form = _stream if isinstance(data, Blocks | Iterated) else _in_memory
    make = functools.partial(form, objective, params, data, epochs=int(epochs), chunk=chunk, **options)
    structure = _structure(objective, data, options)
    with contextlib.ExitStack() as stack:
        saver = stack.enter_context(opened(directory, keep, save_every, structure))
        parts, fits = _begun(make, saver)
        stack.callback(parts.close)
        asked = stack.enter_context(signals(with_sigterm=saver is not None))
        move = stack.enter_context(bar("train", int(epochs), show))
        move(_done(fits[-1], data), "")

        done = int(fits[0].epochs)

        def after(fit: Fit, before: Fit) -> bool:
            """Whether that was the last part."""
            nonlocal done
            move(_done(fit, data) - _done(before, data), _told(fit))
            error = _tell(log, fit, done)
            done += int(fit.epochs)
            is_due, is_over = _in_agreement(saver, perf_counter() >= end, asked, error)
            if is_due and saver is not None:
                save_fits(saver, fits)
            return is_over

        failure = _driven(parts, fits, after, saver)
        if saver is not None and fits[-1].state is not saver.saved:
            save_fits(saver, fits)
    fit = whole(fits, max(int(epochs), sum(len(f.history.loss) for f in fits)))
    if failure is not None:
        raise StreamError(str(failure), fit) from failure.__cause__
    if asked:
        leave(asked[0], fit, epochs, directory)
    return fit


def _driven(parts: Iterator[Fit], fits: list[Fit], after: Callable, saver: Any) -> StreamError | None:
    """Collect the parts until they are over, or `after(fit, before)` says so; what ended them before."""
    try:
        for fit in parts if any_runs(fits[-1]) else ():
            before = fits[-1]
            if after(collected(fits, fit)[-1], before):
                break
    except StreamError as error:
        collected(fits, error.fit)
        return error
    except jax.errors.JaxRuntimeError as error:
        _say_how_to_go_on(error, saver)
        raise
    except Exception:  # of a log, as a rule: what was done before it is worth keeping
        if saver is not None:
            save_fits(saver, fits)
        raise
    return None


def _begun(make: Callable, saver: Saver | None) -> tuple[Generator, list[Fit]]:
    """The parts to come, and what was there before: the start, or the newest checkpoint."""
    parts = make(state=None)
    first = next(parts)
    found = None
    if saver is not None:
        about = {"structure": saver.structure}
        found = newest(saver.checkpoints, {"state": first.state}, about)
    if saver is None or found is None:
        return parts, [first]
    parts.close()
    parts = make(state=found.tree["state"])
    shapes = jax.tree.leaves(first.history)
    records = [np.asarray(x, like.dtype) for x, like in zip(found.about["history"], shapes, strict=True)]
    history = jax.tree.unflatten(jax.tree.structure(first.history), records)
    epochs = jax.numpy.asarray(found.about["epochs"], jax.numpy.int32)
    fit = next(parts)._replace(history=history, epochs=epochs)
    if not any_runs(fit):
        warnings.warn(
            f"the fit in {saver.checkpoints.directory} has ended after {int(epochs)} epochs, as "
            f"{Status(int(fit.status)).name}, and is returned as it is. To train anew give another "
            "directory.",
            stacklevel=4,
        )
    saver.number, saver.saved = found.number, fit.state
    return parts, [fit]


def _in_memory(
    objective, params, data, *, epochs, chunk, state, **options
) -> Generator[Fit, None, None]:
    """The fit at the start, then after each chunk of epochs."""
    start = descend(objective, params, data, epochs=0, state=state, **options)
    yield start

    def run(length, state):
        state = start.state if state is None else state
        return descend(objective, params, data, epochs=length, state=state, **options)

    yield from chunks(run, _lengths(int(start.state.epoch), epochs, chunk))


def _lengths(done: int, epochs: int, chunk: int | None) -> Iterator[int]:
    """Of the chunks that are left; they end where those of a training without interruption do."""
    length = chunk or max(epochs // LOOKS, 1)
    while done < epochs:
        end = min((done // length + 1) * length, epochs)
        yield end - done
        done = end


def _stream(objective, params, data, *, epochs, chunk, state, **options) -> Generator[Fit, None, None]:
    """The fit at the start, then after each block."""
    left = epochs if state is None else max(epochs - int(state.epoch), 0)
    yield from stream(objective, params, data, epochs=left, state=state, **options)


def _structure(objective, data, options: dict) -> dict[str, str]:
    """What must be the same where a training goes on: all but numbers."""
    if isinstance(data, Blocks):
        rows = {"examples": data.num_rows, "rows of a block": data.rows}
    elif isinstance(data, Iterated):
        rows = {}
    else:
        rows = {"examples": check_data(data)}
    parts = {name: options.get(name) for name in STRUCTURE}
    parts["shuffle"] = bool(options.get("shuffle", True))
    parts["stop"] = options.get("stop") or None
    parts["weights"] = "absent" if options.get("weights") is None else "given"
    return structure_of(objective=objective, key=_words_of_key(options.get("key")), **parts, **rows)


def _words_of_key(key: Any) -> str:
    """With another one it is another training; what is no key is refused later."""
    is_typed = hasattr(key, "dtype") and jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key)
    return " ".join(map(str, np.ravel(jax.random.key_data(key) if is_typed else key)))


def _done(fit: Fit, data: Any) -> float:
    """Epochs, and the part of the running one."""
    if isinstance(fit.state, StreamState) and isinstance(data, Blocks):
        return int(fit.state.epoch) + int(fit.state.passed.blocks) / data.num_blocks
    return int(fit.state.epoch)


def _told(fit: Fit) -> str:
    """What stands beside the bar."""
    if len(fit.history.loss):
        loss = fit.history.loss[max(int(fit.epochs), 1) - 1]
    else:
        loss = fit.state.passed.total / max(int(fit.state.passed.num), 1)  # type: ignore[attr-defined]
    return f" · loss {float(loss):.4g}"


def _tell(log: Any, fit: Fit, done: int) -> Exception | None:
    """Tell the log of the epochs of a part, after so many others; what kept it from being told."""
    try:
        _tell_each(_as_tuple(log), fit, done)
    except Exception as error:  # of which all processes shall know
        return error
    return None


def _tell_each(log: tuple, fit: Fit, done: int) -> None:
    if not log:
        return
    named = {"loss": fit.history.loss, "gradient_norm": fit.history.gradient_norm}
    for path, x in jax.tree_util.tree_leaves_with_path(fit.history.evaluation):
        named[jax.tree_util.keystr(path, simple=True, separator="/") or "evaluation"] = x
    for epoch in range(int(fit.epochs)):
        record = {name: np.asarray(x[epoch], float).tolist() for name, x in named.items()}
        for tell in log:
            tell(done + epoch, record)


def _as_tuple(log: Any) -> tuple:
    return () if log is None else tuple(log) if isinstance(log, tuple | list) else (log,)


def _in_agreement(
    saver: Saver | None, is_over: bool, asked: list[int], error: Exception | None
) -> tuple[bool, bool]:
    """Whether to save and whether to end, in all processes alike: a signal to one is for all of them."""
    is_due = saver is not None and perf_counter() - saver.at >= saver.every
    said = said_by_all(is_due, is_over, max(asked, default=0), error is not None)
    dues, overs, asked_there, failures = said.T
    # Added alone: a signal may come at this very moment.
    asked.extend(int(number) for number in asked_there if number and number not in asked)
    failed = first_of(failures)
    if failed is not None:
        raise error or RuntimeError(f"the log of process {failed} failed; it says how")
    return bool(dues[0]), bool(overs.any() or asked)


def _say_how_to_go_on(error: Exception, saver: Saver | None) -> None:
    if jax.process_count() > 1:
        where = ""
        if saver is not None:
            where = f"; they go on from the newest checkpoint in {saver.checkpoints.directory}"
        error.add_note(
            f"Process {jax.process_index()} of {jax.process_count()}: as a rule this says that another "
            f"process has ended. Start all of them again{where}."
        )


def _check(data, epochs, save_every, chunk, log, options: dict) -> None:
    is_stream = isinstance(data, Blocks | Iterated)
    check_epochs(epochs)
    checked_seconds(save_every, "save_every", lambda s: s >= 0, "number of seconds >= 0")
    if chunk is not None and is_stream:
        raise ValueError("chunk is given, but of blocks each one is a part. Leave it out.")
    if "mesh" in options and not is_stream:
        raise ValueError(
            "mesh is given, but data in memory are laid out before: data, _ = jgd.shard_rows(data, "
            "mesh)."
        )
    if chunk is not None and not (is_whole(chunk) and chunk >= 1):
        raise ValueError(
            f"chunk is {chunk!r}, but a number of epochs >= 1, as an int, or None is wanted."
        )
    for tell in _as_tuple(log):
        if not callable(tell):
            raise ValueError(
                f"log is {tell!r}, but a function (epoch, record) is wanted, or a tuple of them."
            )
    if "state" in options:
        raise ValueError(
            "state is given, but train goes on from its directory. To go on from a state call "
            "jgd.descend, jgd.descend_within or jgd.descend_stream."
        )

"""Batches of whatever makes them: grain, a torch DataLoader, tf.data, a generator."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np


class Iterated(NamedTuple):
    """Batches of whatever makes them.

    Attributes:
      start: `epoch -> iterator` of pytrees of NumPy arrays.
      name: of the source, for messages.
    """

    start: Callable[[int], Iterator[Any]]
    name: str


def iterate(source: Any) -> Iterated:
    """The batches of a loader, epoch by epoch; their leaves become NumPy arrays.

    Args:
      source: a function `epoch -> iterable` of batches, or an iterable that can be gone through once an
        epoch: a loader of grain or torch, a `tf.data.Dataset`, a list. An iterator, which ends for good,
        serves one epoch. A batch is a pytree of arrays [n, ...], or of tensors in the host's memory, and
        is not written to afterwards.

    Returns:
      `Iterated`.

    Raises:
      ValueError: source is neither, or a single batch. Within an epoch: it is the second of an iterator;
        the function gives no iterable; there is no batch; a leaf is no array.

    >>> import numpy as np
    >>> batches = iterate(lambda epoch: ({"x": np.full(2, epoch + n)} for n in range(3)))
    >>> [batch["x"].tolist() for batch in batches.start(5)]
    [[5, 5], [6, 6], [7, 7]]
    """
    name = getattr(source, "__name__", type(source).__name__)
    if isinstance(source, str | Mapping) or hasattr(source, "dtype") or hasattr(source, "_fields"):
        raise ValueError(
            f"source is {name}, whose parts are no batches, but a loader, or a function "
            "epoch -> iterator of batches, is wanted. jgd.blocks.arrays(data) cuts arrays into blocks, "
            "and a single batch is given as [batch]."
        )
    if isinstance(source, Iterator):
        return Iterated(functools.partial(_only_once, source, name, []), name)
    if isinstance(source, Iterable):
        return Iterated(functools.partial(_again, source, name), name)
    if not callable(source):
        raise ValueError(
            f"source is {source!r}, but a loader that can be gone through again, or a function "
            "epoch -> iterator of batches, is wanted."
        )
    return Iterated(functools.partial(_made_anew, source, name), name)


def _only_once(source: Iterator, name: str, started: list[int], epoch: int) -> Iterator[Any]:
    if started:
        raise ValueError(
            f"source is {name}, an iterator, which ended with epoch {started[0]}, but epoch {epoch} is "
            "asked for. Pass a function epoch -> iterator that makes a new one each time."
        )
    started.append(epoch)
    return _batches(source, name, epoch)


def _again(source: Iterable, name: str, epoch: int) -> Iterator[Any]:
    return _batches(iter(source), name, epoch)


def _made_anew(source: Callable, name: str, epoch: int) -> Iterator[Any]:
    made = source(epoch)
    try:
        return _batches(iter(made), name, epoch)
    except TypeError as error:
        raise ValueError(
            f"{name}({epoch}) is {type(made).__name__}, but an iterator of batches is wanted: a "
            "function that yields them."
        ) from error


def _batches(batches: Iterator, name: str, epoch: int) -> Iterator[Any]:
    number = -1
    for number, batch in enumerate(batches):
        yield jax.tree_util.tree_map_with_path(
            functools.partial(_array, f"batch {number} of {name}"), batch
        )
    if number < 0:
        raise ValueError(
            f"{name} has no batch in epoch {epoch}, but at least 1 is wanted. Does it give an iterator "
            "that has ended? Pass a function epoch -> iterator that makes a new one each time."
        )


def _array(what: str, path: Any, leaf: Any) -> np.ndarray:
    try:
        return np.asarray(leaf)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{what}{jax.tree_util.keystr(path)} is {type(leaf).__name__}, of which NumPy makes no "
            f"array ({error}). Of a tensor yield tensor.detach().cpu().float().numpy()."
        ) from error

"""Checkpoints of a training: numbered folders, written in the background, of which the newest are kept.

    directory/30/arrays/         the bytes of all leaves, one after the other, as orbax writes an array
    directory/30/about/metadata  JSON: format, version of jgd, path, shape and dtype of each leaf, a
                                 checksum, and what the caller wants to know again

A folder gets its name when all of it is written, so that a process that dies leaves no half of one. What
becomes of it on the disk the checksum tells.

The bytes are one array, for orbax reads and writes many at once, and where one fails the others print
what befell them. Of several processes the first writes, and all read from the directory that they share:
so no process waits for one that cannot write.
"""

import contextlib
import json
import os
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from jgd.runtime.packing import leaves_of, packed_of, spec_of, unpacked
from jgd.runtime.reading import FORMAT, checksum, orbax_module, read, reason_of, version
from jgd.tree import is_whole

LARGEST = 2**31 - 1  # number that the processes tell each other
PIECE = 2**24  # bytes; several are written and read at once
PARTS = {"_CHECKPOINT_METADATA", "about", "arrays"}  # of which a checkpoint has some, even damaged
UNFINISHED = "*.orbax-checkpoint-tmp*"  # folders that have no name of their own yet


class Checkpoints(NamedTuple):
    """A directory of checkpoints, open.

    Attributes:
      directory: where they lie.
      manager: the `CheckpointManager` of orbax that writes them; None in all processes but the first.
      damaged: numbers of those that could not be read; the next save removes them.
    """

    directory: Path
    manager: Any
    damaged: set[int]


class Checkpoint(NamedTuple):
    """What was saved.

    Attributes:
      number: of the checkpoint.
      tree: pytree of arrays.
      about: dict, as JSON gives it back: its tuples are lists.
    """

    number: int
    tree: Any
    about: dict


class _Owned(np.ndarray):
    """Made for the writer alone, who so need not copy it."""

    def __deepcopy__(self, memo):
        return self


def open_checkpoints(directory, keep: int = 3) -> Checkpoints:
    """Open a directory for the checkpoints of one training; it is made where there is none.

    What processes that died have left unfinished is removed.

    Args:
      directory: a path, the same in all processes.
      keep: how many of the newest are kept, an int >= 1.

    Returns:
      `Checkpoints`. End with `close`.

    Raises:
      ValueError: keep is no int >= 1; the directory is a file, or cannot be written.
      ImportError: orbax is not installed.

    >>> checkpoints = open_checkpoints(tempfile.mkdtemp())
    >>> save(checkpoints, 1, {"w": jnp.array([1.0, 2.0])}, {"epochs": 10})
    >>> number, tree, about = newest(checkpoints, like={"w": jnp.zeros(2)}, about={})
    >>> number, tree["w"].tolist(), about
    (1, [1.0, 2.0], {'epochs': 10})
    >>> close(checkpoints)
    """
    if not is_whole(keep) or keep < 1:
        raise ValueError(f"keep is {keep!r}, but a number of checkpoints, an int >= 1, is wanted.")
    if not isinstance(directory, str | os.PathLike) or not str(directory):
        raise ValueError(f"directory is {directory!r}, but a path is wanted.")
    orbax_module()
    folder = Path(directory).expanduser().absolute()  # orbax takes no other
    if jax.process_index() > 0:
        return Checkpoints(folder, None, set())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"directory is {str(folder)!r}, but a folder that can be written is wanted "
            f"({reason_of(error)}). Give another."
        ) from error
    _check_contents(folder)
    _remove_unfinished(folder)
    return Checkpoints(folder, _manager(folder, int(keep)), set())


def save(checkpoints: Checkpoints, number: int, tree: Any, about: dict) -> None:
    """Write a checkpoint in the background, once the one before it is written.

    The arrays are copied before it returns, so that they may be donated. Where a checkpoint cannot be
    written, be it at once or in the background, a warning says so, at the latest at the next call. What
    there is of it the next save removes, or `close`.

    Args:
      checkpoints: from `open_checkpoints`. Of several processes all call together.
      number: an int >= 0, greater than those of the checkpoints that are there.
      tree: pytree of arrays; there may be typed PRNG keys among them.
      about: dict of what JSON knows. Its "structure", a dict of strings, is compared by `newest`.

    Raises:
      ValueError: the number is not greater; a leaf is no array of numbers; JSON does not know what is
        in `about`.
    """
    _check_number(checkpoints, number)
    leaves = leaves_of(tree)
    specs = [spec_of(path, leaf) for path, leaf in leaves]
    content = _checked_json({"format": FORMAT, "jgd": version(), "leaves": specs, "about": about})
    wait(checkpoints)
    packed = packed_of(leaves)
    if checkpoints.manager is None:
        return
    _pad(packed)
    content["crc32"] = [checksum(content), zlib.crc32(packed)]
    _or_warn(checkpoints, lambda: _write(checkpoints, int(number), packed, content))


def newest(checkpoints: Checkpoints, like: Any, about: dict) -> Checkpoint | None:
    """The newest checkpoint that is whole; one that is damaged is passed over with a warning.

    Args:
      checkpoints: from `open_checkpoints`. Of several processes all call together.
      like: pytree of the structure, shapes and dtypes that are wanted, of arrays or `ShapeDtypeStruct`s.
        A leaf that has a sharding gets its numbers laid out like that, however they were when they were
        saved; those of an array of NumPy stay there.
      about: that of the training that will go on. Its "structure" must be that of the checkpoint.

    Returns:
      A `Checkpoint`, or None where the directory holds none.

    Raises:
      ValueError: none is whole; the newest is of another format, or of another structure.
    """
    wait(checkpoints)
    numbers, reason = _numbers(checkpoints.directory), ""
    for number in numbers:
        folder = checkpoints.directory / str(number)
        found, reason = read(folder, like, about)
        if found is not None:
            content, packed = found
            return Checkpoint(number, unpacked(like, content["leaves"], packed), content["about"])
        checkpoints.damaged.add(number)
        warnings.warn(
            f"{folder} is damaged ({reason}), and the checkpoint before it is tried. The next save "
            "removes it.",
            stacklevel=2,
        )
    if not numbers:
        return None
    checkpoints.damaged.clear()  # what nothing goes on from need not be removed
    raise ValueError(
        f"directory is {str(checkpoints.directory)!r}, but none of its checkpoints is whole ({reason}). "
        "Give another directory, or clear this one, to start anew."
    )


def wait(checkpoints: Checkpoints) -> None:
    """Wait for what is being written; a warning where it could not be."""
    if checkpoints.manager is not None:
        _or_warn(checkpoints, checkpoints.manager.wait_until_finished)


def close(checkpoints: Checkpoints) -> None:
    """Wait for what is being written, and end the threads that write."""
    wait(checkpoints)
    if checkpoints.manager is not None:
        _or_warn(checkpoints, checkpoints.manager.close)
        _remove_unfinished(checkpoints.directory)


def _check_contents(folder: Path) -> None:
    """ValueError where a folder looks like a checkpoint and is none: it would be removed in time."""
    for path in folder.glob("*"):
        if path.name.isdecimal() and path.is_dir():
            names = {inner.name for inner in path.iterdir()}
            if names and not names & PARTS:
                raise ValueError(
                    f"directory is {str(folder)!r}, but it holds {path.name}, which is no checkpoint "
                    "and would be taken for one. Give a directory of its own."
                )


def _manager(folder: Path, keep: int) -> Any:
    orbax = orbax_module()
    alone = orbax.options.MultiprocessingOptions(
        primary_host=0, active_processes={0}, barrier_sync_key_prefix="jgd"
    )
    options = orbax.CheckpointManagerOptions(
        max_to_keep=keep,
        create=False,  # of single processes orbax makes none
        multiprocessing_options=alone,
        # At once, for what waits for a folder that cannot be made waits for 20 minutes.
        async_options=orbax.AsyncOptions(create_directories_asynchronously=False),
    )
    # Floats hardly shrink, and to compress them took four times as long as to write them.
    arrays = orbax.PyTreeCheckpointHandler(use_compression=False, multiprocessing_options=alone)
    about = orbax.JsonCheckpointHandler(multiprocessing_options=alone)
    return orbax.CheckpointManager(
        folder, options=options, item_handlers={"arrays": arrays, "about": about}
    )


def _check_number(checkpoints: Checkpoints, number: Any) -> None:
    if not is_whole(number) or not 0 <= number <= LARGEST:
        raise ValueError(f"number is {number!r}, but an int from 0 to {LARGEST} is wanted.")
    if checkpoints.manager is None:
        return
    there = max(set(checkpoints.manager.all_steps()) - checkpoints.damaged, default=-1)
    if number <= there:
        raise ValueError(
            f"number is {number}, but a greater one than {there} is wanted, that of a checkpoint in "
            f"{checkpoints.directory}. Go on from it, or give another directory."
        )


def _write(checkpoints: Checkpoints, number: int, packed: np.ndarray, content: dict) -> None:
    args, manager = orbax_module().args, checkpoints.manager
    _remove_unfinished(checkpoints.directory)
    for damaged in checkpoints.damaged.intersection(manager.all_steps()):
        manager.delete(damaged)
    checkpoints.damaged.clear()
    piece = orbax_module().SaveArgs(chunk_byte_size=packed.size // _num_pieces(packed))
    arrays = args.PyTreeSave({"bytes": packed.view(_Owned)}, save_args={"bytes": piece})
    manager.save(number, args=args.Composite(arrays=arrays, about=args.JsonSave(content)), force=True)


def _pad(packed: np.ndarray) -> None:
    """Zeros at its end, in place, so that pieces of one size make it up.

    Else orbax looks for a divisor of its length, and cuts a prime number of bytes into single ones.
    """
    packed.resize(packed.size + -packed.size % _num_pieces(packed), refcheck=False)


def _num_pieces(packed: np.ndarray) -> int:
    return -(-packed.size // PIECE)


def _or_warn(checkpoints: Checkpoints, do: Callable[[], Any]) -> None:
    """Do it, and where it fails, whatever the error is, let the training go on."""
    manager, directory = checkpoints.manager, checkpoints.directory
    try:
        do()
    except Exception as error:
        with contextlib.suppress(Exception):
            manager.reload()  # else it would forget those that it could not remove
        there = max(set(manager.all_steps()) - checkpoints.damaged, default=None)
        warnings.warn(
            f"a checkpoint could not be written to {directory} ({reason_of(error)}). The newest whole "
            f"one is {there}; the training goes on.",
            stacklevel=4,
        )


def _remove_unfinished(directory: Path) -> None:
    for folder in directory.glob(UNFINISHED):
        shutil.rmtree(folder, ignore_errors=True)


def _checked_json(content: dict) -> dict:
    try:
        return json.loads(json.dumps(content))  # a copy, for it is written later
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"about holds what JSON does not know ({error}), but dicts, lists, strings and numbers of "
            "Python are wanted. Arrays go into the tree."
        ) from error


def _numbers(directory: Path) -> list[int]:
    """Of the checkpoints that are there, the newest first, as the first process finds them."""
    there = (path for path in directory.glob("*") if path.name.isdecimal() and path.is_dir())
    numbers = sorted((int(path.name) for path in there), reverse=True)
    if jax.process_count() == 1:
        return numbers
    num = int(multihost_utils.broadcast_one_to_all(np.int32(len(numbers))))
    if not num:
        return []
    own = np.resize(np.array(numbers or [0], np.int32), num)
    return np.asarray(multihost_utils.broadcast_one_to_all(own)).tolist()

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
import dataclasses
import enum
import functools
import json
import logging
import math
import os
import re
import shutil
import tempfile
import types
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import multihost_utils

from jgd.tree import Static, is_whole

FORMAT = 1  # of what is written
LARGEST = 2**31 - 1  # number that the processes tell each other
PIECE = 2**24  # bytes; several are written and read at once
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


class _DamageError(Exception):
    """A checkpoint cannot be read, or is not what was written."""


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
    if not isinstance(directory, str | os.PathLike):
        raise ValueError(f"directory is {directory!r}, but a path is wanted.")
    _orbax()
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
            f"({_reason(error)}). Give another."
        ) from error
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
    leaves = _leaves(tree)
    specs = [_spec(path, leaf) for path, leaf in leaves]
    content = _checked_json({"format": FORMAT, "jgd": _version(), "leaves": specs, "about": about})
    wait(checkpoints)
    arrays = [_on_host(leaf) for _, leaf in leaves]
    if checkpoints.manager is None:
        return
    # A byte more, for orbax takes no array without any.
    packed = np.concatenate([*map(_bytes, arrays), np.zeros(1, np.uint8)])
    content["crc32"] = [_checksum(content), zlib.crc32(packed)]
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
        found, reason = _read(folder, like, about)
        if found is not None:
            content, packed = found
            return Checkpoint(number, _unpacked(like, content, packed), content["about"])
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


def _orbax() -> Any:
    try:
        import orbax.checkpoint as orbax
    except ImportError as error:
        raise ImportError(
            f"checkpoints want orbax ({error}). Install it: pip install 'jgd[checkpoint]'.",
            name=error.name,
        ) from error
    # Of a failure our own warning tells; of all else there is nothing to be told.
    logging.getLogger("absl").addFilter(_is_not_of_orbax)
    return orbax


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    return f"{os.sep}orbax{os.sep}" not in record.pathname


def _manager(folder: Path, keep: int) -> Any:
    orbax = _orbax()
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
    args, manager = _orbax().args, checkpoints.manager
    _remove_unfinished(checkpoints.directory)
    for damaged in checkpoints.damaged.intersection(manager.all_steps()):
        manager.delete(damaged)
    checkpoints.damaged.clear()
    piece = _orbax().SaveArgs(chunk_byte_size=PIECE)
    arrays = args.PyTreeSave({"bytes": packed.view(_Owned)}, save_args={"bytes": piece})
    manager.save(number, args=args.Composite(arrays=arrays, about=args.JsonSave(content)), force=True)


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
            f"a checkpoint could not be written to {directory} ({_reason(error)}). The newest whole one "
            f"is {there}; the training goes on.",
            stacklevel=4,
        )


def _remove_unfinished(directory: Path) -> None:
    for folder in directory.glob(UNFINISHED):
        shutil.rmtree(folder, ignore_errors=True)


def _reason(error: BaseException) -> str:
    """What an error says, in one line that is not long."""
    line = (str(error).strip().splitlines() or [""])[0]
    line = re.sub(r" \[[\w ]+=.*", "", line)  # where in tensorstore it happened
    if len(line) > 200:
        line = f"{line[:60]} ... {line[-140:]}"  # the cause is at its end
    return f"{type(error).__name__}: {line}"


def _version() -> str:
    import jgd

    return jgd.__version__


def _checked_json(content: dict) -> dict:
    try:
        return json.loads(json.dumps(content))  # a copy, for it is written later
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"about holds what JSON does not know ({error}), but dicts, lists, strings and numbers of "
            "Python are wanted. Arrays go into the tree."
        ) from error


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    """The leaves by their paths; ValueError where one is no array of numbers."""
    leaves = [
        (
            jax.tree_util.keystr(path).removeprefix("."),
            leaf if hasattr(leaf, "dtype") else np.asarray(leaf),
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]
    for path, leaf in leaves:
        kinds = np.bool_, np.number, jax.dtypes.prng_key
        if not any(jnp.issubdtype(leaf.dtype, kind) for kind in kinds):
            raise ValueError(f"{path} has dtype {leaf.dtype}, but an array of numbers is wanted.")
    return leaves


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _spec(path: str, leaf: Any) -> dict:
    """What it is; of keys, that of their numbers, and how they are made of them."""
    if not _is_key(leaf):
        return {"path": path, "shape": list(leaf.shape), "dtype": str(leaf.dtype)}
    impl: list[str] = []

    def numbers(key):  # traced, for a ShapeDtypeStruct tells only there what made it
        impl.append(str(jax.random.key_impl(key)))
        return jax.random.key_data(key)

    return {**_spec(path, jax.eval_shape(numbers, leaf)), "key": impl[0]}


def _on_host(leaf: Any) -> np.ndarray:
    """Its numbers; those that lie in several processes all of them fetch together."""
    if _is_key(leaf):
        leaf = jax.random.key_data(leaf)
    if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
        leaf = multihost_utils.process_allgather(leaf, tiled=True)
    return np.asarray(leaf)


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _checksum(content: dict) -> int:
    """Of what the caller gave."""
    return zlib.crc32(json.dumps([content["leaves"], content["about"]]).encode())


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


def _read(folder: Path, like: Any, about: dict) -> tuple[tuple[dict, np.ndarray] | None, str]:
    """What it holds, or None and the reason; in all processes the same of the two."""
    found, reason, difference = None, "another process could not read it", None
    try:
        content = _content(folder)
        difference = _first_difference(content, like, about)
        if difference is None:
            found = content, _packed(folder, content)
    except _DamageError as damage:
        reason = str(damage)
    if difference is not None:
        raise ValueError(
            f"{folder} is of another training: {difference}. Go on with what it was made with, or give "
            "another directory to start anew."
        )
    if jax.process_count() > 1 and not np.all(multihost_utils.process_allgather(found is not None)):
        found = None
    return found, reason


def _content(folder: Path) -> dict:
    """What its JSON tells; ValueError where it is of another format."""
    try:
        content = json.loads((folder / "about" / "metadata").read_text())
        its_format = content["format"]
        is_whole_text = its_format != FORMAT or content["crc32"][0] == _checksum(content)
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        raise _DamageError(_reason(error)) from error
    if not is_whole_text:
        raise _DamageError("about/metadata is not what was written")
    if its_format != FORMAT:
        raise ValueError(
            f"{folder} has format {its_format!r}, but this jgd ({_version()}) reads format {FORMAT}. "
            f"Update jgd ({content.get('jgd')} wrote it), or give another directory to start anew."
        )
    return content


def _first_difference(content: dict, like: Any, about: dict) -> str | None:
    theirs, ours = content["about"].get("structure", {}), about.get("structure", {})
    for part in {**ours, **theirs}:
        there, here = theirs.get(part), ours.get(part)
        if there != here:
            return f"{part} is {there} in the checkpoint, {here} here"
    leaves_there = {leaf["path"]: leaf for leaf in content["leaves"]}
    leaves_here = {path: _spec(path, leaf) for path, leaf in _leaves(like)}
    for path in {**leaves_here, **leaves_there}:
        if path not in leaves_there:
            return f"{path} is not in the checkpoint, but it is here"
        if path not in leaves_here:
            return f"{path} is in the checkpoint, but not here"
        for what in ("shape", "dtype", "key"):
            there, here = leaves_there[path].get(what), leaves_here[path].get(what)
            if there != here:
                return f"{path} has {what} {there} in the checkpoint, {here} here"
    return None


def _packed(folder: Path, content: dict) -> np.ndarray:
    """The bytes of all leaves; _DamageError where they are not those that were written."""
    orbax = _orbax()
    from etils import epath  # comes with orbax, which takes no other path here

    handler = orbax.PyTreeCheckpointHandler()
    try:
        packed = handler.restore(epath.Path(folder / "arrays"), args=orbax.args.PyTreeRestore())["bytes"]
    except MemoryError:
        raise
    except Exception as error:  # orbax and tensorstore have many
        raise _DamageError(_reason(error)) from error
    finally:
        handler.close()
    if zlib.crc32(packed) != content["crc32"][1]:
        raise _DamageError("its numbers are not those that were written")
    return packed


def _unpacked(like: Any, content: dict, packed: np.ndarray) -> Any:
    """The tree, each leaf laid out as that of `like` is."""
    specs, end = {}, 0
    for spec in content["leaves"]:
        start, dtype = end, jnp.dtype(spec["dtype"])
        end = start + math.prod(spec["shape"]) * dtype.itemsize
        # Copied, for there it may lie at an odd address.
        specs[spec["path"]] = spec, packed[start:end].copy().view(dtype).reshape(spec["shape"])
    leaves = [_laid_out(leaf, *specs[path]) for path, leaf in _leaves(like)]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _laid_out(like: Any, spec: dict, array: np.ndarray) -> Any:
    # JAX would cut off the digits of a type that is not enabled.
    is_known = jax.dtypes.canonicalize_dtype(array.dtype) == array.dtype
    if isinstance(like, np.ndarray | np.generic) or not is_known:
        return array
    sharding = getattr(like, "sharding", None)
    if sharding is None or not getattr(like, "committed", True):
        laid = jax.device_put(array)  # where the default is, and free to move
    else:
        laid = jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])
    return jax.random.wrap_key_data(laid, impl=spec["key"]) if "key" in spec else laid


def structure_of(**parts) -> dict[str, str]:
    """What a training is made of, in words that are the same in every process.

    Functions are told by their names, and so are those that are bound to them or that they enclose; with
    them ints, strings, booleans and what is `Static`. Of floats and arrays only that they are there: a
    learning rate may be changed when a training goes on.

    Args:
      **parts: functions, rules, objectives, numbers.

    Returns:
      A dict of strings by the names of the parts.

    >>> structure_of(rule=jgd.sgd(0.1))["rule"]
    'jgd.descent.rules._update_sgd({learning_rate: number, momentum: None}, False)'
    """
    return {name: _words(part) for name, part in parts.items()}


def _words(part: Any, exact: bool = False, within: tuple = ()) -> str:
    """In words: `exact` ones of what is static, whose numbers count; none of what encloses itself."""
    words = functools.partial(_words, exact=exact, within=(*within, id(part)))
    if id(part) in within:
        return "..."
    if isinstance(part, Static):
        return _words(part.value, exact=True, within=within)
    if part is None or isinstance(part, bool | str | bytes | enum.Enum):
        return str(part)
    if isinstance(part, type):
        return _name(part)
    if is_whole(part):
        return str(int(part))
    if isinstance(part, float | complex):
        return repr(part) if exact else "number"
    if hasattr(part, "dtype") and hasattr(part, "shape"):
        return "number"
    if isinstance(part, optax.GradientTransformation):
        return words(part.update)  # its init belongs to it
    if isinstance(part, functools.partial):
        bound = [words(x) for x in part.args] + [f"{k}={words(x)}" for k, x in part.keywords.items()]
        return words(part.func) + (f"({', '.join(bound)})" if bound else "")
    if isinstance(part, dict):
        # Sorted, as JAX does it where the dict has passed through a program.
        items = sorted((str(key), words(x)) for key, x in part.items())
        return "{" + ", ".join(map(": ".join, items)) + "}"
    fields = _fields(part)
    if fields is not None:
        return f"{_name(type(part))}({', '.join(f'{name}={words(x)}' for name, x in fields.items())})"
    if isinstance(part, tuple | list):
        return f"({', '.join(map(words, part))})"
    enclosed = [words(x) for x in _enclosed(part) if _is_function(x)]
    return _name(part) + (f"[{', '.join(enclosed)}]" if enclosed else "")


def _fields(part: Any) -> dict[str, Any] | None:
    if isinstance(part, tuple) and hasattr(part, "_fields"):
        return part._asdict()  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(part):
        return {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    return None


def _name(part: Any) -> str:
    if isinstance(part, types.MethodType):
        return f"{_name(type(part.__self__))}.{part.__name__}"
    name = getattr(part, "__qualname__", None) or getattr(part, "__name__", None)
    if name is None:
        return _name(type(part))
    module = getattr(part, "__module__", None) or type(part).__module__
    # Where a package hides a function, it may move it.
    shown = [place for place in module.split(".") if place.startswith("__") or not place.startswith("_")]
    return ".".join([*shown, name])


def _enclosed(function: Any) -> Iterator:
    """What a function encloses, or that which was compiled."""
    if not hasattr(function, "__closure__"):
        function = getattr(function, "__wrapped__", function)
    for cell in getattr(function, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # it is empty yet
            yield cell.cell_contents


def _is_function(part: Any) -> bool:
    if isinstance(part, tuple | list):
        return any(map(_is_function, part))
    is_one = isinstance(part, types.FunctionType | types.MethodType | functools.partial)
    return is_one or (hasattr(part, "__wrapped__") and not isinstance(part, type))

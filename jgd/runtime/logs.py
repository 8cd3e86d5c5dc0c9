"""Logs for `jgd.train(log=...)`: a line of JSON, or a point in TensorBoard, for every epoch."""

import dataclasses
import json
import math
import os
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

Log = Callable[[int, dict[str, Any]], None]
BEGINNING = b'{"epoch": '


def jsonl(path: Any) -> Log:
    """A log that writes a line of JSON for every epoch: `{"epoch": 12, "loss": 0.5, ...}`.

    Each line is written before the next epoch is told, and outlives a process that is killed. A training
    that is resumed goes on in the same file: lines of epochs that come again are dropped, and so is one
    that was cut short, so that the file has each epoch once. Give each training a file of its own; one
    that begins at epoch 0 begins the file anew. JSON has no word for NaN and infinity: they are written
    as null. Of several processes the first one writes: make the log after `jax.distributed.initialize`.

    Args:
      path: of the file, which need not be there yet.

    Returns:
      A function `(epoch, record)`.

    Raises:
      ValueError: the file cannot be written, or holds something else than such lines. When told: the
        record has an `epoch` of its own.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log.jsonl"
    >>> log = jsonl(path)
    >>> log(0, {"loss": 0.5, "gradient_norm": math.inf})
    >>> path.read_text()
    '{"epoch": 0, "loss": 0.5, "gradient_norm": null}\\n'
    """
    if jax.process_index() > 0:
        return _nothing
    path = _checked_path(path)
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise ValueError(
            f"path is {str(path)!r}, which cannot be written ({error.strerror or error}). Make its "
            f"folder, {str(path.parent)!r}, or give another path."
        ) from error
    _end_of(path, before=math.inf)
    return _Lines(path)


def read_jsonl(path: Any) -> list[dict[str, Any]]:
    """The lines of a log of `jsonl`, of which polars and pandas make a table.

    Args:
      path: of the file; a training may still be writing it.

    Returns:
      A list of dicts, one for each epoch; null is NaN, and a line that was cut short is left out.

    Raises:
      ValueError: there is no such file, or it holds something else.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log.jsonl"
    >>> jsonl(path)(0, {"loss": math.nan})
    >>> read_jsonl(path)
    [{'epoch': 0, 'loss': nan}]
    """
    path = _checked_path(path)
    try:
        return [_with_nan(record) for record, _ in _records(path)]
    except OSError as error:
        raise ValueError(
            f"path is {str(path)!r}, which cannot be read ({error.strerror or error}). Wanted is a file "
            "that jgd.logs.jsonl has written."
        ) from error


def tensorboard(directory: Any) -> Log:
    """A log that writes a point of every number for every epoch, for `tensorboard --logdir directory`.

    A training that goes on adds a file; TensorBoard then hides the points of epochs that come again.
    Give each training a directory of its own. Of several processes the first one writes: make the log
    after `jax.distributed.initialize`.

    Args:
      directory: made where there is none.

    Returns:
      A function `(epoch, record)`.

    Raises:
      ImportError: tensorboardX is not installed.
      ValueError: the directory cannot be made or written.

    >>> import tempfile
    >>> directory = tempfile.mkdtemp()
    >>> log = tensorboard(directory)
    >>> log(0, {"loss": 0.5, "accuracy": [0.8, 0.9]})  # points loss, accuracy/0 and accuracy/1
    >>> len(os.listdir(directory))
    1
    """
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"jgd.logs.tensorboard wants tensorboardX ({error}). Install it: pip install "
            "'jgd[tensorboard]', or take jgd.logs.jsonl, which wants nothing.",
            name=error.name,
        ) from error
    if jax.process_index() > 0:
        return _nothing
    folder = _checked_path(directory, "directory")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError("no right to write there")
    except OSError as error:
        raise ValueError(
            f"directory is {str(folder)!r}, which cannot be made or written ({error.strerror or error}"
            "). Give another one."
        ) from error
    return _Points(folder)


@dataclasses.dataclass
class _Lines:
    """The log of `jsonl`.

    Attributes:
      path: of the file.
      last: the epoch of its last line; infinite where that must be looked up.
    """

    path: Path
    last: float = math.inf

    def __call__(self, epoch: int, record: dict[str, Any]) -> None:
        if "epoch" in record:
            raise ValueError(
                "the record has an 'epoch', but in a line that is the number of the epoch. Let evaluate "
                "give it another name."
            )
        line = json.dumps({"epoch": int(epoch), **_with_null(record)}, allow_nan=False)
        if epoch <= self.last:
            self._end_before(epoch)
        self.last = math.inf  # until the line is whole
        with self.path.open("a", encoding="ascii", newline="\n") as file:
            file.write(f"{line}\n")
        self.last = epoch

    def _end_before(self, epoch: int) -> None:
        with self.path.open("ab"):  # it may have been moved away
            pass
        end = _end_of(self.path, before=epoch)
        with self.path.open("r+b") as file:
            file.truncate(end)
            file.seek(max(end - 1, 0))
            if file.read() not in (b"", b"\n"):
                file.write(b"\n")


@dataclasses.dataclass
class _Points:
    """The log of `tensorboard`.

    Attributes:
      folder: where its files are.
      last: the epoch of the last point.
      path: of the file of this training.
    """

    folder: Path
    last: float = math.inf
    path: Path = Path()

    def __call__(self, epoch: int, record: dict[str, Any]) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        if epoch <= self.last:
            self._begin(epoch)
        points = [Summary.Value(tag=tag, simple_value=number) for tag, number in _scalars(record)]
        self._write(step=int(epoch), summary=Summary(value=points))
        self.last = epoch

    def _begin(self, epoch: int) -> None:
        """A file that says that points from this epoch on, in those before it, count no more."""
        from tensorboardX.proto.event_pb2 import SessionLog

        # TensorBoard reads the files in the order of their names.
        self.path = self.folder / f"events.out.tfevents.{time.time_ns()}"
        self._write(file_version="brain.Event:2")
        self._write(step=int(epoch), session_log=SessionLog(status=SessionLog.START))

    def _write(self, **fields: Any) -> None:
        """An event, at once: tensorboardX's own writer has a queue, which is lost where a process is
        killed, and waits for the disk to flush it."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import masked_crc32c

        content = Event(wall_time=time.time(), **fields).SerializeToString()
        length = struct.pack("<Q", len(content))
        sums = (struct.pack("<I", masked_crc32c(part)) for part in (length, content))
        with self.path.open("ab") as file:
            file.write(b"".join([length, next(sums), content, next(sums)]))


def _nothing(epoch: int, record: dict[str, Any]) -> None:
    """The log of every process but the first."""


def _checked_path(path: Any, name: str = "path") -> Path:
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ValueError(f"{name} is {path!r}, but a path, as a string or a pathlib.Path, is wanted.")
    return Path(path).expanduser()


def _records(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """The records in a file, each with the place where its line ends; without a last one cut short."""
    end = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            end += len(line)
            record = _record(line)
            if record is not None:
                yield record, end
            elif line.endswith(b"\n") or not _is_beginning(line):
                raise ValueError(
                    f"path is {str(path)!r}, whose line {number} is none of a log: {line[:40]!r}. Give "
                    "each training a file of its own, or remove what is damaged."
                )


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and type(found.get("epoch")) is int else None


def _is_beginning(line: bytes) -> bool:
    return line.startswith(BEGINNING) or BEGINNING.startswith(line)


def _end_of(path: Path, before: float) -> int:
    """Where the lines of the epochs before that one end."""
    end = 0
    for record, place in _records(path):
        if record["epoch"] < before:
            end = place
    return end


def _with_null(value: Any) -> Any:
    """The same in lists, dicts and numbers of Python; None for what is not finite."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, dict):
        return {str(name): _with_null(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_with_null(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _with_null(np.asarray(value, float).tolist())


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_nan(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_with_nan(part) for part in value]
    return math.nan if value is None else value


def _scalars(record: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Each number with its name; of an array `name/0`, `name/1`, of a matrix `name/0/0`."""
    for name, value in record.items():
        numbers = np.asarray(value, float)
        for place in np.ndindex(numbers.shape):
            yield "/".join([name, *map(str, place)]), float(numbers[place])

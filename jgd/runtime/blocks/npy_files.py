"""Blocks of .npy files, read by offset: a file that shrinks under a memory map kills the process."""

import functools
import math
import os
from typing import Any, BinaryIO, NamedTuple

import jax
import numpy as np

from jgd.runtime.blocks.source import Blocks, check_range, rows_of_a_block, usual_rows
from jgd.wording import count, listed


class NpyFile(NamedTuple):
    """What the header of a file tells.

    Attributes:
      path: str.
      header: its bytes; the first row begins after them.
      shape: of the array.
      dtype: of its numbers.
    """

    path: str
    header: bytes
    shape: tuple[int, ...]
    dtype: np.dtype

    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def npy(paths: Any, rows: int | None = None) -> Blocks:
    """Blocks of .npy files.

    Args:
      paths: pytree of paths, str or Path, to files as `np.save` writes them, whose arrays share their
        leading axis N.
      rows: of a block, whole number >= 1; None takes as many as make 16 MiB.

    Returns:
      `Blocks` of the structure of `paths`.

    Raises:
      ValueError: paths holds no path; a file is missing, broken or shorter than its header tells, holds
        something else than numbers, or no rows, or is in Fortran order; the files differ in their rows;
        rows is no whole number >= 1. When read: a file has changed.

    >>> import tempfile
    >>> import numpy as np
    >>> folder = tempfile.TemporaryDirectory()
    >>> np.save(folder.name + "/x.npy", np.arange(10.0).reshape(5, 2))
    >>> blocks = npy({"x": folder.name + "/x.npy"}, rows=2)
    >>> blocks.num_rows, blocks.read(4, 5)["x"].tolist()
    (5, [[8.0, 9.0]])
    >>> folder.cleanup()

    Source: the .npy format, NEP 1.
    """
    leaves, structure = jax.tree.flatten(paths)
    if not leaves or not all(isinstance(path, str | os.PathLike) for path in leaves):
        raise ValueError(
            f"paths is {paths!r}, but a pytree of paths to .npy files is wanted, e.g. "
            '{"x": "x.npy", "y": "y.npy"}.'
        )
    files = [_opened(os.fspath(path)) for path in leaves]
    num_rows = files[0].shape[0]
    for file in files:
        if file.shape[0] != num_rows:
            raise ValueError(
                f"{files[0].path} has {count(num_rows, 'row')} and {file.path} has {file.shape[0]:,}, "
                "but all files want the same rows."
            )
    if num_rows == 0:
        raise ValueError(f"{files[0].path} has 0 rows, but at least 1 is wanted.")
    rows = rows_of_a_block(rows, num_rows, usual_rows(sum(file.row_bytes() for file in files)))
    names = listed([file.path for file in files])
    read = functools.partial(_read, structure, files, num_rows)
    return Blocks(num_rows, rows, read, (names + ", row {}").format)


def _opened(path: str) -> NpyFile:
    """The file, whose header and size are checked."""
    try:
        with open(path, "rb") as stream:
            file, is_fortran = _header(path, stream)
            present = _rows_in(file, stream)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise ValueError(
            f"{path} is no .npy file that can be read ({error}). np.save writes one; those of an .npz "
            "are taken out by np.load(path)[name]."
        ) from error
    if file.dtype.kind in "OVUSMm":
        raise ValueError(
            f"{path} has dtype {file.dtype}, but numbers are wanted. Encode text, dates and categories "
            "as numbers, and save objects as np.asarray(x, float)."
        )
    if not file.shape:
        raise ValueError(f"{path} has shape (), but a leading axis of rows is wanted.")
    if is_fortran and len(file.shape) > 1:
        raise ValueError(
            f"{path} is in Fortran order, in which a row is scattered over the whole file, but C order "
            'is wanted. Save it once more: np.save(path, np.load(old, mmap_mode="r").copy(order="C")).'
        )
    if present < file.shape[0]:
        raise ValueError(
            f"{path} has {count(present, 'row')} of the {file.shape[0]:,} that its header tells. Was it "
            "written, or copied, to its end?"
        )
    return file


def _header(path: str, stream: BinaryIO) -> tuple[NpyFile, bool]:
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"it is of version {version}, that of structured arrays")
    is_first = version == (1, 0)
    parse = np.lib.format.read_array_header_1_0 if is_first else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = parse(stream)
    length = stream.tell()
    stream.seek(0)
    return NpyFile(path, stream.read(length), shape, dtype), is_fortran


def _rows_in(file: NpyFile, stream: BinaryIO) -> int:
    """How many whole rows the file has now."""
    present = os.fstat(stream.fileno()).st_size - len(file.header)
    row_bytes = file.row_bytes()
    return max(present, 0) // row_bytes if row_bytes else file.shape[0]


def _read(structure: Any, files: list[NpyFile], num_rows: int, first: int, last: int) -> Any:
    check_range(first, last, num_rows)
    return jax.tree.unflatten(structure, [_rows(file, first, last) for file in files])


def _rows(file: NpyFile, first: int, last: int) -> np.ndarray:
    block = np.empty((last - first, *file.shape[1:]), file.dtype)
    left = memoryview(block.reshape(-1).view(np.uint8))
    try:
        with open(file.path, "rb", buffering=0) as stream:
            is_same = stream.read(len(file.header)) == file.header
            if not is_same or _rows_in(file, stream) < file.shape[0]:
                raise _changed(file)
            stream.seek(len(file.header) + first * file.row_bytes())
            while left:
                got = stream.readinto(left)
                if not got:
                    raise _changed(file)
                left = left[got:]
    except OSError as error:
        raise _changed(file) from error
    return block.astype(file.dtype.newbyteorder("="), copy=False)


def _changed(file: NpyFile) -> ValueError:
    """The error that tells what the file was and what it is now."""
    try:
        now = _opened(file.path)
        told = f"it has {count(now.shape[0], 'row')} of {now.dtype}{list(now.shape[1:])} now."
    except ValueError as error:
        told = str(error)
    return ValueError(
        f"{file.path} had {count(file.shape[0], 'row')} of {file.dtype}{list(file.shape[1:])} when the "
        f"blocks were made, but {told} Blocks want files that stay as they are."
    )

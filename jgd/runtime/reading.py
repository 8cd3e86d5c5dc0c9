"""A checkpoint read: what it holds, that it is what was written, and that it is of the same training."""

import json
import logging
import os
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from jgd.runtime.packing import leaves_of, spec_of
from jgd.runtime.processes import said_by_all

FORMAT = 1  # of what is written


class DamageError(Exception):
    """A checkpoint cannot be read, or is not what was written."""


def read(folder: Path, like: Any, about: dict) -> tuple[tuple[dict, np.ndarray] | None, str]:
    """What it holds, or None and the reason; in all processes the same of the two."""
    found, reason, difference = None, "another process could not read it", None
    try:
        content = _content(folder)
        difference = _first_difference(content, like, about)
        if difference is None:
            found = content, _packed(folder, content)
    except DamageError as damage:
        reason = str(damage)
    if difference is not None:
        raise ValueError(
            f"{folder} is of another training: {difference}. Go on with what it was made with, or give "
            "another directory to start anew."
        )
    if not said_by_all(found is not None).all():
        found = None
    return found, reason


def _content(folder: Path) -> dict:
    """What its JSON tells; ValueError where it is of another format."""
    try:
        content = json.loads((folder / "about" / "metadata").read_text())
        its_format = content["format"]
        is_whole_text = its_format != FORMAT or content["crc32"][0] == checksum(content)
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        raise DamageError(reason_of(error)) from error
    if not is_whole_text:
        raise DamageError("about/metadata is not what was written")
    if its_format != FORMAT:
        raise ValueError(
            f"{folder} has format {its_format!r}, but this jgd ({version()}) reads format {FORMAT}. "
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
    leaves_here = {path: spec_of(path, leaf) for path, leaf in leaves_of(like)}
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
    """The bytes of all leaves; DamageError where they are not those that were written."""
    orbax = orbax_module()
    from etils import epath  # comes with orbax, which takes no other path here

    handler = orbax.PyTreeCheckpointHandler()
    try:
        packed = handler.restore(epath.Path(folder / "arrays"), args=orbax.args.PyTreeRestore())["bytes"]
    except MemoryError:
        raise
    except Exception as error:  # orbax and tensorstore have many
        raise DamageError(reason_of(error)) from error
    finally:
        handler.close()
    if zlib.crc32(packed) != content["crc32"][1]:
        raise DamageError("its numbers are not those that were written")
    return packed


def checksum(content: dict) -> int:
    """Of what the caller gave."""
    return zlib.crc32(json.dumps([content["leaves"], content["about"]]).encode())


def orbax_module() -> Any:
    """Orbax, imported where it is wanted; ImportError with the way out."""
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


def reason_of(error: BaseException) -> str:
    """What an error says, in one line that is not long."""
    line = (str(error).strip().splitlines() or [""])[0]
    line = re.sub(r" \[[\w ]+=.*", "", line)  # where in tensorstore it happened
    if len(line) > 200:
        line = f"{line[:60]} ... {line[-140:]}"  # the cause is at its end
    return f"{type(error).__name__}: {line}"


def version() -> str:
    """Of jgd."""
    import jgd

    return jgd.__version__

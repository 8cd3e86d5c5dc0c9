"""The directory of a run: what lies in it, and that nothing of somebody else is overwritten."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jgd

SUMMARY, CONFIG, HISTORY, REPORT = "summary.json", "config.toml", "history.jsonl", "report.html"
PARAMS, MODEL, FIGURES, CHECKPOINTS = "model.safetensors", "model.json", "figures", "checkpoints"
RESULTS = ("results.csv", "results.parquet")
OURS = (SUMMARY, CONFIG, HISTORY, REPORT, PARAMS, MODEL, FIGURES, CHECKPOINTS, *RESULTS)


class RunDirectory(NamedTuple):
    """A directory that is there and can be written.

    Attributes:
      path: of it.
      is_new: whether it was made for this run.
    """

    path: Path
    is_new: bool


def default_out(table: str, command: str) -> Path:
    """`diamonds_fit` in the working directory, or `diamonds_fit_2` where that is taken, and so on."""
    stem = Path(table).name.partition(".")[0] or "table"
    number, path = 1, Path(f"{stem}_{command}")
    while path.exists() or path.is_symlink():
        number += 1
        path = Path(f"{stem}_{command}_{number}")
    return path


def made(path: Path, force: bool = False, names: tuple[str, ...] = OURS) -> RunDirectory:
    """Make the directory, or see that it may be used. What an earlier run left there is not touched yet.

    Args:
      path: of it.
      force: whether what an earlier run wrote may be replaced.
      names: what this run will write.

    Returns:
      The directory.

    Raises:
      ValueError: it cannot be made or written, or it holds such files already.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        taken = [name for name in names if (path / name).exists()]
        if taken and not force:
            raise ValueError(
                f"{path} holds an earlier run ({', '.join(taken[:3])}). Nothing is overwritten.\n"
                f"Name another directory: --out DIR; or replace that run: --force"
            )
        if taken and not _is_of_a_run(path):
            raise ValueError(
                f"{path} holds {taken[0]}, but no run of jgd made it, so --force does not replace it.\n"
                "Name another directory: --out DIR"
            )
    elif path.exists() or path.is_symlink():
        raise ValueError(f"{path} is a file, but a directory is wanted.\nName another one: --out DIR")
    elif not path.parent.is_dir():
        raise ValueError(
            f"--out is {path}, but there is no directory {path.parent}.\nMake it: mkdir -p {path.parent}"
        )
    is_new = not path.exists()
    trial = path / ".jgd"
    try:
        path.mkdir(exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise ValueError(
            f"{path} cannot be written ({error.strerror or error}).\nName another directory: --out DIR"
        ) from error
    return RunDirectory(path, is_new)


def emptied(directory: RunDirectory, names: tuple[str, ...] = OURS) -> None:
    """Remove what an earlier run left there, once it is sure that this one has work to do."""
    for name in names:
        place = directory.path / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)


def forsaken(directory: RunDirectory) -> None:
    """Remove the directory if it was made for this run, and nothing came of it."""
    if directory.is_new:
        with contextlib.suppress(OSError):
            directory.path.rmdir()


def write_config(directory: Path, command: str, values: dict[str, Any]) -> None:
    """Write config.toml: the command, the version, and every choice."""
    import tomli_w

    about = {"command": command, "version": jgd.__version__}
    text = tomli_w.dumps(about | {name: value for name, value in values.items() if value is not None})
    (directory / CONFIG).write_text(text, encoding="utf-8")


def write_summary(directory: Path, summary: dict[str, Any]) -> None:
    """Write summary.json, in the format that `jgd.report` reads."""
    text = json.dumps(plain(summary), indent=2, ensure_ascii=False)
    (directory / SUMMARY).write_text(f"{text}\n", encoding="utf-8")


def read_summary(directory: Path) -> dict[str, Any] | None:
    """What `write_summary` wrote; None where the run has not ended."""
    try:
        found = json.loads((directory / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def versions() -> dict[str, str]:
    """Of jgd and what decides its numbers."""
    return {"jgd": jgd.__version__} | {
        name: metadata.version(name) for name in ("jax", "numpy", "polars")
    }


def plain(value: Any) -> Any:
    """The same as json takes it: dicts, lists and numbers of Python, None for what is not finite."""
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | bool | int) else str(value)


def _is_of_a_run(path: Path) -> bool:
    """Whether the config.toml there is one of jgd, or nothing but parts of a run are there."""
    try:
        return "command" in tomllib.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False

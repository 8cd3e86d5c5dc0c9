"""A model in files: its params in model.safetensors, all else in model.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jgd
from jgd.cli.directory import CONFIG, MODEL, PARAMS
from jgd.cli.learned import LOSSES, Learned, start_of
from jgd.cli.options import ACTIVATIONS
from jgd.tables import from_json, to_json

FORMAT, VERSION = "jgd model", 1


def save_model(directory: Path, learned: Learned, params: Any) -> None:
    """Write the model into the directory.

    Args:
      directory: that is there.
      learned: what it predicts from what.
      params: pytree of arrays.
    """
    from safetensors.numpy import save_file

    about = {
        "format": FORMAT,
        "format_version": VERSION,
        "version": jgd.__version__,
        "model": "mlp" if learned.hidden else "linear",
        "hidden": list(learned.hidden),
        "activation": learned.activation,
        "loss": learned.loss,
        "target_center": learned.center,
        "target_scale": learned.scale,
        "table": to_json(learned.schema, learned.target),
    }
    text = json.dumps(about, indent=1, ensure_ascii=False)
    (directory / MODEL).write_text(f"{text}\n", encoding="utf-8")
    save_file(named(params), directory / PARAMS)


def load_model(directory: Path) -> tuple[Learned, Any]:
    """The model and its params.

    Args:
      directory: of a fit.

    Returns:
      `(learned, params)`.

    Raises:
      ValueError: there is none, it is broken, or not of jgd.
    """
    path = Path(directory).expanduser()
    if path.is_file():
        raise ValueError(
            f"{path} is a file, but the directory of a fit is wanted.\nGive the directory: {path.parent}"
        )
    if not (path / MODEL).is_file():
        is_begun = (path / CONFIG).is_file()
        way_out = f"Finish it: jgd resume {path}" if is_begun else f"Make one: jgd fit ... --out {path}"
        has = f"holds no {MODEL}, so no model" if path.is_dir() else "is not there"
        raise ValueError(f"{path} {has}.\n{way_out}")
    learned = _learned(path / MODEL)
    return learned, _params(path / PARAMS, learned)


def named(params: Any) -> dict[str, np.ndarray]:
    """The arrays of nested dicts by their places: `layer_1/weights`."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.array(leaf) for path, leaf in leaves
    }


def _learned(path: Path) -> Learned:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _broken(path, f"it cannot be read: {error}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ValueError(f"{path} is of no fit of jgd.\nMake a model: jgd fit TABLE --target COLUMN")
    if about.get("format_version") != VERSION:
        raise ValueError(
            f"{path} has the format {about.get('format_version')!r}, but this jgd reads {VERSION}.\n"
            "Update jgd, or fit the model again."
        )
    schema, target = from_json(about.get("table"))
    hidden: Any = about.get("hidden")
    numbers: list[Any] = [about.get(name) for name in ("target_center", "target_scale")]
    is_right = (
        target is not None
        and isinstance(hidden, list)
        and all(type(units) is int and units > 0 for units in hidden)
        and about.get("activation") in ACTIVATIONS
        and all(type(number) in (int, float) and np.isfinite(number) for number in numbers)
    )
    if not is_right or target is None or about.get("loss") not in LOSSES[target.task]:
        raise _broken(path, "a choice in it is none")
    center, scale = map(float, numbers)
    return Learned(schema, target, tuple(hidden), about["activation"], about["loss"], center, scale)


def _params(path: Path, learned: Learned) -> Any:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        raise _broken(path, str(error)) from error
    wanted = jax.eval_shape(lambda: start_of(learned, jax.random.key(0)))
    leaves, structure = jax.tree_util.tree_flatten_with_path(wanted)
    names = [jax.tree_util.keystr(place, simple=True, separator="/") for place, _ in leaves]
    shapes = {name: leaf.shape for name, (_, leaf) in zip(names, leaves, strict=True)}
    found = {name: array.shape for name, array in arrays.items()}
    if found != shapes:
        raise _broken(path, f"it holds {found}, but {MODEL} wants {shapes}")
    return jax.tree.unflatten(structure, [arrays[name] for name in names])


def _broken(path: Path, what: str) -> ValueError:
    return ValueError(f"{path} is broken ({' '.join(what.split())}).\nFit the model again.")

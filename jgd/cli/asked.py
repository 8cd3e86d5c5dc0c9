"""What `jgd sweep` is asked for: the options of a fit, and the axes of those that vary."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from jgd.cli.axes import USUAL_RATES, Axis, axis_of, penalty_axis
from jgd.cli.options import Options, checked, number_or_auto, options_of, read_toml, units_of

OF_SWEEP = ("draws", "halving", "folds")
ABOUT = ("command", "version")
USUAL_HIDDEN = "64"


def merged(given: dict[str, Any], config: Path | None) -> dict[str, Any]:
    """What was given, before what stands in the config.toml of a sweep; without what is in neither.

    Raises:
      ValueError: the file is of no sweep; no table or target; options that exclude each other.
    """
    values = {} if config is None else read_toml(config)
    if config is not None and values.get("command") != "sweep":
        raise ValueError(f"{config} is of no sweep.\nGive the config.toml that jgd sweep wrote.")
    unknown = set(values) - {*Options._fields, *OF_SWEEP, *ABOUT}
    if unknown:
        raise ValueError(f"{config} holds {min(unknown)}, which is no choice of a sweep. Take it out.")
    values = {name: value for name, value in values.items() if name not in ABOUT}
    values |= {
        name: value for name, value in given.items() if value is not False and value not in (None, [])
    }
    for name, way_out in (("table", "jgd sweep TABLE --target COLUMN"), ("target", "--target COLUMN")):
        if not values.get(name):
            raise ValueError(f"No {name} is given. Name it: {way_out}")
    folds = values.get("folds")
    if folds is not None and folds < 2:
        raise ValueError(f"--folds is {folds}, but 2 folds or more are wanted: --folds 5")
    if folds is not None and values.get("halving"):
        raise ValueError(
            "--halving judges by rows held out, and --folds by folds. Leave out one of them."
        )
    if folds is not None and values.get("validation"):
        raise ValueError(
            "--validation holds out the same rows from all, and --folds each row once. Leave out one."
        )
    return values


def asked(values: dict[str, Any]) -> tuple[Options, list[Axis]]:
    """The options of the first values of all axes, and the axes.

    Args:
      values: name -> value; those that vary are texts, see `jgd.cli.axes`.

    Raises:
      ValueError: one does not fit, or nothing varies.
    """
    fixed = {name: value for name, value in values.items() if name in Options._fields}
    axes: list[Axis] = []

    def take(name: str, axis: Axis) -> None:
        fixed[name] = axis.values[0]
        if len(axis.values) > 1:
            axes.append(axis)

    rate = values.get("learning_rate")
    by_number = any(values.get(name) is not None for name in ("momentum", "batch_size"))
    if rate is None and (by_number or not _varies(values)) and values.get("rule", "sgd") == "sgd":
        rate = USUAL_RATES
    if rate is not None and rate != "auto":
        if number_or_auto(rate) == "auto":
            raise ValueError(f"--learning-rate is {rate}, but numbers, or auto, are wanted.")
        take("learning_rate", axis_of("learning_rate", rate))
    if values.get("penalty") is not None:
        fixed["penalty"], axis = penalty_axis(values["penalty"])
        axes += [axis] if axis is not None else []
    if values.get("momentum") is not None:
        take("momentum", axis_of("momentum", str(values["momentum"]), is_log=False))
    if values.get("batch_size") is not None:
        take("batch_size", axis_of("batch_size", str(values["batch_size"]), is_whole=True))
    if values.get("rule") is not None:
        take("rule", _words("rule", values["rule"]))
    _take_models(values, fixed, axes)
    if values.get("folds") is not None:
        fixed["validation"] = 0.0
    options = options_of(fixed)
    if not axes:
        raise ValueError(
            "Nothing varies, so there is nothing to sweep. Give a range or a list of one option:\n"
            "--learning-rate 0.001..1:16, --penalty l2=1e-5..1:8, --momentum 0,0.9, --batch-size 16,64"
        )
    for axis in axes:
        if axis.name in ("learning_rate", "momentum", "batch_size"):
            for value in axis.values:
                checked(options._replace(**{axis.name: value}))
    if values.get("halving") and any(axis.is_static for axis in axes):
        name = next(axis.name for axis in axes if axis.is_static)
        raise ValueError(
            f"--halving drops lanes of one program, but each {name} is a program of its own.\n"
            f"Give one {name}, or leave out --halving."
        )
    return options, axes


def fit_command(values: dict[str, Any], axes: list[Axis], config: dict[str, Any]) -> str:
    """The command line that trains a configuration.

    Args:
      values: from `merged`.
      axes: from `asked`.
      config: name -> plain value, of the axes.
    """
    chosen = {name: value for name, value in values.items() if name in Options._fields}
    names = {axis.name for axis in axes}
    for name, value in config.items():
        if name == "model":
            _, _, hidden = str(value).partition(" ")
            chosen |= {"model": str(value).split()[0], "hidden": [hidden] if hidden else None}
        elif name in ("learning_rate", "momentum", "batch_size", "rule"):
            chosen[name] = value
        else:
            _, comma, ratio = (
                str(values["penalty"]).partition(",") if name == "elastic_net" else ("",) * 3
            )
            chosen["penalty"] = f"{name}={_shortest(value)}{comma}{ratio}"
    if "learning_rate" not in names and values.get("learning_rate") is None:
        chosen.pop("learning_rate", None)
    words = ["jgd", "fit", str(chosen.pop("table"))]
    for name, value in chosen.items():
        for part in value if isinstance(value, list | tuple) else [value]:
            if part is not None:
                words += [f"--{name.replace('_', '-')}", _shortest(part)]
    return shlex.join(words)


def _shortest(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _varies(values: dict[str, Any]) -> bool:
    """Whether an option other than the learning rate is a range or a list."""
    texts = [
        str(values.get(name) or "") for name in ("penalty", "momentum", "batch_size", "rule", "model")
    ]
    is_mixed = len(values.get("hidden") or []) > 1
    penalty = texts[0].partition("=")[2]
    is_strength = ".." in penalty or ("," in penalty and not texts[0].startswith("elastic"))
    return is_mixed or is_strength or any(".." in text or "," in text for text in texts[1:])


def _words(name: str, text: str) -> Axis:
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not words:
        raise ValueError(f"--{name} is {text!r}, but names are wanted: --{name} sgd,adam")
    return Axis(name, words, is_static=True)


def _take_models(values: dict[str, Any], fixed: dict[str, Any], axes: list[Axis]) -> None:
    hidden = [text.strip() for text in values.get("hidden") or []]
    for text in hidden:
        units_of(text)
    named = _words("model", values["model"]).values if values.get("model") else ()
    kinds = named or (("mlp",) if hidden else ())
    models: list[str] = []
    for kind in kinds:
        checked(Options("", "", model=kind))
        models += [f"mlp {units}" for units in hidden or [USUAL_HIDDEN]] if kind == "mlp" else [kind]
    fixed.pop("hidden", None)
    if not kinds:
        return
    if hidden and "mlp" not in kinds:
        raise ValueError("--hidden is of the model mlp, but --model is linear. Take --model linear,mlp.")
    fixed["model"] = kinds[0]
    if kinds[0] == "mlp":
        fixed["hidden"] = units_of(hidden[0] if hidden else USUAL_HIDDEN)
    distinct = tuple(dict.fromkeys(models))
    if len(distinct) > 1:
        axes.append(Axis("model", distinct, is_static=True))

"""What is chosen on the command line or in a config.toml: plain values."""

from __future__ import annotations

import difflib
import math
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

TASKS = ("regression", "classification", "binary", "multiclass")
MODELS = ("linear", "mlp")
VARIANTS = ("batch", "stochastic", "minibatch")
PENALTIES = ("none", "l1", "l2", "elastic_net", "group_l1", "nuclear", "nonnegative")
# As in jgd.choices, which this module does without: completion of words shall be quick.
RULES = (
    *("sgd", "adam", "rmsprop", "adagrad", "armijo", "barzilai_borwein", "polyak", "accelerated"),
    *("coordinate", "svrg", "saga", "katyusha", "primal_dual"),
)
ACTIVATIONS = ("relu", "tanh", "logistic")
LOSSES = {
    "regression": ("squared_error", "absolute_error", "huber", "quantile", "poisson"),
    "binary": ("log_loss", "hinge", "squared_hinge"),
    "multiclass": ("log_loss", "hinge", "squared_hinge"),
}
USUAL_HIDDEN = (64,)
USUAL_BATCH_SIZE = 32
# What stands beside the options in a config.toml.
ABOUT = ("command", "version", "chunk", "table_checksum")


class Options(NamedTuple):
    """Every choice of a fit; None is left to the data, and `settled` says what became of it.

    Attributes:
      table: path of the file.
      target: the column to predict.
      task: one of `TASKS`.
      drop: columns to leave out.
      separator: between fields.
      validation: share of the rows that are held out.
      model: one of `MODELS`.
      hidden: units of the hidden layers.
      activation: one of `ACTIVATIONS`.
      loss: one of those of the task.
      penalty: such as "l1=0.01".
      variant: one of `VARIANTS`.
      batch_size: examples of a step; None in batch descent.
      rule: a name of `jgd.choices.RULES`.
      learning_rate: a number, or "auto".
      momentum: of sgd.
      epochs: the most that are run.
      patience: epochs without a fall of the loss after which it ends; 0 runs all epochs.
      tolerance: the fall that counts, and the share of the first gradient at which it ends.
      seed: of the rows held out, the start and the order.
    """

    table: str
    target: str
    task: str | None = None
    drop: tuple[str, ...] = ()
    separator: str | None = None
    validation: float = 0.2
    model: str | None = None
    hidden: tuple[int, ...] = ()
    activation: str = "relu"
    loss: str | None = None
    penalty: str = "none"
    variant: str | None = None
    batch_size: int | None = None
    rule: str = "sgd"
    learning_rate: str | float = "auto"
    momentum: float | None = None
    epochs: int = 50
    patience: int = 5
    tolerance: float = 1e-3
    seed: int = 0


KINDS: dict[str, tuple[type, ...]] = {
    "validation": (float,),
    "hidden": (int,),
    "batch_size": (int,),
    "learning_rate": (float, str),
    "momentum": (float,),
    "epochs": (int,),
    "patience": (int,),
    "tolerance": (float,),
    "seed": (int,),
}
WORDS = {float: "a number", int: "a whole number", str: "a text"}


def options_of(given: dict[str, Any], config: Path | None = None) -> Options:
    """The options that were given, before those of a config.toml, before the usual ones.

    Args:
      given: name -> value; None where it was not given.
      config: the file of an earlier run.

    Returns:
      The options, each checked by itself.

    Raises:
      ValueError: a value does not fit; no table or target; the file cannot be read.
    """
    values = {} if config is None else from_toml(config)
    values |= {name: value for name, value in given.items() if value not in (None, [], ())}
    for name, way_out in (("table", "jgd fit TABLE --target COLUMN"), ("target", "--target COLUMN")):
        if not values.get(name):
            raise ValueError(f"No {name} is given. Name it: {way_out}")
    if given.get("table"):
        values["table"] = str(Path(values["table"]).expanduser().absolute())
    return checked(Options(**{name: _plain(name, value) for name, value in values.items()}))


def from_toml(path: Path) -> dict[str, Any]:
    """The options in a config.toml; ValueError where it is none."""
    stored = read_toml(path)
    for name in stored:
        if name not in (*Options._fields, *ABOUT):
            near = difflib.get_close_matches(name, Options._fields, 1)
            meant = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(Options._fields)}."
            raise ValueError(f"{path} holds {name}, which is no choice of a fit. {meant}")
    return {name: value for name, value in stored.items() if name in Options._fields}


def read_toml(path: Path) -> dict[str, Any]:
    """All that stands in a config.toml."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror or error}). Give the config.toml that a fit wrote."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML ({error}). Mend it, or leave --config out.") from error


def to_toml(options: Options) -> dict[str, Any]:
    """The options as TOML takes them, which has no word for None."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options._asdict().items()
        if value is not None
    }


def checked(options: Options) -> Options:
    """The options; ValueError where one does not fit."""
    _check_word("task", options.task, TASKS)
    _check_word("model", options.model, MODELS)
    _check_word("activation", options.activation, ACTIVATIONS)
    _check_word("variant", options.variant, VARIANTS)
    _check_word("loss", options.loss, dict.fromkeys(sum(LOSSES.values(), ())))
    penalty_of(options.penalty)
    rate = options.learning_rate
    is_right = {
        "validation": 0 <= options.validation < 1,
        "hidden": all(units >= 1 for units in options.hidden),
        "batch_size": options.batch_size is None or options.batch_size >= 1,
        "learning_rate": rate == "auto" or (not isinstance(rate, str) and 0 < rate < math.inf),
        "momentum": options.momentum is None or 0 <= options.momentum < 1,
        "epochs": options.epochs >= 1,
        "patience": options.patience >= 0,
        "tolerance": 0 <= options.tolerance < 1,
        "seed": 0 <= options.seed < 2**32,
        "separator": options.separator is None or len(options.separator) == 1,
    }
    wanted = {
        "validation": "a share from 0 to below 1, such as 0.2,",
        "hidden": "numbers of units, such as 64,32,",
        "batch_size": "a number of rows >= 1",
        "learning_rate": "a number > 0, or auto,",
        "momentum": "a number from 0 to below 1",
        "epochs": "a number of epochs >= 1",
        "patience": "a number of epochs >= 0",
        "tolerance": "a number from 0 to below 1",
        "seed": f"a whole number from 0 to below {2**32}",
        "separator": "one character, such as ';',",
    }
    for name, right in is_right.items():
        if not right:
            value = getattr(options, name)
            raise ValueError(f"{flag(name)} is {value}, but {wanted[name]} is wanted.")
    _check_batches(options)
    if options.model == "linear" and options.hidden:
        raise ValueError("--hidden is of the model mlp, but --model is linear. Take --model mlp.")
    return options


def flag(name: str) -> str:
    """`batch_size` -> `--batch-size`."""
    return f"--{name.replace('_', '-')}"


def penalty_of(text: str) -> tuple[str | None, float, float]:
    """Name, strength and share of l1 of a penalty as it is written: `l1=0.01`, `elastic_net=0.01,0.5`.

    >>> penalty_of("elastic_net=0.01,0.5"), penalty_of("nonnegative"), penalty_of("none")
    (('elastic_net', 0.01, 0.5), ('nonnegative', 0.0, 0.5), (None, 0.0, 0.5))
    """
    name, _, numbers = text.strip().partition("=")
    name = name.strip().replace("-", "_")
    _check_word("penalty", name, PENALTIES)
    if name in ("none", "nonnegative"):
        if numbers:
            raise ValueError(f"--penalty is {text}, but {name} takes no number: --penalty {name}")
        return (None if name == "none" else name), 0.0, 0.5
    try:
        strength, *others = map(float, numbers.split(","))
        (ratio,) = others or (0.5,)
        if not (0 <= strength < math.inf and 0 <= ratio <= 1) or (others and name != "elastic_net"):
            raise ValueError
    except ValueError:
        ratio_too = ",0.5 (strength, share of l1)" if name == "elastic_net" else ""
        raise ValueError(
            f"--penalty is {text}, but a strength >= 0 is wanted: --penalty {name}=0.01{ratio_too}"
        ) from None
    return name, strength, ratio


def number_or_auto(text: str) -> str | float:
    """What `--learning-rate` says."""
    try:
        return float(text)
    except ValueError:
        return text


def units_of(text: str) -> tuple[int, ...]:
    """What `--hidden` says: `64,32`."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(f"--hidden is {text}, but units of layers are wanted: --hidden 64,32") from None


def _plain(name: str, value: Any) -> Any:
    """The value, of its type; ValueError where it is of another."""
    kinds = KINDS.get(name, (str,))
    parts = value if isinstance(value, list | tuple) else [value]
    is_list = name in ("drop", "hidden")
    fitting = [
        float(part) if float in kinds and isinstance(part, int) and not isinstance(part, bool) else part
        for part in parts
    ]
    if is_list != isinstance(value, list | tuple) or not all(type(part) in kinds for part in fitting):
        wanted = " or ".join(WORDS[kind] for kind in kinds)
        wanted = f"a list, each {wanted}," if is_list else wanted
        raise ValueError(f"{name} is {value!r}, but {wanted} is wanted.")
    return tuple(fitting) if is_list else fitting[0]


def _check_word(name: str, value: str | None, names: Any) -> None:
    if value is None or value in names:
        return
    near = difflib.get_close_matches(value, names, 1)
    meant = f" Did you mean {near[0]}?" if near else ""
    raise ValueError(f"{flag(name)} is {value}, but one of {', '.join(names)} is wanted.{meant}")


def _check_batches(options: Options) -> None:
    size = options.batch_size
    if options.variant == "batch" and size is not None:
        raise ValueError(
            f"--batch-size is {size}, but --variant batch takes all rows at once. Leave one of them out."
        )
    if options.variant == "stochastic" and size not in (None, 1):
        raise ValueError(
            f"--batch-size is {size}, but --variant stochastic takes one row at a time. "
            "Take --variant minibatch."
        )

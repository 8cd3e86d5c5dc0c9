"""The options that commands share, as typer reads them. None is what was not given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from jgd.cli.options import (
    ACTIVATIONS,
    LOSSES,
    MODELS,
    PENALTIES,
    RULES,
    TASKS,
    VARIANTS,
    Options,
    number_or_auto,
    options_of,
    units_of,
)

DATA, MODEL, TRAINING, OUTPUT = "Table", "Model", "Training", "Output"
PENALTY_WORDS = tuple(name if name in ("none", "nonnegative") else f"{name}=" for name in PENALTIES)


def _option(panel: str, help: str, *names: str, words: tuple[str, ...] = (), **more: Any) -> Any:
    if words:
        more["autocompletion"] = _completion(words)
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, **more)


def _completion(words: tuple[str, ...]) -> Callable:
    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


Table = Annotated[
    Path | None,
    typer.Argument(
        metavar="TABLE",
        show_default=False,
        help="A file .csv, .tsv, .txt (also .gz, .zst), .parquet, .arrow, .feather, .jsonl or .npz.",
    ),
]
Config = Annotated[
    Path | None,
    _option(DATA, "Repeat the run of this config.toml; what is given beside it counts."),
]
Target = Annotated[str | None, _option(DATA, "The column to predict.", "--target", "-t")]
Task = Annotated[
    str | None,
    _option(
        DATA,
        "regression, classification, binary or multiclass; by default told by the column.",
        words=TASKS,
    ),
]
Drop = Annotated[
    list[str] | None,
    _option(DATA, "A column to leave out; give it again for more.", metavar="COLUMN"),
]
Separator = Annotated[
    str | None, _option(DATA, "What parts the fields of a text file; by default found out.")
]
Validation = Annotated[
    float | None,
    _option(DATA, "Share of the rows held out to measure by; 0.2, and 0 for none."),
]
Model = Annotated[
    str | None,
    _option(MODEL, "linear, or mlp: a network of dense layers. By default linear.", words=MODELS),
]
Hidden = Annotated[
    str | None, _option(MODEL, "Units of the hidden layers of mlp, such as 64,32; by default 64.")
]
Activation = Annotated[
    str | None,
    _option(MODEL, "Of hidden units: relu, tanh or logistic; by default relu.", words=ACTIVATIONS),
]
Loss = Annotated[
    str | None,
    _option(
        MODEL,
        "Regression: squared_error (the default), absolute_error, huber, quantile, poisson. "
        "Classes: log_loss (the default), hinge, squared_hinge.",
        words=tuple(dict.fromkeys(sum(LOSSES.values(), ()))),
    ),
]
Penalty = Annotated[
    str | None,
    _option(
        MODEL,
        "On the weights: l1=0.01, l2=0.01, elastic_net=0.01,0.5, group_l1=0.01, nuclear=0.01, "
        "nonnegative; by default none.",
        words=PENALTY_WORDS,
    ),
]
Variant = Annotated[
    str | None,
    _option(TRAINING, "batch, stochastic or minibatch; by default minibatch.", words=VARIANTS),
]
BatchSize = Annotated[int | None, _option(TRAINING, "Rows of a mini-batch; by default 32.")]
Rule = Annotated[
    str | None,
    _option(
        TRAINING,
        "sgd (the default), adam, rmsprop, adagrad; armijo, barzilai_borwein, polyak; accelerated, "
        "coordinate, svrg, saga, katyusha, primal_dual for convex problems.",
        words=RULES,
    ),
]
LearningRate = Annotated[
    str | None, _option(TRAINING, "A number, or auto (the default): told by curvature and noise.")
]
Momentum = Annotated[float | None, _option(TRAINING, "Of sgd with a learning rate that is a number.")]
Epochs = Annotated[
    int | None, _option(TRAINING, "How often each row is visited at most; by default 50.")
]
Patience = Annotated[
    int | None,
    _option(TRAINING, "End after so many epochs without a fall of the loss; 5, 0 runs all epochs."),
]
Tolerance = Annotated[
    float | None,
    _option(TRAINING, "The relative fall that counts, and share of the first gradient to end at."),
]
Seed = Annotated[int | None, _option(TRAINING, "Of rows held out, start and order; by default 0.")]
Out = Annotated[
    Path | None, _option(OUTPUT, "Directory of the results; by default TABLE_COMMAND, here.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier run.", rich_help_panel=OUTPUT)]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No bar, no summary.", rich_help_panel=OUTPUT)
]
Json = Annotated[
    bool,
    typer.Option("--json", help="The summary as one JSON object on stdout.", rich_help_panel=OUTPUT),
]


def gathered(config: Path | None = None, **given: Any) -> Options:
    """The options of a command, from what typer gave it by their names."""
    if given.get("table") is not None:
        given["table"] = str(given["table"])
    if given.get("hidden") is not None:
        given["hidden"] = units_of(given["hidden"])
    if given.get("learning_rate") is not None:
        given["learning_rate"] = number_or_auto(given["learning_rate"])
    return options_of(given, config)

"""`jgd sweep`."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from jgd.cli import flags
from jgd.cli.failing import FAILED, INTERRUPTED

INTERRUPTED_WORD = "interrupted: "
SEARCH, AXES = "Search", "What may vary: a value, a list 0.01,0.1,1, or a range 0.001..1:16"


def _axis(help: str) -> Any:
    return typer.Option(help=help, rich_help_panel=AXES, show_default=False)


def _search(help: str, *names: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=SEARCH, show_default=False)


def sweep(
    table: flags.Table = None,
    target: flags.Target = None,
    config: flags.Config = None,
    task: flags.Task = None,
    drop: flags.Drop = None,
    separator: flags.Separator = None,
    validation: flags.Validation = None,
    learning_rate: Annotated[
        str | None,
        _axis("0.001..1:16 are 16 values, even by their logarithms: the default where nothing varies."),
    ] = None,
    penalty: Annotated[
        str | None, _axis("l2=1e-5..1:8, l1=0.01,0.1, elastic_net=1e-4..1:8,0.5.")
    ] = None,
    momentum: Annotated[str | None, _axis("0,0.9 or 0.5..0.99:4, evenly spaced; of sgd.")] = None,
    batch_size: Annotated[str | None, _axis("16,64,256 or 8..512:7; by default 32.")] = None,
    rule: Annotated[str | None, _axis("sgd,adam; each is a program of its own.")] = None,
    model: Annotated[str | None, _axis("linear,mlp; each is a program of its own.")] = None,
    hidden: Annotated[
        list[str] | None, _axis("Units of layers, 64,32; give it again for another network.")
    ] = None,
    draws: Annotated[
        int | None, _search("So many configurations drawn at random, in place of the full grid.")
    ] = None,
    halving: Annotated[
        bool, _search("Train all a little and only the best third on, twice.", "--halving")
    ] = False,
    folds: Annotated[
        int | None, _search("Judge by cross-validation with so many folds, not by rows held out.")
    ] = None,
    activation: flags.Activation = None,
    loss: flags.Loss = None,
    variant: flags.Variant = None,
    epochs: flags.Epochs = None,
    patience: flags.Patience = None,
    tolerance: flags.Tolerance = None,
    seed: flags.Seed = None,
    out: flags.Out = None,
    force: flags.Force = False,
    quiet: flags.Quiet = False,
    as_json: flags.Json = False,
) -> None:
    """Train many configurations at once: jgd sweep diamonds.csv --target price --penalty l2=1e-5..1:8

    All of them are lanes of one program, each judged by the loss of rows held out. A range is
    LOW..HIGH:NUM, 8 values where :NUM is left out; with --draws numbers are drawn from it. The best is
    shown as the jgd fit command that trains it.
    """
    from jgd.cli.asked import asked, merged

    values = merged(
        {
            "table": None if table is None else str(table),
            "target": target,
            "task": task,
            "drop": drop,
            "separator": separator,
            "validation": validation,
            "model": model,
            "hidden": hidden,
            "activation": activation,
            "loss": loss,
            "penalty": penalty,
            "variant": variant,
            "batch_size": batch_size,
            "rule": rule,
            "learning_rate": learning_rate,
            "momentum": momentum,
            "epochs": epochs,
            "patience": patience,
            "tolerance": tolerance,
            "seed": seed,
            "draws": draws,
            "halving": halving,
            "folds": folds,
        },
        config,
    )
    options, axes = asked(values)
    from jgd.cli.directory import default_out, forsaken, made

    directory = made(out or default_out(options.table, "sweep"), force)
    try:
        from jgd.cli.axes import space_of
        from jgd.cli.lanes import lanes_of

        space = space_of(axes, values.get("draws"), options.seed)
        lanes = lanes_of(options, axes, space, values.get("folds"))
        summary = _searched(lanes, values, axes, directory, quiet)
    except BaseException:
        forsaken(directory)
        raise
    from jgd.cli.showing import print_json, print_summary
    from jgd.cli.swept import files

    if as_json:
        print_json(summary)
    elif not quiet:
        print_summary(summary, files(summary))
    if summary["interrupted"]:
        raise typer.Exit(INTERRUPTED)
    if summary["best"] is None:
        raise typer.Exit(FAILED)


def _searched(
    lanes: Any, values: dict[str, Any], axes: Any, directory: Any, quiet: bool
) -> dict[str, Any]:
    """Train all of them, and write what is left of it."""
    import warnings

    from jgd.cli import lanes as trainings
    from jgd.cli.directory import emptied, write_config
    from jgd.cli.showing import bars_on_stderr, say
    from jgd.cli.swept import finished

    problem = lanes.problem
    num, rows = len(lanes.space), len(problem.y_train)
    say(f"{problem.target.name}: {problem.target.task}; {num:,} configurations of {rows:,} rows", quiet)
    begun = time.perf_counter()
    with bars_on_stderr(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        found: Any
        if values.get("folds"):
            say(f"Training each without one of {values['folds']} folds ...", quiet)
            found = trainings.cross_validated(lanes, values["folds"])
        elif values.get("halving"):
            say("Training all a little, and the best on ...", quiet)
            found = trainings.halved(lanes)
        else:
            found = trainings.swept(lanes, show=not quiet)
    said = [str(w.message) for w in caught]
    interrupted = [_in_words(text) for text in said if text.startswith(INTERRUPTED_WORD)]
    seconds = time.perf_counter() - begun
    emptied(directory)
    write_config(directory.path, "sweep", values | {"table": problem.options.table})
    return finished(lanes, found, values, axes, directory.path, seconds, interrupted)


def _in_words(text: str) -> str:
    """What jgd.sweep_with_progress says of an interrupt, without what is of use in Python alone."""
    return f"Interrupted: {text.removeprefix(INTERRUPTED_WORD).partition('. ')[0]}."

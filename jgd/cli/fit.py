"""`jgd fit`."""

from __future__ import annotations

import time

from jgd.cli import flags
from jgd.cli.failing import FAILED


def fit(
    table: flags.Table = None,
    target: flags.Target = None,
    config: flags.Config = None,
    task: flags.Task = None,
    drop: flags.Drop = None,
    separator: flags.Separator = None,
    validation: flags.Validation = None,
    model: flags.Model = None,
    hidden: flags.Hidden = None,
    activation: flags.Activation = None,
    loss: flags.Loss = None,
    penalty: flags.Penalty = None,
    variant: flags.Variant = None,
    batch_size: flags.BatchSize = None,
    rule: flags.Rule = None,
    learning_rate: flags.LearningRate = None,
    momentum: flags.Momentum = None,
    epochs: flags.Epochs = None,
    patience: flags.Patience = None,
    tolerance: flags.Tolerance = None,
    seed: flags.Seed = None,
    out: flags.Out = None,
    force: flags.Force = False,
    quiet: flags.Quiet = False,
    as_json: flags.Json = False,
) -> None:
    """Fit a model to a table: jgd fit diamonds.csv --target price

    The task and the columns are told by the table, text becomes features of 0 and 1, numbers are
    standardised (a target of numbers, too, for training alone), and rows are held out to measure by. The
    directory holds the model, every choice, the history and a page to read.
    """
    options = flags.gathered(
        config,
        table=table,
        target=target,
        task=task,
        drop=drop,
        separator=separator,
        validation=validation,
        model=model,
        hidden=hidden,
        activation=activation,
        loss=loss,
        penalty=penalty,
        variant=variant,
        batch_size=batch_size,
        rule=rule,
        learning_rate=learning_rate,
        momentum=momentum,
        epochs=epochs,
        patience=patience,
        tolerance=tolerance,
        seed=seed,
    )
    from jgd.cli.directory import default_out, emptied, forsaken, made, write_config
    from jgd.cli.options import to_toml

    directory = made(out or default_out(options.table, "fit"), force)
    try:
        from jgd.cli.problem import problem_of
        from jgd.cli.running import chunk_of

        problem = problem_of(options)
    except BaseException:
        forsaken(directory)
        raise
    emptied(directory)
    chunk = chunk_of(problem.options.epochs)
    about = {"chunk": chunk, "table_checksum": problem.checksum}
    write_config(directory.path, "fit", to_toml(problem.options) | about)
    run(problem, directory.path, chunk, quiet, as_json)


def run(problem, path, chunk: int, quiet: bool, as_json: bool) -> None:
    """Train, write what the fit leaves, and show it."""
    import typer

    from jgd.cli.finishing import files, finished, kinds
    from jgd.cli.running import interrupts, trained
    from jgd.cli.showing import print_json, print_summary, say

    rows, names = f"{len(problem.y_train):,} rows", f"{len(problem.names):,} features"
    say(f"{problem.target.name}: {problem.target.task}; {kinds(problem.schema)}", quiet)
    say(f"Training on {rows} of {names}; results go to {path}", quiet)
    begun = time.perf_counter()
    done = trained(problem, path, chunk, quiet)
    with interrupts(path):
        summary = finished(problem, done, path, time.perf_counter() - begun)
    if as_json:
        print_json(summary)
    elif not quiet:
        print_summary(summary, files(path, summary["status"] != "DIVERGED"))
    if summary["status"] == "DIVERGED":
        raise typer.Exit(FAILED)

"""`jgd compare`."""

from __future__ import annotations

import time
import warnings
from typing import Any

import typer

from jgd.cli import flags
from jgd.cli.failing import FAILED, Interrupted


def compare(
    table: flags.Table = None,
    target: flags.Target = None,
    task: flags.Task = None,
    drop: flags.Drop = None,
    separator: flags.Separator = None,
    validation: flags.Validation = None,
    model: flags.Model = None,
    hidden: flags.Hidden = None,
    activation: flags.Activation = None,
    loss: flags.Loss = None,
    penalty: flags.Penalty = None,
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
    """Train by batch, stochastic and mini-batch descent: jgd compare diamonds.csv --target price

    All three on the same rows from the same start, each with its own automatic steps or with the
    learning rate that is given: what jgd fit --variant does, side by side.
    """
    from jgd.cli.compared import options_by_variant

    given: dict[str, Any] = {
        "table": table,
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
        "rule": rule,
        "learning_rate": learning_rate,
        "momentum": momentum,
        "epochs": epochs,
        "patience": patience,
        "tolerance": tolerance,
        "seed": seed,
    }
    by_variant = options_by_variant(given, batch_size)
    from jgd.cli.directory import default_out, emptied, forsaken, made, write_config
    from jgd.cli.options import to_toml

    options = by_variant["mini-batch"]
    directory = made(out or default_out(options.table, "compare"), force)
    try:
        from jgd.cli.compared import finished, problems_of

        problems = problems_of(by_variant)
        trained = _trained(problems, quiet)
        emptied(directory)
        write_config(directory.path, "compare", to_toml(options._replace(variant=None)))
        summary = finished(problems, trained, directory.path, {**given, "batch_size": batch_size})
    except BaseException:
        forsaken(directory)
        raise
    from jgd.cli.compared import files
    from jgd.cli.showing import print_json, print_summary

    if as_json:
        print_json(summary)
    elif not quiet:
        print_summary(summary, files(directory.path))
    if summary["status"] == "DIVERGED":
        raise typer.Exit(FAILED)


def _trained(problems: dict[str, Any], quiet: bool) -> dict[str, tuple[Any, float]]:
    """The fit of each variant and the seconds that it took, those of compiling among them."""
    import jgd
    from jgd.cli.problem import rule_of, training_options
    from jgd.cli.running import chunk_of
    from jgd.cli.showing import bars_on_stderr, say

    found = {}
    for name, problem in problems.items():
        say(f"{name.capitalize()}, {len(problem.y_train):,} rows", quiet)
        begun = time.perf_counter()
        with bars_on_stderr(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            fit = jgd.train(
                problem.objective,
                problem.params,
                problem.train,
                rule=rule_of(problem),
                epochs=problem.options.epochs,
                chunk=chunk_of(problem.options.epochs),
                show=not quiet,
                **training_options(problem),
            )
        if any(str(warning.message).startswith("interrupted:") for warning in caught):
            raise Interrupted("Interrupted. Nothing is kept, for there is nothing to compare yet.")
        found[name] = fit, time.perf_counter() - begun
    return found

"""`jgd diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jgd.cli import flags


def diagnose(
    table: flags.Table = None,
    target: flags.Target = None,
    task: flags.Task = None,
    drop: flags.Drop = None,
    separator: flags.Separator = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            rich_help_panel=flags.DATA,
            help="Look at the columns as they are, not standardised as jgd fit trains on them.",
        ),
    ] = False,
    model: flags.Model = None,
    hidden: flags.Hidden = None,
    activation: flags.Activation = None,
    loss: flags.Loss = None,
    penalty: flags.Penalty = None,
    seed: flags.Seed = None,
    out: Annotated[
        Path | None,
        typer.Option(
            show_default=False,
            rich_help_panel=flags.OUTPUT,
            help="Directory of the results, with a figure and a page; by default none is written.",
        ),
    ] = None,
    force: flags.Force = False,
    quiet: flags.Quiet = False,
    as_json: flags.Json = False,
) -> None:
    """Measure what a training would meet, before it: jgd diagnose diamonds.csv --target price --raw

    Curvature, noise, scales, columns that are constant or made of others, classes that a plane parts: in
    numbers, and in sentences that say what to do. All rows are looked at; none is held out.
    """
    options = flags.gathered(
        None,
        table=table,
        target=target,
        task=task,
        drop=drop,
        separator=separator,
        validation=0.0,
        model=model,
        hidden=hidden,
        activation=activation,
        loss=loss,
        penalty=penalty,
        seed=seed,
        variant="batch",
    )
    from jgd.cli.directory import emptied, forsaken, made, write_config
    from jgd.cli.options import to_toml

    directory = None if out is None else made(out, force)
    try:
        from jgd.cli.diagnosed import diagnosed, kept
        from jgd.cli.problem import problem_of
        from jgd.cli.showing import print_json, print_summary, say

        problem = problem_of(options)
        say(f"{problem.target.name}: {len(problem.y_train):,} rows. Measuring ...", quiet)
        summary, tested = diagnosed(problem, raw)
        files = []
        if directory is not None:
            emptied(directory)
            write_config(directory.path, "diagnose", to_toml(problem.options) | {"raw": raw})
            files = kept(summary, tested, directory.path)
    except BaseException:
        if directory is not None:
            forsaken(directory)
        raise
    if as_json:
        print_json(summary)
    elif not quiet:
        print_summary(summary, files)

"""`jgd resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jgd.cli import flags
from jgd.cli.fit import run

# How a fit ended that has no more to do, and what a new one may do otherwise.
ANEW = {"CONVERGED": "--tolerance 1e-5", "STALLED": "--patience 20", "DIVERGED": "--learning-rate auto"}


def resume(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", show_default=False, help="What jgd fit made.")
    ],
    epochs: Annotated[
        int | None,
        typer.Option(show_default=False, help="Train to this epoch, also where the fit was done."),
    ] = None,
    quiet: flags.Quiet = False,
    as_json: flags.Json = False,
) -> None:
    """Go on with a fit that was interrupted, as if it had not been, or train it for longer."""
    from jgd.cli.directory import CONFIG, read_summary, write_config
    from jgd.cli.options import checked, options_of, read_toml, to_toml

    path = directory.expanduser()
    if not (path / CONFIG).is_file():
        raise ValueError(f"{path} holds no {CONFIG}, so no fit.\nMake one: jgd fit ... --out {path}")
    stored = read_toml(path / CONFIG)
    if stored.get("command") != "fit" or type(stored.get("chunk")) is not int or stored["chunk"] < 1:
        raise ValueError(f"{path / CONFIG} is of no fit, so there is nothing to go on with.")
    options = options_of({}, path / CONFIG)
    summary = read_summary(path)
    if summary is not None:
        _check_longer(path, summary, options.epochs if epochs is None else epochs)
    if epochs is not None:
        options = checked(options._replace(epochs=epochs))
    from jgd.cli.problem import problem_of

    problem = problem_of(options)
    if problem.checksum != stored.get("table_checksum"):
        raise ValueError(
            f"{options.table} has changed since, so the fit cannot go on.\nBring the old one back, or "
            f"fit anew: jgd fit --config {path / CONFIG}"
        )
    about = {"chunk": stored["chunk"], "table_checksum": problem.checksum}
    write_config(path, "fit", to_toml(problem.options) | about)
    run(problem, path, stored["chunk"], quiet, as_json)


def _check_longer(path: Path, summary: dict, epochs: int) -> None:
    """ValueError where a fit is done, or as many epochs as are asked for."""
    status, done = str(summary.get("status")), summary.get("epochs", 0)
    if status in ANEW:
        raise ValueError(
            f"The fit in {path} is done: {status} after {done} epochs.\nFor another one: "
            f"jgd fit --config {path / 'config.toml'} {ANEW[status]}"
        )
    if epochs <= done:
        raise ValueError(
            f"The fit in {path} is done: all {done} epochs were run.\nTrain it for longer: "
            f"jgd resume {path} --epochs {2 * done}"
        )

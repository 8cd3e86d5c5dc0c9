"""The command `jgd`. Each of its commands is a function in a module of its own, named in `COMMANDS`."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated, Any

import jgd
from jgd.cli.failing import INSTALL, fail, group

try:
    import typer
except ImportError:
    typer = None  # type: ignore[assignment]  # main says what to install

# The command NAME is the function NAME of the module jgd.cli.NAME, which imports nothing but typer
# before it is called: so the help is quick, and needs none of the extras.
COMMANDS = ("fit", "predict", "resume", "sweep", "compare", "diagnose", "report", "info", "demo")
EXIT_CODES = (
    "Exit codes: 0 done; 1 the training diverged, or an unexpected error; 2 an option, a table or a "
    "directory does not fit; 130 interrupted by Ctrl-C, 143 by SIGTERM: what was done is saved."
)


def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error: jgd --debug fit ...")
    ] = False,
) -> None:
    """Gradient descent in JAX: batch, stochastic and mini-batch from the loss of one example."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal without a letter shows another in its place
            stream.reconfigure(errors="replace")
    if version:
        print(jgd.__version__)
    elif context.invoked_subcommand is None:
        print(context.get_help())
    else:
        return
    raise typer.Exit


def app() -> Any:
    """The typer application: `root` and all commands."""
    made = typer.Typer(
        name="jgd", cls=group(), add_completion=True, epilog=EXIT_CODES, rich_markup_mode="markdown"
    )
    made.callback(invoke_without_command=True)(root)
    for name in COMMANDS:
        command = getattr(importlib.import_module(f"jgd.cli.{name}"), name)
        made.command(name)(command)
    return made


def main() -> None:
    """The console script `jgd`."""
    if typer is None:
        fail(f"the command jgd wants typer.\n{INSTALL}")
    # A warning of TensorFlow's logger, which orbax brings, is no message of jgd.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    app()()

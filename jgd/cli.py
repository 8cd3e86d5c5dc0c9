"""The command `jgd`. Each of its commands is a function in `COMMANDS`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import jgd

try:
    import typer
except ImportError:
    typer = None  # type: ignore[assignment]  # main says what to install

INSTALL = "Install what is missing: pip install 'jgd[cli,plot,sklearn]'"
USAGE_ERROR = 2


def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Gradient descent in JAX: batch, stochastic and mini-batch from the loss of one example."""
    if version:
        print(jgd.__version__)
    elif context.invoked_subcommand is None:
        print(context.get_help())
    else:
        return
    raise typer.Exit


def demo(
    out: Annotated[Path, typer.Option(help="PNG file for the learning curves.")] = Path("jgd_demo.png"),
) -> None:
    """Compare batch, stochastic and mini-batch descent on the breast-cancer data."""
    check_picture(out)
    try:
        from jgd.demo import demo as run_demo
    except ImportError as error:
        fail(f"{error}\n{INSTALL}")
    figure = run_demo()
    try:
        figure.savefig(out, dpi=150)
    except OSError as error:
        fail(f"{out} cannot be written ({error.strerror}).\nName another file: --out PATH.png")
    print(f"\nLearning curves: {out}")


COMMANDS = (demo,)


def check_picture(out: Path) -> None:
    """End the program where a picture cannot be written to `out`, before any work is done."""
    if out.suffix.lower() != ".png":
        fail(f"--out is {out}, but a name that ends in .png is wanted: --out {out.stem or 'demo'}.png")
    if not out.parent.is_dir():
        fail(f"--out is {out}, but there is no folder {out.parent}.\nMake it: mkdir -p {out.parent}")
    if out.is_dir() or not os.access(out if out.exists() else out.parent, os.W_OK):
        fail(
            f"--out is {out}, which cannot be written.\nName a file in a folder of yours: --out PATH.png"
        )


def fail(message: str) -> NoReturn:
    """Say what is wrong and end the program."""
    print(f"Error: {message}", file=sys.stderr)
    raise SystemExit(USAGE_ERROR)


def app() -> Any:
    """The typer application: `root` and all commands."""
    made = typer.Typer(add_completion=False)
    made.callback(invoke_without_command=True)(root)
    for command in COMMANDS:
        made.command()(command)
    return made


def main() -> None:
    """The console script `jgd`."""
    if typer is None:
        fail(f"the command jgd wants typer.\n{INSTALL}")
    app()()

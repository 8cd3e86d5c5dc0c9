"""`jgd demo`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from jgd.cli.failing import INSTALL, fail


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

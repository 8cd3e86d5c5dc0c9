"""`jgd report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jgd.cli import flags


def report(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", show_default=False, help="What a command of jgd wrote.")
    ],
    out: Annotated[
        Path | None, typer.Option(show_default=False, help="The file; by default DIR/report.html.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file that --out names.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not show the path.")] = False,
    as_json: flags.Json = False,
) -> None:
    """Write the page of a run anew: jgd report diamonds_fit --out page.html"""
    if out is not None:
        _check_out(out, force)
    from jgd.cli.directory import read_summary
    from jgd.report import report as write

    path = write(directory.expanduser(), out)
    if as_json:
        from jgd.cli.showing import print_json

        title = (read_summary(directory.expanduser()) or {}).get("title")
        print_json({"command": "report", "title": title, "out": str(path)})
    elif not quiet:
        print(path)


def _check_out(out: Path, force: bool) -> None:
    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(
            f"--out is {out}, but a name that ends in .html is wanted: --out {out.stem or 'page'}.html"
        )
    if out.is_dir():
        raise ValueError(f"--out is {out}, which is a directory.\nName a file: --out {out}/report.html")
    if not out.parent.is_dir():
        raise ValueError(
            f"--out is {out}, but there is no directory {out.parent}.\nMake it: mkdir -p {out.parent}"
        )
    if out.exists() and not force:
        raise ValueError(f"{out} is there already.\nName another file, or replace it: --force")

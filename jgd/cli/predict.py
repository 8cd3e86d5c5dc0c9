"""`jgd predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from jgd.cli import flags


def predict(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", show_default=False, help="A directory that jgd fit made."),
    ],
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", show_default=False, help="With the columns of training.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(show_default=False, help="A file .csv or .parquet; by default CSV on stdout."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            show_default=False,
            help="A column of the table to write beside the predictions, such as an id.",
        ),
    ] = None,
    separator: flags.Separator = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    quiet: flags.Quiet = False,
    as_json: flags.Json = False,
) -> None:
    """Predict for the rows of a table: jgd predict diamonds_fit new.csv --out predictions.csv

    Writes the column NAME_predicted, of classes also NAME_probability_CLASS for each.
    """
    _check_out(out, force)
    import polars as pl

    from jgd import tables
    from jgd.cli.learned import scores
    from jgd.cli.saved import load_model
    from jgd.cli.showing import print_json, say

    learned, params = load_model(model)
    frame = tables.read_table(table, separator, tables.text_columns(learned.schema))
    for name in keep or ():
        if name not in frame.columns:
            raise tables.TableError(
                f"There is no column {name} to keep. {tables.nearest(name, frame.columns)}"
            )
    x, notes = tables.encode(learned.schema, frame)
    predicted = columns(learned, scores(learned, params, x))
    found = pl.DataFrame([*(frame[name] for name in dict.fromkeys(keep or ())), *predicted])
    for note in notes:
        say(f"Note: {note}", quiet)
    if out is not None:
        _write(found, out)
    elif not as_json:
        _print(found.write_csv())
    if as_json:
        said = {} if out is not None else {"predictions": found.to_dicts()}
        where = None if out is None else str(out)
        print_json({"command": "predict", "rows": len(found), "notes": notes, "out": where, **said})
    elif out is not None:
        say(f"{len(found):,} predictions of {learned.target.name}: {out}", quiet)


def columns(learned: Any, scores: Any) -> Any:
    """The predictions as columns of a table."""
    import polars as pl

    from jgd import tables
    from jgd.cli.learned import probabilities, values

    name = learned.target.name
    made = [tables.decode(learned.target, values(learned, scores)).alias(f"{name}_predicted")]
    shares = probabilities(learned, scores)
    if shares is not None:
        classes = learned.target.classes
        made += [
            pl.Series(f"{name}_probability_{value}", shares[:, place])
            for place, value in enumerate(classes)
        ]
    return made


def _check_out(out: Path | None, force: bool) -> None:
    if out is None:
        return
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise ValueError(
            f"--out is {out}, but a name that ends in .csv or .parquet is wanted: --out {out.stem}.csv"
        )
    if out.is_dir():
        raise ValueError(f"--out is {out}, which is a directory.\nName a file: --out {out}/new.csv")
    if not out.parent.is_dir():
        raise ValueError(
            f"--out is {out}, but there is no directory {out.parent}.\nMake it: mkdir -p {out.parent}"
        )
    if out.exists() and not force:
        raise ValueError(f"{out} is there already.\nName another file, or replace it: --force")


def _print(text: str) -> None:
    """In UTF-8, whatever the terminal is: these are data."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def _write(found: Any, out: Path) -> None:
    try:
        with out.open("wb") as file:
            (found.write_parquet if out.suffix.lower() == ".parquet" else found.write_csv)(file)
    except OSError as error:
        raise ValueError(
            f"{out} cannot be written ({error.strerror or error}).\nName another file: --out PATH.csv"
        ) from error

"""One page of a run, which wants no other file, no script and no network."""

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from jgd.report import words
from jgd.report.reading import Run, read

TEMPLATE = "page.html.jinja"
MOST, ENDS = 40, 12  # of a history of more epochs the first and the last are shown, so many each


class Badge(NamedTuple):
    """How a run ended: a colour, and a sign and words that say the same.

    Attributes:
      kind: `good`, `fair`, `poor`, `bad` or `other`, a class of the style sheet.
      sign: a letter.
      text: in words.
    """

    kind: str
    sign: str
    text: str


BADGES = {
    "CONVERGED": Badge("good", "✓", "Converged"),
    "EPOCHS_DONE": Badge("fair", "●", "All epochs done"),
    "STALLED": Badge("poor", "▲", "Stalled"),
    "DONE": Badge("good", "✓", "Done"),
    "DIVERGED": Badge("bad", "✕", "Diverged"),
}


def report(directory: str | os.PathLike, out: str | os.PathLike | None = None) -> Path:
    """Write the page of a run: one HTML file to read, print and send.

    It holds the facts, how the run ended and what to do about it, tables, figures, the history, the
    configuration and the versions. Nothing in it is fetched from anywhere, and nothing in it runs.

    Args:
      directory: what a command wrote, such as `jgd fit data.csv --out DIR`.
      out: the file to write; None writes `report.html` into the directory.

    Returns:
      The path of the page.

    Raises:
      ValueError: there is no such directory or no summary in it; a file does not hold what it should;
        `out` cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     text = '{"command": "fit", "title": "Prices", "status": "CONVERGED"}'
    ...     _ = Path(folder, "summary.json").write_text(text)
    ...     page = report(folder)
    ...     page.name, "<h1>Prices</h1>" in page.read_text(encoding="utf-8")
    ('report.html', True)
    """
    run = read(directory)
    path = Path(directory) / "report.html" if out is None else Path(out)
    page = _page(run)
    try:
        # What is no letter, half a surrogate pair, is not worth the page.
        path.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ValueError(
            f"out is {path}, which cannot be written ({error.strerror}). Name another file that ends in "
            ".html, in a folder that is there."
        ) from error
    return path


def _page(run: Run) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jgd", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        cell=words.cell, cells=_cells, choice=words.choice, heading=words.heading, values=_values
    )
    environment.tests.update(of_numbers=_are_numbers)
    first, last = _ends(run.history)
    return environment.get_template(TEMPLATE).render(
        run=run,
        badge=_badge(run.status),
        advice=[_without_number(text) for text in run.advice],
        first=first,
        last=last,
        num_left_out=len(run.history) - len(first) - len(last),
    )


def _badge(status: str) -> Badge | None:
    if not status:
        return None
    words_of_it = status.replace("_", " ")
    return BADGES.get(status.upper(), Badge("other", "●", words_of_it[:1].upper() + words_of_it[1:]))


def _ends(history: list[dict]) -> tuple[list[dict], list[dict]]:
    return (history[:ENDS], history[-ENDS:]) if len(history) > MOST else (history, [])


def _without_number(text: str) -> str:
    """The list has numbers of its own."""
    return re.sub(r"^\d+\.\s+", "", text)


def _values(epoch: dict) -> list:
    return list(epoch.values())


def _cells(rows: list[list]) -> list[list[str]]:
    """The values of a table as texts."""
    return [list(row) for row in zip(*map(words.column, zip(*rows, strict=True)), strict=True)]


def _are_numbers(rows: list[list], column: Any) -> bool:
    """Whether a column of a table is one of numbers."""
    return bool(rows) and all(words.is_number(row[column]) for row in rows)

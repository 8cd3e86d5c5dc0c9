"""What a terminal shows of a run, in 80 columns as in 200, with colour or without, and in a pipe."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterator
from typing import Any

from rich import box, get_console
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from jgd.cli.directory import plain

STATUS = {
    "CONVERGED": ("✓", "bold green", "Converged"),
    "EPOCHS_DONE": ("●", "bold blue", "All epochs done"),
    "STALLED": ("▲", "bold yellow", "Stalled"),
    "DONE": ("✓", "bold green", "Done:"),
    "DIVERGED": ("✗", "bold red", "Diverged"),
}
UNLIKE = 1e4  # by so much apart, the same digits would make of the smaller one 0
WIDEST = 100  # letters of a line of text: longer ones are hard to read


def console(stderr: bool = False) -> Console:
    """The terminal; without one, lines are as wide as `COLUMNS` says, or as they are good to read."""
    file = sys.stderr if stderr else sys.stdout
    width = None if file.isatty() or "COLUMNS" in os.environ else WIDEST
    return Console(stderr=stderr, highlight=False, width=width)


@contextlib.contextmanager
def bars_on_stderr() -> Iterator[None]:
    """Bars go to stderr, for stdout holds results."""
    shown = get_console()
    before, shown.stderr = shown.stderr, True
    try:
        yield
    finally:
        shown.stderr = before


def print_json(summary: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    print(json.dumps(plain(summary), ensure_ascii=not _can_write("²…")))


def say(text: str, quiet: bool) -> None:
    """A line on stderr about what is going on."""
    if not quiet:
        console(stderr=True).print(Text(text, style="dim"))


def print_summary(summary: dict[str, Any], files: list[tuple[str, str]]) -> None:
    """The summary of a run, as `summary.json` holds it, and what lies where.

    Args:
      summary: see jgd/report/reading.py.
      files: name and what it is.
    """
    out = console()
    parts: list[Any] = [heading(summary), facts(summary["facts"])]
    if summary.get("notes"):
        parts.append(bullets("Notes", summary["notes"]))
    parts += [results(table) for table in summary["tables"]]
    if summary.get("advice"):
        parts.append(bullets("What to do next", summary["advice"], numbered=True))
    if files:
        parts.append(listing(files))
    width = min(out.width, WIDEST)
    if sys.stderr.isatty() and sys.stdout.isatty():
        out.print()  # below the bar
    for part in parts:
        out.print(Padding(part, (0, 0, 1, 0)), width=width)


def heading(summary: dict[str, Any]) -> Group:
    """Title, and how it ended."""
    status = str(summary.get("status", ""))
    sign, style, words = STATUS.get(status, ("●", "bold", status))
    if not _can_write(sign):
        sign = "*"
    explanation = str(summary.get("explanation", "")).partition("\n")[0]
    _, _, rest = explanation.partition(" ")
    title = Text(str(summary["title"]), style="bold")
    return Group(title, Text.assemble((f"{sign} {words}", style), " ", rest))


def facts(pairs: list) -> Table:
    """Names and values, one a line."""
    shown = Table.grid(padding=(0, 2))
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in pairs:
        shown.add_row(str(name), number(value))
    return shown


def results(table: dict[str, Any]) -> Table:
    """A table of results; numbers to the right, so that digits stand below each other."""
    shown = Table(
        title=table.get("title") or None,
        title_style="bold",
        title_justify="left",
        box=box.SIMPLE_HEAD if _can_write("─") else box.ASCII2,
        pad_edge=False,
        show_edge=False,
        header_style="dim",
    )
    rows = table["rows"]
    for place, name in enumerate(table["columns"]):
        is_text = any(isinstance(row[place], str) for row in rows)
        shown.add_column(str(name), justify="left" if is_text else "right", overflow="fold")
    columns = [
        [number(value, _digits(column)) for value in column] for column in zip(*rows, strict=True)
    ]
    for row in zip(*columns, strict=True):
        shown.add_row(*row)
    return shown


def _digits(values: Any) -> int | None:
    """Decimals that give the largest number four digits; None where numbers are too unlike for that."""
    sizes = [abs(value) for value in values if isinstance(value, float) and math.isfinite(value)]
    largest = max(sizes, default=0.0)
    least = min((size for size in sizes if size), default=largest)
    if not 1e-3 <= largest < 1e9 or least < largest / UNLIKE:
        return None
    return max(3 - math.floor(math.log10(largest)), 0) if largest >= 1 else 4


def bullets(title: str, sentences: list[str], numbered: bool = False) -> Table:
    """Sentences, each with a sign or a number before it."""
    sign = "•" if _can_write("•") else "-"
    shown = Table.grid(padding=(0, 1))
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(overflow="fold")
    for place, text in enumerate(sentences, start=1):
        shown.add_row(f"{place}." if numbered else sign, Text(str(text)))
    whole = Table.grid()
    whole.add_row(Text(title, style="bold"))
    whole.add_row(shown)
    return whole


def listing(files: list[tuple[str, str]]) -> Table:
    """Paths or commands, and what they are; a long one is folded, never cut."""
    shown = Table.grid(padding=(0, 2))
    shown.add_column(overflow="fold")
    shown.add_column(style="dim", overflow="fold")
    for name, what in files:
        shown.add_row(Text(name), Text(what))
    return shown


def number(value: Any, digits: int | None = None) -> str | Text:
    """A value for people: four digits of a number, commas in a count."""
    if value is None:
        return "–" if _can_write("–") else "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float) and digits is not None and math.isfinite(value):
        return f"{round(value, digits) + 0.0:,.{digits}f}"  # without the sign of -0
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"
    return Text(str(value))


def _can_write(sign: str) -> bool:
    """Whether stdout has the letter: a pipe in the locale C has none but ASCII."""
    try:
        sign.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True

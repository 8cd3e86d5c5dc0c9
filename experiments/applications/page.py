"""What the applications share: a table beside a reference, a figure, and a page for docs/results.md.

A script makes a `Page` of what it measured and hands it to `main`, which prints it and writes

    experiments/output/applications/NAME.md     the table and what is said of it
    docs/results/NAME.png                       the figure

With `--quick` it does the same on little data within seconds, writes nothing into docs, and holds no
result to its aim.
"""

import argparse
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optax

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "experiments" / "output" / "applications"
FIGURES = ROOT / "docs" / "results"
SEEDS = 5
HEADER = ("data", "measure", "jgd", "reference", "", "aim", "reached")


class Row(NamedTuple):
    """One number of jgd beside that of a reference, over seeds.

    Attributes:
      data: what was learned, e.g. "diamonds, log price".
      measure: e.g. "test R²".
      ours: one number for each seed.
      reference: what the reference is, e.g. "least squares, closed form".
      theirs: one number for each seed, or a single one.
      aim: what must be reached, in words; "" where there is no aim.
      reached: whether it is; None where there is no aim.
    """

    data: str
    measure: str
    ours: Sequence[float]
    reference: str = ""
    theirs: Sequence[float] = ()
    aim: str = ""
    reached: bool | None = None


class Page(NamedTuple):
    """What an application found.

    Attributes:
      title: e.g. "Linear regression".
      about: a sentence or two: the task, the model, how it was trained and split.
      rows: of the table; rows of text where there is another header.
      remarks: sentences on what the table shows, aims that were missed among them.
      draw: `path -> None`, draws the figure.
      caption: what the figure shows, in a sentence.
      header: of the table.
    """

    title: str
    about: str
    rows: Sequence[Any]
    remarks: Sequence[str]
    draw: Callable[[Path], None]
    caption: str
    header: Sequence[str] = HEADER


def main(script: str, run: Callable[[bool], Page]) -> None:
    """Run an experiment from the command line; `script` is its `__file__`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a small form of it, within seconds")
    quick = parser.parse_args().quick
    start = time.perf_counter()
    page = run(quick)
    seconds = time.perf_counter() - start
    path = Path(script).resolve()
    name, command = path.stem, f"python {path.relative_to(ROOT)}"
    text = as_markdown(page, name, f"`{command}`, {seconds:.0f} s.")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    figure = OUTPUT / f"{name}.png" if quick else FIGURES / f"{name}.png"
    figure.parent.mkdir(parents=True, exist_ok=True)
    page.draw(figure)
    if not quick:
        (OUTPUT / f"{name}.md").write_text(text)
    print(text)


def as_markdown(page: Page, name: str, command: str) -> str:
    """A page of docs/results.md."""
    lines = [f"## {page.title}", "", page.about, "", *table(page.header, map(_cells, page.rows)), ""]
    lines += [f"- {remark}" for remark in page.remarks]
    lines += ["", f"![{page.caption}](results/{name}.png)", "", page.caption, ""]
    lines += [command, ""]
    return "\n".join(lines)


def table(header: Sequence[str], rows: Any) -> list[str]:
    """A table in markdown, its columns padded, so that it reads well in a terminal, too."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    padded = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return [padded[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *padded[1:]]


def _cells(row: Any) -> list[str]:
    if not isinstance(row, Row):
        return list(row)
    reached = {None: "", True: "yes", False: "**no**"}[row.reached]
    ours, theirs = spread(row.ours), spread(row.theirs)
    return [row.data, row.measure, ours, row.reference, theirs, row.aim, reached]


def spread(numbers: Sequence[float]) -> str:
    """Mean ± standard deviation over seeds, to the digits that the deviation leaves."""
    numbers = np.asarray(numbers, float).ravel()
    if not numbers.size:
        return ""
    if numbers.size == 1:
        return f"{numbers[0]:.4g}"
    deviation = numbers.std(ddof=1)
    if deviation == 0 or abs(numbers.mean()) < 1e-3:
        return f"{numbers.mean():.4g}" if deviation == 0 else f"{numbers.mean():.1e} ± {deviation:.1e}"
    digits = 4 if deviation < 0.01 else 3 if deviation < 0.1 else 2
    return f"{numbers.mean():.{digits}f} ± {deviation:.{digits}f}"


@functools.cache  # a schedule is known by its identity: made once, all seeds share a program
def falling(learning_rate: float, steps: int) -> optax.Schedule:
    """A learning rate that falls to 0 over so many steps, as a cosine."""
    return optax.cosine_decay_schedule(learning_rate, steps)


def split(num: int, seed: int, test: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of a training and a test part, drawn by the seed."""
    places = np.random.default_rng(seed).permutation(num)
    held = round(test * num)
    return np.sort(places[held:]), np.sort(places[:held])

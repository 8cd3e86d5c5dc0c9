"""How long does `jgd fit` take for a table of a million rows, from the first read to the page?

10^6 rows x 30 columns of CSV, 5 epochs of mini-batches of 32, everything at its default. A process of
its own each time, whose imports and compiling count. Beside it, what polars alone needs for the file.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from harness import Figure, save

ROWS, COLUMNS, EPOCHS = 1_000_000, 30, 5
LIMIT = 30  # seconds
COMMAND = (sys.executable, "-c", "from jgd.cli import main; main()")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        made().write_csv(table)
        reading = seconds(lambda: pl.read_csv(table))
        fitting = seconds(lambda: fit(table, Path(folder) / "run"))
    figures = [
        Figure(f"jgd fit, {ROWS:,} rows x {COLUMNS} columns, {EPOCHS} epochs", fitting, "s", LIMIT),
        Figure("polars alone reads the file", reading, "s"),
    ]
    for figure in figures:
        print(f"{figure.what}: {figure.value:.1f} {figure.unit}")
    save("How long does jgd fit take for a million rows?", "command", [], figures=figures)


def made() -> pl.DataFrame:
    """A target, 26 columns of numbers of unlike scales, and 3 of words."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, COLUMNS - 4)) * np.logspace(-2, 2, COLUMNS - 4)
    words = {f"word_{i}": rng.choice(["red", "green", "blue"], ROWS) for i in range(3)}
    y = (
        (x / x.std(axis=0)) @ rng.normal(size=x.shape[1])
        + (words["word_0"] == "red")
        + rng.normal(size=ROWS)
    )
    return pl.DataFrame({"y": y, **{f"x_{i}": column for i, column in enumerate(x.T)}, **words})


def fit(table: Path, out: Path) -> None:
    options = ("fit", table, "--target", "y", "--epochs", str(EPOCHS), "--out", out, "--quiet")
    subprocess.run([*COMMAND, *map(str, options)], check=True)


def seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

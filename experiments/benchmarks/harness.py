"""Competitors side by side: in one process and one run, in turns; medians, and ratios between them.

Machines are noisy, so seconds of two runs do not compare. A benchmark here is a list of rows; a row is
one piece of work that several competitors do, and what counts is how many times longer each needs than
the first of them.
"""

import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jax

import jgd

jgd.tune_xla()  # before anything is computed; from jax 0.12 on it does nothing

ROUNDS = 5
# Seconds before each timing: thread pools (OpenMP, BLAS) keep spinning when their work is done.
PAUSE = 0.2
RESULTS = Path(__file__).parent / "results"


class Competitor(NamedTuple):
    """Who does the work, and how.

    Attributes:
      name: as it stands in the table.
      run: does the work once; what it returns is waited for.
      units: number of units (epochs, steps, examples) in one run.
      idle: does what a run does beside the units (input checks, say): its time is taken off.
      idle_units: units that `idle` does all the same.
    """

    name: str
    run: Callable[[], Any]
    units: float = 1
    idle: Callable[[], Any] | None = None
    idle_units: float = 0


class Row(NamedTuple):
    """One piece of work, timed.

    Attributes:
      work: what was done.
      seconds: per unit, for each competitor, ours first.
      targets: how many times faster than a competitor we mean to be.
      limit: the most seconds that any of them may take, where that is the aim; the entries are then
        all ours, and are not compared.
    """

    work: str
    seconds: dict[str, float]
    targets: dict[str, float]
    limit: float | None = None

    def ratio(self, name: str) -> float:
        """How many times longer than ours it took."""
        ours = next(iter(self.seconds.values()))
        return self.seconds[name] / ours


class Figure(NamedTuple):
    """A single number that is not a comparison: seconds, bytes, a count.

    Attributes:
      what: was measured.
      value: of it.
      unit: as it stands behind the number.
      limit: the most that it may be; None where nothing was aimed at.
    """

    what: str
    value: float
    unit: str
    limit: float | None = None


def compare(
    work: str,
    competitors: Sequence[Competitor],
    targets: dict[str, float] | None = None,
    rounds: int = ROUNDS,
) -> Row:
    """Time all competitors in turns, `rounds` times after a warm-up.

    Args:
      work: what they do, for the table.
      competitors: ours first.
      targets: name of a competitor -> ratio aimed at.
      rounds: timed runs of each; the median counts.

    Returns:
      A `Row`.
    """
    taken: dict[str, list[float]] = {competitor.name: [] for competitor in competitors}
    for turn in range(rounds + 1):
        # In another order each time, for what ran before may leave caches cold and threads at work.
        for competitor in random.Random(turn).sample(competitors, len(competitors)):
            taken[competitor.name].append(_seconds_per_unit(competitor))
    medians = {name: statistics.median(times[1:]) for name, times in taken.items()}
    row = Row(work, medians, targets or {})
    print(_line(row), flush=True)
    return row


def _seconds_per_unit(competitor: Competitor) -> float:
    seconds, units = _seconds(competitor.run), competitor.units
    if competitor.idle is not None:
        seconds, units = seconds - _seconds(competitor.idle), units - competitor.idle_units
    return seconds / units


def _seconds(run: Callable[[], Any]) -> float:
    time.sleep(PAUSE)
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def digits(number: float) -> str:
    """Three digits, and never an exponent where there are more before the point."""
    return f"{number:,.0f}" if abs(number) >= 99.95 else f"{number:.3g}"


def readable(seconds: float) -> str:
    """Three digits and a unit: `1.23 ms`."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
        if abs(seconds) >= size or unit == "ns":
            return f"{digits(seconds / size)} {unit}"
    raise AssertionError


def _line(row: Row) -> str:
    names = list(row.seconds)
    parts = [f"{row.work}: {names[0]} {readable(row.seconds[names[0]])}"]
    for name in names[1:]:
        goal = f", aim {row.targets[name]:g}x" if name in row.targets else ""
        parts.append(f"{name} {readable(row.seconds[name])} ({digits(row.ratio(name))}x{goal})")
    return "; ".join(parts)


def machine() -> dict[str, Any]:
    """What the figures belong to: processor, cores, versions."""
    packages = {}
    for name in ("jax", "jaxlib", "optax", "numpy", "scikit-learn", "jaxopt", "torch"):
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "devices": [str(d.device_kind) for d in jax.devices()],
        "python": platform.python_version(),
        "packages": packages,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def save(
    question: str,
    unit: str,
    rows: Sequence[Row],
    notes: Sequence[str] = (),
    figures: Sequence[Figure] = (),
) -> Path:
    """Write the rows as JSON, where `report.py` finds them: one file per script and version of jax.

    Args:
      question: what the benchmark answers, in a sentence.
      unit: what the seconds are per.
      rows: from `compare`.
      notes: sentences that belong to the table (what was skipped, say).
      figures: what is not a comparison.

    Returns:
      The path of the file.
    """
    RESULTS.mkdir(exist_ok=True)
    name = Path(sys.argv[0]).stem
    path = RESULTS / f"{name}-jax{jax.__version__}.json"
    content = {
        "question": question,
        "unit": unit,
        "rows": [row._asdict() for row in rows],
        "figures": [figure._asdict() for figure in figures],
        "notes": list(notes),
        "machine": machine(),
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    print(f"written: {path}")
    return path

"""What a sweep leaves: every result, figures, the best as a command, the summary and the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import jgd
from jgd.cli import metrics
from jgd.cli.asked import fit_command
from jgd.cli.axes import Axis
from jgd.cli.directory import CONFIG, FIGURES, REPORT, RESULTS, SUMMARY, versions, write_summary
from jgd.cli.lanes import Lanes, score_of
from jgd.cli.learned import scores
from jgd.cli.swept_figures import drawings
from jgd.wording import count

SHOWN = 10  # of the best
WIDE = 3  # with so many axes 80 columns have no room for the loss of training
ENDED = {"EPOCHS_DONE": "all epochs", "CONVERGED": "converged", "STALLED": "stalled"}
Found = jgd.Sweep | jgd.Halving | jgd.CrossValidation


def finished(
    lanes: Lanes,
    found: Found,
    values: dict[str, Any],
    axes: list[Axis],
    path: Path,
    seconds: float,
    interrupted: list[str],
) -> dict[str, Any]:
    """Write all that a sweep leaves into its directory.

    Args:
      lanes: what was trained.
      found: what came of it.
      values: what was asked for, from `jgd.cli.asked.merged`.
      axes: what varied.
      path: directory of the run.
      seconds: that it took.
      interrupted: a sentence, where Ctrl-C ended it early.

    Returns:
      The summary, see jgd/report/reading.py, with the best configuration.
    """
    from jgd.report import report

    rows = records(lanes, found)
    _write(rows, path)
    ranked = ranking(rows)
    num_failed = sum(_diverged(row) > 0 for row in rows)
    best = rows[ranked[0]] if ranked else None
    names = [axis.name for axis in axes]
    command = None if best is None else fit_command(values, axes, {name: best[name] for name in names})
    summary = {
        "command": "sweep",
        "title": f"{lanes.problem.target.name} of {Path(lanes.problem.options.table).name}: "
        f"the best of {count(len(rows), 'configuration')}",
        "facts": facts(lanes, found, axes, values, seconds),
        "status": "DONE" if ranked else "DIVERGED",
        "explanation": _explanation(rows, ranked, num_failed, found, names),
        "notes": lanes.problem.notes + notes(lanes, found) + interrupted,
        "advice": advice(lanes, best, axes, command, num_failed, len(rows), path),
        "tables": tables(lanes, found, rows, ranked, names),
        "figures": drawings(lanes, found, names, ranked, values.get("draws") is None, path / FIGURES),
        "versions": versions(),
        "configurations": len(rows),
        "diverged": num_failed,
        "seconds": seconds,
        "best": best,
        "fit": command,
        "interrupted": bool(interrupted),
        "out": str(path),
    }
    write_summary(path, summary)
    report(path)
    return summary


def records(lanes: Lanes, found: Found) -> list[dict[str, Any]]:
    """A dict for each configuration, with its score: the loss of held-out rows below 0."""
    score = (score_of(lanes.problem),) if isinstance(found, jgd.Sweep) else ()
    rows: list[dict[str, Any]] = found.records(*score)
    for place, row in enumerate(rows):
        for name, value in found.configs.config(place).items():
            row[name] = _short(value)
        if isinstance(found, jgd.CrossValidation):
            row["score"] = row["mean"]
        if lanes.problem.held is not None or isinstance(found, jgd.CrossValidation):
            row["held_out_loss"] = -row["score"] if np.isfinite(row["score"]) else None
    return rows


def ranking(rows: list[dict[str, Any]]) -> list[int]:
    """Places of those that have a score, the best first; who was dropped comes after who went on."""
    sound = [place for place, row in enumerate(rows) if np.isfinite(row["score"])]
    return sorted(sound, key=lambda place: (-rows[place].get("rung", 0), -rows[place]["score"]))


def facts(
    lanes: Lanes, found: Found, axes: list[Axis], values: dict[str, Any], seconds: float
) -> list[list[Any]]:
    """What matters most, name and value."""
    problem = lanes.problem
    options = problem.options
    held = len(problem.y_held)
    judged = f"the loss of {held:,} rows held out" if held else "the loss of training"
    if isinstance(found, jgd.CrossValidation):
        judged = f"the mean loss of {found.scores.shape[1]} folds"
    is_drawn = values.get("draws") is not None
    how = f"{len(found.configs):,} random draws" if is_drawn else "every combination"
    if isinstance(found, jgd.Halving):
        reached = [int(np.sum(found.rungs >= rung)) for rung in range(len(found.epochs))]
        parts = [f"{num} to epoch {epochs}" for num, epochs in zip(reached, found.epochs, strict=True)]
        how = f"{how}; successive halving: {', '.join(parts)}"
    size = "all rows" if options.variant == "batch" else f"mini-batches of {options.batch_size} rows"
    size = "mini-batches" if "batch_size" in lanes.space.axes else size
    return [
        ["varied", "; ".join(_of_axis(lanes, axis) for axis in axes)],
        ["rows", f"{len(problem.y_train):,} trained on" + (f", {held:,} held out" if held else "")],
        ["features", len(problem.names)],
        ["training", f"{size}, at most {options.epochs} epochs; {options.loss}"],
        ["search", how],
        ["judged by", judged],
        ["seconds", round(seconds, 2)],
    ]


def notes(lanes: Lanes, found: Found) -> list[str]:
    """What people should know of the numbers."""
    problem, said = lanes.problem, []
    if problem.learned.scale != 1 or problem.learned.center != 0:
        said.append(f"Losses are of {problem.target.name} standardised; metrics are in its own units.")
    if isinstance(found, jgd.CrossValidation):
        said.append("Columns were standardised by all rows, those of the fold held out among them.")
    elif problem.held is None:
        said.append("No rows were held out, so the best is the one that fits its own rows best.")
    return said


def advice(
    lanes: Lanes,
    best: dict[str, Any] | None,
    axes: list[Axis],
    command: str | None,
    num_failed: int,
    num: int,
    path: Path,
) -> list[str]:
    """Sentences, the most important one first."""
    if best is None or command is None:
        return [
            "All configurations diverged: the steps were too long. Take --learning-rate 1e-6..0.01:16"
        ]
    said = [f"Train the best: {command}"]
    for axis in axes:
        if axis.is_static or len(set(_numbers(lanes, axis))) < 3:
            continue
        low, high = min(_numbers(lanes, axis)), max(_numbers(lanes, axis))
        name, value = axis.name.replace("_", " "), best[axis.name]
        is_floor = axis.name == "momentum" and low == 0
        if value == low and not is_floor:
            said.append(f"The best {name} is the lowest that was tried, {value:g}: go on below it.")
        if value == high:
            said.append(f"The best {name} is the highest that was tried, {value:g}: go on above it.")
    if best.get("status") == "EPOCHS_DONE":
        more = 2 * lanes.problem.options.epochs
        said.append(f"The best ran all epochs and may not be done: --epochs {more}")
    if num_failed > num / 2:
        said.append(f"{num_failed:,} of {num:,} diverged: lower the upper end of the learning rates.")
    return said


def tables(
    lanes: Lanes, found: Found, rows: list[dict], ranked: list[int], names: list[str]
) -> list[dict[str, Any]]:
    """The best configurations, and how good they are."""
    is_folded = isinstance(found, jgd.CrossValidation)
    has_held = is_folded or lanes.problem.held is not None
    is_wide = has_held and len(names) >= WIDE
    shown, metric, lines = ranked[:SHOWN], "", []
    for place in shown:
        row = rows[place]
        of_row: list[Any] = [_text(row[name]) for name in names]
        if has_held:
            metric, value = _metric(lanes, found, place)
            of_row += [row["held_out_loss"]]
            of_row += [row["standard_error"]] if is_folded else []
            of_row += [value]
        if not is_folded:
            of_row += [] if is_wide else [row["loss"]]
            of_row += [row["epochs"], ENDED.get(row["status"], row["status"].lower())]
        lines.append(of_row)
    columns = [name.replace("_", " ") for name in names]
    if has_held:
        columns += ["held-out loss", *(["± standard error"] if is_folded else []), metric]
    if not is_folded:
        columns += [*([] if is_wide else ["training loss"]), "epochs", "ended"]
    best = "The best" if len(shown) == 1 else f"The best {len(shown)}"
    return [{"title": best, "columns": columns, "rows": lines}] if lines else []


def files(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """What lies in the directory, and what to do with it."""
    path = Path(summary["out"])
    return [
        (f"{path / REPORT}", "all of this on one page, with figures"),
        (f"{path / RESULTS[0]}, {RESULTS[1]}", "every configuration"),
        (f"{path / CONFIG}, {SUMMARY}", "every choice, this summary"),
        (f"jgd sweep --config {path / CONFIG}", "does the same again"),
    ]


def _metric(lanes: Lanes, found: Found, place: int) -> tuple[str, float | None]:
    """Name and value of R² or accuracy, on rows held out; of folds the mean."""
    problem = lanes.variants[_static(lanes, found, place)]
    if isinstance(found, jgd.CrossValidation):
        parts = []
        for fold in range(found.scores.shape[1]):
            out = np.flatnonzero(found.folds == fold)
            params = found.fit(place, fold).params
            parts.append((params, problem.train["x"][out], problem.y_train[out]))
    else:
        sweep = found.sweep if isinstance(found, jgd.Halving) else found
        assert problem.held is not None
        parts = [(sweep.fit(place).params, problem.held["x"], problem.y_held)]
    told = [metrics.metrics(problem.learned, scores(problem.learned, p, x), y) for p, x, y in parts]
    name = next(iter(told[0]))
    values = [one[name] for one in told]
    return name, None if None in values else float(np.mean(np.asarray(values, float)))


def _static(lanes: Lanes, found: Found, place: int) -> tuple:
    config = found.configs.config(place)
    return config.get("model"), config.get("rule")


def _explanation(rows: list, ranked: list, num_failed: int, found: Found, names: list[str]) -> str:
    fits = "configuration" if not isinstance(found, jgd.CrossValidation) else "configuration in a fold"
    lost = (
        f"{num_failed:,} of {count(len(rows), fits.split()[0])} diverged"
        if num_failed
        else "None diverged"
    )
    if not ranked:
        return f"Diverged: {lost}."
    best = rows[ranked[0]]
    at = ", ".join(f"{name.replace('_', ' ')} {_text(best[name])}" for name in names)
    return f"Done: best at {at}. {lost}."


def _diverged(row: dict[str, Any]) -> int:
    return row["diverged"] if "diverged" in row else int(row["status"] == "DIVERGED")


def _of_axis(lanes: Lanes, axis: Axis) -> str:
    name = axis.name.replace("_", " ")
    if axis.is_static:
        return f"{name} {', '.join(axis.values)}"
    values = sorted(set(_numbers(lanes, axis)))
    if len(values) <= 4:
        return f"{name} {', '.join(f'{value:g}' for value in values)}"
    return f"{name} {values[0]:g} to {values[-1]:g}, {len(values)} values"


def _numbers(lanes: Lanes, axis: Axis) -> list[float]:
    return [_short(value) for value in np.asarray(lanes.space.axes[axis.name])]


def _short(value: Any) -> Any:
    """A number of a config with the digits that it has in float32."""
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    return int(array) if array.dtype.kind == "i" else float(str(array.astype(np.float32)[()]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    frame = pl.DataFrame(rows, infer_schema_length=None)
    frame.write_csv(path / RESULTS[0])
    frame.write_parquet(path / RESULTS[1])

"""What a fit leaves: the model, the metrics, figures, the summary and the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import jgd
from jgd.cli import metrics
from jgd.cli.advice import advice
from jgd.cli.directory import (
    CONFIG,
    FIGURES,
    HISTORY,
    MODEL,
    PARAMS,
    REPORT,
    SUMMARY,
    versions,
    write_summary,
)
from jgd.cli.learned import scores, values
from jgd.cli.problem import Problem
from jgd.cli.running import losses
from jgd.cli.saved import save_model
from jgd.tables import Schema
from jgd.wording import count, listed

DRAWN = 20_000  # rows of a figure
Figures = list[dict[str, str]]


def finished(problem: Problem, fit: jgd.Fit, path: Path, seconds: float) -> dict[str, Any]:
    """Write all that a fit leaves into its directory.

    Args:
      problem: what was minimised.
      fit: the fit.
      path: directory of the run.
      seconds: that training took.

    Returns:
      The summary, see jgd/report/reading.py, with the metrics as name -> part -> number.
    """
    from jgd.report import report

    save_model(path, problem.learned, fit.params)
    found, rows, columns = metrics.table(problem, fit.params)
    where = "held out" if problem.held is not None else "training"
    summary = {
        "command": "fit",
        "title": f"{problem.target.name} of {Path(problem.options.table).name}",
        "facts": facts(problem, fit, seconds),
        "status": jgd.Status(int(fit.status)).name,
        "explanation": jgd.explain(fit).partition("\n")[0],
        "notes": problem.notes + notes(problem),
        "advice": advice(problem.options, fit, found, str(path)),
        "tables": [{"title": "Metrics", "columns": columns, "rows": rows}],
        "figures": figures(problem, fit, path / FIGURES),
        "versions": versions(),
        "epochs": int(fit.epochs),
        "seconds": seconds,
        "metrics": found,
        "measured_on": where,
        "out": str(path),
    }
    write_summary(path, summary)
    report(path)
    return summary


def facts(problem: Problem, fit: jgd.Fit, seconds: float) -> list[list[Any]]:
    """What matters most, name and value."""
    options, num = problem.options, len(problem.y_train)
    held = f", {len(problem.y_held):,} held out" if len(problem.y_held) else ""
    task = problem.target.task
    classes = problem.target.classes
    if classes:
        shown = ", ".join(map(str, classes[:4])) + (", ..." if len(classes) > 4 else "")
        task = f"{task}: {shown}" if len(classes) == 2 else f"{task}, {len(classes)} classes: {shown}"
    model = "linear" if not options.hidden else _hidden(options.hidden)
    sizes = {"batch": "batch", "stochastic": "stochastic"}
    variant = sizes.get(str(options.variant), f"mini-batches of {options.batch_size} rows")
    penalty = "" if options.penalty == "none" else f", penalty {options.penalty}"
    rate = options.learning_rate
    rate = f"{rate:g}" if isinstance(rate, float) else rate
    return [
        ["task", task],
        ["rows", f"{num:,} trained on{held}"],
        ["columns", kinds(problem.schema)],
        ["features", len(problem.names)],
        ["model", f"{model}; {options.loss}{penalty}"],
        ["training", f"{variant}, {options.rule}, learning rate {rate}"],
        ["epochs", f"{int(fit.epochs)} of at most {options.epochs}, {seconds:.1f} s"],
    ]


def kinds(schema: Schema) -> str:
    """How many columns are of which kind, and how many values those of text have."""
    texts = [column for column in schema.columns if column.kind == "category"]
    told = []
    for kind in ("number", "date"):
        num = sum(column.kind == kind for column in schema.columns)
        told += [count(num, kind)] * (num > 0)
    if texts:
        shown = listed([f"{column.name} ({len(column.values):,})" for column in texts], 4)
        told.append(f"{len(texts):,} of text: {shown}")
    return "; ".join(told)


def notes(problem: Problem) -> list[str]:
    """What people should know of the numbers."""
    if problem.learned.scale == 1 and problem.learned.center == 0:
        return []
    return [
        f"Losses are of {problem.target.name} standardised (mean {problem.learned.center:.4g}, standard "
        f"deviation {problem.learned.scale:.4g}); metrics and predictions are in its own units."
    ]


def files(path: Path, is_of_use: bool) -> list[tuple[str, str]]:
    """What lies in the directory, and what to do with it."""
    uses = [(f"jgd predict {path} TABLE", "predicts for other rows")] if is_of_use else []
    return [
        (f"{path / REPORT}", "all of this on one page, with figures"),
        (f"{path / PARAMS}, {MODEL}", "the model"),
        (f"{path / CONFIG}", "every choice"),
        (f"{path / HISTORY}, {SUMMARY}", "every epoch, this summary"),
        *uses,
        (f"jgd fit --config {path / CONFIG}", "does the same again"),
    ]


def figures(problem: Problem, fit: jgd.Fit, folder: Path) -> Figures:
    """Draw what shows the fit; the names, titles and descriptions of the figures."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    from jgd import plots

    drawn: Figures = []
    with plots.style():

        def keep(name: str, title: str, alt: str, draw: Any) -> None:
            figure = Figure()
            draw(figure.subplots())
            plots.save(figure, folder, name)
            drawn.append({"name": name, "title": title, "alt": alt})

        course = losses(fit)
        if len(course["training"]):
            keep(
                "learning_curve",
                "Loss by epoch",
                f"The loss of {' and '.join(course)} rows by epoch.",
                lambda ax: plots.loss_history(course, ax),
            )
        if np.isfinite(course["training"][-1:]).all():
            _draw_predictions(problem, fit, keep, plots)
            weights = fit.params.get("weights")
            if weights is not None and weights.ndim == 1:
                keep(
                    "coefficients",
                    "Coefficients, of standardised columns",
                    "The largest coefficients of the linear model.",
                    lambda ax: plots.coefficients(problem.names, np.asarray(weights), ax),
                )
    return drawn


def _draw_predictions(problem: Problem, fit: jgd.Fit, keep: Any, plots: Any) -> None:
    is_held = problem.held is not None
    part, y = (problem.held, problem.y_held) if is_held else (problem.train, problem.y_train)
    assert part is not None
    where = "rows held out" if is_held else "rows trained on"
    target = problem.target
    if target.task == "regression":
        step = max(len(y) // DRAWN, 1)
        said = values(problem.learned, scores(problem.learned, fit.params, part["x"][::step]))
        keep(
            "predictions",
            f"Predicted against true {target.name}, {where}",
            f"Predictions of {target.name} against the truth, with the diagonal.",
            lambda ax: plots.predictions(y[::step], said, ax),
        )
        return
    guessed = values(problem.learned, scores(problem.learned, fit.params, part["x"]))
    num = len(target.classes)
    counts = np.bincount(y * num + guessed, minlength=num * num).reshape(num, num)
    if num <= 40:
        keep(
            "confusion",
            f"Which classes were taken for which, {where}",
            f"Confusion matrix of {num} classes.",
            lambda ax: plots.confusion(counts, target.classes, ax),
        )


def _hidden(units: tuple[int, ...]) -> str:
    layers = "a hidden layer" if len(units) == 1 else "hidden layers"
    return f"mlp, {layers} of {' and '.join(map(str, units))} units"

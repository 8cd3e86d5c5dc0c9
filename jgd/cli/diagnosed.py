"""What `jgd diagnose` measures, in the words of the command line: columns by name, and options."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jgd
from jgd import tables
from jgd.cli.directory import CONFIG, FIGURES, REPORT, SUMMARY, versions, write_summary
from jgd.cli.problem import MANY, SAMPLE, Problem, key_of
from jgd.tables.columns import Column
from jgd.wording import count, listed

# Functions of jgd that its advice names, and what stands for them here.
WORDS = (
    (r" \(jgd\.features\.standardize\)", ", as jgd fit does"),
    (r"jgd\.penalties\.l2\(1e-3\)", "--penalty l2=0.001"),
    (r"jgd\.penalties\.l2", "--penalty l2=0.001"),
    (r"stop by a validation score", "run fewer --epochs"),
    (r"jgd\.auto_rule", "--learning-rate auto"),
    (r"jgd\.sgd\(([\d.e-]+), momentum=([\d.]+)\)", r"--learning-rate \1 --momentum \2"),
    (r" Rarer examples may tell more: raise sample\.", " Rarer rows may tell more."),
    (r",? or turn on float64 \(jax\.config[^)]*\)\)", ""),
    (r"[Tt]he columns of data\['x'\]", "the columns"),
    (r" of data\['x'\]", ""),
    (r"data\['x'\]", "the columns"),
)


def diagnosed(problem: Problem, raw: bool) -> tuple[dict[str, Any], jgd.RangeTest]:
    """Measure the problem, and try learning rates.

    Args:
      problem: with no rows held out.
      raw: whether columns, and a target of numbers, are taken as they are.

    Returns:
      The summary, see jgd/report/reading.py, and the range test.
    """
    data, names = problem.train, problem.names
    if raw:
        data, names = as_they_are(problem)
    found = jgd.diagnose(problem.objective, problem.params, data, key=key_of(problem.options, "rule"))
    tested = jgd.range_test(
        problem.objective, problem.params, _part(problem, data), lowest=1e-9 if raw else 1e-5
    )
    rows = count(len(problem.y_train), "row")
    options = problem.options
    model = f"mlp {','.join(map(str, options.hidden))}" if options.hidden else "linear"
    kind = "as they are" if raw else "standardised"
    summary = {
        "command": "diagnose",
        "title": f"{problem.target.name} of {Path(options.table).name}: what a training would meet",
        "facts": [
            ["task", problem.target.task],
            ["rows", len(problem.y_train)],
            ["features", f"{len(names):,}, {kind}"],
            ["model", f"{model}; {options.loss}; penalty {options.penalty}"],
            ["parameters", found.num_params],
        ],
        "status": "DONE",
        "explanation": f"Done: measured on {rows}, at the params where training starts.",
        "notes": _notes(problem.notes, raw),
        "advice": [*(in_words(text, names, problem) for text in found.advice), _of_test(tested)],
        "tables": [{"title": "Numbers", "columns": ["", "value"], "rows": numbers(found, tested)}],
        "figures": [],
        "versions": versions(),
        "diagnosis": found._asdict() | {"advice": None},
        "range_test": {"limit": tested.limit, "suggestion": tested.suggestion},
    }
    return summary, tested


def kept(summary: dict[str, Any], tested: jgd.RangeTest, path: Path) -> list[tuple[str, str]]:
    """Write figure, summary and page into the directory; what lies there."""
    from jgd import plots
    from jgd.cli.drawing import Drawing, drawn
    from jgd.report import report

    test = Drawing(
        "range_test",
        "The loss after 10 epochs of batch descent, by learning rate",
        "The loss at the end of short trainings by learning rate, with the one suggested.",
        lambda ax: plots.range_test(tested, ax),
        (7.0, 4.2),
    )
    summary["figures"] = drawn(path / FIGURES, [test])
    summary["out"] = str(path)
    write_summary(path, summary)
    report(path)
    return [
        (f"{path / REPORT}", "all of this on one page, with a figure"),
        (f"{path / CONFIG}, {SUMMARY}", "every choice, this summary"),
    ]


def as_they_are(problem: Problem) -> tuple[dict[str, Any], list[str]]:
    """The rows in the units of the table: what is missing is the mean, as in training."""
    x = np.asarray(problem.train["x"], float)
    place = 0
    for column in problem.schema.columns:
        if column.kind != "category" and column.scale > 0:
            x[:, place] = x[:, place] * column.scale + column.mean
        place += _width(column)
    learned, y = problem.learned, problem.train["y"]
    if problem.target.task == "regression":
        y = jnp.asarray(np.asarray(y, float) * learned.scale + learned.center, jnp.float32)
    return {"x": jnp.asarray(x, jnp.float32), "y": y}, problem.names


def in_words(text: str, names: list[str], problem: Problem) -> str:
    """A sentence of `jgd.diagnose` with names of columns for their numbers.

    It speaks of `column 3 of data['x']`, for it knows of no names.
    """
    target = problem.target

    def named(match: re.Match) -> str:
        places = [int(place) for place in match[2].split(", ")]
        return f"{match[1]} {listed([names[place] for place in places])}"

    def of_class(match: re.Match) -> str:
        value = float(match[1])
        known = target.classes and value.is_integer() and int(value) < len(target.classes)
        said = f"class {target.classes[int(value)]}" if known else f"label {match[1]}"
        return f"{said} of {target.name}"

    text = re.sub(r"(?<=\. )J\b", "The loss", text)
    text = re.sub(r"\bJ\b", "the loss", text)
    text = re.sub(r"\b([Cc]olumns?) (\d+(?:, \d+)*)\b", named, text)
    text = re.sub(r"label (-?[\d.]+) of data\['y'\]", of_class, text)
    text = re.sub(r"data\['y'\]", target.name, text)
    for old, new in WORDS:
        text = re.sub(old, new, text)
    return text[0].upper() + text[1:]


def numbers(found: jgd.Diagnosis, tested: jgd.RangeTest) -> list[list[Any]]:
    """What was measured, by name."""
    rows: list[tuple[str, Any]] = [
        ("loss", found.loss),
        ("gradient norm", found.gradient_norm),
        ("sharpness, the largest curvature", found.sharpness),
        ("highest stable learning rate", found.max_learning_rate),
        ("best learning rate of batch descent", found.best_learning_rate),
        ("learning rate by trial", tested.suggestion),
        ("condition number", found.condition_number),
        ("condition number, standardised", found.standardized_condition_number),
        ("momentum for it", found.momentum),
        ("learning rate with that momentum", found.momentum_learning_rate),
        ("noise scale, a batch size", found.noise_scale),
        ("scales of features, widest by narrowest", found.feature_scale_ratio),
        ("flat directions", found.num_flat),
        ("place", found.place),
        ("a plane parts the classes", found.separable),
    ]
    return [[name, _readable(value)] for name, value in rows if not _is_unknown(value)]


def _readable(value: Any) -> Any:
    """As text: the numbers of the table have nothing in common."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "infinite" if math.isinf(value) else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _is_unknown(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _of_test(tested: jgd.RangeTest) -> str:
    """What a trial of learning rates says, in one line."""
    said = re.sub(r"\bJ\b", "the loss", tested.explain().partition("\n")[2])
    said = said.replace("highest=", "a higher one, ").replace("lowest=", "a lower one, ")
    said = said.replace(" (jgd.features.standardize)", ", as jgd fit does")
    return f"By trial, 10 epochs of batch descent at each of {len(tested.losses)} learning rates. {said}"


def _notes(notes: list[str], raw: bool) -> list[str]:
    said = ["Columns and target are in the units of the table."] if raw else []
    return notes + said


def _part(problem: Problem, data: dict[str, Any]) -> dict[str, Any]:
    """Rows that are enough to try learning rates on."""
    num = len(problem.y_train)
    if num <= MANY:
        return data
    chosen = np.sort(np.random.default_rng(problem.options.seed).choice(num, SAMPLE, replace=False))
    return jax.tree.map(lambda part: part[chosen], data)


def _width(column: Column) -> int:
    return len(tables.feature_names(tables.Schema((column,))))

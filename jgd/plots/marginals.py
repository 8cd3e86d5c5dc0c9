"""What came of a sweep, along one axis of its space."""

from collections.abc import Callable
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np

from jgd.plots.axes import (
    BEST,
    add_legend,
    axes_or_new,
    mark_beyond,
    mark_edge,
    scale_losses,
    set_frame,
    set_scale,
    wrapped,
)
from jgd.plots.columns import DISTINCT, Axis, Outcome, axis_named, drawable_axes, outcome
from jgd.tuning.sweep import Sweep

LINES = 8  # more cannot be told apart
MARKERS = "os^DvP*h"
BIN, BINS = 6, 16  # trainings of a random sample in one median, at least; medians, at most


def final_loss(sweep: Sweep, axis: str, ax: Any = None, score: Callable | None = None) -> Any:
    """The loss of the last epoch against one axis of the space, what diverged at the edge.

    Up to 8 combinations of the other axes have a line each, through the median where trainings differ in
    what cannot be drawn, such as PRNG keys. Of more combinations, and of a random sample, the points are
    drawn, with one line through the medians. In a median what diverged counts as the worst. The best has
    a star; what is far worse than the median has an arrow at the edge of the frame.

    Args:
      sweep: from `jgd.sweep`.
      axis: name of the axis, of numbers or of static values.
      ax: matplotlib axes to draw on; new ones if None.
      score: as in `Sweep.scores`; where given, scores are drawn in place of losses.

    Returns:
      The axes.

    Raises:
      ValueError: `sweep` is no `Sweep`, `axis` none of its axes, or an axis of arrays or PRNG keys.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> def train(config):
    ...     return jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...                              rule=jgd.sgd(config["learning_rate"]), epochs=5)
    >>> ax = final_loss(jgd.sweep(train, jgd.grid(learning_rate=[0.01, 0.1, 0.5])), "learning_rate")
    >>> ax.get_xlabel(), ax.get_xscale(), ax.get_ylabel()
    ('learning_rate', 'log', 'final loss')
    """
    result = outcome(sweep, score)
    along = axis_named(sweep.configs, "axis", axis)
    ax = axes_or_new(ax)
    names, lines = _lines(drawable_axes(sweep.configs), axis)
    colors = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(lines)))
    for line, color, marker in zip(lines, colors, MARKERS, strict=False):
        _draw_line(ax, along.values[line.places], result, line, color=color, marker=marker)
    _scale(ax, along, result)
    _mark(ax, along, result)
    ax.set(xlabel=axis, ylabel=result.label)
    ax.set_title(wrapped(ax, f"{result.label.capitalize()} against {axis}"), pad=10)
    add_legend(ax, names)
    return ax


class Line(NamedTuple):
    """Trainings of one colour.

    Attributes:
      label: the values of the other axes.
      places: of the trainings.
      is_mixed: whether they differ in other axes.
    """

    label: str
    places: np.ndarray
    is_mixed: bool


def _lines(axes: dict[str, Axis], axis: str) -> tuple[str, list[Line]]:
    """The names of the other axes, and a line for each combination of their values, if they are few."""
    others = [a for name, a in axes.items() if name != axis and len(np.unique(a.values)) > 1]
    values = axes[axis].values
    rows = list(zip(*(a.values for a in others), strict=True))
    distinct = sorted(set(rows))
    is_sample = len(distinct) == len(values) and len(np.unique(values)) > 1
    if not others or len(distinct) > LINES or is_sample:
        return "", [Line("", np.arange(len(values)), is_mixed=bool(others))]
    lines = []
    for row in distinct:
        label = ", ".join(a.text(value) for a, value in zip(others, row, strict=True))
        lines.append(Line(label, np.flatnonzero([r == row for r in rows]), is_mixed=False))
    return ", ".join(a.name for a in others), lines


def _draw_line(ax: Any, x: np.ndarray, result: Outcome, line: Line, **style: Any) -> None:
    """A line through the medians, and the points where they are not the medians."""
    worst = np.inf if result.is_loss else -np.inf
    values = np.where(result.has_value, result.values, worst)[line.places]
    distinct, place = np.unique(x, return_inverse=True)
    if line.is_mixed and len(distinct) > DISTINCT:
        bins = np.array_split(np.argsort(x), np.clip(len(x) // BIN, 1, BINS))
    else:
        bins = [np.flatnonzero(place == i) for i in range(len(distinct))]
    label = line.label or "_single"
    if len(bins) < len(x):
        shown, color = np.isfinite(values), style["color"]
        ax.plot(x[shown], values[shown], ".", color=color, alpha=0.4, markersize=6, zorder=1.5)
        label = line.label or "median"
    at = np.asarray([np.median(x[lanes]) for lanes in bins])
    medians = np.asarray([np.median(values[lanes]) for lanes in bins])
    ax.plot(at, np.where(np.isfinite(medians), medians, np.nan), markersize=5, label=label, **style)


def _scale(ax: Any, along: Axis, result: Outcome) -> None:
    set_scale(ax, "x", along)
    values = result.values[result.has_value]
    if not values.size:
        ax.set_yticks([])
        return
    low, high, is_log = result.frame
    if result.is_loss:
        scale_losses(ax, np.clip(values, low, high))
    if low > values.min() or high < values.max():
        set_frame(ax, low, high, is_log)


def _mark(ax: Any, along: Axis, result: Outcome) -> None:
    """The best, and at the edge what has no value or one beyond the frame."""
    values, has_value = result.values, result.has_value
    if result.best is not None:
        low, high, _ = result.frame
        mark_beyond(ax, along.values[has_value & ((values < low) | (values > high))], result.is_loss)
        star = {"color": BEST, "markeredgecolor": "black", "markersize": 15, "linestyle": "none"}
        ax.plot(along.values[result.best], values[result.best], "*", label="best", zorder=3, **star)
    mark_edge(ax, along.values[~has_value], result.is_loss, "X", result.failed)

"""What came of a sweep, over all axes of its space at once."""

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.patheffects import withStroke

from jgd.plots.axes import BEST, FAILED, LETTER, axes_or_new, size_in_points, wrapped
from jgd.plots.columns import Axis, Outcome, between, drawable_axes, outcome
from jgd.tuning.sweep import Sweep

MARKED = 6  # up to so many values of an axis are marked one by one
ABOVE = 1.1  # where on the last axis what has no value ends, or where not, below


def parallel_coordinates(sweep: Sweep, ax: Any = None, score: Callable | None = None) -> Any:
    """A line for each configuration, across one vertical axis for each axis of the space.

    The last vertical axis is the loss of the last epoch. Lines are coloured by rank, the darker the
    better; the best is thick, those that diverged are thin and grey. Axes of arrays and of PRNG keys are
    left out.

    Args:
      sweep: from `jgd.sweep`.
      ax: matplotlib axes to draw on; new ones if None.
      score: as in `Sweep.scores`; where given, scores are drawn in place of losses.

    Returns:
      The axes.

    Raises:
      ValueError: `sweep` is no `Sweep`, or none of its axes can be drawn.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> def train(config):
    ...     rule = jgd.sgd(config["learning_rate"], momentum=config["momentum"])
    ...     return jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...                              rule=rule, epochs=5)
    >>> space = jgd.grid(learning_rate=[0.01, 0.1, 0.5], momentum=[0.0, 0.9])
    >>> ax = parallel_coordinates(jgd.sweep(train, space))
    >>> [text.get_text() for text in ax.get_xticklabels()]
    ['learning_rate', 'momentum', 'final loss']

    Source: Inselberg (1985), The Visual Computer 1.
    """
    result = outcome(sweep, score)
    axes = list(drawable_axes(sweep.configs).values())
    if not axes:
        raise ValueError(
            f"sweep: its axes, {', '.join(sweep.configs.axes)}, are arrays or PRNG keys, but at least "
            "one of numbers or names is wanted. For the spread over them take "
            "jgd.plots.learning_curves({'all': sweep.fits})."
        )
    ax = axes_or_new(ax)
    heights = np.stack([*(axis.positions() for axis in axes), _result_positions(result)])
    _draw_lines(ax, heights, result)
    for at, axis in enumerate(axes):
        _draw_axis(ax, at, *_marks(axis))
    _draw_axis(ax, len(axes), *_result_marks(result))
    _name_axes(ax, [*(axis.name for axis in axes), result.label])
    return ax


def _result_positions(result: Outcome) -> np.ndarray:
    """[K], where the lines end: from 0 to 1, or beyond where there is no value."""
    nowhere = ABOVE if result.is_loss else 1 - ABOVE
    if result.best is None:
        return np.full(len(result.values), nowhere)
    places = between(result.values, *result.frame)
    return np.where(result.has_value, places, nowhere)


def _draw_lines(ax: Any, heights: np.ndarray, result: Outcome) -> None:
    at, failed = np.arange(len(heights)), ~result.has_value
    if failed.any():
        ax.plot(at, heights[:, failed], "-", color="0.75", linewidth=0.6, zorder=1)
    order = result.ranked
    colors = mpl.colormaps["viridis_r"](np.linspace(0.1, 1, len(order)))
    for place, color in zip(order[:-1], colors, strict=False):
        ax.plot(at, heights[:, place], "-", color=color, linewidth=1, alpha=0.8, zorder=2)
    if order.size:
        (best,) = ax.plot(
            at, heights[:, order[-1]], "-", color=BEST, linewidth=3, zorder=3, label="best"
        )
        best.set_path_effects([withStroke(linewidth=5, foreground="black")])  # seen without colour too


def _marks(axis: Axis) -> tuple[np.ndarray, list[str]]:
    """Heights and texts of the marks on a vertical axis: its values if they are few, else its ends."""
    values, first = np.unique(axis.values, return_index=True)
    if len(values) > MARKED and axis.names is None:
        values, first = values[[0, -1]], first[[0, -1]]
    return axis.positions()[first], [axis.text(value) for value in values]


def _result_marks(result: Outcome) -> tuple[np.ndarray, list[str]]:
    """Lowest and highest value, with a sign where lines of values beyond end there too; and failure."""
    marks: dict[float, str] = {}
    if result.best is not None:
        low, high, _ = result.frame
        below, above = np.any(result.values < low), np.any(result.values > high)
        ends = f"{'≤ ' if below else ''}{low:.3g}", f"{'≥ ' if above else ''}{high:.3g}"
        marks = {0.5: ends[0]} if low == high else {0.0: ends[0], 1.0: ends[1]}
    if not result.has_value.all():
        marks[ABOVE if result.is_loss else 1 - ABOVE] = result.failed
    return np.asarray(list(marks)), list(marks.values())


def _draw_axis(ax: Any, at: int, heights: np.ndarray, texts: list[str]) -> None:
    ax.plot([at, at], [0, 1], "-", color="black", linewidth=1, zorder=4)
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    nearest = 14 / size_in_points(ax)[1]
    last = -np.inf
    for height, text in sorted(zip(heights, texts, strict=True)):
        if height - last < nearest:
            continue
        last = height
        is_failed = not 0 <= height <= 1
        ax.plot(at, height, "_", color="black", markersize=8, zorder=4)
        ax.annotate(
            text,
            (at, height),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            color=FAILED if is_failed else "black",
            bbox=box,
            zorder=5,
        )


def _name_axes(ax: Any, names: list[str]) -> None:
    ax.set_xticks(range(len(names)), names)
    width = size_in_points(ax)[0] / len(names)
    if LETTER * max(map(len, names)) > width:
        ax.tick_params(axis="x", rotation=30)
        for label in ax.get_xticklabels():
            label.set(horizontalalignment="right", rotation_mode="anchor")
    ax.tick_params(axis="x", length=0)
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.set_xlim(-0.1, len(names) - 1 + 0.3)
    ax.set_title(wrapped(ax, "All configurations, the best thick"))

"""What came of a sweep, over two axes of its space."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from jgd.plots.axes import (
    BEST,
    FAILED,
    axes_or_new,
    plain_ticks,
    set_scale,
    set_ticks,
    size_in_points,
    wrapped,
)
from jgd.plots.columns import DISTINCT, Axis, Outcome, axis_named, frame, outcome
from jgd.tuning.sweep import Sweep


def heat_map(sweep: Sweep, x: str, y: str, ax: Any = None, score: Callable | None = None) -> Any:
    """The loss of the last epoch as a colour over two axes of the space, the darker the better.

    A cell shows the best of the configurations that it holds, whatever their other axes; it is grey with
    a cross where all of them diverged. The best cell has a frame. Where the values are no grid, as in a
    random sample, each configuration is a point. Losses above 0 have a logarithmic scale of colours;
    those that are far worse than the median have the colour of its end.

    Args:
      sweep: from `jgd.sweep`.
      x: name of the axis that runs across, of numbers or of static values.
      y: name of the axis that runs up.
      ax: matplotlib axes to draw on; new ones if None.
      score: as in `Sweep.scores`; where given, scores are drawn in place of losses.

    Returns:
      The axes.

    Raises:
      ValueError: `sweep` is no `Sweep`, `x` or `y` none of its axes, or an axis of arrays or PRNG keys,
        or both are the same.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> def train(config):
    ...     rule = jgd.sgd(config["learning_rate"], momentum=config["momentum"])
    ...     return jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...                              rule=rule, epochs=5)
    >>> space = jgd.grid(learning_rate=[0.01, 0.1, 0.5], momentum=[0.0, 0.9])
    >>> ax = heat_map(jgd.sweep(train, space), "learning_rate", "momentum")
    >>> [text.get_text() for text in ax.get_xticklabels()]
    ['0.01', '0.1', '0.5']
    >>> ax.get_title()
    'Best at learning_rate 0.5, momentum 0'
    """
    result = outcome(sweep, score)
    across, up = axis_named(sweep.configs, "x", x), axis_named(sweep.configs, "y", y)
    if x == y:
        raise ValueError(
            f"x and y are both {x!r}, but two axes are wanted. For one take jgd.plots.final_loss."
        )
    ax = axes_or_new(ax)
    cells = _cells(across, up, result)
    if cells is None:
        label = result.label
        _draw_points(ax, across, up, result)
    else:
        label = result.label + (" (best)" if cells.size < len(result.values) else "")
        _draw_cells(ax, across, up, result, cells)
    _draw_color_bar(ax, result, label)
    ax.set(xlabel=x, ylabel=y, title=wrapped(ax, _title(across, up, result)))
    return ax


def _title(across: Axis, up: Axis, result: Outcome) -> str:
    lines = []
    if result.best is not None:
        at = (f"{axis.name} {axis.text(axis.values[result.best])}" for axis in (across, up))
        lines.append(f"Best at {', '.join(at)}")
    if not result.has_value.all():
        lines.append(f"X: {result.failed}")
    return "\n".join(lines)


def _cells(across: Axis, up: Axis, result: Outcome) -> np.ndarray | None:
    """[Y, X], the best goodness of each cell, NaN where it is empty; None where there is no grid."""
    xs, column = np.unique(across.values, return_inverse=True)
    ys, row = np.unique(up.values, return_inverse=True)
    if max(len(xs), len(ys)) > DISTINCT:
        return None
    cells = np.full((len(ys), len(xs)), np.nan)
    np.fmax.at(cells, (row, column), result.goodness)
    return cells if 2 * np.sum(~np.isnan(cells)) >= cells.size else None


def _colors(values: np.ndarray, result: Outcome) -> dict[str, Any]:
    """Colour map and scale for these values, the darker the better."""
    low, high, is_log = frame(values, result.is_loss)
    if low == high:  # a scale has a length
        low, high = (low / 1.1, high * 1.1) if is_log else (low - 0.5, high + 0.5)
    norm = LogNorm(low, high) if is_log else Normalize(low, high)
    return {"cmap": "viridis" if result.is_loss else "viridis_r", "norm": norm}


def _draw_cells(ax: Any, across: Axis, up: Axis, result: Outcome, cells: np.ndarray) -> None:
    num_up, num_across = cells.shape
    edges = np.arange(num_across + 1) - 0.5, np.arange(num_up + 1) - 0.5
    values = np.ma.masked_invalid(-cells if result.is_loss else cells)
    if values.count():
        ax.pcolormesh(*edges, values, **_colors(values.compressed(), result))
        row, column = np.unravel_index(np.argmax(np.nan_to_num(cells, nan=-np.inf)), cells.shape)
        outline: Any = {"edgecolor": BEST, "linewidth": 3, "fill": False, "clip_on": False, "zorder": 3}
        frame_of_best = Rectangle((column - 0.5, row - 0.5), 1, 1, **outline)
        ax.add_patch(frame_of_best).set_path_effects([withStroke(linewidth=6, foreground="white")])
    has_failed = np.isneginf(cells)
    if has_failed.any():
        grey = np.ma.masked_where(~has_failed, has_failed)
        ax.pcolormesh(*edges, grey, cmap=ListedColormap(["0.85"]))
        width, height = size_in_points(ax)
        size = float(np.clip(0.4 * min(width / num_across, height / num_up), 2, 9))
        rows, columns = np.nonzero(has_failed)
        ax.plot(columns, rows, "x", color=FAILED, markersize=size, label=result.failed)
    for which, axis in (("x", across), ("y", up)):
        distinct = np.unique(axis.values)
        set_ticks(ax, which, range(len(distinct)), [axis.text(value) for value in distinct])
    ax.set(xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])


def _draw_points(ax: Any, across: Axis, up: Axis, result: Outcome) -> None:
    has_value, x, y = result.has_value, across.values, up.values
    ax.plot(x[~has_value], y[~has_value], "X", color=FAILED, label=result.failed)
    if result.best is not None:
        order, best = result.ranked, result.best
        colors = _colors(result.values[has_value], result)
        ax.scatter(x[order], y[order], c=result.values[order], s=40, zorder=2, **colors)
        ring = {"markersize": 13, "markerfacecolor": "none", "markeredgewidth": 3, "zorder": 3}
        ax.plot(x[best], y[best], "o", markeredgecolor=BEST, label="best", **ring)
    for which, axis in (("x", across), ("y", up)):
        set_scale(ax, which, axis)


def _draw_color_bar(ax: Any, result: Outcome, label: str) -> None:
    if result.best is None:
        return
    colored = ax.collections[0]
    norm, values = colored.norm, np.ma.compressed(colored.get_array())
    ends = {(True, False): "min", (False, True): "max"}
    beyond = bool((values < norm.vmin).any()), bool((values > norm.vmax).any())
    bar = ax.figure.colorbar(colored, ax=ax, label=label, extend=ends.get(beyond, "neither"))
    if isinstance(norm, LogNorm) and colored.norm.vmax < 100 * colored.norm.vmin:
        plain_ticks(bar.ax.yaxis)

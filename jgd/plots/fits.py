"""Pictures of descents: how the loss fell, and the way the parameters took."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from jgd.descent.loop import Fit
from jgd.descent.status import Status

GRID = 201  # points along each axis on which contours are computed
LEVELS = 15
MARKS = {Status.STALLED: "s", Status.DIVERGED: "X"}


def learning_curves(fits: Mapping[str, Fit], ax: Any = None) -> Any:
    """Loss against epoch, one curve for each fit; where one STALLED or DIVERGED, it says so.

    The loss axis is logarithmic if all losses are above 0. Epochs that were not run are not drawn.

    Args:
      fits: dict name -> `Fit`; of each, `history.loss` [E], in units of the loss, is drawn.
      ax: matplotlib axes to draw on; new ones if None.

    Returns:
      The axes.

    Raises:
      ValueError: `fits` is no dict of fits, or holds a batch of fits.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> fit = jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...                         rule=jgd.sgd(0.1), epochs=5)
    >>> ax = learning_curves({"batch": fit})
    >>> ax.get_yscale(), len(ax.lines[0].get_xdata())
    ('log', 5)
    """
    _check_fits(fits)
    ax = _axes(ax)
    losses = {name: np.asarray(fit.history.loss, float)[: int(fit.epochs)] for name, fit in fits.items()}
    for place, (name, fit) in enumerate(fits.items()):
        (line,) = ax.plot(np.arange(1, len(losses[name]) + 1), losses[name], label=name)
        status = Status(int(fit.status))
        if status in MARKS:
            _mark_end(ax, losses[name], status, line.get_color(), is_above=place % 2 == 0)
    _scale_losses(ax, np.concatenate(list(losses.values())))
    if any(int(fit.status) in MARKS for fit in fits.values()):
        left, right = ax.get_xlim()
        ax.set_xlim(left, right + 0.15 * (right - left))  # room for the names of statuses
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
    ax.set(xlabel="epoch", ylabel="loss (mean over the epoch)", title="Learning curves")
    ax.legend()
    return ax


def path_on_contours(value: Callable[[Any], Any], path: Any, ax: Any = None, optimum: Any = None) -> Any:
    """The path of a descent on the contours of a function of two parameters.

    Both axes have one scale, so that a step along the gradient crosses the contours at right angles.

    Args:
      value: params [2] -> scalar; it is mapped over a grid by `jax.vmap`.
      path: [T, 2], the params after each step, the start first. Rows that are not finite are left out.
      ax: matplotlib axes to draw on; new ones if None.
      optimum: [2], marked by a star, or None.

    Returns:
      The axes.

    Raises:
      ValueError: the path is not [T, 2] or holds no finite row; the optimum is not [2].

    >>> ax = path_on_contours(lambda p: jnp.sum(p**2), jnp.array([[2.0, 1.0], [1.0, 0.5], [0.5, 0.25]]))
    >>> ax.get_xlabel(), [text.get_text() for text in ax.get_legend().get_texts()]
    ('parameter 1', ['path', 'start', 'end'])
    """
    path, optimum = _checked_path(path), _checked_optimum(optimum)
    ax = _axes(ax)
    x, y = _window(path if optimum is None else np.vstack([path, optimum]))
    points = np.stack(np.meshgrid(x, y), axis=-1)
    heights = np.asarray(jax.vmap(jax.vmap(value))(jnp.asarray(points, float)), float)
    heights = np.ma.masked_invalid(heights)
    if levels := _levels(heights.compressed()):
        ax.contourf(x, y, heights, levels=levels, cmap="Blues", alpha=0.6)
        lines = ax.contour(x, y, heights, levels=levels[1:], colors="steelblue", linewidths=0.6)
        ax.clabel(lines, levels=levels[2:-1:3], fmt="%.2g", colors="black", fontsize="x-small", zorder=1)
    ax.plot(*path.T, ".-", color="tab:red", linewidth=1, markersize=4, label="path")
    if optimum is not None:
        ax.plot(*optimum, "*", color="gold", markeredgecolor="black", markersize=18, label="optimum")
    ax.plot(*path[0], "o", color="black", markerfacecolor="white", label="start")
    ax.plot(*path[-1], "o", color="black", label="end")
    ax.set(xlim=x[[0, -1]], ylim=y[[0, -1]], aspect="equal")
    ax.set(xlabel="parameter 1", ylabel="parameter 2", title="Path of the descent on the contours")
    ax.legend()
    return ax


def _axes(ax: Any) -> Any:
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def _check_fits(fits: Any) -> None:
    wanted = 'a dict of fits is wanted: {"batch": fit}'
    if not isinstance(fits, Mapping):
        raise ValueError(f"fits is {type(fits).__name__}, but {wanted}.")
    if not fits:
        raise ValueError(f"fits is empty, but {wanted}.")
    for name, fit in fits.items():
        if not isinstance(fit, Fit):
            raise ValueError(f"fits[{name!r}] is {type(fit).__name__}, but {wanted}.")
        if np.ndim(fit.status):
            raise ValueError(
                f"fits[{name!r}] is a batch of fits of shape {np.shape(fit.status)}, but a single fit "
                "is wanted. Take one lane: jax.tree.map(lambda x: x[0], fits)."
            )


def _scale_losses(ax: Any, losses: np.ndarray) -> None:
    """A logarithmic loss axis where the losses allow it, with plain numbers on a short one."""
    losses = losses[np.isfinite(losses)]
    if not losses.size or losses.min() <= 0:
        return
    ax.set_yscale("log")
    if losses.max() < 100 * losses.min():
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())


def _mark_end(ax: Any, losses: np.ndarray, status: Status, color: str, is_above: bool) -> None:
    """Mark the last epoch at the height of the last finite loss, or at the top if there is none.

    Names stand above and below in turn: curves that end side by side do not overwrite each other's.
    """
    finite = losses[np.isfinite(losses)]
    transform = ax.transData if finite.size else ax.get_xaxis_transform()
    end = (len(losses), finite[-1] if finite.size else 1)
    ax.plot(*end, MARKS[status], color=color, markersize=8, transform=transform, clip_on=False)
    ax.annotate(
        status.name,
        end,
        xycoords=transform,
        xytext=(5, 5 if is_above else -5),
        textcoords="offset points",
        va="bottom" if is_above else "top",
        color=color,
        fontsize="small",
    )


def _checked_path(path: Any) -> np.ndarray:
    path = np.asarray(path, float)
    if path.ndim != 2 or path.shape[1] != 2:
        raise ValueError(
            f"path has shape {path.shape}, but [T, 2] is wanted, the two params after each step."
        )
    finite = path[np.isfinite(path).all(axis=1)]
    if not len(finite):
        raise ValueError(f"path of shape {path.shape} has no finite row, so there is nothing to draw.")
    return finite


def _checked_optimum(optimum: Any) -> np.ndarray | None:
    if optimum is None:
        return None
    optimum = np.asarray(optimum, float)
    if optimum.shape != (2,):
        raise ValueError(f"optimum has shape {optimum.shape}, but (2,) is wanted, or None.")
    return optimum


def _window(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates [GRID] along both axes of a square around all points, with a margin."""
    low, high = points.min(axis=0), points.max(axis=0)
    center = (low + high) / 2
    half = 0.75 * float(np.max(high - low)) or 1.0
    x, y = (np.linspace(c - half, c + half, GRID) for c in center)
    return x, y


def _levels(heights: np.ndarray) -> list[float]:
    """Heights of the contours, none where all is level. As squares grow, so a bowl gets even rings."""
    if not heights.size or math.isclose(heights.min(), heights.max()):
        return []
    steps = np.linspace(0, 1, LEVELS) ** 2
    return list(heights.min() + (heights.max() - heights.min()) * steps)

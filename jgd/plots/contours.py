"""The way the parameters took, where they are two."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgd.plots.axes import axes_or_new

GRID = 201  # points along each axis on which contours are computed
LEVELS = 15


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
    ax = axes_or_new(ax)
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

"""How the params of a model change along a path of strengths."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jgd.convex.path import Path
from jgd.plots.axes import axes_or_new

MOST_NAMES = 8  # those of the largest params at the end stand beside their lines


def coefficient_path(
    found: Path, params: Any = None, names: Sequence[str] | None = None, ax: Any = None
) -> Any:
    """Each param against the strength of the penalty, from the largest strength to the smallest.

    Args:
      found: from `jgd.path`.
      params: [K, D], which of its params are drawn, such as `found.params["weights"]`; None draws all
        numbers of all.
      names: [D] of the params; those of the largest stand beside their lines.
      ax: matplotlib axes to draw on; new ones if None.

    Returns:
      The axes.

    Raises:
      ValueError: `found` is no `Path`; the params or names do not fit.

    >>> def loss(params, example):
    ...     return jgd.losses.squared_error(params @ example[0], example[1])
    >>> def train(strength, params):
    ...     objective = jgd.objective(loss, jgd.penalties.l1(strength))
    ...     data = jnp.eye(2), jnp.array([1.0, -3.0])
    ...     return jgd.batch_descent(objective, params, data, rule=jgd.coordinate(), epochs=5)
    >>> found = jgd.path(train, jnp.logspace(0.5, -2, 20), jnp.zeros(2))
    >>> ax = coefficient_path(found, names=["rooms", "noise"])
    >>> len(ax.lines), [text.get_text() for text in ax.texts]
    (3, ['noise', 'rooms'])
    """
    if not isinstance(found, Path):
        raise ValueError(
            f"found is {type(found).__name__}, but what jgd.path returned, a Path, is wanted."
        )
    num = len(found.strengths)
    drawn = found.params if params is None else params
    leaves = [np.asarray(leaf, float) for leaf in jax.tree.leaves(drawn)]
    if not leaves or any(leaf.shape[:1] != (num,) for leaf in leaves):
        raise ValueError(
            f"params have the shapes {[leaf.shape for leaf in leaves]}, but arrays with a leading axis "
            f"of the {num} strengths are wanted: found.params['weights']."
        )
    values = np.concatenate([leaf.reshape(num, -1) for leaf in leaves], axis=1)
    if names is not None and len(names) != values.shape[1]:
        raise ValueError(
            f"names holds {len(names)}, but {values.shape[1]} are wanted, one for each param drawn."
        )
    ax = axes_or_new(ax)
    strengths = np.asarray(found.strengths, float)
    order = np.argsort(-strengths)
    strengths, values = strengths[order], values[order]
    moving = np.flatnonzero(np.any(values != 0, axis=0))
    for column in moving:
        ax.plot(strengths, values[:, column], linewidth=1.2)
    ax.axhline(0, color="0.4", linewidth=0.8, zorder=0)
    ax.set_xscale("log" if strengths.min() > 0 else "symlog")
    ax.set_xlim(strengths[0], strengths[-1])
    ax.set(xlabel="strength of the penalty", ylabel="param")
    ax.set_title("Path of the params")
    if names is not None:
        _name_the_largest(ax, strengths[-1], values[-1], moving, names)
    return ax


def _name_the_largest(ax: Any, at: float, last: np.ndarray, moving: np.ndarray, names: Sequence[str]):
    """Names at the right end, apart from each other by a line at least."""
    largest = sorted(moving[np.argsort(-np.abs(last[moving]))[:MOST_NAMES]], key=lambda c: last[c])
    colours = {int(column): line.get_color() for column, line in zip(moving, ax.lines, strict=False)}
    low, high = ax.get_ylim()
    gap, height = (high - low) / 20, low
    for column in largest:
        height = max(last[column], height + gap)
        ax.annotate(
            names[column],
            (at, height),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            color=colours[int(column)],
            annotation_clip=False,
            parse_math=False,
        )

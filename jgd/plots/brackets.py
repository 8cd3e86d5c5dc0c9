"""How successive halving dropped configurations."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.ticker import NullLocator

from jgd.descent.status import Status
from jgd.plots.axes import BEST, add_legend, axes_or_new, mark_beyond, mark_edge, scale_losses, set_frame
from jgd.plots.columns import frame
from jgd.tuning.halving import Halving
from jgd.tuning.hyperband import Hyperband

LOGARITHMIC = 8  # epochs are logarithmic from this ratio of the last rung to the first on
DROPPED, KEPT = "#56B4E9", "#0072B2"


def halving_brackets(halving: Halving, ax: Any = None) -> Any:
    """Loss against epoch of all configurations; each line ends at the rung where it was dropped.

    Rungs are dotted lines; above each stands how many configurations reached it. Where the halving had
    a score of its own, scores at the rungs are drawn in place of losses.

    Args:
      halving: from `jgd.successive_halving`, or one of the brackets of a `jgd.Hyperband`.
      ax: matplotlib axes to draw on; new ones if None.

    Returns:
      The axes.

    Raises:
      ValueError: `halving` is no `Halving`.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> def train(config, epochs, state):
    ...     return jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...                              rule=jgd.sgd(config["learning_rate"]), epochs=epochs, state=state)
    >>> space = jgd.grid(learning_rate=jnp.logspace(-3, 0, 9))
    >>> ax = halving_brackets(jgd.successive_halving(train, space, rungs=(2, 4, 8)))
    >>> ax.get_ylabel(), [line.get_label() for line in ax.lines if line.get_label()[0] != "_"]
    ('loss', ['dropped', 'best'])
    """
    _check(halving)
    ax = axes_or_new(ax)
    is_loss = _is_judged_by_loss(halving)
    lines = [_line(halving, place, is_loss) for place in range(len(halving.configs))]
    last = halving.scores[np.arange(len(lines)), halving.rungs]
    failed, kept = ~np.isfinite(last), halving.rungs == len(halving.epochs) - 1
    best = halving.best.place if (kept & ~failed).any() else None
    is_best = np.arange(len(lines)) == best
    _draw(ax, itertools.compress(lines, failed), "", color="0.75", linewidth=0.7)
    _draw(ax, itertools.compress(lines, ~failed & ~kept), "dropped", color=DROPPED, linewidth=0.9)
    others = itertools.compress(lines, ~failed & kept & ~is_best)
    _draw(ax, others, "kept to the end", color=KEPT, linewidth=1.5)
    _draw(ax, itertools.compress(lines, is_best), "best", color=BEST, linewidth=3.5)
    _scale(ax, lines, is_loss)
    ends = np.asarray([at[-1] for at, _ in lines])
    mark_edge(ax, ends[failed], is_loss, "X", _failed(halving, failed))
    _draw_rungs(ax, halving)
    ax.set(xlabel="epoch", ylabel="loss" if is_loss else "score", title="Successive halving")
    add_legend(ax)
    return ax


def _check(halving: Any) -> None:
    if isinstance(halving, Hyperband):
        raise ValueError(
            f"halving is a Hyperband of {len(halving.brackets)} brackets, but one halving is wanted. "
            "Pass one of its brackets: halving.brackets[0]."
        )
    if not isinstance(halving, Halving):
        raise ValueError(
            f"halving is {type(halving).__name__}, but what jgd.successive_halving returned, a Halving, "
            "is wanted. For a Sweep take jgd.plots.final_loss."
        )


def _is_judged_by_loss(halving: Halving) -> bool:
    """Whether the scores are the negative losses of the epochs at the ends of the rungs."""
    losses, epochs = np.asarray(halving.fits.history.loss), np.asarray(halving.fits.epochs)
    ends = np.minimum(epochs[:, None], halving.epochs).clip(1) - 1
    at_ends = np.take_along_axis(losses, ends, axis=1)
    has_score = np.isfinite(halving.scores)
    return np.array_equal(halving.scores[has_score], -at_ends[has_score])


def _line(halving: Halving, place: int, is_loss: bool) -> tuple[np.ndarray, np.ndarray]:
    """Epochs and values of one configuration up to where it was dropped; NaN where not finite."""
    if is_loss:
        values = np.asarray(halving.fits.history.loss[place], float)
        values = values[: max(int(halving.fits.epochs[place]), 1)]
        at = np.arange(1, len(values) + 1)
    else:
        values = np.asarray(halving.scores[place, : halving.rungs[place] + 1], float)
        at = np.asarray(halving.epochs[: len(values)])
    return at, np.where(np.isfinite(values), values, np.nan)


def _draw(ax: Any, lines: Iterable, label: str, **style: Any) -> None:
    """Lines that end in a point, of which the first has the label."""
    for number, (at, values) in enumerate(lines):
        ends = {"marker": ".", "markevery": [-1], "label": f"_{label}" if number or not label else label}
        ax.plot(at, values, linestyle="-", **ends, **style)


def _scale(ax: Any, lines: list[tuple[np.ndarray, np.ndarray]], is_loss: bool) -> None:
    values = np.concatenate([values for _, values in lines])
    if not np.isfinite(values).any():
        ax.set_yticks([])
        return
    low, high, is_log = frame(values, is_loss)
    if is_loss:
        scale_losses(ax, np.clip(values, low, high))
    set_frame(ax, low, high, is_log)
    ends = np.asarray([(at[-1], values[-1]) for at, values in lines])
    mark_beyond(ax, ends[(ends[:, 1] < low) | (ends[:, 1] > high), 0], is_loss)


def _failed(halving: Halving, failed: np.ndarray) -> str:
    status = np.asarray(halving.fits.status)
    return "diverged" if np.all(status[failed] == Status.DIVERGED) else "diverged or not finite"


def _draw_rungs(ax: Any, halving: Halving) -> None:
    epochs = halving.epochs
    for at in epochs:
        ax.axvline(at, color="0.4", linestyle=":", linewidth=1, zorder=0.5, label="_rung")
    if epochs[-1] > LOGARITHMIC * epochs[0]:
        ax.set_xscale("log")
    num = [str(int(np.sum(halving.rungs >= rung))) for rung in range(len(epochs))]
    above = ax.secondary_xaxis("top")
    above.set_xlabel("configurations that reached the rung")
    above.set_xticks(epochs, num)
    below = epochs if len(epochs) > 1 else sorted({1, *epochs})
    ax.set_xticks(below, [str(at) for at in below])
    for axis in (ax.xaxis, above.xaxis):
        axis.set_minor_locator(NullLocator())

"""How the loss fell, from plain lists, as files hold them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from jgd.plots.axes import BEST, axes_or_new, mark_beyond, mark_edge, scale_losses, set_frame
from jgd.plots.columns import frame

EPOCH = "epoch"
ENDS = "os^Dv"  # markers of the last epochs, one for each curve in turn
FEW = 25  # up to so many values have a marker each


class Curve(NamedTuple):
    """One curve: where it has finite values, and where it has others."""

    name: str
    epochs: np.ndarray
    losses: np.ndarray
    failed: np.ndarray


def loss_history(history: Mapping[str, Sequence[float | None]], ax: Any = None) -> Any:
    """Losses by epoch from plain lists, the last epoch of each marked, and the lowest of the last curve.

    The last curve is the one that counts: the held-out loss, where there is one. None is a loss that was
    not measured, and the curve goes on to the next; what is not finite is marked on the upper edge. The
    loss axis is logarithmic where all losses are above 0.

    Args:
      history: dict name -> [E] losses, such as `{"training": ..., "held out": ...}`; `"epoch"` holds the
        numbers of the epochs, 1 to E where it is left out.
      ax: matplotlib axes to draw on; new ones if None.

    Returns:
      The axes.

    Raises:
      ValueError: `history` is no dict of lists of numbers, or they are of different lengths.

    >>> ax = loss_history({"training": [4.0, 2.0, 1.0, 0.5], "held out": [5.0, None, 2.0, 3.0]})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['training', 'held out', 'lowest of held out: 2, epoch 3']
    """
    curves = _curves(history)
    ax = axes_or_new(ax)
    for place, curve in enumerate(curves):
        _draw(ax, curve, ENDS[place % len(ENDS)])
    _mark_lowest(ax, curves[-1])
    _scale(ax, curves)
    failed = np.concatenate([curve.failed for curve in curves])
    mark_edge(ax, failed, True, "X", "not finite")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
    ax.set(xlabel="epoch", ylabel="loss")
    ax.set_title("Loss by epoch", pad=10)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize="small")  # within the axes, however long: beside them it halves their width
    return ax


def _curves(history: Any) -> list[Curve]:
    wanted = 'a dict of lists is wanted: {"training": losses, "held out": losses}'
    if not isinstance(history, Mapping):
        raise ValueError(f"history is {type(history).__name__}, but {wanted}.")
    columns = {str(name): _column(str(name), values, wanted) for name, values in history.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"history holds lists of the lengths {lengths}, but one length is wanted. Where a loss was "
            "not measured put None."
        )
    epochs = columns.pop(EPOCH, np.arange(1, max(lengths.values(), default=0) + 1))
    if not columns:
        raise ValueError(f"history holds no losses, but {wanted}.")
    return [_curve(name, column, np.asarray(epochs, float)) for name, column in columns.items()]


def _column(name: str, values: Any, wanted: str) -> np.ndarray:
    """[E], numbers and None."""
    try:
        column = np.asarray([None if value is None else float(value) for value in values], object)
    except (TypeError, ValueError):
        raise ValueError(f"history[{name!r}] is no list of numbers, but {wanted}.") from None
    return column


def _curve(name: str, column: np.ndarray, epochs: np.ndarray) -> Curve:
    losses = np.asarray(column, float)
    measured, finite = np.asarray([value is not None for value in column], bool), np.isfinite(losses)
    return Curve(name, epochs[finite], losses[finite], epochs[measured & ~finite])


def _draw(ax: Any, curve: Curve, marker: str) -> None:
    at, losses = curve.epochs, curve.losses
    shown: Any = None if len(at) <= FEW else [len(at) - 1]
    ax.plot(at, losses, marker=marker, markevery=shown, markersize=5, label=curve.name)


def _mark_lowest(ax: Any, curve: Curve) -> None:
    if not curve.losses.size:
        return
    best = int(np.argmin(curve.losses))
    epoch, loss = curve.epochs[best], curve.losses[best]
    look = {"color": BEST, "markeredgecolor": "black", "linestyle": "none"}
    label = f"lowest of {curve.name}: {loss:.4g}, epoch {epoch:g}"
    ax.plot(epoch, loss, "*", label=label, markersize=14, clip_on=False, zorder=3, **look)


def _scale(ax: Any, curves: list[Curve]) -> None:
    """Where one ran away, the axis ends above the rest, and arrows on its edge say so."""
    epochs = np.concatenate([curve.epochs for curve in curves])
    losses = np.concatenate([curve.losses for curve in curves])
    if not losses.size:
        ax.set_yticks([])
        return
    low, high, _ = frame(losses, True)
    low, starts = min(low, losses.min()), [curve.losses[0] for curve in curves if curve.losses.size]
    high = max(high, *starts)
    scale_losses(ax, losses)
    if high < losses.max():
        set_frame(ax, low, high, ax.get_yscale() == "log")
        mark_beyond(ax, epochs[losses > high], True)

"""How the loss fell."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from jgd.descent.loop import Fit
from jgd.descent.status import Status
from jgd.plots.axes import axes_or_new, scale_losses

MARKS = {Status.STALLED: "s", Status.DIVERGED: "X"}
BAND = 0.1, 0.5, 0.9  # quantiles over the fits of a batch: the band and, between, the curve


def learning_curves(fits: Mapping[str, Fit], ax: Any = None) -> Any:
    """Loss against epoch, one curve for each fit; where one STALLED or DIVERGED, it says so.

    Of a batch of fits, of seeds say, the curve is the median and a band reaches from the 10% to the 90%
    quantile, in each epoch over those that ran it and were finite; the legend tells how many STALLED or
    DIVERGED. The loss axis is logarithmic if all that is drawn is above 0. Epochs that were not run are
    not drawn.

    Args:
      fits: dict name -> `Fit`, or a batch of fits whose leaves have a leading axis K, as `sweep.fits`;
        of each, `history.loss` [E] or [K, E], in units of the loss, is drawn.
      ax: matplotlib axes to draw on; new ones if None.

    Returns:
      The axes.

    Raises:
      ValueError: `fits` is no dict of fits, or holds a batch with more than one axis.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> def train(rate):
    ...     return jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...                              rule=jgd.sgd(rate), epochs=5)
    >>> ax = learning_curves({"one": train(0.1), "three": jax.vmap(train)(jnp.array([0.1, 0.2, 0.3]))})
    >>> ax.get_yscale(), len(ax.lines[0].get_xdata()), len(ax.collections)
    ('log', 5, 1)
    """
    _check_fits(fits)
    ax = axes_or_new(ax)
    drawn = [np.zeros(0)]
    for place, (name, fit) in enumerate(fits.items()):
        if np.ndim(fit.status):
            drawn.append(_draw_band(ax, name, fit))
            continue
        losses = np.asarray(fit.history.loss, float)[: int(fit.epochs)]
        (line,) = ax.plot(np.arange(1, len(losses) + 1), losses, label=name)
        status = Status(int(fit.status))
        if status in MARKS:
            _mark_end(ax, losses, status, line.get_color(), is_above=place % 2 == 0)
        drawn.append(losses)
    scale_losses(ax, np.concatenate(drawn))
    if any(not np.ndim(fit.status) and int(fit.status) in MARKS for fit in fits.values()):
        left, right = ax.get_xlim()
        ax.set_xlim(left, right + 0.15 * (right - left))  # room for the names of statuses
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
    ax.set(xlabel="epoch", ylabel="loss (mean over the epoch)", title="Learning curves")
    has_band = any(np.ndim(fit.status) for fit in fits.values())
    ax.legend(title="median, 10% to 90%" if has_band else None)
    return ax


def _check_fits(fits: Any) -> None:
    wanted = 'a dict of fits is wanted: {"batch": fit}'
    if not isinstance(fits, Mapping):
        raise ValueError(f"fits is {type(fits).__name__}, but {wanted}.")
    if not fits:
        raise ValueError(f"fits is empty, but {wanted}.")
    for name, fit in fits.items():
        if not isinstance(fit, Fit):
            raise ValueError(f"fits[{name!r}] is {type(fit).__name__}, but {wanted}.")
        if np.ndim(fit.status) > 1:
            raise ValueError(
                f"fits[{name!r}] is a batch of fits of shape {np.shape(fit.status)}, but a single fit "
                "or a batch with one axis is wanted. Make one axis of all: "
                "jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), fits)."
            )


def _draw_band(ax: Any, name: str, fits: Fit) -> np.ndarray:
    """The median and the band of a batch of fits; returns what was drawn."""
    losses = np.asarray(fits.history.loss, float)  # NaN in epochs that were not run
    losses = np.where(np.isfinite(losses), losses, np.nan)
    (at,) = np.nonzero(np.isfinite(losses).any(axis=0))
    low, median, high = np.nanquantile(losses[:, at], BAND, axis=0) if at.size else np.zeros((3, 0))
    (line,) = ax.plot(at + 1, median, label=name + _ends(np.asarray(fits.status)))
    ax.fill_between(at + 1, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    return np.concatenate([low, high])


def _ends(status: np.ndarray) -> str:
    """How many of a batch did not end well, for the legend."""
    counts = {kind: int(np.sum(status == kind)) for kind in (Status.DIVERGED, Status.STALLED)}
    parts = [f"{num} {kind.name.lower()}" for kind, num in counts.items() if num]
    if not parts:
        return ""
    first, *others = parts
    return f" ({', '.join([first.replace(' ', f' of {len(status)} ', 1), *others])})"


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

"""What a learning rate range test found."""

from typing import Any

import numpy as np

from jgd.plots.axes import (
    BEST,
    add_legend,
    axes_or_new,
    mark_beyond,
    mark_edge,
    scale_losses,
    set_frame,
)
from jgd.plots.columns import frame
from jgd.tuning.range_test import RangeTest

SHORT = 5  # from this ratio of the highest J to the lowest on its axis is logarithmic


def range_test(found: RangeTest, ax: Any = None) -> Any:
    """J at the end of each training against its learning rate, and the rate that is suggested.

    Both axes are logarithmic, that of J where it is above 0 and spans more than a factor of 5. What
    diverged is marked on the upper edge; J far above the start has an arrow there.

    Args:
      found: from `jgd.range_test`.
      ax: matplotlib axes to draw on; new ones if None.

    Returns:
      The axes.

    Raises:
      ValueError: `found` is no `RangeTest`.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> found = jgd.range_test(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]), num=16)
    >>> ax = range_test(found)
    >>> ax.get_xscale(), ax.get_xlabel(), ax.get_ylabel()
    ('log', 'learning rate', 'J over all examples')
    """
    if not isinstance(found, RangeTest):
        raise ValueError(
            f"found is {type(found).__name__}, but what jgd.range_test returned, a RangeTest, is wanted."
        )
    ax = axes_or_new(ax)
    rates, losses = found.learning_rates, found.losses.astype(float)
    ended = np.isfinite(losses)
    ax.set_xscale("log")
    ax.set_xlim(rates[0] / 1.3, rates[-1] * 1.3)
    if ended.any():
        ax.plot(rates, losses, ".-", color="C0", label="at the end")
    if np.isfinite(found.start):
        ax.axhline(found.start, color="0.4", linewidth=0.8, linestyle="--", label="at the start")
    if np.isfinite(found.suggestion):
        label = f"suggestion {found.suggestion:.2g}"
        ax.axvline(found.suggestion, color=BEST, linestyle="-.", label=label, zorder=1.5)
    _scale(ax, rates, losses, found.start)
    mark_edge(ax, rates[~ended], True, "X", "diverged")
    ax.set(xlabel="learning rate", ylabel="J over all examples")
    ax.set_title("Learning rate range test", pad=10)
    add_legend(ax)
    return ax


def _scale(ax: Any, rates: np.ndarray, losses: np.ndarray, start: float) -> None:
    """The axis of J, with as much room above the start as below it; arrows for what lies beyond."""
    drawn = np.append(losses, start)
    drawn = drawn[np.isfinite(drawn)]
    if len(np.unique(drawn)) < 2:
        ax.set_yticks(np.unique(drawn))
        return
    low, high, is_log = frame(drawn, True)
    low, high = np.fmin(low, start), np.fmax(high, start)
    if low < start:
        high = min(high, start * (start / low) if is_log else start + (start - low))
    is_log &= high > SHORT * low
    if is_log:
        scale_losses(ax, np.clip(drawn, low, high))
    set_frame(ax, low, high, is_log)
    mark_beyond(ax, rates[losses > high], True)

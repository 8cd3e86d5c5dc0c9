"""What all pictures share: axes to draw on, scales and their ticks."""

from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter


def axes_or_new(ax: Any) -> Any:
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def scale_losses(ax: Any, losses: np.ndarray) -> None:
    """A logarithmic loss axis where the losses allow it, with plain numbers on a short one."""
    losses = losses[np.isfinite(losses)]
    if not losses.size or losses.min() <= 0:
        return
    ax.set_yscale("log")
    if losses.max() < 100 * losses.min():
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())

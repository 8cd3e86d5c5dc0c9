"""What all pictures share: axes to draw on, scales, ticks, legends and colours."""

import math
import textwrap
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from jgd.plots.columns import Axis, between

# Colour-blind people tell these two, and viridis, apart (Okabe and Ito 2008).
BEST = "#D55E00"
FAILED = "0.55"
STYLES: dict[str, dict[str, Any]] = {
    "X": {"color": FAILED, "markersize": 8},
    "^": {"color": "black"},
    "v": {"color": "black"},
}
LETTER = 6  # points that a letter takes, with some air
LINE = 14
COUNTS = 10  # up to so many whole numbers have a tick each


def axes_or_new(ax: Any) -> Any:
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def scale_losses(ax: Any, losses: np.ndarray) -> None:
    """A logarithmic loss axis where the losses allow it, with plain numbers on a short one."""
    losses = losses[np.isfinite(losses)]
    if not losses.size or losses.min() <= 0:
        return
    ax.set_yscale("log")
    if losses.max() < 100 * losses.min():
        plain_ticks(ax.yaxis)


def set_frame(ax: Any, low: float, high: float, is_log: bool) -> None:
    """The loss axis from low to high, with a margin."""
    margin = (high / low) ** 0.05 if is_log else 0.05 * (high - low)
    if low < high:
        ax.set_ylim(*((low / margin, high * margin) if is_log else (low - margin, high + margin)))


def mark_edge(ax: Any, at: np.ndarray, is_top: bool, marker: str, label: str) -> None:
    """Marks on the upper or the lower edge of the frame, for what has no place within it."""
    at = np.unique(at)
    if at.size:
        on_edge = {"transform": ax.get_xaxis_transform(), "clip_on": False, "zorder": 3}
        style = {**STYLES[marker], "linestyle": "none", "label": label}
        ax.plot(at, np.full(len(at), float(is_top)), marker, **style, **on_edge)


def mark_beyond(ax: Any, at: np.ndarray, is_top: bool) -> None:
    """Arrows on the edge of the frame, for values beyond it."""
    mark_edge(ax, at, is_top, "^" if is_top else "v", "above the frame" if is_top else "below the frame")


def plain_ticks(axis: Any) -> None:
    """Plain numbers on a short logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def size_in_points(ax: Any) -> tuple[float, float]:
    """About how wide and how high the axes are; layouts change it a little when they are drawn."""
    extent = ax.get_window_extent()
    return extent.width * 72 / ax.figure.dpi, extent.height * 72 / ax.figure.dpi


def wrapped(ax: Any, text: str) -> str:
    """The text in lines that are no wider than the axes."""
    width = max(int(size_in_points(ax)[0] / LETTER), 20)
    return "\n".join(textwrap.fill(line, width) for line in text.splitlines())


def set_ticks(ax: Any, which: str, at: Any, labels: Any) -> None:
    """Ticks at evenly spaced places, of which as many have a label as there is room for."""
    width, height = size_in_points(ax)
    widest = LETTER * (max(map(len, labels)) + 1)
    room = max(width / widest if which == "x" else height / LINE, 1)
    step = math.ceil(len(labels) / room)
    if step > 1:  # the roundest numbers are the shortest
        step = min(range(step, 2 * step), key=lambda s: np.mean([len(text) for text in labels[::s]]))
    axis = getattr(ax, f"{which}axis")
    shown = [text if i % step == 0 else "" for i, text in enumerate(labels)]
    axis.set_ticks(at, shown, parse_math=False)  # what people call things is no mathematics
    axis.set_minor_locator(NullLocator())


def set_scale(ax: Any, which: str, axis: Axis) -> None:
    """Scale and ticks for an axis of a space; names, and few whole numbers, have a tick each."""
    distinct = np.unique(axis.values)
    if axis.is_log:
        ax.set(**{f"{which}scale": "log"})
    if axis.names is not None:
        set_ticks(ax, which, range(len(axis.names)), axis.names)
        ax.set(**{f"{which}lim": (-0.5, len(axis.names) - 0.5)})
        return
    gaps = np.diff(between(distinct, distinct[0], distinct[-1], axis.is_log))
    are_even = bool((2 * len(distinct) * gaps >= 1).all())
    if len(distinct) == 1 or (len(distinct) <= COUNTS and (distinct % 1 == 0).all() and are_even):
        set_ticks(ax, which, distinct, [axis.text(value) for value in distinct])


def add_legend(ax: Any, title: str = "") -> None:
    """A legend, beside the axes where it is long and the figure has a layout that makes room for it."""
    num = len(ax.get_legend_handles_labels()[0])
    if not num:
        return
    is_beside = num > 3 and ax.figure.get_layout_engine() is not None
    place = {"loc": "upper left", "bbox_to_anchor": (1, 1), "frameon": False} if is_beside else {}
    ax.legend(title=title or None, fontsize="small", **place)

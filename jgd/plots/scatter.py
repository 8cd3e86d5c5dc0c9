"""Predictions of a regression against what they should have been."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import ListedColormap

from jgd.plots.axes import add_legend, axes_or_new, mark_beyond
from jgd.wording import count

MANY = 1500  # from so many points on their density is drawn
CELLS = 45  # hexagons across
FIRST_COLOR = 0.15  # of the colour map: white would be no cell at all


def predictions(target: Any, predicted: Any, ax: Any = None) -> Any:
    """What was predicted against what was true, with the diagonal on which perfect predictions lie.

    Of more than 1500 examples the density is drawn, the darker the more, on a logarithmic scale. What
    was predicted further from all targets than they are wide has an arrow at the edge.

    Args:
      target: [N], the true numbers.
      predicted: [N], the predictions, in the same units.
      ax: matplotlib axes to draw on; new ones if None.

    Returns:
      The axes.

    Raises:
      ValueError: they are no vectors of one length of numbers, or no target is finite.

    >>> ax = predictions([1.0, 2.0, 3.0], [1.1, 2.0, 2.7])
    >>> ax.get_xlabel(), ax.get_ylabel(), ax.get_aspect()
    ('true', 'predicted', 1.0)
    """
    true, guess = _vector("target", target), _vector("predicted", predicted)
    if len(true) != len(guess):
        raise ValueError(
            f"target holds {count(len(true), 'number')} and predicted {len(guess):,}, but a prediction "
            "for each target is wanted."
        )
    if not np.isfinite(true).any():
        raise ValueError("target holds no finite number, so there is nothing to draw.")
    ax = axes_or_new(ax)
    frame = _frame(true[np.isfinite(true)], guess)
    sound = np.isfinite(true) & np.isfinite(guess)
    inside = sound & (guess >= frame[0]) & (guess <= frame[1])
    _draw(ax, true[inside], guess[inside], frame)
    ax.plot(frame, frame, color="black", linestyle=(0, (5, 3)), linewidth=1.2, label="perfect")
    for is_top, beyond in ((True, guess > frame[1]), (False, guess < frame[0])):
        mark_beyond(ax, true[sound & beyond], is_top)
    ax.set(xlim=frame, ylim=frame, aspect="equal", xlabel="true", ylabel="predicted")
    left_out = f", {count(int((~sound).sum()), 'row')} not finite" if not sound.all() else ""
    ax.set_title(f"Predicted against true{left_out}", pad=10)
    add_legend(ax)
    return ax


def _vector(name: str, numbers: Any) -> np.ndarray:
    wanted = "a vector [N] of numbers is wanted; a column becomes one by x[:, 0]"
    try:
        vector = np.asarray(numbers, float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} holds other things than numbers, but {wanted}.") from None
    if vector.ndim != 1:
        raise ValueError(f"{name} has shape {vector.shape}, but {wanted}.")
    return vector


def _frame(true: np.ndarray, guess: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest that is shown, the same on both axes."""
    low, high = float(true.min()), float(true.max())
    width = (high - low) or abs(high) or 1.0
    near = guess[(guess >= low - width) & (guess <= high + width)]
    ends = np.append(near, [low, high])
    margin = 0.04 * ((ends.max() - ends.min()) or width)
    return float(ends.min() - margin), float(ends.max() + margin)


def _draw(ax: Any, true: np.ndarray, guess: np.ndarray, frame: tuple[float, float]) -> None:
    if len(true) <= MANY:
        see_through = float(np.clip(60 / max(len(true), 1), 0.35, 0.8))
        ax.plot(true, guess, "o", color="#0072B2", alpha=see_through, markersize=4, markeredgewidth=0)
        return
    colors = _without_white("Blues")
    cells = ax.hexbin(
        true, guess, gridsize=CELLS, extent=(*frame, *frame), bins="log", mincnt=1, cmap=colors
    )
    ax.figure.colorbar(cells, ax=ax, label="examples in a cell")


def _without_white(name: str) -> Any:
    return ListedColormap(mpl.colormaps[name](np.linspace(FIRST_COLOR, 1, 256)))

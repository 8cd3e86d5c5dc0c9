"""What a linear model makes of its columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jgd.plots.axes import LINE, axes_or_new, size_in_points
from jgd.tree import is_whole
from jgd.wording import count

RAISES = {"color": "#0072B2"}
LOWERS = {"facecolor": "#F3B58A", "edgecolor": "#8A3D00", "hatch": "////"}
XLABEL = "coefficient; below 0 (hatched) it lowers the prediction"
LONGEST = 28  # letters of a name


def coefficients(names: Sequence[str], values: Any, ax: Any = None, most: int = 20) -> Any:
    """The largest coefficients of a linear model as bars, the largest on top.

    Those above 0 reach to the right and are full, those below reach to the left and are hatched. The
    coefficients of standardised columns are alike in size, others are not to be compared.

    Args:
      names: [D] of the columns.
      values: [D], their coefficients.
      ax: matplotlib axes to draw on; new ones if None.
      most: so many are drawn.

    Returns:
      The axes.

    Raises:
      ValueError: `values` is no vector of numbers, `names` are not as many, `most` is no whole number
        of at least 1.

    >>> ax = coefficients(["rooms", "age", "noise"], [2.0, -3.0, 0.1], most=2)
    >>> [text.get_text() for text in ax.get_yticklabels()], ax.get_title()
    (['age', 'rooms'], 'The 2 largest of 3 coefficients')
    """
    numbers, names = _checked(names, values, most)
    ax = axes_or_new(ax)
    sizes = np.where(np.isfinite(numbers), np.abs(numbers), -1)
    order = np.argsort(-sizes, kind="stable")[: min(most, int((sizes >= 0).sum()))]
    for look, drawn in ((RAISES, numbers[order] >= 0), (LOWERS, numbers[order] < 0)):
        ax.barh(np.flatnonzero(drawn), numbers[order][drawn], height=0.7, **look)
    ax.axvline(0, color="black", linewidth=0.8)
    size = float(np.clip(9 * size_in_points(ax)[1] / (LINE * max(len(order), 1)), 5, 9))
    shown = [_short(names[place]) for place in order]
    ax.set_yticks(range(len(order)), shown, parse_math=False, fontsize=size)
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    ax.set_ylim(max(len(order), 1) - 0.4, -0.6)
    ax.set(xlabel=XLABEL, title=_title(numbers, len(order)))
    return ax


def _checked(names: Any, values: Any, most: Any) -> tuple[np.ndarray, list[str]]:
    names = [str(name) for name in names]
    try:
        numbers = np.asarray(values, float)
    except (TypeError, ValueError):
        numbers = np.zeros((0, 0))
    if numbers.ndim != 1:
        raise ValueError(
            "values are no vector of numbers, but [D] is wanted, a coefficient for each column; of "
            "several classes draw one at a time: values[:, 0]."
        )
    if not names or len(names) != len(numbers):
        raise ValueError(
            f"names holds {len(names)}, but {len(numbers)} are wanted, one for each coefficient, and "
            "one at least."
        )
    if not is_whole(most) or most < 1:
        raise ValueError(f"most is {most!r}, but a whole number of at least 1 is wanted.")
    return numbers, names


def _short(name: str) -> str:
    text = " ".join(name.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _title(numbers: np.ndarray, num_drawn: int) -> str:
    num, finite = len(numbers), int(np.isfinite(numbers).sum())
    if num_drawn < finite:
        title = f"The {num_drawn} largest of {num:,} coefficients"
    else:
        title = count(num_drawn, "coefficient").capitalize()
    return title + (f", {count(num - finite, 'other')} not finite" if finite < num else "")

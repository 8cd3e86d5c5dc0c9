"""Which classes were taken for which."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from jgd.plots.axes import LETTER, set_ticks, size_in_points
from jgd.plots.columns import LONGEST

MOST = 20  # up to so many classes have a name each and numbers in their cells
FITTING, LARGER = 10, 1.9  # more classes want a figure that is so many times as large
SMALLEST, LARGEST = 5.5, 11.0  # points of the letters of the numbers
DIGIT = 0.64  # width of a digit by the size of its letters
DARK = 0.5  # from this share on letters are white


def confusion(counts: Any, classes: Sequence[Any], ax: Any = None) -> Any:
    """A confusion matrix: a row for each true class, a column for each predicted one.

    The darker a cell, the larger its share of the examples of its row. Up to 20 classes, the number of
    examples stands in it, where it is not 0, and the share below where there is room.

    Args:
      counts: [C, C], how many examples of the class of the row were taken for that of the column.
      classes: [C] names.
      ax: matplotlib axes to draw on; new ones if None, larger where there are more than 10 classes.

    Returns:
      The axes.

    Raises:
      ValueError: `counts` is no square of numbers >= 0, or `classes` are not as many.

    >>> ax = confusion([[8, 2], [1, 9]], ["ham", "spam"])
    >>> [text.get_text() for text in ax.texts]
    ['8\\n80%', '2\\n20%', '1\\n10%', '9\\n90%']

    Source: Kohavi and Provost (1998), Machine Learning 30.
    """
    counts, names = _checked(counts, classes)
    ax = _large_axes(len(names)) if ax is None else ax
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    ax.figure.colorbar(image, ax=ax, label="share of the true class")
    ax.grid(False)
    _name(ax, names)
    ax.set(xlabel="predicted", ylabel="true", title="Confusion of classes")
    if len(names) <= MOST:
        _write(ax, counts, shares)
    return ax


def _large_axes(num: int) -> Any:
    """Axes where the numbers of many classes have room."""
    width, height = plt.rcParams["figure.figsize"]
    factor = 1 if num <= FITTING else LARGER
    return plt.subplots(layout="constrained", figsize=(factor * width, factor * 1.25 * height))[1]


def _checked(counts: Any, classes: Any) -> tuple[np.ndarray, list[str]]:
    names = [_short(name) for name in classes]
    wanted = f"a square [C, C] of numbers of examples is wanted, here [{len(names)}, {len(names)}]"
    try:
        table = np.asarray(counts, float)
    except (TypeError, ValueError):
        raise ValueError(f"counts holds other things than numbers, but {wanted}.") from None
    if not names or table.shape != (len(names), len(names)):
        raise ValueError(
            f"counts has shape {table.shape} and classes holds {len(names)}, but {wanted}, with a row "
            "for each true class and a column for each predicted one."
        )
    if not np.isfinite(table).all() or (table < 0).any():
        raise ValueError(f"counts holds a number below 0 or none at all, but {wanted}.")
    return table, names


def _short(name: Any) -> str:
    text = " ".join(str(name).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _name(ax: Any, names: list[str]) -> None:
    places = range(len(names))
    if len(names) > MOST:
        set_ticks(ax, "x", places, names)
        set_ticks(ax, "y", places, names)
        return
    ax.set_xticks(places, names, parse_math=False)
    ax.set_yticks(places, names, parse_math=False)
    ax.tick_params(length=0)
    side = min(size_in_points(ax)) / len(names)
    if LETTER * max(map(len, names)) > side:
        ax.tick_params(axis="x", rotation=90 if side < 2 * LETTER else 40)
        for label in ax.get_xticklabels():
            label.set(horizontalalignment="right", rotation_mode="anchor")


def _write(ax: Any, counts: np.ndarray, shares: np.ndarray) -> None:
    """The numbers, as large as there is room for, or none where they could not be read."""
    side = 0.85 * min(size_in_points(ax)) / len(counts)
    digits = max(len(f"{number:,g}") for number in counts.flat)
    size = min(side / (DIGIT * max(digits, 3)), LARGEST)
    has_shares = bool(side > 2.6 * size)
    if size < SMALLEST:
        return
    for row, column in np.argwhere(counts > 0):
        number, share = counts[row, column], float(shares[row, column])
        text = f"{number:,g}" + f"\n{_percent(share)}" * has_shares
        color = "white" if share > DARK else "black"
        ax.text(column, row, text, ha="center", va="center", fontsize=size, color=color)


def _percent(share: float) -> str:
    """A share in few letters; nothing is called none, and nothing all, that is not."""
    if share in (0, 1) or 0.005 <= share < 0.995:
        return f"{share:.0%}"
    return "<1%" if share < 0.5 else ">99%"

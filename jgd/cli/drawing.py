"""Figures of a run, in its directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Drawing(NamedTuple):
    """A figure that is still to be drawn.

    Attributes:
      name: of its files.
      title: below it.
      alt: what it shows, for those who do not see it.
      draw: `(axes) -> None`, of matplotlib.
      size: width and height in inches; None takes the usual one.
    """

    name: str
    title: str
    alt: str
    draw: Callable[[Any], Any]
    size: tuple[float, float] | None = None


def drawn(folder: Path, drawings: list[Drawing]) -> list[dict[str, str]]:
    """Draw them into the folder; the figures as summary.json names them."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    from jgd import plots

    with plots.style():
        for drawing in drawings:
            figure = Figure(figsize=drawing.size)
            drawing.draw(figure.subplots())
            plots.save(figure, folder, drawing.name)
    return [{"name": d.name, "title": d.title, "alt": d.alt} for d in drawings]

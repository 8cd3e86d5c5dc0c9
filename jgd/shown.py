"""What a notebook shows of a result: a card of a few facts, as text and HTML, of whatever leaves."""

import html
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from jgd.wording import count, listed

MOST_NUMBERS = (
    5_000_000  # of an array that is looked at; a larger one takes a while to come from a device
)
MOST_LEAVES = 4
LINE = 110  # characters of a line of text, at most
LINES = 6  # of a text, at most
GREY = "rgba(128,128,128,0.4)"  # of lines; it shows on white and on black
TABLE = "border-collapse:collapse;margin:0;border:0;font-size:inherit"
CELL = "padding:2px 14px 2px 0;border:0;text-align:left;vertical-align:top;background:transparent"
MUTED = "opacity:0.65;font-weight:normal"

Class = TypeVar("Class", bound=type)


class Part(NamedTuple):
    """A part of many: how they ended, say.

    Attributes:
      name: of the part.
      num: how many.
      colour: in CSS, to be seen on white and on black.
    """

    name: str
    num: int
    colour: str


class Card(NamedTuple):
    """What is shown of a result.

    Attributes:
      title: what it is.
      head: the most important of it.
      facts: names and texts, a line each.
      columns: names of the columns of a table.
      rows: texts, one for each column; the best first.
      curve: numbers along a line, none of which must be finite.
      curve_title: what the curve shows.
      parts: of one thing its single `Part`, of many several.
      notes: sentences, the most important first.
      foot: where there is more: lines of code, each with what it does.
    """

    title: str
    head: str
    facts: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    curve: Any = None
    curve_title: str = ""
    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()
    foot: tuple[tuple[str, str], ...] = ()


def shown_as(card_of: Callable[[Any], Card]) -> Callable[[Class], Class]:
    """A decorator: `repr` and what a notebook shows of a class are the card of the instance.

    Neither fails: JAX makes instances of a pytree with any leaves, and errors print what they are about.

    Args:
      card_of: `instance -> Card`; where it raises, the name of the class is shown.

    Returns:
      The decorator.

    >>> @shown_as(lambda point: Card("Point", f"at {short(point.x)}"))
    ... class Point(NamedTuple):
    ...     x: float
    >>> Point(0.5), Point(None)
    (Point: at 0.5, Point: not to be shown (TypeError))
    """

    def decorated(cls: Class) -> Class:
        def by(form: Callable[[Card], str], instance: Any) -> str:
            try:
                with np.errstate(all="ignore"):
                    return form(card_of(instance))
            except Exception as error:
                return form(Card(cls.__name__, f"not to be shown ({type(error).__name__})"))

        shown: Any = cls
        shown.__repr__ = lambda self: by(as_text, self)
        shown._repr_html_ = lambda self: by(as_html, self)
        return cls

    return decorated


def as_text(card: Card) -> str:
    """The card in a few lines, of the table the first rows, of the notes the first."""
    lines = [f"{card.title}: {card.head}"]
    lines += [f"  {name}: {text}" for name, text in card.facts]
    rows = (zip(card.columns, row, strict=False) for row in card.rows)
    lines += ["  " + ", ".join(f"{name} {text}" for name, text in row) for row in rows]
    lines += [f"  {note}" for note in card.notes[:1]]
    return "\n".join(clipped(line, LINE) for line in lines[:LINES])


def as_html(card: Card) -> str:
    """The card as a piece of HTML: no script, no style but its own, colours of the page around it."""
    dot = card.parts[0].colour if len(card.parts) == 1 else None
    mark = f'<span style="color:{dot}">&#9679;</span> ' if dot else ""
    parts = [
        f'<div style="margin:0 0 4px 0">{mark}<b>{_escaped(card.title)}</b> {_escaped(card.head)}</div>'
    ]
    if len(card.parts) > 1:
        parts.append(_bar(card.parts))
    facts = [
        f'<tr style="background:transparent"><th style="{CELL};{MUTED}">{_escaped(name)}</th>'
        f'<td style="{CELL}">{_escaped(text)}</td></tr>'
        for name, text in card.facts
    ]
    table = f'<table style="{TABLE}"><tbody>{"".join(facts)}</tbody></table>' if facts else ""
    parts.append(_side_by_side(table, sparkline(card.curve, card.curve_title)))
    if card.rows:
        parts.append(_table(card.columns, card.rows))
    if card.notes:
        notes = "".join(f'<li style="margin:2px 0">{_escaped(note)}</li>' for note in card.notes)
        parts.append(f'<ol style="margin:6px 0 0 0;padding-left:22px;max-width:80ch">{notes}</ol>')
    if card.foot:
        code = '<code style="background:transparent;color:inherit">'
        foot = "; ".join(f"{code}{_escaped(line)}</code> {_escaped(text)}" for line, text in card.foot)
        parts.append(f'<div style="margin:6px 0 0 0;{MUTED}">{foot}</div>')
    style = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.45;overflow-x:auto"
    return f'<div style="{style}">{"".join(parts)}</div>'


def sparkline(values: Any, title: str, width: int = 180, height: int = 40) -> str:
    """A curve as a little SVG, logarithmic where that shows more; empty of fewer than two numbers."""
    found = None if values is None else numbers(values)
    if found is None or found.ndim != 1:
        return ""
    finite = np.flatnonzero(np.isfinite(found))
    if len(finite) < 2:
        return ""
    kept = finite[np.unique(np.linspace(0, len(finite) - 1, 90).astype(int))]
    y = found[kept].astype(float)
    if y.min() > 0 and y.max() / 30 > y.min():
        y, title = np.log(y), f"{title}, logarithmic"
    # Halves do not overflow where the numbers are as large as floats go.
    low, span = y.min() / 2, (y.max() / 2 - y.min() / 2) or 1.0
    across = 3 + (width - 6) * (kept - finite[0]) / (finite[-1] - finite[0])
    down = height - 3 - (height - 6) * ((y / 2 - low) / span)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
    return (
        f'<svg role="img" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'style="display:block"><title>{_escaped(title)}</title>'
        f'<line x1="0" y1="{height - 0.5}" x2="{width}" y2="{height - 0.5}" stroke="{GREY}"/>'
        f'<polyline points="{points}" fill="none" stroke="#4a90d9" stroke-width="1.6" '
        f'stroke-linejoin="round"/><circle cx="{across[-1]:.1f}" cy="{down[-1]:.1f}" r="2.4" '
        f'fill="#4a90d9"/></svg>'
    )


def numbers(x: Any) -> np.ndarray | None:
    """The numbers on the host; None where they are not at hand: traced, deleted, too many, or none."""
    if x is None or isinstance(x, jax.core.Tracer) or getattr(x, "size", 0) > MOST_NUMBERS:
        return None
    try:
        found = np.asarray(x)
        if found.dtype.kind in "OUScMm":
            return None
        return found if found.dtype.kind in "biuf" else found.astype(float)
    except Exception:
        return None


def shape_of(x: Any) -> tuple[int, ...]:
    """Its shape; () of what has none."""
    return tuple(getattr(x, "shape", ()))


def arrays(tree: Any, batch: int = 0) -> str:
    """The arrays of a pytree in words: `b float32[], w float32[3] (4 numbers)`; none of their numbers.

    Args:
      tree: a pytree of whatever leaves.
      batch: how many leading axes are those of a batch, and left out.

    >>> arrays({"b": np.zeros(()), "w": np.zeros((2, 3))}, batch=0)
    'b float64[], w float64[2, 3] (7 numbers)'
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    shapes = [shape_of(leaf)[batch:] for _, leaf in leaves]
    texts = []
    for (path, leaf), shape in list(zip(leaves, shapes, strict=True))[:MOST_LEAVES]:
        kind = str(leaf.dtype) if hasattr(leaf, "dtype") else type(leaf).__name__
        sizes = f"[{', '.join(map(str, shape))}]" if hasattr(leaf, "shape") else ""
        name = clipped(jax.tree_util.keystr(path, simple=True, separator="/"), 30)
        texts.append(f"{name} {kind}{sizes}".strip())
    total = sum(int(np.prod(shape, dtype=object)) for shape in shapes)
    shown = listed(texts + [""] * (len(leaves) - len(texts)), MOST_LEAVES)
    return f"{shown} ({count(total, 'number')})" if leaves else "none"


def short(number: Any) -> str:
    """A number with four digits; of a whole one all."""
    found = np.asarray(number)
    return str(int(found)) if found.dtype.kind in "biu" else f"{float(found):.4g}"


def clipped(text: Any, most: int) -> str:
    """A text on one line, of so many characters at most."""
    words = str(text)
    line = words[: len(words) - len(words.lstrip(" "))] + " ".join(words.split())
    return line if len(line) <= most else f"{line[: most - 3].rstrip()}..."


def _escaped(text: Any) -> str:
    return html.escape(str(text))


def _side_by_side(left: str, right: str) -> str:
    if not right:
        return left
    style = "display:flex;flex-wrap:wrap;gap:4px 24px;align-items:center"
    return f'<div style="{style}">{left}<div>{right}</div></div>'


def _bar(parts: Sequence[Part], width: int = 260, height: int = 6) -> str:
    total, at, rects = sum(part.num for part in parts), 0.0, []
    for name, num, colour in parts:
        size = width * num / total
        rects.append(
            f'<rect x="{at:.1f}" y="0" width="{max(size - 1, 1):.1f}" height="{height}" '
            f'fill="{colour}"><title>{_escaped(f"{num} {name}")}</title></rect>'
        )
        at += size
    return (
        f'<svg role="img" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'style="display:block;margin:0 0 4px 0">{"".join(rects)}</svg>'
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(
        f'<th style="{CELL};{MUTED};border-bottom:1px solid {GREY}">{_escaped(name)}</th>'
        for name in columns
    )
    body = "".join(
        '<tr style="background:transparent">'
        + "".join(
            f'<td style="{CELL};font-variant-numeric:tabular-nums">{_escaped(x)}</td>' for x in row
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<table style="{TABLE};margin-top:6px"><thead><tr style="background:transparent">{head}</tr>'
        f"</thead><tbody>{body}</tbody></table>"
    )

"""The figures of a run, as parts of the page."""

import base64
import re
import struct
from pathlib import Path
from typing import NamedTuple

LARGEST = 2**20  # bytes of an SVG; of a larger one, such as of many points, the PNG is taken
WIDE = 7.0  # inches; wider ones take the width of the page
DOTS = 150  # an inch of a PNG
PNG = b"\x89PNG\r\n\x1a\n"


class Picture(NamedTuple):
    """A figure of the page.

    Attributes:
      title: what stands below it.
      alt: what is read out, or shown where it is missing.
      source: a data: URI; "" where there is no figure.
      is_wide: whether it takes the width of the page.
      missing: a sentence that says why there is no figure; "" where there is one.
    """

    title: str
    alt: str
    source: str
    is_wide: bool
    missing: str


def picture(folder: Path, name: str, title: str, alt: str) -> Picture:
    """The figure of that name, its SVG if it is not too large.

    An SVG within an `img` runs no script and fetches nothing, and its ids are its own.

    Args:
      folder: the figures.
      name: of the files, without an ending.
      title: as in `Picture`.
      alt: as in `Picture`.

    Returns:
      The picture, or a sentence in its place.
    """
    if Path(name).name != name or {"\\", "\0"} & set(name):
        return Picture(title, alt, "", False, f"{name} is no plain name of a figure.")
    svg, png = (folder / f"{name}.{kind}" for kind in ("svg", "png"))
    try:
        if svg.is_file() and (svg.stat().st_size <= LARGEST or not png.is_file()):
            content, kind, width = svg.read_bytes(), "svg+xml", _width_of_svg(svg.read_bytes())
        else:
            content = png.read_bytes()
            kind, width = "png", _width_of_png(content)
    except FileNotFoundError:
        return Picture(title, alt, "", False, f"There is no figure {folder.name}/{name}.svg or .png.")
    except OSError as error:
        return Picture(title, alt, "", False, f"{name} cannot be read ({error.strerror}).")
    if width is None:
        return Picture(title, alt, "", False, f"{name} holds no picture: its file is damaged or empty.")
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return Picture(title, alt, source, width > WIDE, "")


def _width_of_svg(content: bytes) -> float | None:
    """In inches; 0 where it is not told, None where it is no SVG."""
    tag = re.search(rb"<svg\b[^>]*>", content)
    if tag is None or not content.rstrip().endswith(b"</svg>"):
        return None
    width = re.search(rb'\bwidth="([0-9.]+)pt"', tag[0])
    return float(width[1]) / 72 if width else 0.0


def _width_of_png(content: bytes) -> float | None:
    if not content.startswith(PNG) or len(content) < 24:
        return None
    return struct.unpack(">I", content[16:20])[0] / DOTS

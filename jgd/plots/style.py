"""One look of all pictures, in colour and in black and white, and files that are the same every time."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler

# Okabe and Ito (2008) without yellow, which is too pale for a line on white. Two that lie side by side
# differ in brightness too, and those that are of one brightness have another line style.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#000000", "#CC79A7", "#56B4E9", "#E69F00")
LINES = (
    *("-", (0, (5, 1.6)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5))),
    *((0, (10, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (2, 3))),
)

# Text is drawn as paths: it looks the same where the font is missing, as in a browser on a phone.
REPRODUCIBLE: Any = {"svg.fonttype": "path", "svg.hashsalt": "jgd"}
LOOK: Any = {
    **REPRODUCIBLE,
    "axes.axisbelow": True,
    "axes.edgecolor": "0.25",
    "axes.grid": True,
    "axes.labelcolor": "0.1",
    "axes.labelsize": 10,
    "axes.prop_cycle": cycler(color=COLORS) + cycler(linestyle=LINES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "figure.figsize": (5.4, 3.6),
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.color": "0.88",
    "grid.linewidth": 0.8,
    "legend.fontsize": 9,
    "legend.framealpha": 0.9,
    "legend.handlelength": 3,
    "lines.linewidth": 1.8,
    "savefig.facecolor": "white",
    "xtick.color": "0.25",
    "xtick.labelsize": 9,
    "ytick.color": "0.25",
    "ytick.labelsize": 9,
}
DPI = 150
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Creator": None, "Date": None, "Format": None, "Type": None},
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The look of jgd's pictures, for what is drawn inside of the `with` block.

    Curves differ in colour and in line style, so that they are told apart in black and white too. The
    settings of matplotlib are as before after the block.

    Returns:
      A context manager.

    >>> from matplotlib import pyplot as plt
    >>> with style():
    ...     figure, ax = plt.subplots()
    ...     lines = [ax.plot([0, 1], [0, slope])[0] for slope in range(3)]
    >>> [line.get_color() for line in lines], [line.is_dashed() for line in lines]
    (['#0072B2', '#D55E00', '#009E73'], [False, True, True])

    Source: Okabe and Ito (2008), Color Universal Design.
    """
    with mpl.rc_context(LOOK):
        yield


def save(figure: Any, folder: Any, name: str) -> None:
    """Write a figure as `folder/name.png` of 150 dots an inch and `folder/name.svg`.

    The same figure gives the same bytes: no date is written, and ids in the SVG are no random ones.

    Args:
      figure: of matplotlib.
      folder: a path; it is made where it is not there.
      name: of the files, without an ending.

    Raises:
      ValueError: `name` is no plain name; the folder cannot be made, or not be written to.

    >>> import tempfile
    >>> from matplotlib import pyplot as plt
    >>> with tempfile.TemporaryDirectory() as folder, style():
    ...     save(plt.figure(), folder, "nothing")
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['nothing.png', 'nothing.svg']
    """
    if not isinstance(name, str) or not name.strip(".") or Path(name).name != name:
        raise ValueError(
            f"name is {name!r}, but a name without folder and ending is wanted: 'learning_curve'."
        )
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context(REPRODUCIBLE):
            for kind, metadata in METADATA.items():
                figure.savefig(folder / f"{name}.{kind}", dpi=DPI, metadata=metadata)
    except OSError as error:
        raise ValueError(
            f"folder is {folder}, which cannot be written to ({error.strerror or error}). "
            "Name another one."
        ) from error

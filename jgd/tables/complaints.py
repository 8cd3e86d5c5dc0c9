"""What people are told about a table that cannot be used, and which names come near a wrong one."""

import difflib
from collections.abc import Sequence

from jgd.wording import listed

SIMILAR = 0.6


class TableError(ValueError):
    """A table, or what is asked of it, cannot be used. The message says why, and the way out."""


def nearest(name: str, names: Sequence[str]) -> str:
    """The sentence that helps after a name that does not exist.

    Args:
      name: what was asked for.
      names: what there is.

    Returns:
      `Did you mean ...?` where one of the names is alike, else the first of them.

    >>> nearest("Pirce", ["price", "carat"])
    'Did you mean price?'
    >>> nearest("weight", ["price", "carat"])
    'There are: price, carat.'
    """
    if not names:
        return "There are none."
    by_lower = {known.lower(): known for known in reversed(names)}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=SIMILAR)
    return f"Did you mean {by_lower[close[0]]}?" if close else f"There are: {listed(names)}."


def share(part: int, whole: int) -> str:
    """`8,255 (2.5%)`."""
    return f"{part:,} ({100 * part / whole:.2g}%)" if part < whole else f"{part:,} (all)"

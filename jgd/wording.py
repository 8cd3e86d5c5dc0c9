"""Numbers and lists as sentences want them: few digits, and no more names than one reads."""

import math
from collections.abc import Sequence
from typing import Any

MOST_NAMES = 6


def figure(number: Any) -> str:
    """A number with two significant digits: `0.16`, `21,000`, `2.1e5`."""
    number = float(number)
    if math.isnan(number):
        return "unknown"
    if math.isinf(number):
        return "infinite" if number > 0 else "-infinite"
    mantissa, _, exponent = f"{number:.1e}".partition("e")
    place = int(exponent)
    if not -4 <= place < 5:
        return f"{mantissa.removesuffix('.0')}e{place}"
    text = f"{float(mantissa) * 10.0**place:,.{max(1 - place, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(number: int, noun: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def listed(names: Sequence[Any], most: int = MOST_NAMES) -> str:
    """`3, 7, 9`, or the first of them and how many more there are."""
    shown = ", ".join(map(str, names[:most]))
    more = len(names) - most
    return f"{shown} and {more:,} more" if more > 0 else shown

"""Values of a run as words and numbers that people read."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

NOTHING = "–"
GROUPED = 1e3, 1e9  # floats between are written in full, with commas


def is_number(value: Any) -> bool:
    """Whether it stands in a column of numbers; what was not measured does too."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def cell(value: Any) -> str:
    """A value in a table, numbers with four significant digits.

    >>> [cell(value) for value in (0.98123, 53940, 123456.7, 1e-7, None, True, "R²")]
    ['0.9812', '53,940', '123,457', '1e-7', '–', 'yes', 'R²']
    """
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return _float(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def column(values: Sequence) -> list[str]:
    """The values of a column; shares have the same number of digits, so that they are compared at sight.

    >>> column([1.0, 0.9, 0.96771]), column([0.98, 540.23])
    (['1.0000', '0.9000', '0.9677'], ['0.98', '540.2'])
    """
    texts = [cell(value) for value in values]
    are_shares = all(isinstance(value, float) and 0 <= value <= 1 for value in values)
    if not are_shares or any("e" in text for text in texts):
        return texts
    digits = max((len(text.partition(".")[2]) for text in texts), default=0)
    return [f"{value:.{min(digits, 4)}f}" for value in values]


def _float(value: float) -> str:
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    low, high = GROUPED
    if low <= abs(value) < high:
        return f"{value:,.0f}"
    return re.sub(r"e([+-])0*", lambda sign: "e" + sign[1].strip("+"), f"{value:.4g}")


def choice(value: Any) -> str:
    """A value of the configuration, digit for digit, so that it can be copied.

    >>> choice(1e-05), choice(12345), choice(["a", "b"]), choice(True)
    ('1e-05', '12345', '["a", "b"]', 'true')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def heading(name: str) -> str:
    """The name of a column of the history: `gradient_norm` -> `gradient norm`."""
    return name.replace("_", " ")

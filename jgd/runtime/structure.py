"""What a training is made of, in words: the same words where it may go on, in whatever process."""

import contextlib
import dataclasses
import enum
import functools
import types
from collections.abc import Iterator
from typing import Any

import optax

from jgd.tree import Static, is_whole


def structure_of(**parts) -> dict[str, str]:
    """What a training is made of, in words that are the same in every process.

    Functions are told by their names, and so are those that are bound to them or that they enclose; with
    them ints, strings, booleans and what is `Static`. Of floats and arrays only that they are there: a
    learning rate may be changed when a training goes on.

    Args:
      **parts: functions, rules, objectives, numbers.

    Returns:
      A dict of strings by the names of the parts.

    >>> structure_of(rule=jgd.sgd(0.1))["rule"]
    'jgd.descent.rules._update_sgd({learning_rate: number, momentum: None}, False)'
    """
    return {name: _words(part) for name, part in parts.items()}


def _words(part: Any, exact: bool = False, within: tuple = ()) -> str:
    """In words: `exact` ones of what is static, whose numbers count; none of what encloses itself."""
    words = functools.partial(_words, exact=exact, within=(*within, id(part)))
    if id(part) in within:
        return "..."
    if isinstance(part, Static):
        return _words(part.value, exact=True, within=within)
    if part is None or isinstance(part, bool | str | bytes | enum.Enum):
        return str(part)
    if isinstance(part, type):
        return _name(part)
    if is_whole(part):
        return str(int(part))
    if isinstance(part, float | complex):
        return repr(part) if exact else "number"
    if hasattr(part, "dtype") and hasattr(part, "shape"):
        return "number"
    if isinstance(part, optax.GradientTransformation):
        return words(part.update)  # its init belongs to it
    if isinstance(part, functools.partial):
        bound = [words(x) for x in part.args] + [f"{k}={words(x)}" for k, x in part.keywords.items()]
        return words(part.func) + (f"({', '.join(bound)})" if bound else "")
    if isinstance(part, dict):
        # Sorted, as JAX does it where the dict has passed through a program.
        items = sorted((str(key), words(x)) for key, x in part.items())
        return "{" + ", ".join(map(": ".join, items)) + "}"
    fields = _fields(part)
    if fields is not None:
        return f"{_name(type(part))}({', '.join(f'{name}={words(x)}' for name, x in fields.items())})"
    if isinstance(part, tuple | list):
        return f"({', '.join(map(words, part))})"
    enclosed = [words(x) for x in _enclosed(part) if _is_function(x)]
    return _name(part) + (f"[{', '.join(enclosed)}]" if enclosed else "")


def _fields(part: Any) -> dict[str, Any] | None:
    if isinstance(part, tuple) and hasattr(part, "_fields"):
        return part._asdict()  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(part):
        return {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    return None


def _name(part: Any) -> str:
    if isinstance(part, types.MethodType):
        return f"{_name(type(part.__self__))}.{part.__name__}"
    name = getattr(part, "__qualname__", None) or getattr(part, "__name__", None)
    if name is None:
        return _name(type(part))
    module = getattr(part, "__module__", None) or type(part).__module__
    # Where a package hides a function, it may move it.
    shown = [place for place in module.split(".") if place.startswith("__") or not place.startswith("_")]
    return ".".join([*shown, name])


def _enclosed(function: Any) -> Iterator:
    """What a function encloses, or that which was compiled."""
    if not hasattr(function, "__closure__"):
        function = getattr(function, "__wrapped__", function)
    for cell in getattr(function, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # it is empty yet
            yield cell.cell_contents


def _is_function(part: Any) -> bool:
    if isinstance(part, tuple | list):
        return any(map(_is_function, part))
    is_one = isinstance(part, types.FunctionType | types.MethodType | functools.partial)
    return is_one or (hasattr(part, "__wrapped__") and not isinstance(part, type))

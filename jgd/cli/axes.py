"""What `jgd sweep` tries of an option: ranges and lists as they are written, and their space."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from jgd.cli.options import PENALTIES, flag, penalty_of

USUAL_NUM = 8  # values of a range
USUAL_RATES = "0.001..1:16"
MOST = 100_000  # configurations: more are a slip of the keys
DIGITS = 4  # of a value: so it can be read, and typed again


class Axis(NamedTuple):
    """What is tried of one option.

    Attributes:
      name: in the table of results: `learning_rate`, `l2`, `model`.
      values: what a grid tries, one after the other.
      bounds: of a range; None of a list.
      is_log: whether its values are evenly spaced by their logarithms.
      is_static: whether each value makes a program of its own.
    """

    name: str
    values: tuple[Any, ...]
    bounds: tuple[float, float] | None = None
    is_log: bool = True
    is_static: bool = False


def axis_of(name: str, text: str, is_log: bool = True, is_whole: bool = False) -> Axis:
    """A range or a list of numbers.

    Args:
      name: of the option.
      text: `0.001..1:16`, a range and how many values of it; `0.1,0.3,1`, a list; `0.1`, one value.
      is_log: whether a range is even by its logarithms.
      is_whole: whether whole numbers are wanted.

    Returns:
      The axis; of one value where it is none.

    Raises:
      ValueError: the text is neither.

    >>> axis_of("learning_rate", "0.001..1:4").values, axis_of("momentum", "0,0.9").values
    ((0.001, 0.01, 0.1, 1.0), (0.0, 0.9))
    """
    low, dots, rest = text.partition("..")
    if not dots:
        parts = [part for part in text.split(",") if part.strip()]
        values = tuple(_number(name, text, part, is_whole) for part in parts)
        if not values:
            raise _unreadable(name, text)
        return Axis(name, tuple(dict.fromkeys(values)))
    high, colon, num = rest.partition(":")
    bounds = _number(name, text, low, is_whole), _number(name, text, high, is_whole)
    count = _number(name, text, num, True) if colon else USUAL_NUM
    if not bounds[0] < bounds[1] or count < 2:
        raise ValueError(
            f"{flag(name)} is {text}, but a range from a lower to a higher number, of 2 values or more, "
            f"is wanted: {flag(name)} {_example(name)}"
        )
    if is_log and bounds[0] <= 0:
        raise ValueError(
            f"{flag(name)} is {text}, but a range is even by its logarithms, and {bounds[0]:g} has "
            f"none.\nBegin above 0, or give a list: {flag(name)} 0,{bounds[1] / 10:g},{bounds[1]:g}"
        )
    spaced = (np.geomspace if is_log else np.linspace)(*bounds, int(count))
    values = tuple(dict.fromkeys(rounded(value, is_whole) for value in spaced.tolist()))
    return Axis(name, values, bounds, is_log)


def penalty_axis(text: str) -> tuple[str, Axis | None]:
    """The penalty as `jgd fit` takes it, and the axis of its strengths, if there are several.

    >>> penalty_axis("l2=0.1,1")[0], penalty_axis("elastic_net=0.1..1:2,0.7")[0], penalty_axis("none")
    ('l2=0.1', 'elastic_net=0.1,0.7', ('none', None))
    """
    name, _, numbers = text.strip().partition("=")
    plain = name.strip().replace("-", "_")
    is_several = ".." in numbers or ("," in numbers and plain != "elastic_net")
    if plain not in PENALTIES or plain in ("none", "nonnegative") or not is_several:
        penalty_of(text)
        return text, None
    strengths, comma, ratio = numbers.partition(",") if plain == "elastic_net" else (numbers, "", "")
    try:
        axis = axis_of("penalty", strengths)
    except ValueError as error:
        raise ValueError(str(error).replace("--penalty ", f"--penalty {plain}=")) from None
    for value in axis.values:
        penalty_of(f"{plain}={value!r}{comma}{ratio}")
    return f"{plain}={axis.values[0]!r}{comma}{ratio}", axis._replace(name=plain)


def space_of(axes: list[Axis], draws: int | None, seed: int) -> Any:
    """Every combination of the values, or so many that are drawn.

    Raises:
      ValueError: there are too many.
    """
    import jax

    import jgd

    num = math.prod(len(axis.values) for axis in axes) if draws is None else draws
    if not 1 <= num <= MOST:
        sizes = " x ".join(f"{axis.name} {len(axis.values)}" for axis in axes)
        what = f"--draws is {draws}" if draws is not None else f"{sizes} are {num:,} configurations"
        way_out = "" if draws is not None else " Take fewer values, or draw some: --draws 200"
        raise ValueError(f"{what}, but from 1 to {MOST:,} are wanted.{way_out}")
    if draws is None:
        return jgd.grid(**{axis.name: _values(axis) for axis in axes})
    drawn = {axis.name: _distribution(axis) for axis in axes}
    space = jgd.sample(jax.random.fold_in(jax.random.key(seed), len("draws")), draws, **drawn)
    ranges = {axis.name: axis for axis in axes if axis.bounds is not None}
    return type(space)(
        {
            name: _rounded(ranges[name], held) if name in ranges else held
            for name, held in space.axes.items()
        }
    )


def rounded(value: float, is_whole: bool = False) -> float | int:
    """A number of few digits.

    >>> rounded(0.0630957344), rounded(15.7, True)
    (0.0631, 16)
    """
    return round(value) if is_whole else float(f"{value:.{DIGITS}g}")


def _values(axis: Axis) -> Any:
    import jgd

    return jgd.static(axis.values) if axis.is_static else np.asarray(axis.values)


def _distribution(axis: Axis) -> Any:
    import jgd

    if axis.bounds is None:
        return jgd.choice(_values(axis)) if not axis.is_static else _values(axis)
    return (jgd.log_uniform if axis.is_log else jgd.uniform)(*axis.bounds)


def _rounded(axis: Axis, held: Any) -> Any:
    is_whole = isinstance(axis.values[0], int)
    import jax.numpy as jnp

    return jnp.asarray([rounded(value, is_whole) for value in np.asarray(held, float).tolist()])


def _number(name: str, text: str, part: str, is_whole: bool) -> Any:
    try:
        number = int(part) if is_whole else float(part)
    except ValueError:
        raise _unreadable(name, text) from None
    if not math.isfinite(number):
        raise _unreadable(name, text)
    return number


def _unreadable(name: str, text: str) -> ValueError:
    return ValueError(
        f"{flag(name)} is {text}, but a number, a list or a range is wanted:\n"
        f"{flag(name)} {_example(name)}, which is a range and how many values of it, or "
        f"{flag(name)} {_listed(name)}"
    )


def _example(name: str) -> str:
    return {"batch_size": "16..256:5", "momentum": "0.5..0.99:4", "penalty": "1e-5..1:8"}.get(
        name, USUAL_RATES
    )


def _listed(name: str) -> str:
    return {"batch_size": "16,64,256", "momentum": "0,0.9", "penalty": "0.001,0.1"}.get(
        name, "0.01,0.1,1"
    )

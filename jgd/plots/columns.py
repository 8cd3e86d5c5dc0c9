"""A sweep as columns of numbers: what each training was given, and what came of it."""

import dataclasses
import math
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgd.descent.status import Status
from jgd.tuning.halving import Halving
from jgd.tuning.space import Space, StaticAxis
from jgd.tuning.sweep import Sweep

DISTINCT = 24  # up to so many values an axis is drawn value by value
LOGARITHMIC = 30  # an axis is logarithmic from this ratio of the largest to the smallest on
LONGEST = 20  # letters of a name
FAR = 20


class Axis(NamedTuple):
    """An axis of a space, where it can be drawn.

    Attributes:
      name: of the axis.
      values: [K], its numbers, or the places of its names.
      names: what stands at places 0, 1, ...; None for numbers.
      is_log: whether its numbers are drawn on a logarithmic scale.
    """

    name: str
    values: np.ndarray
    names: tuple[str, ...] | None
    is_log: bool

    def text(self, value: float) -> str:
        """A value in words."""
        return number_text(value) if self.names is None else self.names[int(value)]

    def positions(self) -> np.ndarray:
        """[K], places from 0 to 1; in the middle where all are the same."""
        return between(self.values, self.values.min(), self.values.max(), self.is_log)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of K trainings.

    Attributes:
      values: [K], losses of the last epoch or scores; NaN where there is none.
      goodness: [K], the higher the better; -inf where there is none.
      label: of the axis on which they are drawn.
      failed: what those without a value are called.
    """

    values: np.ndarray
    goodness: np.ndarray
    label: str
    failed: str

    @property
    def is_loss(self) -> bool:
        return self.label != "score"

    @property
    def has_value(self) -> np.ndarray:
        return np.isfinite(self.values)

    @property
    def best(self) -> int | None:
        """The place of the best; None where none has a value."""
        return int(np.argmax(self.goodness)) if self.has_value.any() else None

    @property
    def ranked(self) -> np.ndarray:
        """Places of those that have a value, the best last; of equals the first is the best."""
        order = np.argsort(self.goodness[::-1], kind="stable")
        return (len(order) - 1 - order)[np.isneginf(self.goodness).sum() :]

    @property
    def frame(self) -> tuple[float, float, bool]:
        """As of the function `frame`; only where one has a value."""
        return frame(self.values, self.is_loss)


def frame(values: np.ndarray, is_loss: bool) -> tuple[float, float, bool]:
    """The lowest and the highest that is shown of these values, and whether on a logarithmic scale.

    What is far worse than the median would press all others to a line, and stands beyond the frame:
    losses beyond the outer fence of Tukey, but none below 10 times the median and all above 1000
    times; on a linear scale, what is `FAR` times as far from the median as the best is.
    """
    values = values[np.isfinite(values)]
    is_log = bool(is_loss and values.min() > 0)
    if is_log:
        lower, median, upper = np.quantile(np.log(values), [0.25, 0.5, 0.75])
        fence = upper + 3 * (upper - lower)
        far = math.exp(np.clip(fence, median + math.log(10), median + math.log(1000)))
        near = values[values <= far]
    else:
        median, best = np.median(values), values.min() if is_loss else values.max()
        is_near = np.abs(values - median) <= FAR * abs(median - best)
        near = values[is_near] if best != median else values
    return float(near.min()), float(near.max()), is_log


def outcome(sweep: Any, score: Callable | None) -> Outcome:
    """What came of a sweep: final losses, or the scores where `score` is given."""
    if isinstance(sweep, Halving):
        raise ValueError(
            "sweep is what jgd.successive_halving returned, but what jgd.sweep returned is wanted. Take "
            "halving.sweep, or draw jgd.plots.halving_brackets(halving)."
        )
    if not isinstance(sweep, Sweep):
        raise ValueError(
            f"sweep is {type(sweep).__name__}, but what jgd.sweep returned, a Sweep, is wanted."
        )
    if score is not None and not callable(score):
        raise ValueError(
            f"score is {score!r}, but a function is wanted, Fit -> scalar, the higher the better."
        )
    scores = sweep.scores(score)
    has_value = np.isfinite(scores)
    status = np.empty(len(scores), int)
    for group in sweep.groups:
        status[group.places] = group.fits.status
    all_diverged = bool(np.all(status[~has_value] == Status.DIVERGED))
    return Outcome(
        values=np.where(has_value, -scores if score is None else scores, np.nan),
        goodness=np.where(has_value, scores, -np.inf),
        label="final loss" if score is None else "score",
        failed="diverged" if all_diverged else "diverged or not finite",
    )


def drawable_axes(space: Space) -> dict[str, Axis]:
    """The axes whose values are numbers or names; those of arrays and of PRNG keys are left out."""
    found = {}
    for name, axis in space.axes.items():
        if isinstance(axis, StaticAxis):
            found[name] = _axis(name, list(axis.values))
        elif axis.ndim == 1 and not _holds_keys(axis):
            found[name] = _axis(name, np.asarray(axis).tolist())
    return found


def axis_named(space: Space, argument: str, name: Any) -> Axis:
    """The axis of that name; ValueError where there is none or it cannot be drawn."""
    axes = drawable_axes(space)
    wanted = f"one of the axes of numbers or names is wanted: {', '.join(axes) or 'there is none'}"
    if not isinstance(name, str) or name not in space.axes:
        raise ValueError(f"{argument} is {name!r}, which is no axis of the space, but {wanted}.")
    if name in axes:
        return axes[name]
    axis = space.axes[name]
    held = "PRNG keys" if _holds_keys(axis) else f"arrays of shape {axis.shape[1:]}"
    raise ValueError(
        f"{argument} is {name!r}, an axis of {held}, but {wanted}. To draw over {name}, sweep the "
        "numbers of its values, jnp.arange(n), and let train take the value of each."
    )


def number_text(value: float) -> str:
    """A number in few letters."""
    is_count = float(value).is_integer() and abs(value) < 1e6
    return f"{value:.0f}" if is_count else f"{value:.3g}"


def between(values: np.ndarray, low: float, high: float, is_log: bool) -> np.ndarray:
    """Where the values lie from low, 0, to high, 1, and no further; 0.5 where low is high."""
    if is_log:
        values, low, high = np.log(values), math.log(low), math.log(high)
    if low == high:
        return np.where(np.isnan(values), np.nan, 0.5)
    return np.clip((values - low) / (high - low), 0, 1)


def _holds_keys(axis: Any) -> bool:
    return jnp.issubdtype(axis.dtype, jax.dtypes.prng_key)


def _axis(name: str, values: list) -> Axis:
    are_numbers = all(isinstance(v, numbers.Real) and not isinstance(v, bool) for v in values)
    if not are_numbers:
        distinct = list(dict.fromkeys(values))
        return Axis(name, _places(values, distinct), tuple(map(_name, distinct)), is_log=False)
    array = np.asarray(values, float)
    distinct = np.unique(array).tolist()
    spans_powers = _spans_powers(array[array > 0])
    # Infinity has no place among numbers, and 0 none among powers: such values stand evenly spaced.
    if not np.isfinite(array).all() or (spans_powers and array.min() == 0 and len(distinct) <= DISTINCT):
        return Axis(name, _places(values, distinct), tuple(map(number_text, distinct)), is_log=False)
    return Axis(name, array, None, is_log=spans_powers and array.min() > 0)


def _spans_powers(above: np.ndarray) -> bool:
    """Whether the numbers are wide apart, and lie more evenly by their powers than as they are."""
    if not above.size or above.max() <= LOGARITHMIC * above.min():
        return False
    low, high = above.min(), above.max()
    middles = (np.median(between(above, low, high, is_log)) for is_log in (True, False))
    by_powers, as_are = (abs(middle - 0.5) for middle in middles)
    return bool(by_powers <= as_are)


def _places(values: list, distinct: list) -> np.ndarray:
    place = {value: number for number, value in enumerate(distinct)}
    return np.asarray([place[value] for value in values], float)


def _name(value: Any) -> str:
    text = getattr(value, "__name__", None) or str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."

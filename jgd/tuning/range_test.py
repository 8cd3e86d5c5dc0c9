"""The learning rate range test: short trainings at many learning rates, and the rate they speak for."""

import functools
import math
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from jgd.descent.loop import Fit, descend
from jgd.descent.rules import sgd
from jgd.descent.status import Status
from jgd.objectives.objective import value
from jgd.objectives.visits import with_keys
from jgd.program import WANTS_A_VALUE
from jgd.shown import shown_as
from jgd.tree import is_whole
from jgd.tuning.cards import range_test_card
from jgd.tuning.space import grid
from jgd.tuning.sweep import sweep

SAFETY = 2  # a short training may not show yet that a rate is too high, if it is but little so
WITHOUT_END = 1e6  # times the loss at the start
ROUNDING = 16  # units of rounding by which J must change to have changed


@shown_as(range_test_card)
class RangeTest(NamedTuple):
    """K short trainings, each at a learning rate of its own.

    Attributes:
      learning_rates: [K], rising.
      losses: [K], J over all examples at the end of each; NaN where it diverged.
      start: J over all examples at the start.
      gradient_norm: of J at the start (in mini-batches, over up to 256 examples).
      status: [K], a `Status` each.
      limit: the lowest learning rate that raised J or diverged, above one that lowered J; infinity
        where none did.
      suggestion: a learning rate for a longer training; NaN where none lowered J.
    """

    learning_rates: np.ndarray
    losses: np.ndarray
    start: float
    gradient_norm: float
    status: np.ndarray
    limit: float
    suggestion: float

    def explain(self) -> str:
        """How many lowered J, which learning rate to take and why; or what is wrong, and the way out."""
        diverged = int(np.isnan(self.losses).sum())
        lowered, raised = (int(np.sum(x)) for x in _lowered_and_raised(self.losses, self.start))
        kept = len(self.losses) - diverged - lowered - raised
        counts = {"lowered it": lowered, "left it": kept, "raised it": raised, "diverged": diverged}
        ends = ", ".join(f"{num} {what}" for what, num in counts.items() if num)
        rates = self.learning_rates
        return (
            f"{len(rates)} learning rates from {rates[0]:.3g} to {rates[-1]:.3g}, J {self.start:.4g} at "
            f"the start: {ends}.\n{self._advice() if lowered else self._fault(raised + diverged)}"
        )

    def _advice(self) -> str:
        rates, losses = self.learning_rates, self.losses.astype(float)
        best = int(np.nanargmin(losses))
        place = int(np.argmin(np.abs(rates - self.suggestion)))
        parts = [f"Take {self.suggestion:.3g}: it lowered J to {losses[place]:.4g}."]
        if rates[best] >= self.limit / SAFETY:
            parts.append(f"The lowest, {losses[best]:.4g}, came of {rates[best]:.3g}.")
        if self.limit < math.inf:
            parts.append(
                f"The first learning rate that is too high is {self.limit:.3g}, "
                f"{self.limit / self.suggestion:.2g} times as high."
            )
        if losses[best] < -WITHOUT_END * max(abs(self.start), 1):
            parts.append(
                "So far down a loss rarely has a minimum: is its sign right, and are all weights above "
                "0?"
            )
        elif place == len(rates) - 1:
            parts.append(
                f"J was lowest at the upper end of the range: try highest={100 * rates[-1]:.3g}. If it "
                "falls without end, the loss has no minimum."
            )
        if place == 0:
            parts.append(
                f"That is the lower end of the range: try lowest={rates[0] / 1000:.3g}, and bring the "
                "features to one scale (jgd.features.standardize)."
            )
        return " ".join(parts)

    def _fault(self, failed: int) -> str:
        """What is wrong where no learning rate lowered J."""
        if not math.isfinite(self.start):
            return (
                "J is not finite before any step is taken: look for NaN or infinity in the data and in "
                "params (jnp.isfinite(x).all())."
            )
        if not math.isfinite(self.gradient_norm):
            return (
                "J is finite at the start, but its gradient is not: look for NaN or infinity in the "
                "data, and in the loss for the root of 0 or a branch of jnp.where that is not finite."
            )
        if self.gradient_norm == 0:
            return (
                "The gradient is 0 at the start: it is a minimum already, a saddle, or the loss does "
                "not depend on params there. Begin elsewhere: networks with random params, not with 0."
            )
        rates = self.learning_rates
        if failed == len(rates):
            return (
                f"Even {rates[0]:.3g} is too high: try lowest={rates[0] / 1e6:.3g}, and bring the "
                "features to one scale (jgd.features.standardize)."
            )
        if failed:
            return (
                "No learning rate lowered J: the low ones move it by less than a float can hold, the "
                "high ones raise it. The start is as good as a minimum for steps of this kind: begin "
                "elsewhere, take larger batches, or try rates closer together (num)."
            )
        return (
            f"The gradient norm is {self.gradient_norm:.3g}, and no step moved J by more than a float "
            f"can hold: try highest={1e6 * rates[-1]:.3g}, or more epochs."
        )


def range_test(
    objective: Any,
    params: Any,
    data: Any,
    *,
    rule: Callable = sgd,
    batch_size: Any = None,
    epochs: int = 10,
    key: Any = None,
    lowest: float = 1e-7,
    highest: float = 10.0,
    num: int = 64,
    weights: Any = None,
) -> RangeTest:
    """Short trainings from one start, each at a constant learning rate, as lanes of one program.

    One run whose rate grows, as in Smith (2017), mixes what a rate does with what those before it did,
    and ends with the first one that diverges; here all start alike.

    The suggestion is the rate of the lowest J among those that are at most half the first one that is
    too high: at the edge of stability J may fall deepest, but a longer training would not stay there.
    Of rates that are equal but for rounding it is the highest.

    Args:
      objective: from `jgd.objective`.
      params: pytree of float arrays, where each training starts.
      data: pytree of arrays that share their leading axis N.
      rule: `learning_rate -> rule`: `jgd.sgd`, `jgd.adam`, `functools.partial(jgd.sgd, momentum=0.9)`.
      batch_size: as for `jgd.descend`: None for all examples, or a number of them.
      epochs: of each training, an int >= 1.
      key: PRNG key of the order, the same for all; wanted where there are batches.
      lowest: the lowest learning rate, above 0.
      highest: the highest learning rate.
      num: K, how many, their logarithms evenly spaced.
      weights: [N] or None. An example of weight 0 is as if it were not there.

    Returns:
      A `RangeTest`; its `explain()` says what it found, in words.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> found = range_test(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]), lowest=1e-3)
    >>> 0.4 < found.suggestion < 0.6, 1 < found.limit < 1.2  # 1 and 2 by the sharpness are 0.5 and 1
    (True, True)

    Source: Smith (2017), Cyclical Learning Rates for Training Neural Networks, section 3.3, for the idea
    of the test; Nesterov (2004), section 1.2.3, for steps of half the longest stable one.
    """
    rates = _checked_rates(lowest, highest, num)
    if not callable(rule):
        came = "a finished rule" if _is_rule(rule) else repr(rule)
        raise ValueError(
            f"rule is {came}, but a function learning_rate -> rule is wanted, for the learning rate is "
            "what is tested: jgd.sgd, jgd.adam, functools.partial(jgd.sgd, momentum=0.9)."
        )
    if not is_whole(epochs) or epochs < 1:
        raise ValueError(f"epochs is {epochs!r}, but a whole number >= 1 is wanted, as a Python int.")
    measured = with_keys(objective, data, key)  # J before and after, under the same noise
    start = float(value(measured[0], params, measured[1], weights))
    options = {"batch_size": batch_size, "epochs": epochs, "key": key, "weights": weights}
    train = functools.partial(_train, objective, measured, params, data, rule, options)
    fits = sweep(train, grid(learning_rate=rates)).fits
    ends, status = np.asarray(fits.history.evaluation), np.asarray(fits.status)
    status = np.where(np.isfinite(ends), status, Status.DIVERGED)
    losses = np.where(status == Status.DIVERGED, ends.dtype.type(np.nan), ends)
    return RangeTest(
        learning_rates=rates,
        losses=losses,
        start=start,
        gradient_norm=float(fits.history.gradient_norm[0, 0]),
        status=status,
        **_choice(rates, losses, start),
    )


def _train(objective, measured, params, data, rule, options, config) -> Fit:
    """One lane; in the place of evaluations after each epoch stands J after the last."""
    fit = descend(objective, params, data, rule=_rule_at(rule, config["learning_rate"]), **options)
    end = value(measured[0], fit.params, measured[1], options["weights"])
    return fit._replace(history=fit.history._replace(evaluation=end))


def _rule_at(rule: Callable, learning_rate: Any) -> Any:
    try:
        made = rule(learning_rate)
    except WANTS_A_VALUE as error:
        raise ValueError(
            "rule wants the value of the learning rate where it is traced, as float() and if do. Keep "
            "to jax.numpy and jnp.where: all learning rates are tested in one program."
        ) from error
    if not _is_rule(made):
        raise ValueError(
            f"rule returns {made!r}, but a rule is wanted, as of jgd.sgd, or of any function "
            "learning_rate -> GradientTransformation of optax."
        )
    return made


def _is_rule(rule: Any) -> bool:
    return isinstance(rule, optax.GradientTransformation | optax.MultiSteps)


def _checked_rates(lowest: Any, highest: Any, num: Any) -> np.ndarray:
    """The learning rates [num], numbers of the default float type."""
    if not is_whole(num) or num < 2:
        raise ValueError(f"num is {num!r}, but a number of learning rates, an int >= 2, is wanted.")
    for name, bound in (("lowest", lowest), ("highest", highest)):
        is_number = isinstance(bound, numbers.Real) and not isinstance(bound, bool)
        if not is_number or not 0 < bound < math.inf:
            raise ValueError(
                f"{name} is {bound!r}, but a learning rate above 0, a finite number, is wanted."
            )
    dtype = jnp.zeros(()).dtype
    rates = np.geomspace(lowest, highest, int(num)).astype(dtype)
    if lowest >= highest or rates[0] == 0 or not np.isfinite(rates[-1]) or (np.diff(rates) <= 0).any():
        raise ValueError(
            f"lowest is {lowest!r} and highest is {highest!r}, but lowest < highest is wanted, with "
            f"room for {num} different numbers of {dtype} between them."
        )
    return rates


def _lowered_and_raised(losses: np.ndarray, start: float) -> tuple[np.ndarray, np.ndarray]:
    """[K], whether each training lowered J, and whether it raised it, by more than rounding."""
    losses, least = losses.astype(float), _rounding(losses, start)
    return losses < start - least, losses > start + least


def _rounding(losses: np.ndarray, start: float) -> float:
    """By how much J may differ without meaning anything."""
    return ROUNDING * float(jnp.finfo(losses.dtype).eps) * abs(start)


def _choice(rates: np.ndarray, losses: np.ndarray, start: float) -> dict[str, float]:
    """The limit and the suggestion."""
    lowered, raised = _lowered_and_raised(losses, start)
    losses, least = losses.astype(float), _rounding(losses, start)
    if not lowered.any():
        return {"limit": math.inf, "suggestion": math.nan}
    failed = np.isnan(losses) | raised
    failed[: int(np.argmax(lowered))] = False  # there the noise of batches was more than the fall
    limit = float(rates[np.argmax(failed)]) if failed.any() else math.inf
    safe = lowered & (SAFETY * rates <= limit)
    if not safe.any():
        safe = lowered & (rates < limit)
    lowest = losses[safe].min()
    good = np.flatnonzero(safe & (losses <= lowest + least))
    return {"limit": limit, "suggestion": float(rates[good[-1]])}

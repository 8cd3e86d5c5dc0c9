"""What the numbers of a diagnosis say of a fit: a `jgd.Diagnosis` is taken by its attributes."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jgd.descent.rule import remembered
from jgd.descent.rules import RuleState
from jgd.wording import figure

MARGIN = 0.9  # of the largest stable learning rate: how close to it one may go
CLOSE = 1.2  # times a good learning rate: what is closer to it differs by chance
TOO_SMALL = 0.1  # of the best learning rate
IMMOBILE = {  # places where a descent does not move, and what to do there
    "constant": "no example has a gradient; look for dead units, and for params that the loss does not "
    "use",
    "plateau": "start elsewhere, or bring the features to a larger scale",
    "saddle": "start elsewhere; any random step leaves it",
    "maximum": "start elsewhere; any random step leaves it, if the sign of the loss is right",
    "minimum": "more epochs gain nothing",
}


def check_diagnosis(diagnosis: Any) -> None:
    """ValueError unless it is a diagnosis."""
    if not hasattr(diagnosis, "max_learning_rate") or not hasattr(diagnosis, "place"):
        raise ValueError(
            f"diagnosis is {type(diagnosis).__name__}, but a Diagnosis is wanted: "
            "jgd.diagnose(objective, fit.params, data, key=key)."
        )


class Course(NamedTuple):
    """How one fit went.

    Attributes:
      status: its name.
      fell: whether the loss is lower than at the start.
      arrived: whether the gradient has all but vanished.
      left: whether the params have left those of the diagnosis for lower ones.
      in_batches: whether its steps were of a few examples each.
      rule_state: of the fit.
    """

    status: str
    fell: bool
    arrived: bool
    left: bool
    in_batches: bool
    rule_state: Any


def of_fit(course: Course, diagnosis: Any) -> str:
    """What a diagnosis adds to the advice on one fit, as text; empty where it has nothing to add."""
    is_slow = course.status in ("EPOCHS_DONE", "STALLED") and not course.arrived
    parts = [
        *_of_rate(course, diagnosis),
        *(_of_pace(course, diagnosis) if is_slow else ()),
        *_of_place(course, diagnosis),
    ]
    return " ".join(parts)


def of_fits(statuses: np.ndarray, rule_state: Any, diagnosis: Any) -> str:
    """How many of a batch of fits have a learning rate that is not stable, and what became of these."""
    sgd = _constant_sgd(rule_state)
    if sgd is None or np.shape(sgd.learning_rate) != np.shape(statuses):
        return ""
    rates, largest = np.asarray(sgd.learning_rate, float), _largest(sgd, diagnosis)
    if not np.isfinite(largest):
        return ""
    above = rates > largest
    return (
        f"{above.sum():,} of {above.size:,} learning rates are above the largest stable one of the "
        f"diagnosis, {figure(largest)}; {np.sum(above & (statuses == 'DIVERGED')):,} of these diverged, "
        f"and {np.sum(~above & (statuses == 'DIVERGED')):,} of the others. A good constant one is "
        f"{figure(_good(diagnosis))}."
    )


def learning_rate(rule_state: Any) -> Any:
    """The learning rates of the last steps of one fit or a batch, or None where the rule tells none."""
    found = remembered(rule_state, "learning_rate")
    return np.asarray(found[0], float) if len(found) == 1 else None


def _largest(sgd: RuleState, diagnosis: Any) -> float:
    """The largest stable learning rate: momentum raises it, to less than twice of it."""
    return diagnosis.max_learning_rate * (1 if sgd.trace is None else 2)


def _state_of_sgd(rule_state: Any) -> RuleState | None:
    """The state of `jgd.sgd`, or None of another rule, in whose steps a rate may mean something else."""
    states = jax.tree.leaves(rule_state, is_leaf=lambda node: isinstance(node, RuleState))
    if len(states) != 1 or not isinstance(states[0], RuleState) or states[0].second is not None:
        return None
    return states[0]


def _constant_sgd(rule_state: Any) -> RuleState | None:
    """The same, and None where a schedule counts steps, whose last rate tells little of the run."""
    sgd = _state_of_sgd(rule_state)
    return None if sgd is None or sgd.num_steps is not None else sgd


def is_sgd(rule_state: Any) -> bool:
    """Whether it is of `jgd.sgd`, whose step is its rate times the gradient, or times momentum."""
    return _state_of_sgd(rule_state) is not None


def _good(diagnosis: Any) -> float:
    return min(diagnosis.best_learning_rate, MARGIN * diagnosis.max_learning_rate)


def _of_rate(course: Course, diagnosis: Any) -> Iterator[str]:
    status, sgd = course.status, _constant_sgd(course.rule_state)
    if sgd is None or status == "CONVERGED" or not np.isfinite(diagnosis.max_learning_rate):
        return
    rate, good, largest = float(sgd.learning_rate), _good(diagnosis), _largest(sgd, diagnosis)
    has_momentum, better = sgd.trace is not None, f"a good constant one is {figure(good)}"
    if course.in_batches:
        better = f"a good constant one of batch descent is {figure(good)}, of small batches a lower one"
    if rate > largest:
        which = ", whatever the momentum" if has_momentum else ""
        yield (
            f"The learning rate {figure(rate)} is {figure(rate / largest)} times the largest stable one "
            f"of the diagnosis, {figure(largest)}{which}; {better}."
        )
        if course.fell and status != "DIVERGED":
            yield (
                "That the loss fell all the same shows that the curvature is lower elsewhere: diagnose "
                "fit.params."
            )
    elif status == "DIVERGED" and CLOSE * good < rate <= diagnosis.max_learning_rate:
        yield (
            f"The learning rate {figure(rate)} is {figure(rate / good)} times as high as the diagnosis "
            f"would have it: {better}."
        )
    elif status == "DIVERGED" and rate <= diagnosis.max_learning_rate:
        yield (
            f"The learning rate {figure(rate)} is below the largest stable one of the diagnosis, "
            f"{figure(diagnosis.max_learning_rate)}, so look elsewhere: NaN in the data, single "
            "examples in small batches that pull harder than the mean, or a curvature that grows on the "
            "way."
        )
    elif 0 < rate < TOO_SMALL * good and not (has_momentum or course.in_batches or course.arrived):
        yield (
            f"The learning rate {figure(rate)} is {figure(good / rate)} times smaller than a good "
            f"constant one of batch descent, {figure(good)}."
        )


def _of_pace(course: Course, diagnosis: Any) -> Iterator[str]:
    condition, after = diagnosis.condition_number, diagnosis.standardized_condition_number
    if diagnosis.place in IMMOBILE:
        return
    sgd = _constant_sgd(course.rule_state)
    is_told = np.isfinite(condition) and condition >= 10 and not diagnosis.separable
    if is_told and sgd is not None and sgd.trace is None and not course.in_batches:
        smallest, good = diagnosis.sharpness / condition, _good(diagnosis)
        rate, yours = float(sgd.learning_rate), ""
        if 0 < rate < good / 2:
            yours = f", and {figure(_steps_per_digit(rate * smallest))} at {figure(rate)}"
        yield (
            f"At condition number {figure(condition)} each digit of the loss costs about "
            f"{figure(_steps_per_digit(good * smallest))} steps at the learning rate "
            f"{figure(good)}{yours}."
        )
    if np.isfinite(after) and condition >= 3 * after:
        times = f"{figure(condition / after)} times, " if np.isfinite(condition) else ""
        yield (
            f"Standardised features (jgd.features.standardize) would lower the condition number {times}"
            f"to {figure(after)}."
        )


def _steps_per_digit(shrinkage: float) -> float:
    """Steps to a tenth of the loss, where each multiplies the distance by `1 - shrinkage`."""
    return math.ceil(math.log(10) / (-2 * math.log1p(-min(shrinkage, 0.999))))


def _of_place(course: Course, diagnosis: Any) -> Iterator[str]:
    status = course.status
    if diagnosis.separable and status != "DIVERGED":
        yield (
            "The classes are separable, so there is no minimum: loss and gradient fall for ever, and "
            "the weights grow. Add a penalty, such as jgd.penalties.l2(1e-3)."
        )
    elif status in ("EPOCHS_DONE", "STALLED") and diagnosis.place in IMMOBILE and not course.left:
        where = {"constant": "where the loss is flat"}.get(diagnosis.place, f"at a {diagnosis.place}")
        yield (
            f"The params of the diagnosis are {where} (gradient norm {figure(diagnosis.gradient_norm)}, "
            f"curvature from {figure(diagnosis.smallest_curvature)} to {figure(diagnosis.sharpness)}): "
            f"{IMMOBILE[diagnosis.place]}."
        )
    elif status == "STALLED" and diagnosis.noise_scale > diagnosis.num_examples:
        yield (
            f"The noise scale is {figure(diagnosis.noise_scale)} examples: the gradient of a smaller "
            "batch is mostly noise, about which no constant learning rate gets. Let it decay, or raise "
            "the batch size."
        )

"""What the numbers of a diagnosis say of a fit: a `jgd.Diagnosis` is taken by its attributes."""

import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jgd.descent.rule import remembered
from jgd.descent.rules import RuleState
from jgd.wording import figure

MARGIN = 0.9  # of the largest stable learning rate: how close to it one may go
TOO_SMALL = 0.1  # of the best learning rate
IMMOBILE = {  # places where a descent does not move, and what to do there
    "constant": "no example has a gradient; look for dead units, and for params that the loss does not "
    "use",
    "plateau": "start elsewhere, or bring the features to a larger scale",
    "saddle": "start elsewhere; any random step leaves it",
    "minimum": "more epochs gain nothing",
}


def check_diagnosis(diagnosis: Any) -> None:
    """ValueError unless it is a diagnosis."""
    if not hasattr(diagnosis, "max_learning_rate") or not hasattr(diagnosis, "place"):
        raise ValueError(
            f"diagnosis is {type(diagnosis).__name__}, but a Diagnosis is wanted: "
            "jgd.diagnose(objective, fit.params, data, key=key)."
        )


def of_fit(status: str, fell: bool, rule_state: Any, diagnosis: Any) -> str:
    """What a diagnosis adds to the advice on one fit, as text; empty where it has nothing to add.

    Args:
      status: its name.
      fell: whether the loss is lower than at the start.
      rule_state: of the fit.
      diagnosis: from `jgd.diagnose`.
    """
    rate = learning_rate(rule_state)
    parts = [
        *_of_rate(status, fell, rate, _largest(rule_state, diagnosis), diagnosis),
        *(_of_pace(rate, rule_state, diagnosis) if status in ("EPOCHS_DONE", "STALLED") else ()),
        *_of_place(status, diagnosis),
    ]
    return " ".join(parts)


def of_fits(statuses: np.ndarray, rule_state: Any, diagnosis: Any) -> str:
    """How many of a batch of fits have a learning rate that is not stable, and what became of these."""
    rates = learning_rate(rule_state)
    largest = _largest(rule_state, diagnosis)
    if rates is None or np.shape(rates) != np.shape(statuses) or not np.isfinite(largest):
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


def _largest(rule_state: Any, diagnosis: Any) -> float:
    """The largest stable learning rate of the rule; infinite where it cannot be told.

    Momentum raises it, to less than twice of it; what is scaled by past gradients has another unit.
    """
    sgd = _state_of_sgd(rule_state)
    return np.inf if sgd is None else diagnosis.max_learning_rate * (1 if sgd.trace is None else 2)


def _state_of_sgd(rule_state: Any) -> RuleState | None:
    """The state of `jgd.sgd`, or None of another rule, in whose steps a rate may mean something else."""
    states = jax.tree.leaves(rule_state, is_leaf=lambda node: isinstance(node, RuleState))
    if len(states) != 1 or not isinstance(states[0], RuleState) or states[0].second is not None:
        return None
    return states[0]


def is_sgd(rule_state: Any) -> bool:
    """Whether it is of `jgd.sgd`, whose step is its rate times the gradient, or times momentum."""
    return _state_of_sgd(rule_state) is not None


def _good(diagnosis: Any) -> float:
    return min(diagnosis.best_learning_rate, MARGIN * diagnosis.max_learning_rate)


def _of_rate(status: str, fell: bool, rate: Any, largest: float, diagnosis: Any) -> Iterator[str]:
    if rate is None or not np.isfinite(largest) or status == "CONVERGED":
        return
    good, plain = _good(diagnosis), diagnosis.max_learning_rate
    if rate > largest:
        which = "" if largest == plain else ", whatever the momentum"
        yield (
            f"The learning rate {figure(rate)} is {figure(rate / largest)} times the largest stable one "
            f"of the diagnosis, {figure(largest)}{which}; a good constant one is {figure(good)}."
        )
        if fell and status != "DIVERGED":
            yield (
                "That the loss fell all the same shows that the curvature is lower elsewhere: diagnose "
                "fit.params."
            )
    elif status == "DIVERGED" and rate <= plain:
        yield (
            f"The learning rate {figure(rate)} is below the largest stable one of the diagnosis, "
            f"{figure(plain)}, so look elsewhere: NaN in the data, single examples in small batches "
            "that pull harder than the mean, or a curvature that grows on the way."
        )
    elif largest == plain and rate < TOO_SMALL * good:
        yield (
            f"The learning rate {figure(rate)} is {figure(good / rate)} times smaller than a good "
            f"constant one of batch descent, {figure(good)}."
        )


def _of_pace(rate: Any, rule_state: Any, diagnosis: Any) -> Iterator[str]:
    condition, after = diagnosis.condition_number, diagnosis.standardized_condition_number
    if diagnosis.place in IMMOBILE:
        return
    if np.isfinite(condition) and condition >= 10 and not diagnosis.separable:
        smallest, good = diagnosis.sharpness / condition, _good(diagnosis)
        yours = ""
        if _largest(rule_state, diagnosis) == diagnosis.max_learning_rate and rate < good / 2:
            yours = f", and {figure(_steps_per_digit(float(rate) * smallest))} at {figure(rate)}"
        yield (
            f"At condition number {figure(condition)} each digit of the loss costs about "
            f"{figure(_steps_per_digit(good * smallest))} steps at the learning rate "
            f"{figure(good)}{yours}."
        )
    if condition >= 3 * after:
        times = f"{figure(condition / after)} times, " if np.isfinite(condition) else ""
        yield (
            f"Standardised features (jgd.features.standardize) would lower the condition number {times}"
            f"to {figure(after)}."
        )


def _steps_per_digit(shrinkage: float) -> float:
    """Steps to a tenth of the loss, where each multiplies the distance by `1 - shrinkage`."""
    return math.ceil(math.log(10) / (-2 * math.log1p(-min(shrinkage, 0.999))))


def _of_place(status: str, diagnosis: Any) -> Iterator[str]:
    if diagnosis.separable and status != "DIVERGED":
        yield (
            "The classes are separable, so there is no minimum: loss and gradient fall for ever, and "
            "the weights grow. Add a penalty, such as jgd.penalties.l2(1e-3)."
        )
    elif status in ("EPOCHS_DONE", "STALLED") and diagnosis.place in IMMOBILE:
        where = {"constant": "where the loss is constant"}.get(
            diagnosis.place, f"at a {diagnosis.place}"
        )
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

"""What was measured, as sentences with numbers: each says what is, and what to do."""

import math
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from jgd.descent.figures import MARGIN
from jgd.tuning.advice_on_features import (
    hidden_by_scale,
    of_columns,
    of_parted_classes,
    of_standardising,
)
from jgd.tuning.advice_on_place import is_stationary, of_place, of_zero_gradients, place
from jgd.tuning.findings import Findings
from jgd.tuning.pace import epochs_per_digit, momentum_for, momentum_text, rates
from jgd.wording import figure

STRAIGHT = 1e-3  # of the gradient: if as much of it lies along flat directions, J is no parabola


def sentences(found: Findings) -> list[str]:
    """The advice, the most important first."""
    return [
        *of_place(found),
        *of_zero_gradients(found),
        *of_standardising(found),
        *(of_parted_classes(found.parted) if found.fall is None else ()),
        *_of_digits(found),
        *_of_convexity(found),
        *_of_learning_rate(found),
        *_of_condition(found),
        *(sentence for part in found.features for sentence in of_columns(part, found)),
        *_of_batch_size(found),
        *_of_flat_directions(found),
    ]


def _of_convexity(found: Findings) -> Iterator[str]:
    curvature = found.curvature
    if not curvature.is_convex and not is_stationary(found) and found.fall is None:
        yield (
            f"J is not convex here: its curvature runs from {figure(curvature.smallest)} to "
            f"{figure(curvature.largest)}. What learning rates hold changes with the params: diagnose "
            "fit.params after some epochs."
        )


def _of_digits(found: Findings) -> Iterator[str]:
    """Where the dtype of the params has not got the digits."""
    limits, name = jnp.finfo(found.dtype), jnp.dtype(found.dtype).name
    rounded, precise = found.rounded, found.precise
    wider = "turn on float64 (jax.config.update('jax_enable_x64', True))"
    if limits.bits < 32:
        wider = "convert the params to float32"
    condition, largest = found.curvature.condition_number, found.curvature.largest
    bound = _bound(found)
    if rounded is not None and not np.isfinite(rounded.norm + rounded.value):
        yield (
            f"{name} overflows: in it the loss or the gradient is not finite; in float64 the loss is "
            f"{figure(precise.value)} and the gradient norm {figure(precise.norm)}. Scale features and "
            f"targets down (jgd.features.standardize), or {wider}."
        )
    elif rounded is not None and rounded.norm == 0 < precise.norm < limits.tiny:
        yield (
            f"{name} underflows: in it the gradient is 0; in float64 its norm is "
            f"{figure(precise.norm)}. Bring features to a larger scale, or {wider}."
        )
    elif rounded is not None and not is_stationary(found):
        error = np.linalg.norm(rounded.gradient - precise.gradient)
        share = error / np.linalg.norm(precise.gradient)
        if share > 0.01:
            yield (
                f"{name} has not the digits for this gradient, which is off by {figure(100 * share)}% "
                "of its length. Look for differences of large numbers, such as features far from 0, or "
                f"{wider}."
            )
    if largest > 0 and not limits.tiny < 2 / largest < limits.max:
        yield (
            f"{name} does not hold a stable learning rate: 2 / sharpness is {figure(2 / largest)}. "
            "Bring features and targets to a scale near 1 (jgd.features.standardize)."
        )
    if np.isfinite(condition) and condition > 1 / limits.eps:
        yield (
            f"The condition number is {bound}{figure(condition)}, beyond the {figure(1 / limits.eps)} "
            f"that {name} resolves (1 / eps): along the flattest directions steps drown in rounding. "
            f"Lower it by standardising, fewer features or a penalty, or {wider}."
        )


def _of_learning_rate(found: Findings) -> Iterator[str]:
    curvature = found.curvature
    if found.fall is not None or place(found) in ("constant", "plateau", "maximum"):
        return
    if curvature.largest <= curvature.blur:
        yield (
            f"J does not curve upwards here (largest curvature {figure(curvature.largest)}, gradient "
            f"norm {figure(found.slope.norm)}), so that no learning rate can be told to be stable. With "
            "kinks (absolute_error, quantile, hinge) a constant one ends in steps to and fro: let it "
            "decay (optax.cosine_decay_schedule). Where J curves farther on (huber), diagnose the "
            "params of a fit after some epochs, or take jgd.auto_rule."
        )
        return
    largest, best = rates(curvature)
    stable = f"stable below {figure(largest)} (2 / sharpness {figure(curvature.largest)})"
    secant = found.steeper
    if secant is not None:
        yield (
            f"Learning rate: here batch descent is {stable}, but J is no parabola: over a step of "
            f"1 / sharpness, {figure(1 / curvature.largest)}, its gradient changes as if the sharpness "
            f"were {figure(secant.curvature)}, be it for kinks (hinge, relu) or for a curvature that "
            f"grows. Begin with {figure(secant.rate)}."
        )
        return
    if found.parted is not None:
        choice = "it may rise as the loss falls, for the curvature goes with it"
    elif not np.isfinite(curvature.condition_number):
        choice = f"1 / sharpness, {figure(best)}, is a first choice"
    elif best < MARGIN * largest:
        choice = f"the best constant one is {figure(best)}"
    else:
        choice = f"the best constant one is just below; {figure(MARGIN * largest)} leaves a margin"
    yield f"Learning rate: batch descent is {stable}; {choice}."


def _of_condition(found: Findings) -> Iterator[str]:
    curvature = found.curvature
    condition = curvature.condition_number
    if not np.isfinite(condition) or condition < 2 or found.parted is not None:
        return
    momentum, rate = momentum_for(curvature)
    plain, heavy = (math.ceil(epochs) for epochs in epochs_per_digit(condition))
    bound = _bound(found)
    rule = f"jgd.sgd({figure(rate).replace(',', '')}, momentum={momentum_text(momentum)})"
    if found.steeper is not None:
        rule = f"momentum {momentum_text(momentum)}"
    yield (
        f"Condition number {bound}{figure(condition)}: were the curvature everywhere as it is here, "
        f"each digit of the loss would cost batch descent {bound}{_epochs(plain)} at the best constant "
        f"rate, and {bound}{_epochs(heavy)} with {rule}."
    )


def _bound(found: Findings) -> str:
    """What the condition number is where smaller eigenvalues were not found or drown in rounding."""
    return "" if found.curvature.is_exact and not hidden_by_scale(found) else "at least "


def _epochs(number: int) -> str:
    return "1 epoch" if number == 1 else f"{figure(number)} epochs"


def _of_batch_size(found: Findings) -> Iterator[str]:
    if found.num_examples < 2 or found.variance == 0 or is_stationary(found):
        return
    scale = found.variance / found.slope.norm**2
    if scale >= found.num_examples:
        what = f", more than all {found.num_examples:,}: doubling any batch nearly halves the steps"
    elif scale < 1:
        what = ": a single one points about as well as all of them, and batches save no steps here"
    else:
        what = ": below that, twice the batch nearly halves the steps; far above, it gains nothing"
    yield (
        f"Batch size: the noise scale is {figure(scale)} examples{what}. It grows as the gradient falls."
    )


def _of_flat_directions(found: Findings) -> Iterator[str]:
    curvature = found.curvature
    if not (curvature.is_exact and curvature.is_convex and 0 < curvature.num_flat < found.num_params):
        return
    if hidden_by_scale(found) or found.has_kinks:  # such a penalty decides where the loss does not
        return
    if curvature.pull > STRAIGHT * found.slope.norm:
        return
    flat = "flat"
    is_are, them = ("is", "it") if curvature.num_flat == 1 else ("are", "them")
    cure = "" if found.parted is not None else " An l2 penalty would make the minimum one point."
    if found.num_sampled < found.num_examples:
        flat = f"flat on the {found.num_sampled:,} examples drawn"
        cure = " Rarer examples may tell more: raise sample."
    yield (
        f"{curvature.num_flat:,} of {found.num_params:,} directions {is_are} {flat}: nothing is won or "
        f"lost along {them}, and the condition number leaves {them} out.{cure}"
    )

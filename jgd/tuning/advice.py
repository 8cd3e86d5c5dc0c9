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
from jgd.tuning.findings import Findings
from jgd.tuning.pace import epochs_per_digit, momentum_for, momentum_text, rates
from jgd.wording import count, figure, listed

NO_GAIN = 1e-6  # of the loss
ROUNDINGS = 4  # of params and of the sums of a gradient, that add up before a step is lost among them


def sentences(found: Findings) -> list[str]:
    """The advice, the most important first."""
    return [
        *_of_place(found),
        *_of_zero_gradients(found),
        *of_standardising(found),
        *of_parted_classes(found.parted),
        *_of_digits(found),
        *_of_convexity(found),
        *_of_learning_rate(found),
        *_of_condition(found),
        *(sentence for part in found.features for sentence in of_columns(part, found)),
        *_of_batch_size(found),
        *_of_flat_directions(found),
    ]


def _bend(found: Findings) -> float:
    """The largest curvature, upwards or downwards."""
    return max(found.curvature.largest, -found.curvature.smallest)


def _no_gain(found: Findings, condition: float = 1.0) -> float:
    """What is next to nothing: of the loss, and of what rounding leaves above the loss of an exact fit.

    Steps end where they are no more than the rounding of params: about that far from the minimum along
    the steepest direction, and along a flatter one farther by as much as the curvature is lower.
    """
    eps = ROUNDINGS * float(jnp.finfo(found.dtype).eps)
    rounding = eps**2 * min(condition, 1 / eps) * _bend(found) * found.length**2 / 2
    return NO_GAIN * abs(found.slope.value) + rounding


def _is_stationary(found: Findings) -> bool:
    """Whether the best step down the gradient gains next to nothing, by the largest curvature."""
    slope, bend = found.slope, _bend(found)
    return slope.norm == 0 or (bend > 0 and slope.norm**2 / (2 * bend) <= _no_gain(found))


def _is_plateau(found: Findings) -> bool:
    """Whether J all but stays the same within a distance of the size of the params."""
    return _change_nearby(found) <= NO_GAIN * abs(found.slope.value)


def _change_nearby(found: Findings) -> float:
    return found.slope.norm * found.size + _bend(found) * found.size**2 / 2


def _is_minimum(found: Findings) -> bool:
    curvature, slope = found.curvature, found.slope
    if not curvature.is_convex or curvature.largest <= curvature.blur:
        return False
    if found.has_kinks or not curvature.is_exact:
        return slope.norm**2 / (2 * curvature.largest) <= 1e-10 * abs(slope.value)
    return _is_stationary(found) and curvature.gain <= _no_gain(found, curvature.condition_number)


def place(found: Findings) -> str:
    """Where the params are: "constant", "plateau", "saddle", "minimum", or else "slope"."""
    if found.slope.norm == 0 and _bend(found) == 0 and found.variance == 0:
        return "constant"
    if _is_plateau(found):
        return "plateau"
    if _is_minimum(found):
        return "minimum"
    return "saddle" if _is_stationary(found) and not found.curvature.is_convex else "slope"


def _of_place(found: Findings) -> Iterator[str]:
    slope, curvature, where = found.slope, found.curvature, place(found)
    if where == "constant":
        yield (
            f"The loss is constant here ({slope.value:.4g}): every example has a gradient of exactly 0, "
            "and the curvature is 0. No learning rate moves these params. Look for relu units that are "
            "all dead, for params that the loss does not use, and for rounding, argmax or comparisons."
        )
    elif where == "plateau":
        yield (
            f"A plateau: within a distance of {figure(found.size)} of these params J changes by at most "
            f"{figure(_change_nearby(found) / abs(slope.value))} of itself (gradient norm "
            f"{figure(slope.norm)}, largest curvature {figure(_bend(found))}). Start elsewhere, with "
            "smaller weights where units are saturated, or bring features to a larger scale."
        )
    elif where == "saddle":
        yield (
            f"A saddle: the gradient norm is {figure(slope.norm)}, but J curves downwards along "
            f"{_main_leaf(found)}: by {figure(curvature.smallest)}, where the largest curvature is "
            f"{figure(curvature.largest)}. Descent from here "
            f"{'stays' if slope.norm == 0 else 'crawls'}. Start elsewhere: any random step leaves a "
            "saddle, and a network wants random weights (jgd.models.mlp.init)."
        )
    elif where == "minimum":
        yield _at_minimum(found)
    if found.fall is not None:
        distance, value = found.fall
        yield (
            f"J has no minimum in sight: it falls on and on, to {figure(value)} at a distance of "
            f"{figure(distance)}. Is the sign of the loss right? If it is, add a penalty "
            "(jgd.penalties.l2)."
        )


def _of_convexity(found: Findings) -> Iterator[str]:
    curvature = found.curvature
    if not curvature.is_convex and not _is_stationary(found) and found.fall is None:
        yield (
            f"J is not convex here: its curvature runs from {figure(curvature.smallest)} to "
            f"{figure(curvature.largest)}. What learning rates hold changes with the params: diagnose "
            "fit.params after some epochs."
        )


def _at_minimum(found: Findings) -> str:
    slope, curvature = found.slope, found.curvature
    known = curvature.is_exact and not found.has_kinks and curvature.gain > 0
    more = f" By its parabola J would fall by {figure(curvature.gain)} more." if known else ""
    return (
        f"These params are at a minimum: loss {slope.value:.4g}, gradient norm {figure(slope.norm)}, "
        f"and no curvature below {figure(curvature.smallest_positive if not curvature.num_flat else 0)}."
        f"{more} More epochs gain nothing."
    )


def _main_leaf(found: Findings) -> str:
    """Where most of the direction of the smallest curvature lies."""
    ends = np.cumsum([size for _, size in found.leaves])[:-1]
    parts = np.split(np.square(found.curvature.direction), ends)
    largest = int(np.argmax([part.sum() for part in parts]))
    name, _ = found.leaves[largest]
    share = 100 * parts[largest].sum()
    return name if share > 99.5 else f"a direction that lies {share:.0f}% in {name}"


def _of_zero_gradients(found: Findings) -> Iterator[str]:
    """Leaves of params that do not move, while others do."""
    if found.slope.norm == 0:
        return
    ends = np.cumsum([size for _, size in found.leaves])[:-1]
    grads = np.split(found.precise.gradient, ends)
    still = found.curvature.still
    still = np.zeros(found.num_params, bool) if still is None else still
    zero = [not np.any(part) for part in grads]
    idle = [bool(part.all()) for part in np.split(still, ends)]
    unused = [leaf for leaf, is_idle in zip(found.leaves, idle, strict=True) if is_idle]
    stuck = [
        (name, size)
        for (name, size), is_zero, is_idle in zip(found.leaves, zero, idle, strict=True)
        if is_zero and not is_idle and size > 1
    ]
    if stuck:
        yield (
            f"The gradient of {listed([name for name, _ in stuck])} is exactly 0: "
            f"{_share(stuck, found)} do not move at first. Are these weights, or those of the next "
            "layer, all 0? A network wants random ones (jgd.models.mlp.init)."
        )
    if unused:
        yield (
            f"Gradient and curvature of {listed([name for name, _ in unused])} are exactly 0: "
            f"{_share(unused, found)} are not used by the loss, or lie before units that are all dead."
        )


def _share(leaves: list[tuple[str, int]], found: Findings) -> str:
    return f"{sum(size for _, size in leaves):,} of {count(found.num_params, 'param')}"


def _of_digits(found: Findings) -> Iterator[str]:
    """Where the dtype of the params has not got the digits."""
    limits, name = jnp.finfo(found.dtype), jnp.dtype(found.dtype).name
    rounded, precise = found.rounded, found.precise
    wider = "turn on float64 (jax.config.update('jax_enable_x64', True))"
    condition, largest = found.curvature.condition_number, found.curvature.largest
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
    elif rounded is not None and not _is_stationary(found):
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
            f"The condition number {figure(condition)} is beyond the {figure(1 / limits.eps)} that "
            f"{name} resolves (1 / eps): along the flattest directions steps drown in rounding. Lower "
            f"it by standardising, fewer features or a penalty, or {wider}."
        )


def _of_learning_rate(found: Findings) -> Iterator[str]:
    curvature = found.curvature
    if found.fall is not None or place(found) in ("constant", "plateau"):
        return
    if curvature.largest <= curvature.blur:
        yield (
            f"J does not curve upwards here (largest curvature {figure(curvature.largest)}, gradient "
            f"norm {figure(found.slope.norm)}), as with absolute_error, quantile or hinge. No learning "
            "rate is unstable, but a constant one ends in steps to and fro: let it decay "
            "(optax.cosine_decay_schedule)."
        )
        return
    largest, best = rates(curvature)
    if not np.isfinite(curvature.condition_number):
        choice = f"1 / sharpness, {figure(best)}, is a first choice"
    elif best < MARGIN * largest:
        choice = f"the best constant one is {figure(best)}"
    else:
        choice = f"the best constant one is just below; {figure(MARGIN * largest)} leaves a margin"
    yield (
        f"Learning rate: batch descent is stable below {figure(largest)} (2 / sharpness "
        f"{figure(curvature.largest)}); {choice}."
    )
    if found.secant is not None and found.secant.rate * curvature.largest < 0.99:
        yield (
            f"But J is no parabola here: over a step of 1 / sharpness, {figure(1 / curvature.largest)}, "
            f"its gradient changes as if the sharpness were {figure(found.secant.curvature)}, be it for "
            f"kinks (hinge, relu) or for a curvature that grows. Begin with {figure(found.secant.rate)}."
        )


def _of_condition(found: Findings) -> Iterator[str]:
    curvature = found.curvature
    condition = curvature.condition_number
    if not np.isfinite(condition) or condition < 2 or found.parted is not None:
        return
    momentum, rate = momentum_for(curvature)
    plain, heavy = (math.ceil(epochs) for epochs in epochs_per_digit(condition))
    bound = "" if curvature.is_exact else "at least "
    yield (
        f"Condition number {bound}{figure(condition)}: with the curvature as it is here, each digit of "
        f"the loss costs batch descent {bound}{_epochs(plain)} at the best constant rate, and "
        f"{bound}{_epochs(heavy)} with jgd.sgd({figure(rate).replace(',', '')}, "
        f"momentum={momentum_text(momentum)})."
    )


def _epochs(number: int) -> str:
    return "1 epoch" if number == 1 else f"{figure(number)} epochs"


def _of_batch_size(found: Findings) -> Iterator[str]:
    if found.num_examples < 2 or found.variance == 0 or _is_stationary(found):
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
    if hidden_by_scale(found):
        return
    is_are, them = ("is", "it") if curvature.num_flat == 1 else ("are", "them")
    yield (
        f"{curvature.num_flat:,} of {found.num_params:,} directions {is_are} flat: nothing is won or "
        f"lost along {them}, and the condition number leaves {them} out. An l2 penalty would make the "
        "minimum one point."
    )

"""Where the params are (a slope, a saddle, a plateau, a minimum), as sentences with numbers."""

import math
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from jgd.tuning.findings import Findings
from jgd.wording import count, figure, listed

NO_GAIN = 1e-6  # of the loss
LEFT = 0.01  # of the loss: once it fell by that, a saddle is left
SOON = 100  # epochs
ROUNDINGS = 4  # of params and of the sums of a gradient, that add up before a step is lost among them


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


def is_stationary(found: Findings) -> bool:
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
    rounding = ROUNDINGS * float(jnp.finfo(found.dtype).eps) * _bend(found) * found.length
    return (
        is_stationary(found)
        and curvature.gain <= _no_gain(found, curvature.condition_number)
        and curvature.pull <= rounding
    )


def place(found: Findings) -> str:
    """Where the params are: "constant", "plateau", "minimum", "maximum", "saddle", or else "slope"."""
    if found.slope.norm == 0 and _bend(found) == 0 and found.variance == 0:
        return "constant"
    if _is_plateau(found):
        return "plateau"
    if _is_minimum(found):
        return "minimum"
    if not is_stationary(found) or found.curvature.is_convex:
        return "slope"
    return "maximum" if found.curvature.largest < -found.curvature.blur else "saddle"


def of_place(found: Findings) -> Iterator[str]:
    slope, curvature, where = found.slope, found.curvature, place(found)
    if where == "constant":
        yield (
            f"The loss is flat here ({slope.value:.4g}): every example has a gradient of exactly 0, and "
            "the curvature is 0. No learning rate moves these params. If it should, look for relu units "
            "that are all dead, for params that the loss does not use, and for rounding, argmax or "
            "comparisons."
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
            f"{figure(curvature.largest)}. {_way_out(found)}"
        )
    elif where == "maximum":
        yield (
            f"A maximum: the gradient norm is {figure(slope.norm)}, and J curves downwards everywhere, "
            f"by {figure(curvature.largest)} or more. {_way_out(found)}"
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


def _way_out(found: Findings) -> str:
    """How long batch descent at the rate 1 / L, L the largest curvature of any sign, would stay there.

    Along the direction of the smallest curvature c, a step multiplies the gradient g by 1 + |c| / L; J
    has then fallen by g² / 2 |c|.
    """
    curvature = found.curvature
    pull, bend = abs(found.precise.gradient @ curvature.direction), -curvature.smallest
    stays, rate = "stays", f"a learning rate of {figure(1 / _bend(found))}"
    if pull > 0:
        far = max(math.sqrt(2 * bend * LEFT * abs(found.slope.value)) / pull, 1.0)
        epochs = max(math.ceil(math.log(far) / math.log1p(bend / _bend(found))), 1)
        if epochs <= SOON:
            return f"Descent leaves it by itself, at {rate} after some {count(epochs, 'epoch')}."
        stays = f"needs some {figure(epochs)} epochs at {rate} to leave it"
    return (
        f"Descent from here {stays}. Start elsewhere: any random step leaves it, and a network "
        "wants random weights (jgd.models.mlp.init)."
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


def of_zero_gradients(found: Findings) -> Iterator[str]:
    """Leaves of params that do not move, while others do."""
    if found.slope.norm == 0:
        return
    ends = np.cumsum([size for _, size in found.leaves])[:-1]
    grads = np.split(found.precise.gradient, ends)
    still = found.curvature.still
    still = np.zeros(found.num_params, bool) if still is None else still & (found.variances == 0)
    zero = [not np.any(part) for part in grads]
    idle = [part.size > 0 and bool(part.all()) for part in np.split(still, ends)]
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
            f"{_share(unused, found)} are not used by the loss, or lie before units that are all dead, "
            "as at weights of 0: a network wants random ones (jgd.models.mlp.init)."
        )


def _share(leaves: list[tuple[str, int]], found: Findings) -> str:
    return f"{sum(size for _, size in leaves):,} of {count(found.num_params, 'param')}"

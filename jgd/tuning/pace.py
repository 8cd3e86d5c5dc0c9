"""What the ends of the spectrum say about learning rates and the pace of descent.

Source: Polyak (1964), USSR Comp. Math. Math. Phys. 4(5); Nesterov (2004), section 2.1.5.
"""

import math

import numpy as np

from jgd.tuning.surroundings import Curvature


def rates(curvature: Curvature) -> tuple[float, float]:
    """The largest stable learning rate 2 / L and the best constant one, 2 / (L + m) or 1 / L."""
    largest = curvature.largest
    if np.isnan(largest):
        return np.nan, np.nan
    if largest <= curvature.blur:
        return np.inf, np.nan
    smallest = largest / curvature.condition_number
    return 2 / largest, (2 / (largest + smallest) if smallest > 0 else 1 / largest)


def momentum_for(curvature: Curvature) -> tuple[float, float]:
    """The momentum that fits the condition number, and its learning rate; NaN where there is none."""
    condition = curvature.condition_number
    if not np.isfinite(condition):
        return np.nan, np.nan
    root = math.sqrt(condition)
    rate = (2 / (math.sqrt(curvature.largest) + math.sqrt(curvature.largest / condition))) ** 2
    return ((root - 1) / (root + 1)) ** 2, rate


def epochs_per_digit(condition: float) -> tuple[float, float]:
    """Epochs in which the loss above its minimum falls to a tenth: plain, and with that momentum.

    A step multiplies the distance by (k - 1) / (k + 1), and with momentum by (√k - 1) / (√k + 1); the
    loss goes with its square.
    """

    def epochs(k):
        return 1 / (-2 * (math.log1p(-1 / k) - math.log1p(1 / k)) / math.log(10)) if k > 1 else 1.0

    return epochs(condition), epochs(math.sqrt(condition))


def momentum_text(momentum: float) -> str:
    """With as many nines as it takes, and two digits more of what lacks to 1."""
    places = 2 if momentum <= 0.9 else 1 - math.floor(math.log10(max(1 - momentum, 1e-16)))
    return f"{momentum:.{places}f}"

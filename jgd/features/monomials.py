"""Products of features, with which a linear model bends."""

import math
from collections.abc import Iterable
from itertools import chain, combinations, combinations_with_replacement
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from jgd.features.checks import as_floats, as_table, check_features, check_width
from jgd.tree import is_whole


class Monomials(NamedTuple):
    """Which products of features the transform makes; of the training part it is D alone that counts.

    Attributes:
      exponents: [M, D] integers: column m is `prod_d x_d ** exponents[m, d]`.
      factors: [degree, M] integers, the same as a list: column m is the product of the features
        `factors[:, m]`, where D stands for the number 1.
    """

    exponents: jax.Array
    factors: jax.Array


def polynomial(x: Any, degree: int = 2) -> tuple[Partial, Monomials]:
    """All monomials of degree 1 to `degree`: `prod_d x_d ** e_d` with `1 <= sum_d e_d <= degree`.

    There is no constant column, for models have a bias. The order is that of scikit-learn: by degree,
    then `x_1², x_1 x_2, ..., x_2², ...`. Products of large numbers are huge and those of small ones
    tiny: bring the features to one scale before, and their products after.

    Args:
      x: [N, D], the training part. Whole numbers and bools are converted to floats, here and by the
        transform.
      degree: whole number >= 1.

    Returns:
      The transform, a pure function of arrays [..., D] to [..., M] that carries the statistics as
      leaves, and the statistics; `M = (D + degree choose degree) - 1`. NaN stays NaN in every product
      that it is a factor of, and a product above the largest float is infinite.

    Raises:
      ValueError: x is not [N, D] with N >= 1 and D >= 1; the degree is not a whole number >= 1; there
        would be more than 100,000 columns. The transform: its x is not [..., D].

    >>> transform, statistics = polynomial(jnp.array([[2.0, 3.0]]))
    >>> transform(jnp.array([2.0, 3.0])).tolist()
    [2.0, 3.0, 4.0, 6.0, 9.0]
    >>> statistics.exponents.tolist()
    [[1, 0], [0, 1], [2, 0], [1, 1], [0, 2]]

    Source: Gergonne (1815), The application of the method of least squares to the interpolation of
    sequences; Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, section 5.1.
    """
    if not is_whole(degree) or degree < 1:
        raise ValueError(
            f"degree is {degree!r}, but a whole number >= 1 is wanted. It shapes the result, so it is a "
            "Python int, not an array."
        )
    num_features = as_table(x).shape[1]
    check_width(
        math.comb(num_features + degree, degree) - 1,
        f"polynomial: D={num_features} features and degree={degree}",
        "Lower the degree, choose fewer features, or take jgd.features.interactions.",
    )
    each_degree = (combinations_with_replacement(range(num_features), d) for d in range(1, degree + 1))
    return _products(chain.from_iterable(each_degree), num_features, degree)


def interactions(x: Any) -> tuple[Partial, Monomials]:
    """The features and the products of two different ones: `x_d`, and `x_c x_d` with `c < d`.

    With them the effect of one feature may depend on another. The order is that of scikit-learn: the
    features, then `x_1 x_2, x_1 x_3, ..., x_2 x_3, ...`.

    Args:
      x: [N, D], the training part. Whole numbers and bools are converted to floats, here and by the
        transform.

    Returns:
      The transform, a pure function of arrays [..., D] to [..., D (D + 1) / 2], that carries the
      statistics as leaves, and the statistics. NaN stays NaN in every product that it is a factor of,
      and a product above the largest float is infinite.

    Raises:
      ValueError: x is not [N, D] with N >= 1 and D >= 1; there would be more than 100,000 columns. The
        transform: its x is not [..., D].

    >>> transform, statistics = interactions(jnp.array([[2.0, 3.0, 5.0]]))
    >>> transform(jnp.array([2.0, 3.0, 5.0])).tolist()
    [2.0, 3.0, 5.0, 6.0, 10.0, 15.0]

    Source: Cox (1984), Interaction, International Statistical Review 52(1).
    """
    num_features = as_table(x).shape[1]
    check_width(
        num_features * (num_features + 1) // 2,
        f"interactions: D={num_features} features",
        "Choose fewer features.",
    )
    each_degree = (combinations(range(num_features), d) for d in (1, 2))
    return _products(chain.from_iterable(each_degree), num_features, 2)


def _products(
    monomials: Iterable[tuple[int, ...]], num_features: int, degree: int
) -> tuple[Partial, Monomials]:
    """The transform that makes monomials, each a tuple of at most `degree` features."""
    one = num_features
    factors = np.array([m + (one,) * (degree - len(m)) for m in monomials], np.int32)
    exponents = np.zeros((len(factors), num_features + 1), np.int32)
    for column in factors.T:
        exponents[np.arange(len(factors)), column] += 1
    statistics = Monomials(jnp.asarray(exponents[:, :one]), jnp.asarray(factors.T))
    return Partial(_multiply, statistics), statistics


def _multiply(statistics: Monomials, x):
    x = as_floats(x)
    check_features(x, statistics.exponents.shape[-1])
    return _product(x, statistics.factors)


@jax.jit
def _product(x, factors):
    # Factors, not powers: those would take D times the memory of the result.
    with_one = jnp.concatenate([x, jnp.ones_like(x[..., :1])], axis=-1)

    def times(product, factor):
        return product * with_one.at[..., factor].get(mode="promise_in_bounds"), None

    first = with_one.at[..., factors[0]].get(mode="promise_in_bounds")
    return jax.lax.scan(times, first, factors[1:])[0]

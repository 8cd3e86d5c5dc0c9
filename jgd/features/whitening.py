"""Features without correlation, each of variance 1."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from jgd.features.checks import as_table
from jgd.features.columns import columns_of, entering, fills_missing, standardized
from jgd.tree import Static, require_number

ROUNDING = 10  # roundings that a direction must stand out by to count as one of variance


class Whitening(NamedTuple):
    """Statistics of the training part.

    Attributes:
      mean: [D].
      scale: [D], standard deviation; 1 for a constant column, which becomes 0.
      matrix: [D, D], symmetric: the inverse root of the correlations, `(P + ridge I)^(-1/2)`.
    """

    mean: jax.Array
    scale: jax.Array
    matrix: jax.Array


def whiten(x: Any, missing: str | None = None, ridge: Any = 0.0) -> tuple[Partial, Whitening]:
    """Make the covariance of the features the identity: `(x - mean) / scale @ P^(-1/2)`.

    P is the correlation matrix, so this is ZCA whitening of standardised features ("ZCA-cor"). Of all
    ways to whiten it is the one whose columns stay closest to the features that they come from: column d
    is still about feature d, and neither units nor the sign of an eigenvector matter. For a linear model
    with squared error the condition number becomes 1, at the cost of D² numbers and a product with them.

    Args:
      x: [N, D], the training part only. Whole numbers and bools are converted to floats, here and by
        the transform.
      missing: None: NaN is an error. "mean": mean and scale are those of the numbers that are there,
        and NaN becomes the mean, in the training part before P is taken and in the transform.
      ridge: number >= 0, in variances of a standardised feature: `(P + ridge I)^(-1/2)`. Above 0 it
        keeps directions of little variance, which are mostly noise, from being blown up; 0.1 is a lot.

    Returns:
      The transform, a pure function of arrays [..., D] that carries the statistics as leaves, and
      the statistics. Directions in which the training part has no variance beyond rounding (constant or
      dependent columns, fewer examples than features) are taken out: along them everything becomes 0,
      and the covariance is the projection onto the others. With `missing=None` NaN makes the whole
      example NaN.

    Raises:
      ValueError: x is not [N, D] with N >= 1 and D >= 1; a concrete x holds infinity, or NaN without
        `missing="mean"`, or a column of nothing else; missing is another word; the ridge is below 0 or
        not finite. The transform: its x is not [..., D].

    >>> x = jnp.array([[0.0, 0.0], [2.0, 1.0], [4.0, 5.0], [6.0, 4.0]])
    >>> transform, statistics = whiten(x)
    >>> jnp.abs(jnp.cov(transform(x).T, bias=True)).round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Source: Kessy, Lewin and Strimmer (2018), Optimal Whitening and Decorrelation, The American
    Statistician 72(4), section 3.
    """
    ridge = require_number("ridge", ridge, _is_ridge, "a number >= 0")
    fills = fills_missing(missing)
    x = as_table(x)
    columns = columns_of(x, fills)
    mean, scale = columns.mean, columns.scale
    matrix = _inverse_root(entering(x, mean, fills), mean, scale, ridge)
    statistics = Whitening(mean, scale, matrix)
    return Partial(_whiten, Static(fills), statistics), statistics


def _is_ridge(ridge: np.ndarray):
    return ridge.ndim == 0 and ridge >= 0 and np.isfinite(ridge)


@jax.jit
def _inverse_root(x, mean, scale, ridge):
    """`(P + ridge I)^(-1/2)` within the directions of variance, 0 within the others."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)  # there is no factorisation of shorter floats
    z = standardized(x, mean, scale).astype(dtype)
    z = z - jnp.mean(z, axis=0)
    # By way of R instead of the correlations: their squares would lose half the digits.
    R = jnp.linalg.qr(z / np.sqrt(len(z)), mode="r")
    _, deviations, directions = jnp.linalg.svd(R, full_matrices=False)
    # What rounding of x alone leaves in a direction: an offset of many deviations leaves much.
    sizes = jnp.max(jnp.abs(z), axis=0)
    offsets = jnp.where(sizes > 0, jnp.abs(mean / scale).astype(dtype), 0)
    noise = jnp.hypot(deviations[0], jnp.linalg.norm(directions * offsets, axis=1))
    has_variance = deviations > ROUNDING * jnp.finfo(x.dtype).eps * noise
    variances = jnp.where(has_variance, jnp.square(deviations), 1) + ridge.astype(dtype)
    factors = jnp.where(has_variance, jax.lax.rsqrt(variances), 0)
    root = jnp.matmul(directions.T * factors, directions, precision="highest")
    return root.astype(x.dtype)


def _whiten(fills: Static, statistics: Whitening, x):
    mean, scale, matrix = statistics
    z = standardized(entering(x, mean, bool(fills.value)), mean, scale)
    return jnp.matmul(z, matrix, precision="highest")

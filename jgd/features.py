"""Features: statistics are taken on the training part, the transform is a pure function after."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial


class Standardization(NamedTuple):
    """Statistics of the training part.

    Attributes:
      mean: [D].
      scale: [D], standard deviation; 1 for a constant column, which becomes 0.
    """

    mean: jax.Array
    scale: jax.Array


def standardize(x: Any) -> tuple[Partial, Standardization]:
    """Bring every feature to mean 0 and standard deviation 1: `(x - mean) / scale`.

    Gradient descent is slow along features of small scale and unstable along those of large scale;
    after this the same learning rate suits all of them.

    Args:
      x: [N, D], the training part only, so that nothing of the test part leaks into it.

    Returns:
      The transform, a pure function of arrays [..., D] that carries the statistics as leaves, and
      the statistics.

    Raises:
      ValueError: x is not [N, D] with N >= 1, or a concrete x holds NaN or infinity.

    >>> transform, statistics = standardize(jnp.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> transform(jnp.array([[1.0, 5.0], [4.0, 6.0]])).tolist()
    [[-1.0, 0.0], [2.0, 1.0]]

    Source: LeCun, Bottou, Orr and Müller (1998), Efficient BackProp, section 4.3.
    """
    x = jnp.asarray(x)
    if x.ndim != 2 or x.shape[0] == 0:
        raise ValueError(
            f"x has shape {x.shape}, but [N, D] with at least one example is wanted. "
            "A single feature is a column: x[:, None]."
        )
    statistics, is_finite = _statistics(x)
    if not isinstance(is_finite, jax.core.Tracer) and not np.all(is_finite):
        columns = np.flatnonzero(~np.asarray(is_finite)).tolist()
        raise ValueError(
            f"x holds NaN or infinity in columns {columns}, so they have no mean. "
            "Fill them, e.g. with the median of the column, or leave these rows out."
        )
    return Partial(_standardize, statistics), statistics


@jax.jit
def _statistics(x) -> tuple[Standardization, jax.Array]:
    """The statistics, and which columns are finite."""
    x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(float)
    # Of a huge column sums and squares overflow; its mean and standard deviation need not.
    size = _largest(x)
    mean = size * jnp.mean(x / size, axis=0)
    mean = mean + jnp.mean(x - mean, axis=0)  # what the division by the size has rounded away
    centered = x - mean
    spread = _largest(centered)
    deviation = spread * jnp.sqrt(jnp.mean(jnp.square(centered / spread), axis=0))
    # The mean of a constant column is rounded, too; what it leaves behind is no deviation.
    constant = jnp.max(x, axis=0) == jnp.min(x, axis=0)
    statistics = Standardization(jnp.where(constant, x[0], mean), jnp.where(constant, 1, deviation))
    return statistics, jnp.isfinite(x).all(axis=0)


def _largest(x):
    """Largest absolute value of each column, 1 where that is 0; its reciprocal is a float, too."""
    largest = jnp.max(jnp.abs(x), axis=0)
    limits = jnp.finfo(x.dtype)
    return jnp.where(largest > 0, jnp.clip(largest, 4 * limits.tiny, limits.max / 4), 1)


def _standardize(statistics: Standardization, x):
    return (x - statistics.mean) / statistics.scale

"""Columns of numbers of every size: what is known of them, and how it is subtracted and divided by."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgd.features.checks import as_floats, check_features
from jgd.wording import listed

# The difference of two huge numbers overflows, and the reciprocal of a huge number, by which XLA
# multiplies instead of dividing, is flushed to 0. With their eighths neither happens.
SHRINK = 8


class Columns(NamedTuple):
    """What is known of the columns of `x`, each field [D].

    Attributes:
      mean: of a constant column the constant.
      scale: standard deviation; of a constant column 1.
      minimum: smallest number, NaN where there is NaN that is not passed over.
      maximum: largest number, likewise.
    """

    mean: jax.Array
    scale: jax.Array
    minimum: jax.Array
    maximum: jax.Array


def fills_missing(missing: str | None) -> bool:
    """Whether the mean is put in the place of NaN."""
    if missing is None:
        return False
    if not isinstance(missing, str) or missing != "mean":
        raise ValueError(
            f'missing is {missing!r}, but None (NaN is an error) or "mean" (NaN becomes the mean of its '
            "column) is wanted."
        )
    return True


def columns_of(x: jax.Array, fills: bool) -> Columns:
    """What is known of the columns; ValueError where those of a concrete `x` have no statistics.

    Args:
      x: [N, D] floats.
      fills: whether NaN is passed over.
    """
    columns = _columns_of(x, fills)
    if isinstance(columns.maximum, jax.core.Tracer):
        return columns
    minimum, maximum = np.asarray(columns.minimum), np.asarray(columns.maximum)
    # Of a column without a number the maximum is -inf and the minimum inf.
    is_nan, is_infinite = np.isnan(maximum), (maximum == np.inf) | (minimum == -np.inf)
    if not fills and np.any(is_nan | is_infinite):
        raise ValueError(
            f"x holds NaN or infinity in columns {_places(is_nan | is_infinite)}, so they have no mean. "
            'missing="mean" puts the mean of its column in the place of NaN; or fill them, e.g. with '
            "the median of the column, or leave these rows out."
        )
    if np.any(is_infinite):
        raise ValueError(
            f"x holds infinity, as {x.dtype}, in columns {_places(is_infinite)}, so they have no mean. "
            'missing="mean" is for NaN alone: find out where the infinity comes from, or make it NaN.'
        )
    if np.any(maximum < minimum):
        raise ValueError(
            f"x holds nothing but NaN in columns {_places(maximum < minimum)}, so there is no mean to "
            "put in its place. Leave these columns out."
        )
    return columns


def entering(x, mean: jax.Array, fills: bool) -> jax.Array:
    """`x` as floats [..., D], with the mean in the place of NaN where that is wanted."""
    x = as_floats(x)
    check_features(x, mean.shape[-1])
    return jnp.where(jnp.isnan(x), mean, x) if fills else x


@jax.jit
def standardized(x: jax.Array, mean: jax.Array, scale: jax.Array) -> jax.Array:
    """`(x - mean) / scale`, also where the difference overflows."""
    dtype = jnp.result_type(x, mean)
    x, mean, scale = shrunk(x, mean, scale)
    return ((x - mean) / scale).astype(dtype)


def shrunk(*arrays: jax.Array) -> list[jax.Array]:
    """Eighths, whose differences and their reciprocals are floats; of short floats in float32."""
    dtype = jnp.promote_types(jnp.result_type(*arrays), jnp.float32)
    return [x.astype(dtype) / SHRINK for x in arrays]


@functools.partial(jax.jit, static_argnames="fills")
def _columns_of(x, fills) -> Columns:
    dtype, x = x.dtype, x.astype(jnp.promote_types(x.dtype, jnp.float32))
    present = ~jnp.isnan(x) if fills else None
    minimum = jnp.min(x, axis=0, where=present, initial=jnp.inf)
    maximum = jnp.max(x, axis=0, where=present, initial=-jnp.inf)
    # Of a huge column sums and squares overflow, of a tiny one squares vanish; its mean and standard
    # deviation need not. The division by a power of 2 rounds nothing away.
    size = _power_of_two(jnp.maximum(-minimum, maximum))
    scaled = x / size
    mean = jnp.mean(scaled, axis=0, where=present)
    mean = mean + jnp.mean(scaled - mean, axis=0, where=present)  # what the sum has rounded away
    spread = _power_of_two(jnp.maximum(mean - minimum / size, maximum / size - mean))
    variance = jnp.mean(jnp.square((scaled - mean) / spread), axis=0, where=present)
    deviation = size * (spread * jnp.sqrt(variance))
    # The mean of a constant column is rounded; what that leaves behind is no deviation. One near the
    # smallest float, which one cannot divide by, is taken for none, too.
    is_constant = minimum == maximum
    is_none = is_constant | (deviation < 2 * SHRINK * jnp.finfo(x.dtype).tiny)
    mean, scale = jnp.where(is_constant, minimum, size * mean), jnp.where(is_none, 1, deviation)
    mean, scale, minimum, maximum = (c.astype(dtype) for c in (mean, scale, minimum, maximum))
    return Columns(mean, jnp.where(scale == 0, 1, scale), minimum, maximum)  # short floats are 0 sooner


def _power_of_two(largest):
    """A power of 2 near it; its reciprocal is a float, too."""
    limits = jnp.finfo(largest.dtype)
    largest = jnp.clip(largest, 4 * limits.tiny, limits.max / 4)
    return jax.lax.reduce_precision(largest, exponent_bits=limits.nexp, mantissa_bits=0)


def _places(is_wrong) -> str:
    return f"[{listed(np.flatnonzero(is_wrong).tolist())}]"

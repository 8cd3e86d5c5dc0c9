"""Checks of tables of numbers at the entry; each error names the argument and the way out."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgd.wording import listed

MOST_COLUMNS = 100_000  # that a transform may make; float32 of 1,000 examples is then 400 MB


def as_floats(x: Any) -> jax.Array:
    """Real numbers as an array of floats: whole numbers and bools are converted to the default type."""
    if not isinstance(x, jax.Array):
        x = np.asarray(x)
    if x.dtype.kind in "OUSMmc":
        raise ValueError(
            f"x has dtype {x.dtype}, but real numbers are wanted. Text becomes numbers by "
            "jgd.features.one_hot, numbers and None among objects by np.asarray(x, float)."
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        # NumPy rounds int64 to the nearest float, where JAX would first wrap it around to int32.
        x = x.astype(float) if isinstance(x, jax.Array) else x.astype(jnp.result_type(float))
    return jnp.asarray(x)


def as_table(x: Any) -> jax.Array:
    """`x` as floats [N, D]; ValueError where it is of another shape, or holds nothing."""
    given, x = x, as_floats(x)
    if x.ndim != 2 or x.size == 0:
        raise ValueError(
            f"x has shape {x.shape}, but [N, D] with at least one example and one feature is wanted. "
            "A single feature is a column: x[:, None]."
        )
    if not isinstance(given, jax.Array):
        _check_digits(np.asarray(given), x)
    return x


def _check_digits(given: np.ndarray, x: jax.Array) -> None:
    """ValueError where a column that varies is constant in the digits that JAX keeps of it."""
    if given.dtype.itemsize <= x.dtype.itemsize:
        return
    held = np.asarray(x)
    flat = np.flatnonzero(held.max(axis=0) == held.min(axis=0))  # few, as a rule none
    lost = flat[given[:, flat].max(axis=0) > given[:, flat].min(axis=0)]
    if lost.size:
        raise ValueError(
            f"x varies in columns [{listed(lost.tolist())}], but not in the digits of {x.dtype}. "
            "Subtract its mean before, in NumPy: x - x.mean(axis=0)."
        )


def check_features(x: Any, num_features: int) -> None:
    """ValueError unless the last axis of `x` is that of the training part; else it would broadcast."""
    if x.ndim == 0 or x.shape[-1] != num_features:
        raise ValueError(
            f"x has shape {x.shape}, but the training part had D={num_features} features, so that "
            f"[..., {num_features}] is wanted: the same columns in the same order."
        )


def check_width(number: int, what: str, way_out: str) -> None:
    """ValueError where a transform would make more columns than fit into memory."""
    if number > MOST_COLUMNS:
        told = f"{number:,}" if number < 10**15 else f"about 10^{int(math.log10(number))}"
        raise ValueError(
            f"{what} make {told} columns, but at most {MOST_COLUMNS:,} are wanted, for every example "
            f"would have all of them. {way_out}"
        )

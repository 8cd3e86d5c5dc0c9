"""Checks of sizes, shared by the models."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jgd.tree import is_whole


def check_sizes(name: str, sizes) -> None:
    """ValueError unless every size is a whole number >= 1."""
    for size in sizes:
        if not is_whole(size) or size < 1:
            raise ValueError(
                f"{name}: size {size!r} in {tuple(sizes)} is no whole number >= 1. Sizes shape the "
                "params, so they are Python ints, not arrays."
            )


def check_several(name: str, sizes: Any) -> None:
    """ValueError where a single size stands in the place of several."""
    if not isinstance(sizes, Sequence):
        raise ValueError(f"{name} are {sizes!r}, but several are wanted, e.g. (16, 32), or () for none.")


def checked_inputs(name: str, inputs: Any, weights: jax.Array) -> jax.Array:
    """`inputs` as an array; ValueError unless they are those of one example for these weights."""
    inputs = jnp.asarray(inputs)
    wanted = weights.shape[:1]
    if inputs.shape != wanted:
        raise ValueError(
            f"inputs have shape {inputs.shape}, but one example of this model wants {wanted}. For a "
            f"batch map over it: jax.vmap({name}.predict, in_axes=(None, 0))(params, x)."
        )
    return inputs

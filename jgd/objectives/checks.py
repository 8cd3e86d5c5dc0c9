"""Checks of data and weights at the entry; each error names the argument and the way out."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgd.tree import is_known, is_whole, on_automatic_axes

PIECE = 2**20  # weights that are looked at at once


def check_data(data: Any, name: str = "data") -> int:
    """N, the length of the leading axis that all arrays of `data` share; ValueError where not."""
    leaves = jax.tree_util.tree_leaves_with_path(data)
    if not leaves:
        raise ValueError(
            f"{name} is {data!r}, which holds no array, but a pytree of arrays is wanted that share "
            'their leading axis, e.g. {"x": x, "y": y}.'
        )
    names = [name + jax.tree_util.keystr(path) for path, _ in leaves]
    for leaf_name, (_, leaf) in zip(names, leaves, strict=True):
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype") or leaf.ndim == 0:
            raise ValueError(
                f"{leaf_name} is {type(leaf).__name__} of shape {jnp.shape(leaf)}, but an array "
                "with a leading axis of examples is wanted. Convert lists with jnp.asarray, and "
                "put numbers that all examples share into the params or into Partial(loss, number)."
            )
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) and leaf.dtype.kind in "OUSMm":
            raise ValueError(
                f"{leaf_name} has dtype {leaf.dtype}, but numbers are wanted. "
                "Encode text, dates and categories as numbers first."
            )
    lengths = [leaf.shape[0] for _, leaf in leaves]
    if len(set(lengths)) > 1:
        other = next(i for i, length in enumerate(lengths) if length != lengths[0])
        raise ValueError(
            f"{names[0]} has {lengths[0]} examples and {names[other]} has {lengths[other]}, but all "
            "arrays want the same leading axis. Is one of them transposed, or a part of the rows?"
        )
    if lengths[0] == 0:
        raise ValueError(f"{name} has 0 examples, but at least 1 is wanted. Is a filter too strict?")
    return lengths[0]


def checked_weights(weights: Any, num_examples: int) -> jax.Array | None:
    """The weights as floats [N], or None; ValueError where they do not fit or are all 0."""
    if weights is None:
        return None
    check_weights(weights, num_examples)
    return on_automatic_axes(jnp.asarray(weights, float))


def check_weights(weights: Any, num_examples: int) -> None:
    """ValueError unless they are real numbers [N], not all 0; a memory map is looked at in pieces."""
    if np.shape(weights) != (num_examples,):
        raise ValueError(
            f"weights have shape {np.shape(weights)} and data has {num_examples} examples, but one "
            f"weight for each example, shape ({num_examples},), is wanted."
        )
    dtype = getattr(weights, "dtype", None) or np.asarray(weights).dtype
    if dtype.kind in "OUSMmc":
        raise ValueError(
            f"weights have dtype {dtype}, but real numbers are wanted, one for each example."
        )
    if is_known(weights) and not _any_counts(np.asarray(weights)):
        raise ValueError(
            f"weights are all 0 for the {num_examples} examples of data, so that no example counts. "
            "Give at least one a weight other than 0."
        )


def _any_counts(weights: np.ndarray) -> bool:
    return any(np.any(weights[i : i + PIECE] != 0) for i in range(0, len(weights), PIECE))


def check_block(block: Any) -> None:
    """ValueError unless it is a number of rows, or None."""
    if block is not None and (not is_whole(block) or block < 1):
        raise ValueError(f"block is {block!r}, but a whole number of rows >= 1, or None, is wanted.")


def check_key(key: Any) -> None:
    """ValueError unless it is one PRNG key, typed or of raw numbers."""
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if not (typed and shape == ()) and not (dtype == jnp.uint32 and shape in ((2,), (4,))):
        raise ValueError(f"key is {key!r}, but one PRNG key is wanted: jax.random.key(0).")


def check_params(params: Any) -> None:
    """ValueError unless every leaf of `params` is an array of floats."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    if not leaves:
        raise ValueError(f"params is {params!r}, which holds no array, so there is nothing to learn.")
    if not sum(np.size(leaf) for _, leaf in leaves):
        raise ValueError(
            "params hold 0 numbers, so there is nothing to learn. Have the data no columns left?"
        )
    for path, leaf in leaves:
        name = "params" + jax.tree_util.keystr(path)
        dtype = getattr(leaf, "dtype", None)
        if dtype is None and not isinstance(leaf, float | int):
            raise ValueError(f"{name} is {leaf!r}, but an array of floats is wanted.")
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise ValueError(
                f"{name} has dtype {jnp.result_type(leaf)}, but a float is wanted, for gradient "
                "descent takes small steps. Convert it with .astype(float), or keep what is not "
                "learned out of params."
            )

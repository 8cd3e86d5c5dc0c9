"""The leaves of a pytree as bytes, and back: what they were and where they lay; keys as numbers."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils


def leaves_of(tree: Any) -> list[tuple[str, Any]]:
    """The leaves by their paths; ValueError where one is no array of numbers."""
    leaves = [
        (
            jax.tree_util.keystr(path).removeprefix("."),
            leaf if hasattr(leaf, "dtype") else np.asarray(leaf),
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]
    for path, leaf in leaves:
        kinds = np.bool_, np.number, jax.dtypes.prng_key
        if not any(jnp.issubdtype(leaf.dtype, kind) for kind in kinds):
            raise ValueError(f"{path} has dtype {leaf.dtype}, but an array of numbers is wanted.")
    return leaves


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def spec_of(path: str, leaf: Any) -> dict:
    """What it is; of keys, that of their numbers, and how they are made of them."""
    if not _is_key(leaf):
        return {"path": path, "shape": list(leaf.shape), "dtype": str(leaf.dtype)}
    impl: list[str] = []

    def numbers(key):  # traced, for a ShapeDtypeStruct tells only there what made it
        impl.append(str(jax.random.key_impl(key)))
        return jax.random.key_data(key)

    return {**spec_of(path, jax.eval_shape(numbers, leaf)), "key": impl[0]}


def _on_host(leaf: Any) -> np.ndarray:
    """Its numbers; those that lie in several processes all of them fetch together."""
    if _is_key(leaf):
        leaf = jax.random.key_data(leaf)
    if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
        leaf = multihost_utils.process_allgather(leaf, tiled=True)
    return np.asarray(leaf)


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def packed_of(leaves: list[tuple[str, Any]]) -> np.ndarray:
    """The bytes of all leaves, one after the other; of several processes all call together."""
    arrays = [_on_host(leaf) for _, leaf in leaves]
    # A byte more, for orbax takes no array without any.
    return np.concatenate([*map(_bytes, arrays), np.zeros(1, np.uint8)])


def unpacked(like: Any, leaves: list[dict], packed: np.ndarray) -> Any:
    """The tree of packed leaves, each laid out as that of `like` is."""
    specs, end = {}, 0
    for spec in leaves:
        start, dtype = end, jnp.dtype(spec["dtype"])
        end = start + math.prod(spec["shape"]) * dtype.itemsize
        # Copied, for there it may lie at an odd address.
        specs[spec["path"]] = spec, packed[start:end].copy().view(dtype).reshape(spec["shape"])
    laid = [_laid_out(leaf, *specs[path]) for path, leaf in leaves_of(like)]
    return jax.tree.unflatten(jax.tree.structure(like), laid)


def _laid_out(like: Any, spec: dict, array: np.ndarray) -> Any:
    # JAX would cut off the digits of a type that is not enabled.
    is_known = jax.dtypes.canonicalize_dtype(array.dtype) == array.dtype
    if isinstance(like, np.ndarray | np.generic) or not is_known:
        return array
    sharding = getattr(like, "sharding", None)
    if sharding is None or not getattr(like, "committed", True):
        laid = jax.device_put(array)  # where the default is, and free to move
    else:
        laid = jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])
    return jax.random.wrap_key_data(laid, impl=spec["key"]) if "key" in spec else laid

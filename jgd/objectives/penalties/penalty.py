"""What a penalty is, and the mask of what it leaves alone.

The proximal operator is `prox(params, step) = argmin_z |z - params|²/2 + step * value(z)`. Descent
differentiates a smooth penalty and applies the proximal operator of a nonsmooth one, so that
zeros come out as zeros. It ends at the minimum with plain `sgd`, whose two steps are of one length.
Strengths are leaves: another strength compiles nothing.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgd.tree import Static, require_number


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Penalty:
    """A penalty on the parameters.

    Attributes:
      value: `params -> scalar`.
      prox: `(params, step) -> params`, the proximal operator of `step * value`.
      smooth: whether `value` has a gradient everywhere. Structure, not a number.
    """

    value: Callable
    prox: Callable
    smooth: bool = dataclasses.field(metadata={"static": True})


def like(number, p):
    """The number in the dtype of p."""
    return jnp.asarray(number).astype(p.dtype)


def strength_of(name, strength):
    """The strength as an array; ValueError where it is below 0."""
    return require_number(f"{name}: strength", strength, lambda s: s >= 0, "a number >= 0")


class Array(NamedTuple):
    """A bool or a label for each number, as structure, so that `vmap` does not deal it out."""

    shape: tuple[int, ...]
    content: bytes


def static_mask(mask: Any) -> Any:
    """The mask as structure: what is not penalised costs nothing."""

    def leaf(value):
        if isinstance(value, bool):
            return Static(value)
        if isinstance(value, jax.core.Tracer) or getattr(value, "dtype", None) != jnp.bool_:
            raise ValueError(
                f"mask holds {value!r}, but True, False or an array of bools is wanted for each "
                'parameter, known before tracing, e.g. {"weights": True, "bias": False}.'
            )
        array = np.asarray(value)
        return Static(Array(array.shape, array.tobytes()) if array.ndim else bool(array))

    return Static(True) if mask is None else jax.tree.map(leaf, mask)


def masked(mask, params) -> tuple[list[tuple[Any, jax.Array]], Any]:
    """The leaves of `params`, each with its mask: a bool, or an array of bools of the same shape."""
    try:
        masks = jax.tree.map(
            lambda m, part: jax.tree.map(lambda _: m, part), mask, params, is_leaf=_is_static
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"mask has the structure {jax.tree.structure(mask, is_leaf=_is_static)}, which is no "
            f"prefix of the structure of params, {jax.tree.structure(params)}. Give one bool for "
            "each parameter, or for a whole branch."
        ) from error
    leaves, treedef = jax.tree.flatten(params)
    masks = jax.tree.leaves(masks, is_leaf=_is_static)
    return [(_unpacked(m.value, p), p) for m, p in zip(masks, leaves, strict=True)], treedef


def _is_static(node) -> bool:
    return isinstance(node, Static)


def _unpacked(mask: bool | Array, p):
    if isinstance(mask, bool):
        return mask
    if mask.shape != p.shape:
        raise ValueError(
            f"mask has the shape {mask.shape} where the parameter has {p.shape}, but an array of "
            "bools wants the shape of the parameter that it stands for."
        )
    return np.frombuffer(mask.content, bool).reshape(mask.shape)


def total_of(function, mask, params):
    """Sum of `function` over the penalised parameters."""
    total = jnp.zeros((), jnp.result_type(*jax.tree.leaves(params)))
    for m, p in masked(mask, params)[0]:
        if m is not False:
            total += jnp.sum(function(p) if m is True else jnp.where(m, function(p), 0))
    return total


def map_penalised(function, mask, params):
    """`function` of the penalised parameters, the others as they are."""

    def leaf(m, p):
        if isinstance(m, bool):
            return function(p) if m else p
        return jnp.where(m, function(p), p)

    pairs, treedef = masked(mask, params)
    return jax.tree.unflatten(treedef, [leaf(m, p) for m, p in pairs])


def as_vector(mask, params) -> jax.Array:
    """The penalised numbers of all parameters."""
    pairs, _ = masked(mask, params)
    parts = [jnp.ravel(p) if m is True else p[m] for m, p in pairs if m is not False]
    if not sum(part.size for part in parts):
        raise ValueError(
            f"mask leaves out all of the params {jax.tree.map(jnp.shape, params)}, but a set wants at "
            "least one number to be in it."
        )
    return jnp.concatenate(parts)


def with_vector(mask, params, vector):
    """`params` with other penalised numbers, as `as_vector` orders them."""
    pairs, treedef = masked(mask, params)
    leaves, start = [], 0
    for m, p in pairs:
        size = p.size if m is True else int(np.sum(m))
        part = vector[start : start + size].astype(p.dtype)
        leaves.append(part.reshape(p.shape) if m is True else p.at[m].set(part) if size else p)
        start += size
    return jax.tree.unflatten(treedef, leaves)

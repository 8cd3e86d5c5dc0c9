"""Penalties on the parameters: value and proximal operator.

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
from jax.tree_util import Partial

from jgd.tree import Static, of_one_shape, require_number


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


def l1(strength, mask=None) -> Penalty:
    """Lasso penalty: `strength * sum |p|`; its proximal map moves each p towards 0 and stops there.

    Args:
      strength: number >= 0, or an array of them to be mapped over.
      mask: which parameters are penalised: a pytree of bools (or of bool arrays) with the structure
        of the parameters or a prefix of it. None penalises all, an intercept too.

    Returns:
      A `Penalty` that is not smooth.

    Raises:
      ValueError: the strength is below 0; the mask holds something else than bools.

    >>> penalty = l1(0.5, mask={"weights": True, "bias": False})
    >>> float(penalty.value({"weights": jnp.array([1.0, -2.0]), "bias": jnp.array(9.0)}))
    1.5

    Source: Tibshirani (1996), J. R. Statist. Soc. B 58(1).
    """
    bound = _strength("l1", strength), _mask(mask)
    return Penalty(Partial(_l1_value, *bound), Partial(_l1_prox, *bound), smooth=False)


def l2(strength, mask=None) -> Penalty:
    """Ridge penalty: `(strength / 2) * sum p²`, whose gradient is `strength * p`.

    Args:
      strength: number >= 0, or an array of them to be mapped over.
      mask: which parameters are penalised: a pytree of bools (or of bool arrays) with the structure
        of the parameters or a prefix of it. None penalises all, an intercept too.

    Returns:
      A `Penalty` that is smooth.

    Raises:
      ValueError: the strength is below 0; the mask holds something else than bools.

    >>> float(l2(0.5).value(jnp.array([1.0, -2.0])))
    1.25

    Source: Hoerl and Kennard (1970), Technometrics 12(1).
    """
    bound = _strength("l2", strength), _mask(mask)
    return Penalty(Partial(_l2_value, *bound), Partial(_l2_prox, *bound), smooth=True)


def elastic_net(strength, l1_ratio=0.5, mask=None) -> Penalty:
    """Elastic net: `strength * (l1_ratio * sum |p| + (1 - l1_ratio) / 2 * sum p²)`.

    Args:
      strength: number >= 0, or an array of them to be mapped over.
      l1_ratio: share of the lasso penalty, from 0 (ridge) to 1 (lasso).
      mask: which parameters are penalised: a pytree of bools (or of bool arrays) with the structure
        of the parameters or a prefix of it. None penalises all, an intercept too.

    Returns:
      A `Penalty` that is not smooth.

    Raises:
      ValueError: the strength is below 0; l1_ratio is outside 0..1; the mask holds something else
        than bools.

    >>> float(elastic_net(1.0, 0.5).value(jnp.array([1.0, -2.0])))
    2.75

    Source: Zou and Hastie (2005), J. R. Statist. Soc. B 67(2).
    """
    ratio = require_number(
        "elastic_net: l1_ratio", l1_ratio, lambda r: (r >= 0) & (r <= 1), "a number from 0 to 1"
    )
    numbers = of_one_shape("elastic_net", (_strength("elastic_net", strength), ratio))
    bound = *numbers, _mask(mask)
    return Penalty(Partial(_elastic_net_value, *bound), Partial(_elastic_net_prox, *bound), smooth=False)


def _l1_value(strength, mask, params):
    total = _total(jnp.abs, mask, params)
    return _like(strength, total) * total


def _l1_prox(strength, mask, params, step):
    return _map_penalised(lambda p: _shrink(p, step * strength), mask, params)


def _l2_value(strength, mask, params):
    total = _total(jnp.square, mask, params)
    return _like(strength, total) / 2 * total


def _l2_prox(strength, mask, params, step):
    return _map_penalised(lambda p: p / _like(1 + step * strength, p), mask, params)


def _elastic_net_value(strength, ratio, mask, params):
    return _l1_value(strength * ratio, mask, params) + _l2_value(strength * (1 - ratio), mask, params)


def _elastic_net_prox(strength, ratio, mask, params, step):
    shrunk = _l1_prox(strength * ratio, mask, params, step)
    return _l2_prox(strength * (1 - ratio), mask, shrunk, step)


def _shrink(p, threshold):
    """Soft threshold, which keeps the dtype of p."""
    return p - jnp.clip(p, -_like(threshold, p), _like(threshold, p))


def _like(number, p):
    return jnp.asarray(number).astype(p.dtype)


def _strength(name, strength):
    return require_number(f"{name}: strength", strength, lambda s: s >= 0, "a number >= 0")


class _Array(NamedTuple):
    """A mask for each number of a parameter, as structure, so that `vmap` does not deal it out."""

    shape: tuple[int, ...]
    content: bytes


def _mask(mask: Any) -> Any:
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
        return Static(_Array(array.shape, array.tobytes()) if array.ndim else bool(array))

    return Static(True) if mask is None else jax.tree.map(leaf, mask)


def _masked(mask, params) -> tuple[list[tuple[Any, jax.Array]], Any]:
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


def _unpacked(mask: bool | _Array, p):
    if isinstance(mask, bool):
        return mask
    if mask.shape != p.shape:
        raise ValueError(
            f"mask has the shape {mask.shape} where the parameter has {p.shape}, but an array of "
            "bools wants the shape of the parameter that it stands for."
        )
    return np.frombuffer(mask.content, bool).reshape(mask.shape)


def _total(function, mask, params):
    """Sum of `function` over the penalised parameters."""
    total = jnp.zeros((), jnp.result_type(*jax.tree.leaves(params)))
    for m, p in _masked(mask, params)[0]:
        if m is not False:
            total += jnp.sum(function(p) if m is True else jnp.where(m, function(p), 0))
    return total


def _map_penalised(function, mask, params):
    """`function` of the penalised parameters, the others as they are."""

    def leaf(m, p):
        if isinstance(m, bool):
            return function(p) if m else p
        return jnp.where(m, function(p), p)

    pairs, treedef = _masked(mask, params)
    return jax.tree.unflatten(treedef, [leaf(m, p) for m, p in pairs])

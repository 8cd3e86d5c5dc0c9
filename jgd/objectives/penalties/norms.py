"""Penalties on single numbers: lasso, ridge and both."""

import jax.numpy as jnp
from jax.tree_util import Partial

from jgd.objectives.penalties.penalty import (
    Penalty,
    like,
    map_penalised,
    static_mask,
    strength_of,
    total_of,
)
from jgd.tree import of_one_shape, require_number


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
    bound = strength_of("l1", strength), static_mask(mask)
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
    bound = strength_of("l2", strength), static_mask(mask)
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
    numbers = of_one_shape("elastic_net", (strength_of("elastic_net", strength), ratio))
    bound = *numbers, static_mask(mask)
    return Penalty(Partial(_elastic_net_value, *bound), Partial(_elastic_net_prox, *bound), smooth=False)


def _l1_value(strength, mask, params):
    total = total_of(jnp.abs, mask, params)
    return like(strength, total) * total


def _l1_prox(strength, mask, params, step):
    return map_penalised(lambda p: _shrink(p, step * strength), mask, params)


def _l2_value(strength, mask, params):
    total = total_of(jnp.square, mask, params)
    return like(strength, total) / 2 * total


def _l2_prox(strength, mask, params, step):
    return map_penalised(lambda p: p / like(1 + step * strength, p), mask, params)


def _elastic_net_value(strength, ratio, mask, params):
    return _l1_value(strength * ratio, mask, params) + _l2_value(strength * (1 - ratio), mask, params)


def _elastic_net_prox(strength, ratio, mask, params, step):
    shrunk = _l1_prox(strength * ratio, mask, params, step)
    return _l2_prox(strength * (1 - ratio), mask, shrunk, step)


def _shrink(p, threshold):
    """Soft threshold, which keeps the dtype of p."""
    return p - jnp.clip(p, -like(threshold, p), like(threshold, p))

"""Penalties taken apart into coordinates or groups of them."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jgd.convex.quadratic import Groups, Separable
from jgd.objectives.penalties import groups, norms, sets
from jgd.objectives.penalties.penalty import masked


def kinks_of(penalty, params) -> Separable | Groups | None:
    """The penalty by numbers, with kinks or bounds; None where it is none or l2."""
    if penalty is None or penalty.value.func is norms._l2_value:
        return None
    function, mask = penalty.value.func, penalty.value.args[-1]
    numbers: Any = penalty.value.args[:-1]
    is_held = held(mask, params)
    if function is groups._group_l1_value:
        return _group_strengths(numbers[0], numbers[1], mask, params)
    if function is norms._l1_value:
        return _separable(is_held, l1=numbers[0])
    if function is norms._elastic_net_value:
        strength, ratio = numbers
        return _separable(is_held, l1=strength * ratio, l2=strength * (1 - ratio))
    if function is sets._nonnegative_value:
        return _separable(is_held, low=0.0)
    if function is sets._box_value:
        return _separable(is_held, low=numbers[0], high=numbers[1])
    raise ValueError(
        "penalty does not fall apart into coordinates or groups, but coordinate wants l1, l2, "
        "elastic_net, group_l1, nonnegative or box. Use jgd.accelerated()."
    )


def held(mask, params) -> np.ndarray:
    """Which of the numbers are penalised, [P]."""
    parts = [np.broadcast_to(np.asarray(m), p.shape).ravel() for m, p in masked(mask, params)[0]]
    return np.concatenate(parts)


def _separable(is_held, l1=0.0, l2=0.0, low=-np.inf, high=np.inf) -> Separable:
    none = 0.0, 0.0, -np.inf, np.inf
    numbers = [
        jnp.where(is_held, number, other).astype(float)
        for number, other in zip((l1, l2, low, high), none, strict=True)
    ]
    return Separable(*numbers)


def _group_strengths(strength, labels, mask, params) -> Groups:
    members, weights, start = [], [], 0
    for m, p in masked(mask, params)[0]:
        places = start + np.arange(p.size).reshape(p.shape[0] if p.ndim else 1, -1)
        start += p.size
        if m is False:
            members += [np.array([place]) for place in places.ravel()]
            weights += [0.0] * p.size
            continue
        of_leaf = groups.groups_of(labels, m, p)
        is_held = np.broadcast_to(np.asarray(m), p.shape).reshape(places.shape)
        for group, weight in enumerate(of_leaf.weights):
            own = of_leaf.labels == group
            members.append(places[own][is_held[own]])
            weights.append(float(weight))
        members += [np.array([place]) for place in places[~is_held]]
        weights += [0.0] * int((~is_held).sum())
    longest = max(map(len, members))
    filled = [np.pad(own, (0, longest - len(own)), constant_values=start) for own in members]
    return Groups(jnp.asarray(np.stack(filled)), strength * jnp.asarray(weights, float))

"""Convex conjugates of the penalties: what is left in the inequality of Fenchel and Young.

    excess(params, u) = g(params) + g*(u) - <u, params> >= 0

over the penalised numbers. Where g* is infinite beyond a bound, `scale` is the factor from 0 to 1 that
brings u within it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgd.objectives.penalties import groups, norms, sets
from jgd.objectives.penalties.penalty import as_vector, like, masked
from jgd.tree import norm

relu = jax.nn.relu


class Conjugate(NamedTuple):
    """The conjugate of a penalty.

    Attributes:
      excess: `(*numbers, mask, params, u) -> scalar`; infinite where g* is.
      scale: `(*numbers, mask, u) -> scalar`, or None where g* is finite everywhere.
      curvature: `(*numbers) -> scalar`, the strong convexity of g; None where it has none.
      slope: `(*numbers, mask, u) -> params`, the gradient of g* where g is strongly convex.
    """

    excess: Callable
    scale: Callable | None = None
    curvature: Callable | None = None
    slope: Callable | None = None


def _vectors(mask, params, u):
    return as_vector(mask, params), as_vector(mask, u)


def _per(excess, strength):
    """`excess / strength`; where the strength is 0, infinity unless there is none."""
    return jnp.where(
        strength > 0, excess / jnp.where(strength > 0, strength, 1), jnp.where(excess > 0, jnp.inf, 0)
    )


def _l2(strength, mask, params, u):
    p, u = _vectors(mask, params, u)
    strength = like(strength, p)
    return _per(jnp.sum(jnp.square(strength * p - u)) / 2, strength)


def _elastic_net(strength, ratio, mask, params, u):
    p, u = _vectors(mask, params, u)
    bound, ridge = like(strength * ratio, p), like(strength * (1 - ratio), p)
    within = jnp.clip(u, -bound, bound)
    kinks = jnp.sum(jnp.abs(p) * bound - within * p)
    return kinks + _per(jnp.sum(jnp.square(ridge * p - (u - within))) / 2, ridge)


def _l1(strength, mask, params, u):
    return _elastic_net(strength, jnp.ones_like(strength), mask, params, u)


def _l1_scale(strength, mask, u):
    return _within(strength, jnp.max(jnp.abs(as_vector(mask, u))))


def _within(bound, size):
    """The factor that brings a size within a bound, a rounding inside of it."""
    bound = like(bound, size) * (1 - 2 * jnp.finfo(size.dtype).eps)
    return jnp.where(size > bound, bound / jnp.where(size > 0, size, 1), 1)


def _is_beyond(scale) -> jax.Array:
    """Whether u is out of bounds, by more than the rounding of what was scaled to lie within."""
    return scale < 1 - 64 * jnp.finfo(scale.dtype).eps


def _of_groups(function, mask, labels, *trees):
    """`function` of the norms of each group and their weights, for each penalised leaf."""
    pairs = [masked(mask, tree)[0] for tree in trees]
    results = []
    for of_leaf in zip(*pairs, strict=True):
        m, leaf = of_leaf[0]
        if m is not False:
            own = groups.groups_of(labels, m, leaf)
            sizes = [groups.group_norms(own, m, x) for _, x in of_leaf]
            results.append(function(own.weights.astype(leaf.dtype), *sizes))
    return results


def _group_l1(strength, labels, mask, params, u):
    p, flat = _vectors(mask, params, u)
    pull = like(strength, p) * sum(_of_groups(lambda w, p: jnp.sum(w * p), mask, labels, params))
    beyond = _is_beyond(_group_l1_scale(strength, labels, mask, u))
    return jnp.where(beyond, jnp.inf, relu(pull - p @ flat))


def _group_l1_scale(strength, labels, mask, u):
    most = _of_groups(lambda w, u: jnp.max(u / jnp.where(w > 0, w, 1)), mask, labels, u)
    return _within(strength, jnp.max(jnp.stack(most)))


def _nuclear(strength, mask, params, u):
    p, flat = _vectors(mask, params, u)
    total = groups._nuclear_value(strength, mask, params)
    beyond = _is_beyond(_nuclear_scale(strength, mask, u))
    return jnp.where(beyond, jnp.inf, relu(total - p @ flat))


def _nuclear_scale(strength, mask, u):
    pairs, _ = masked(mask, u)
    most = [jnp.linalg.norm(jnp.where(np.asarray(m), x, 0), 2) for m, x in pairs if m is not False]
    return _within(strength, jnp.max(jnp.stack(most)))


def _box(lower, upper, mask, params, u):
    p, u = _vectors(mask, params, u)
    lower, upper = like(lower, p), like(upper, p)
    # Where there is no bound, u must be 0.
    up, down = (jnp.where(pull > 0, pull * gap, 0) for pull, gap in ((u, upper - p), (-u, p - lower)))
    return jnp.sum(up) + jnp.sum(down)


def _support(size):
    """The excess of a ball: `radius * dual norm of u - <u, p>`."""

    def excess(radius, mask, params, u):
        p, u = _vectors(mask, params, u)
        return relu(like(radius, p) * size(u) - p @ u)

    return excess


CONJUGATES: dict[Any, Conjugate] = {
    norms._l2_value: Conjugate(_l2, None, lambda s: s, lambda s, mask, u: u / like(s, u)),
    norms._l1_value: Conjugate(_l1, _l1_scale),
    norms._elastic_net_value: Conjugate(
        _elastic_net,
        lambda strength, ratio, mask, u: _l1_scale(strength * ratio, mask, u),
        lambda strength, ratio: strength * (1 - ratio),
        lambda strength, ratio, mask, u: (
            (u - jnp.clip(u, -like(strength * ratio, u), like(strength * ratio, u)))
            / like(strength * (1 - ratio), u)
        ),
    ),
    groups._group_l1_value: Conjugate(_group_l1, _group_l1_scale),
    groups._nuclear_value: Conjugate(_nuclear, _nuclear_scale),
    sets._box_value: Conjugate(_box),
    sets._l2_ball_value: Conjugate(_support(norm)),
    sets._l1_ball_value: Conjugate(_support(lambda u: jnp.max(jnp.abs(u)))),
    sets._simplex_value: Conjugate(_support(jnp.max)),
}

"""Sets that the parameters must stay in.

The value is 0 inside and infinity outside, and the proximal map is the projection. With plain `sgd`
descent becomes projected gradient descent. A start outside is projected, and `descend` says so.
"""

import jax.numpy as jnp
import numpy as np
import optax
from jax.tree_util import Partial

from jgd.objectives.penalties.penalty import (
    Penalty,
    as_vector,
    like,
    map_penalised,
    masked,
    static_mask,
    with_vector,
)
from jgd.tree import norm, of_one_shape, require_number

ROUNDING = 128  # spacings of floats by which what a projection returns may lie outside


def nonnegative(mask=None) -> Penalty:
    """All `p >= 0`: 0 inside, infinity outside; the projection is `max(p, 0)`.

    Args:
      mask: which parameters are meant: a pytree of bools (or of bool arrays) with the structure of the
        parameters or a prefix of it. None means all, an intercept too.

    Returns:
      A `Penalty` that is not smooth.

    Raises:
      ValueError: the mask holds something else than bools.

    >>> nonnegative().prox(jnp.array([1.0, -2.0]), 1.0)
    Array([1., 0.], dtype=float32)

    Source: Lawson and Hanson (1974), Solving Least Squares Problems, chapter 23.
    """
    bound = (static_mask(mask),)
    return Penalty(Partial(_nonnegative_value, *bound), Partial(_nonnegative_prox, *bound), smooth=False)


def box(lower, upper, mask=None) -> Penalty:
    """All `lower <= p <= upper`: 0 inside, infinity outside; the projection is the nearest bound.

    Args:
      lower: number, -inf for none.
      upper: number >= lower, inf for none. Both may be arrays to be mapped over.
      mask: which parameters are meant: a pytree of bools (or of bool arrays) with the structure of the
        parameters or a prefix of it. None means all, an intercept too.

    Returns:
      A `Penalty` that is not smooth.

    Raises:
      ValueError: lower > upper, or one of them is NaN; the mask holds something else than bools.

    >>> box(-1.0, 0.5).prox(jnp.array([2.0, -2.0, 0.1]), 1.0)
    Array([ 0.5, -1. ,  0.1], dtype=float32)

    Source: Bertsekas (1982), SIAM Journal on Control and Optimization 20(2).
    """
    numbers = [
        require_number(f"box: {name}", bound, lambda b: ~np.isnan(b), "a number")
        for name, bound in (("lower", lower), ("upper", upper))
    ]
    numbers = of_one_shape("box", numbers)
    # Their order is judged as the sign of a number, where it is known.
    require_number(
        "box: upper - lower",
        jnp.where(numbers[0] == numbers[1], 0, numbers[1] - numbers[0]),
        lambda width: width >= 0,
        "a number >= 0",
    )
    bound = *numbers, static_mask(mask)
    return Penalty(Partial(_box_value, *bound), Partial(_box_prox, *bound), smooth=False)


def l2_ball(radius=1.0, mask=None) -> Penalty:
    """Ball `sqrt(sum p²) <= radius`: 0 inside, infinity outside; the projection scales all alike.

    Args:
      radius: number > 0, or an array of them to be mapped over.
      mask: which parameters are meant, as one vector: a pytree of bools (or of bool arrays) with the
        structure of the parameters or a prefix of it. None means all, an intercept too.

    Returns:
      A `Penalty` that is not smooth.

    Raises:
      ValueError: the radius is not above 0; the mask holds something else than bools.

    >>> l2_ball(1.0).prox(jnp.array([3.0, 4.0]), 1.0)
    Array([0.6, 0.8], dtype=float32)

    Source: Ivanov (1962); Parikh and Boyd (2014), Proximal Algorithms, section 6.5.
    """
    bound = _radius("l2_ball: radius", radius), static_mask(mask)
    return Penalty(Partial(_l2_ball_value, *bound), Partial(_l2_ball_prox, *bound), smooth=False)


def l1_ball(radius=1.0, mask=None) -> Penalty:
    """Cross-polytope `sum |p| <= radius`: 0 inside, infinity outside; projected by a soft threshold.

    Args:
      radius: number > 0, or an array of them to be mapped over.
      mask: which parameters are meant, as one vector: a pytree of bools (or of bool arrays) with the
        structure of the parameters or a prefix of it. None means all, an intercept too.

    Returns:
      A `Penalty` that is not smooth.

    Raises:
      ValueError: the radius is not above 0; the mask holds something else than bools, or nothing.

    >>> l1_ball(1.0).prox(jnp.array([2.0, 1.5, 0.1]), 1.0)
    Array([0.75, 0.25, 0.  ], dtype=float32)

    Source: Tibshirani (1996); Duchi et al. (2008), ICML, for the projection, which is optax's.
    """
    bound = _radius("l1_ball: radius", radius), static_mask(mask)
    return Penalty(Partial(_l1_ball_value, *bound), Partial(_l1_ball_prox, *bound), smooth=False)


def simplex(total=1.0, mask=None) -> Penalty:
    """All `p >= 0` and `sum p = total`: 0 inside, infinity outside; the projection is Euclidean.

    Args:
      total: number > 0, or an array of them to be mapped over.
      mask: which parameters are meant, as one vector: a pytree of bools (or of bool arrays) with the
        structure of the parameters or a prefix of it. None means all, an intercept too.

    Returns:
      A `Penalty` that is not smooth.

    Raises:
      ValueError: the total is not above 0; the mask holds something else than bools, or nothing.

    >>> simplex().prox(jnp.array([0.9, 0.5, -1.0]), 1.0)
    Array([0.7, 0.3, 0. ], dtype=float32)

    Source: Duchi, Shalev-Shwartz, Singer and Chandra (2008), ICML, for the projection, which is optax's.
    """
    bound = _radius("simplex: total", total), static_mask(mask)
    return Penalty(Partial(_simplex_value, *bound), Partial(_simplex_prox, *bound), smooth=False)


def _radius(name, radius):
    return require_number(name, radius, lambda r: (r > 0) & np.isfinite(r), "a number > 0")


def _zero_or_infinite(inside, params):
    dtype = jnp.result_type(*(p for _, p in params))
    return jnp.where(inside, 0, jnp.inf).astype(dtype)


def _everywhere(condition, mask, params):
    pairs, _ = masked(mask, params)
    inside = jnp.ones((), bool)
    for m, p in pairs:
        if m is not False:
            inside &= jnp.all(condition(p) | ~np.asarray(m))
    return _zero_or_infinite(inside, pairs)


def _nonnegative_value(mask, params):
    return _everywhere(lambda p: p >= 0, mask, params)


def _nonnegative_prox(mask, params, step):
    del step
    return map_penalised(lambda p: jnp.maximum(p, 0), mask, params)


def _box_value(lower, upper, mask, params):
    return _everywhere(lambda p: (p >= like(lower, p)) & (p <= like(upper, p)), mask, params)


def _box_prox(lower, upper, mask, params, step):
    del step
    return map_penalised(lambda p: jnp.clip(p, like(lower, p), like(upper, p)), mask, params)


def _at_most(size, bound, mask, params):
    """Of the penalised vector, whether its size is at most the bound, but for rounding."""
    vector = as_vector(mask, params)
    slack = 1 + ROUNDING * jnp.finfo(vector.dtype).eps
    return _zero_or_infinite(size(vector) <= like(bound, vector) * slack, masked(mask, params)[0])


def _l2_ball_value(radius, mask, params):
    return _at_most(norm, radius, mask, params)


def _l2_ball_prox(radius, mask, params, step):
    del step
    length = norm(as_vector(mask, params))
    factor = like(radius, length) / jnp.maximum(length, like(radius, length))
    return map_penalised(lambda p: like(factor, p) * p, mask, params)


def _l1_ball_value(radius, mask, params):
    return _at_most(lambda vector: jnp.sum(jnp.abs(vector)), radius, mask, params)


def _l1_ball_prox(radius, mask, params, step):
    del step
    vector = as_vector(mask, params)
    sizes, radius = jnp.abs(vector), like(radius, vector)
    # That of optax for the ball stumbles over float32 where float64 is switched on.
    shrunk = _onto_simplex(sizes, radius)
    inside = jnp.sum(sizes) <= radius
    return with_vector(mask, params, jnp.where(inside, vector, jnp.sign(vector) * shrunk))


def _simplex_value(total, mask, params):
    vector = as_vector(mask, params)
    total = like(total, vector)
    slack = ROUNDING * jnp.finfo(vector.dtype).eps * total
    inside = jnp.all(vector >= -slack) & (jnp.abs(jnp.sum(vector) - total) <= slack)
    return _zero_or_infinite(inside, masked(mask, params)[0])


def _simplex_prox(total, mask, params, step):
    del step
    vector = as_vector(mask, params)
    return with_vector(mask, params, _onto_simplex(vector, like(total, vector)))


def _onto_simplex(vector, total):
    """The projection of optax; its sum is put right, for that of huge numbers is lost in rounding."""
    found = optax.projections.projection_simplex(vector, total).astype(vector.dtype)
    summed = jnp.sum(found)
    return found * (total / jnp.where(summed > 0, summed, total))

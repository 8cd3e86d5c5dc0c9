"""Penalties on several numbers together: groups of them, and the rank of a matrix."""

from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from jgd.objectives.penalties.penalty import (
    Array,
    Penalty,
    like,
    map_penalised,
    masked,
    static_mask,
    strength_of,
)
from jgd.tree import Static


def group_l1(strength, groups=None, mask=None) -> Penalty:
    """Group lasso: `strength * sum_g sqrt(size_g) |p_g|`; groups become zero as a whole.

    Args:
      strength: number >= 0, or an array of them to be mapped over.
      groups: which numbers belong together: integers [D], a label >= 0 for each index of the leading
        axis of every penalised parameter. None makes each index a group: all outputs of a feature, for
        weights [D, C]; for a vector it is the lasso.
      mask: which parameters are penalised: a pytree of bools (or of bool arrays) with the structure
        of the parameters or a prefix of it. None penalises all, an intercept too.

    Returns:
      A `Penalty` that is not smooth.

    Raises:
      ValueError: the strength is below 0; groups are no labels, or not as many as the parameter has
        rows; the mask holds something else than bools.

    >>> penalty = group_l1(1.0, groups=[0, 0, 1])
    >>> round(float(penalty.value(jnp.array([3.0, 4.0, -2.0]))), 4)  # sqrt(2) * 5 + 2
    9.0711
    >>> penalty.prox(jnp.array([0.3, 0.4, -2.0]), 1.0)
    Array([ 0.,  0., -1.], dtype=float32)

    Source: Yuan and Lin (2006), J. R. Statist. Soc. B 68(1).
    """
    bound = strength_of("group_l1", strength), _labels(groups), static_mask(mask)
    return Penalty(Partial(_group_l1_value, *bound), Partial(_group_l1_prox, *bound), smooth=False)


def nuclear(strength, mask=None) -> Penalty:
    """Nuclear norm: `strength * (sum of singular values)` of each matrix; low ranks come out.

    Args:
      strength: number >= 0, or an array of them to be mapped over.
      mask: which parameters are penalised: a pytree of bools with the structure of the parameters or a
        prefix of it. None penalises all; each of them must be a matrix.

    Returns:
      A `Penalty` that is not smooth. Its proximal map has no derivative where two singular values are
      equal.

    Raises:
      ValueError: the strength is below 0; the mask holds something else than bools; a penalised
        parameter is no matrix.

    >>> penalty = nuclear(1.0)
    >>> float(penalty.value(jnp.diag(jnp.array([3.0, 0.5]))))
    3.5
    >>> penalty.prox(jnp.diag(jnp.array([3.0, 0.5])), 1.0).round(4)
    Array([[2., 0.],
           [0., 0.]], dtype=float32)

    Source: Fazel (2002); Cai, Candès and Shen (2010), SIAM Journal on Optimization 20(4), for the map.
    """
    bound = strength_of("nuclear", strength), static_mask(mask)
    return Penalty(Partial(_nuclear_value, *bound), Partial(_nuclear_prox, *bound), smooth=False)


def _labels(groups) -> Static:
    if groups is None:
        return Static(None)
    labels = np.asarray(groups)
    if isinstance(groups, jax.core.Tracer) or labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise ValueError(
            f"group_l1: groups is {groups!r}, but whole numbers [D] are wanted, a label for each index "
            "of the leading axis, known before tracing; or None, where each is a group."
        )
    if labels.size == 0 or labels.min() < 0:
        raise ValueError(
            f"group_l1: groups has {labels.size} labels"
            + (f" from {labels.min()} on" if labels.size else "")
            + ", but at least one is wanted, and none below 0."
        )
    # Labels that no number bears would be groups without a member.
    labels = np.unique(labels, return_inverse=True)[1].astype(np.int32)
    return Static(Array(labels.shape, labels.tobytes()))


class Groups(NamedTuple):
    """The groups of one parameter.

    Attributes:
      labels: [D], the group of each index of the leading axis.
      weights: [G], the square root of the number of its members.
    """

    labels: np.ndarray
    weights: np.ndarray


def groups_of(labels: Static, mask, p) -> Groups:
    """The groups of a parameter; `mask` is a bool, or an array of them."""
    num_rows = p.shape[0] if p.ndim else 1
    if labels.value is None:
        rows = np.arange(num_rows, dtype=np.int32)
    else:
        rows = np.frombuffer(cast(Array, labels.value).content, np.int32)
        if len(rows) != num_rows or not p.ndim:
            raise ValueError(
                f"group_l1: groups has {len(rows)} labels, but a penalised parameter has the shape "
                f"{p.shape}; one label for each index of its leading axis is wanted. Leave others out "
                'by a mask: {"weights": True, "bias": False}.'
            )
    members = np.broadcast_to(mask, p.shape).reshape(num_rows, -1).sum(axis=1)
    return Groups(rows, np.sqrt(np.bincount(rows, members)))


def group_norms(groups: Groups, mask, p) -> jax.Array:
    """Euclidean norm of each group, [G]; its derivative at 0 is 0."""
    p = jnp.where(np.asarray(mask), p, 0)
    squares = jnp.sum(jnp.square(p).reshape(len(groups.labels), -1), axis=1)
    if len(groups.weights) < len(groups.labels):
        squares = jax.ops.segment_sum(squares, groups.labels, len(groups.weights))
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def _group_l1_value(strength, labels, mask, params):
    total = jnp.zeros((), jnp.result_type(*jax.tree.leaves(params)))
    for m, p in masked(mask, params)[0]:
        if m is not False:
            groups = groups_of(labels, m, p)
            total += jnp.sum(groups.weights.astype(p.dtype) * group_norms(groups, m, p))
    return like(strength, total) * total


def _group_l1_prox(strength, labels, mask, params, step):
    pairs, treedef = masked(mask, params)

    def leaf(m, p):
        if m is False:
            return p
        groups = groups_of(labels, m, p)
        norms = group_norms(groups, m, p)
        threshold = like(step * strength, p) * groups.weights.astype(p.dtype)
        left = jax.nn.relu(1 - threshold / jnp.where(norms > 0, norms, 1))
        # A group of zeros stays there when it is moved a little, unless nothing holds it.
        factors = jnp.where(norms > 0, left, (threshold == 0).astype(p.dtype))[groups.labels]
        shrunk = factors.reshape(-1, *(1,) * (p.ndim - 1)) * p if p.ndim else factors[0] * p
        return jnp.where(np.asarray(m), shrunk, p)

    return jax.tree.unflatten(treedef, [leaf(m, p) for m, p in pairs])


def _matrix(p):
    if p.ndim != 2:
        raise ValueError(
            f"nuclear: a penalised parameter has the shape {p.shape}, but a matrix is wanted. Leave "
            'others out by a mask: {"weights": True, "bias": False}.'
        )
    return p


def _nuclear_value(strength, mask, params):
    total = jnp.zeros((), jnp.result_type(*jax.tree.leaves(params)))
    for m, p in masked(mask, params)[0]:
        if m is not False:
            total += jnp.sum(jnp.linalg.svd(jnp.where(np.asarray(m), _matrix(p), 0), compute_uv=False))
    return like(strength, total) * total


def _nuclear_prox(strength, mask, params, step):
    def shrunk(p):
        left, values, right = jnp.linalg.svd(_matrix(p), full_matrices=False)
        return (left * jax.nn.relu(values - like(step * strength, p))) @ right

    return map_penalised(shrunk, mask, params)

"""The features of a problem: which leaves they are, how they look, what standardising would change."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgd.tuning.columns import Columns, as_numpy, columns_of, dependent_columns
from jgd.tuning.hessian import Problem
from jgd.tuning.linear_layer import Layer, find_layer, standardised
from jgd.tuning.separable import Parted, Plane, classes_of, parting_plane
from jgd.tuning.soundness import leaf_names
from jgd.tuning.surroundings import losses_of_examples, value_along

TIMES = np.array([1.0, 10.0, 100.0])


class Features(NamedTuple):
    """A leaf [N, D] of the data.

    Attributes:
      columns: how it looks.
      layer: what multiplies it; None where the loss is not linear in it.
      dependent: columns that are a combination of others, each with those others.
      has_constant: whether there is a bias or a constant column; True where there is no layer to tell.
    """

    columns: Columns
    layer: Layer | None
    dependent: list[tuple[int, list[int]]]
    has_constant: bool


def features_of(
    problem: Problem, precise: Problem, rows: np.ndarray, index: np.ndarray
) -> tuple[Features, ...]:
    """The leaves [N, D] that a layer multiplies; where there is none, those of floats with D > 1.

    Args:
      problem: all rows.
      precise: the sample, in float64 where it could be.
      rows: [N] bools, which rows count.
      index: [n], the places of the sample.
    """
    names = leaf_names("data", problem.data)
    found = []
    for place, leaf in enumerate(jax.tree.leaves(problem.data)):
        is_numeric = any(jnp.issubdtype(leaf.dtype, kind) for kind in (jnp.floating, jnp.integer))
        if leaf.ndim != 2 or not leaf.shape[1] or not is_numeric:
            continue
        columns = columns_of(names[place], place, leaf, rows, index)
        layer = None
        with_floats = _with_floats(precise, place)
        if with_floats is not None:
            losses = functools.partial(losses_of_examples, precise.objective.loss)
            layer = find_layer(losses, precise.params, with_floats, columns)
        found.append((columns, layer))
    if any(layer is not None for _, layer in found):
        found = [(columns, layer) for columns, layer in found if layer is not None]
    else:
        leaves = jax.tree.leaves(problem.data)
        found = [
            (columns, None)
            for columns, _ in found
            if len(columns.mean) > 1 and jnp.issubdtype(leaves[columns.place].dtype, jnp.floating)
        ]
    return tuple(_features(columns, layer) for columns, layer in found)


def _features(columns: Columns, layer: Layer | None) -> Features:
    is_level = columns.constant & (columns.mean != 0)
    has_constant = layer is None or layer.bias is not None or bool(is_level.any())
    return Features(columns, layer, dependent_columns(columns, has_constant), has_constant)


def _with_floats(precise: Problem, place: int) -> Any | None:
    """The data, with floats in one leaf; None where the loss does not take them there."""
    leaves, treedef = jax.tree.flatten(precise.data)
    if jnp.issubdtype(leaves[place].dtype, jnp.floating):
        return precise.data
    leaves[place] = leaves[place].astype(float)
    data = jax.tree.unflatten(treedef, leaves)
    try:
        jax.eval_shape(losses_of_examples, precise.objective.loss, precise.params, data)
    except (TypeError, ValueError, IndexError):
        return None
    return data


def standardised_problem(precise: Problem, features: tuple[Features, ...]) -> Problem | None:
    """The problem of the same predictions with standardised features; None where none can be."""
    params, data = precise.params, precise.data
    for columns, layer, *_ in features:
        if layer is None:
            return None  # where one is None, all are
        data = _with_floats(precise._replace(data=data), columns.place)
        params, data = standardised(params, data, columns, layer)
    return precise._replace(params=params, data=data) if features else None


def parted(
    problem: Problem,
    precise: Problem,
    rows: np.ndarray,
    index: np.ndarray,
    features: tuple[Features, ...],
) -> Parted | None:
    """A plane that parts a class from the others, along whose normal J was seen to fall without end."""
    names = leaf_names("data", problem.data)
    places = np.flatnonzero(rows)
    sample = np.searchsorted(places, index)
    leaves = jax.tree.leaves(problem.data)
    for part in features:
        if part.layer is None:
            continue
        x = as_numpy(leaves[part.columns.place])
        for name, leaf in zip(names, leaves, strict=True):
            if leaf.ndim != 1 or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                continue
            labels = as_numpy(leaf)[places]
            if not _has_room(precise.params, part.layer, classes_of(labels)):
                continue
            mean = None if part.layer.bias is None else part.columns.mean
            size = np.sqrt(np.mean(np.square(part.columns.values), axis=0))
            scale = size if mean is None else part.columns.deviation
            plane = parting_plane(x[places], labels, sample, np.where(scale > 0, scale, 1), mean)
            values = None if plane is None else _values_along(precise, part.layer, plane)
            if plane is not None and values is not None:
                num_inside = int(np.sum(labels == plane.label))
                return Parted(plane, name, part.columns.name, num_inside, values)
    return None


def _has_room(params: Any, layer: Layer, classes: np.ndarray | None) -> bool:
    """Whether the layer predicts one number for two classes, or one for each class."""
    shape = jax.tree.leaves(params)[layer.weights].shape
    if classes is None or len(shape) > 2:
        return False
    return len(classes) == 2 if len(shape) == 1 else len(classes) == shape[1 - layer.axis]


def _values_along(precise: Problem, layer: Layer, plane: Plane) -> tuple[float, ...] | None:
    """J at 1, 10 and 100 times the normal, where it and the loss of each example fall; else None.

    A loss with a margin, such as hinge, falls to 0 and stays there: a minimum. With a penalty J rises.
    """
    for sign in (1, -1):
        start, step = _along(precise.params, layer, plane, sign)
        line = precise._replace(params=start)
        values = value_along(line, step, TIMES)
        far = [jax.tree.map(lambda p, s, t=t: p + t * s, start, step) for t in TIMES]
        losses = np.array([losses_of_examples(precise.objective.loss, p, precise.data) for p in far])
        falls = np.all(np.diff(losses, axis=0) <= 0)
        if falls and np.all(np.diff(values) < 0):
            return tuple(values.tolist())
    return None


def _along(params: Any, layer: Layer, plane: Plane, sign: int) -> tuple[Any, Any]:
    """The params with a layer of 0, and the step along the plane's normal."""
    leaves, treedef = jax.tree.flatten(params)
    weights = leaves[layer.weights]
    steps = [jnp.zeros_like(leaf) for leaf in leaves]
    normal, offset = (sign * jnp.asarray(x, weights.dtype) for x in (plane.normal, plane.offset))
    if weights.ndim == 1:
        parts = normal, offset
    else:
        one = jnp.arange(weights.shape[1 - layer.axis]) == plane.place
        parts = jnp.moveaxis(normal[:, None] * one, 0, layer.axis), offset * one
    for place, step in zip((layer.weights, layer.bias), parts, strict=True):
        if place is not None:
            leaves[place], steps[place] = jnp.zeros_like(leaves[place]), step.astype(leaves[place].dtype)
    return jax.tree.unflatten(treedef, leaves), jax.tree.unflatten(treedef, steps)

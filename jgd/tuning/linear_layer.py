"""Which params multiply the features: found by trial, for any loss.

A loss is linear in its features where they enter as `x @ weights + bias` alone, be it a linear model or
the first layer of a network. Then `(x - mean) / scale` with the weights `scale * weights` and the bias
`bias + mean @ weights` is the same prediction. Which leaves are weights and bias nobody says; but at
params drawn at random this holds for them, and for others it does not.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgd.tuning.columns import Columns


class Layer(NamedTuple):
    """A layer that the features go through.

    Attributes:
      weights: the number of the leaf of params that multiplies the features.
      axis: of the weights, along the features.
      bias: the number of the leaf that is added, or None.
    """

    weights: int
    axis: int
    bias: int | None


def find_layer(losses: Callable, params: Any, data: Any, columns: Columns) -> Layer | None:
    """The layer that the columns go through, or None where the loss is not linear in them.

    Args:
      losses: `(params, data) -> [n]`, the loss of each example.
      params: pytree of float arrays.
      data: pytree of arrays [n, ...]: the sample.
      columns: of one of its leaves, of floats.
    """
    trial, elsewhere = _drawn(params, columns), _moved(columns)
    wanted = losses(trial, data)

    def agrees(layer: Layer) -> bool:
        moved = standardised(trial, data, elsewhere, layer)
        same, other = losses(*moved), losses(trial, moved[1])
        return _are_close(same, wanted) and not _are_close(other, wanted)

    for weights, axis in _places_of_size(params, len(columns.mean)):
        if not agrees(Layer(weights, axis, None)):
            continue
        shape = np.delete(jax.tree.leaves(params)[weights].shape, axis)
        for bias, leaf in enumerate(jax.tree.leaves(params)):
            if leaf.shape == tuple(shape) and bias != weights and agrees(Layer(weights, axis, bias)):
                return Layer(weights, axis, bias)
        return Layer(weights, axis, None)
    return None


def standardised(params: Any, data: Any, columns: Columns, layer: Layer) -> tuple[Any, Any]:
    """Params and data of the same predictions, with standardised columns.

    Without a bias nothing can take up the mean, and the columns keep theirs.
    """
    scale = np.where(columns.deviation > 0, columns.deviation, 1)
    if layer.bias is None:
        # A column without spread is scaled too, or it would be the one that is left behind.
        size = np.sqrt(np.mean(np.square(columns.values), axis=0))
        scale = np.where(columns.deviation > 0, scale, np.where(size > 0, size, 1))
    mean = columns.mean if layer.bias is not None else np.zeros_like(columns.mean)
    # In NumPy, for each operation of JAX on arrays of a new shape would be compiled first.
    leaves, treedef = jax.tree.flatten(params)
    weights = np.moveaxis(np.asarray(leaves[layer.weights]), layer.axis, 0)
    if layer.bias is not None:
        bias = np.asarray(leaves[layer.bias])
        leaves[layer.bias] = (bias + np.tensordot(mean, weights, axes=1)).astype(bias.dtype)
    scaled = weights * scale.reshape(-1, *(1,) * (weights.ndim - 1))
    leaves[layer.weights] = np.moveaxis(scaled, 0, layer.axis).astype(weights.dtype)
    rows, data_treedef = jax.tree.flatten(data)
    dtype = rows[columns.place].dtype
    rows[columns.place] = np.asarray((columns.values - mean) / scale, dtype)
    as_tree = jax.tree.unflatten
    return as_tree(treedef, map(jnp.asarray, leaves)), as_tree(data_treedef, map(jnp.asarray, rows))


def _drawn(params: Any, columns: Columns) -> Any:
    """Params at random, so small beside the columns that predictions are of order 1."""
    rng = np.random.default_rng(0)
    size = np.sqrt(np.mean(np.square(columns.values), axis=0))
    size = np.where(size > 0, size, 1) * np.sqrt(len(size))

    def leaf(p):
        noise = rng.normal(size=p.shape)
        for axis, length in enumerate(p.shape):
            if length == len(size):
                noise /= size.reshape(-1, *(1,) * (p.ndim - 1 - axis))
                break
        return jnp.asarray(np.asarray(p) + noise, p.dtype)

    return jax.tree.map(leaf, params)


def _moved(columns: Columns) -> Columns:
    """The columns with another mean and deviation: of standardised ones, too, the data then change."""
    factors = np.random.default_rng(1).uniform(0.5, 2, len(columns.mean))
    return columns._replace(mean=columns.mean + columns.deviation, deviation=columns.deviation * factors)


def _places_of_size(params: Any, size: int) -> Iterator[tuple[int, int]]:
    for place, leaf in enumerate(jax.tree.leaves(params)):
        for axis, length in enumerate(leaf.shape):
            if length == size:
                yield place, axis


def _are_close(one: jax.Array, other: jax.Array) -> bool:
    """Whether they are equal but for rounding, by their size and by how much they differ among rows."""
    tolerance = 1e-6 if one.dtype == jnp.float64 else 1e-3
    found, wanted = np.asarray(one), np.asarray(other)
    return bool(np.all(np.abs(found - wanted) <= tolerance * (np.abs(wanted) + np.std(wanted))))

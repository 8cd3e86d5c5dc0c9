"""Folds by configurations as lanes of one program, each lane the very training that `fit` would be."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from jgd import metrics
from jgd.descent.loop import Fit
from jgd.sklearn.training import Setup, model_of, train
from jgd.tuning.run import compiled, lane_mesh, on_all_devices, on_first_device, over_lanes


class Fold(NamedTuple):
    """Which examples a training has; for several folds of one size each leaf has an axis more.

    Attributes:
      rows: [n], places of the examples to learn from.
      weights: [n] or None.
      held: `([m], [m] or None)`, places and weights of those by which it stops, or None.
      tested: [t], places of those by which it is judged.
      tested_weights: [t] or None.
    """

    rows: Any
    weights: Any
    held: Any
    tested: Any
    tested_weights: Any


def fits_of_grid(
    setup: Setup, numbers: dict, seed: Any, given: dict, data: dict, folds: Fold
) -> tuple[Fit, np.ndarray]:
    """The fits of K configurations on F folds of one size, and how they score on what they did not see.

    Args:
      setup: what the configurations have in common.
      numbers: name -> [K].
      seed: of all of them, so that all read the same batches.
      given: what they have in common as objects.
      data: of all examples.
      folds: a `Fold` whose leaves have a leading axis F.

    Returns:
      A `Fit` whose leaves have leading axes [K, F], and the scores [K, F]: accuracy, or R².
    """
    mesh = lane_mesh(None)
    shared = on_all_devices(jax.tree.map(jnp.asarray, (given, seed, data, folds)), mesh)
    arguments = on_all_devices(jax.tree.map(jnp.asarray, numbers), mesh)
    leaves, tree = jax.tree.flatten((shared, arguments))
    shapes = tuple((x.shape, x.dtype) for x in leaves)
    fits, scores = _program(setup, tree, shapes, mesh)(shared, arguments)
    return on_first_device(fits, mesh), np.asarray(scores, float)


@functools.lru_cache(maxsize=64)  # a search over the same shapes compiles once
def _program(setup: Setup, tree: Any, shapes: tuple, mesh: Any) -> Any:
    """Compiled for K lanes; the folds come one after the other, and all lanes read the same rows."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    leaves = [jax.ShapeDtypeStruct(*shape, sharding=everywhere) for shape in shapes]
    shared, arguments = jax.tree.unflatten(tree, leaves)
    one = jax.eval_shape(functools.partial(_train_on, setup), _of_one(shared, arguments))[0]

    def program(at_once):
        def run(shared, numbers):
            return _train_on(setup, (*shared, numbers))

        lanes = over_lanes(run, mesh, at_once)

        def folds_in_turn(shared, arguments):
            given, seed, data, folds = shared
            found = lax.map(lambda fold: lanes((given, seed, _parts(data, fold)), arguments), folds)
            return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), found)

        return folds_in_turn

    kept = one.params, one.state.rule_state
    return compiled(program, (shared, arguments), mesh, None, kept)


def _of_one(shared: tuple, arguments: dict) -> tuple:
    given, seed, data, folds = shared
    first = lambda tree: jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), tree)  # noqa: E731
    return given, seed, jax.eval_shape(_parts, data, first(folds)), first(arguments)


def _parts(data: dict, fold: Fold) -> tuple:
    """`(training part, its weights, held part and weights or None, tested part, its weights)`."""
    part = lambda rows: jax.tree.map(lambda x: x[rows], data)  # noqa: E731
    held = None if fold.held is None else (part(fold.held[0]), fold.held[1])
    return part(fold.rows), fold.weights, held, part(fold.tested), fold.tested_weights


def _train_on(setup: Setup, arguments: tuple) -> tuple[Fit, jax.Array]:
    given, seed, (data, weights, held, tested, tested_weights), numbers = arguments
    fit = train(setup, {**numbers, "seed": seed}, given, data, weights, held, None)
    scores = jax.vmap(model_of(setup).predict, (None, 0))(fit.params, tested["x"])
    y = tested["y"]
    if setup.losses == "regression":
        predictions = jnp.exp(scores) if setup.loss == "poisson" else scores
        columns = (predictions[:, None], y[:, None]) if y.ndim == 1 else (predictions, y)
        return fit, jnp.mean(jax.vmap(metrics.r2, (1, 1, None))(*columns, tested_weights))
    return fit, metrics.accuracy(scores, jnp.argmax(y, axis=-1) if y.ndim > 1 else y, tested_weights)

"""Folds by configurations as lanes of one program, each lane the very training that `fit` would be."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
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


class Ended(NamedTuple):
    """What is kept of a fit: the states and histories of all lanes would be large.

    Attributes:
      status: int32 scalar.
      params: None where the program scores.
      accuracy: None where it does not.
    """

    status: Any
    params: Any
    accuracy: Any


def fits_of_grid(
    setup: Setup, numbers: dict, seed: Any, given: dict, data: dict, folds: Fold, is_scored: bool
) -> Ended:
    """How K configurations end on F folds of one size, and score on what they did not see.

    Args:
      setup: what the configurations have in common.
      numbers: name -> [K].
      seed: of all of them, so that all read the same batches.
      given: what they have in common as objects.
      data: of all examples.
      folds: a `Fold` whose leaves have a leading axis F.
      is_scored: whether the program scores, by accuracy.

    Returns:
      An `Ended` whose leaves have leading axes [K, F].
    """
    mesh = lane_mesh(None)
    shared = on_all_devices(jax.tree.map(jnp.asarray, (given, seed, data, folds)), mesh)
    arguments = on_all_devices(jax.tree.map(jnp.asarray, numbers), mesh)
    leaves, tree = jax.tree.flatten((shared, arguments))
    shapes = tuple((x.shape, x.dtype) for x in leaves)
    return on_first_device(_program(setup, tree, shapes, mesh, is_scored)(shared, arguments), mesh)


@functools.lru_cache(maxsize=64)  # a search over the same shapes compiles once
def _program(setup: Setup, tree: Any, shapes: tuple, mesh: Any, is_scored: bool) -> Any:
    """Compiled for K lanes; the folds come one after the other, and all lanes read the same rows."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    leaves = [jax.ShapeDtypeStruct(*shape, sharding=everywhere) for shape in shapes]
    shared, arguments = jax.tree.unflatten(tree, leaves)
    one = jax.eval_shape(functools.partial(_fit_on, setup), _of_one(shared, arguments))

    def program(at_once):
        def run(shared, numbers):
            return _kept(setup, (*shared, numbers), is_scored)

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


def _fit_on(setup: Setup, arguments: tuple) -> Fit:
    given, seed, (data, weights, held, _, _), numbers = arguments
    return train(setup, {**numbers, "seed": seed}, given, data, weights, held, None)


def _kept(setup: Setup, arguments: tuple, is_scored: bool) -> Ended:
    fit = _fit_on(setup, arguments)
    if not is_scored:
        return Ended(fit.status, fit.params, None)
    *_, (*_, tested, weights), _ = arguments
    scores = jax.vmap(model_of(setup).predict, (None, 0))(fit.params, tested["x"])
    y = tested["y"]
    labels = jnp.argmax(y, axis=-1) if y.ndim > 1 else y
    return Ended(fit.status, None, metrics.accuracy(scores, labels, weights))

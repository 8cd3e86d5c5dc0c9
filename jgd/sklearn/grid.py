"""Folds by configurations as lanes of one program, each lane the very training that `fit` would be."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jgd import metrics
from jgd.descent.loop import Fit
from jgd.sklearn.training import Setup, model_of, train
from jgd.tuning.run import compiled, lane_mesh, on_all_devices, on_first_device, over_lanes


class Fold(NamedTuple):
    """Which examples a training has; for several folds of one size each leaf has an axis more.

    Attributes:
      rows: [n], places of the examples to learn from.
      weights: [n] or None.
      held: [m], places of those by which it stops, or None.
      held_weights: [m] or None.
      tested: [t], places of those by which it is judged.
    """

    rows: Any
    weights: Any
    held: Any
    held_weights: Any
    tested: Any


def fits_of_grid(
    setup: Setup, numbers: dict, given: dict, data: dict, folds: Fold
) -> tuple[Fit, np.ndarray]:
    """The fits of K configurations on F folds of one size, and how they score on what they have not seen.

    Args:
      setup: what the configurations have in common.
      numbers: name -> [K].
      given: what they have in common as objects.
      data: of all examples.
      folds: a `Fold` whose leaves have a leading axis F.

    Returns:
      A `Fit` whose leaves have leading axes [K, F], and the scores [K, F]: accuracy, or R².
    """
    mesh = lane_mesh(None)
    shared = on_all_devices(jax.tree.map(jnp.asarray, (given, data, folds)), mesh)
    arguments = on_all_devices(jax.tree.map(jnp.asarray, numbers), mesh)
    leaves, tree = jax.tree.flatten((shared, arguments))
    shapes = tuple((x.shape, x.dtype) for x in leaves)
    fits, scores = _program(setup, tree, shapes, mesh)(shared, arguments)
    return on_first_device(fits, mesh), np.asarray(scores, float)


@functools.lru_cache(maxsize=64)  # a search over the same shapes compiles once
def _program(setup: Setup, tree: Any, shapes: tuple, mesh: Any) -> Any:
    """Compiled for K lanes; the folds come one after the other, and all lanes read the same rows."""
    shapes = [jax.ShapeDtypeStruct(*shape) for shape in shapes]
    shared, arguments = jax.tree.unflatten(tree, shapes)
    one = jax.eval_shape(functools.partial(_train_on, setup), _of_one(shared, arguments))[0]

    def program(at_once):
        def run(given_and_parts, numbers):
            return _train_on(setup, (*given_and_parts, numbers))

        lanes = over_lanes(run, mesh, at_once)

        def folds_in_turn(shared, arguments):
            given, data, folds = shared
            found = lax.map(lambda fold: lanes((given, _parts(data, fold)), arguments), folds)
            return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), found)

        return folds_in_turn

    kept = one.params, one.state.rule_state
    return compiled(program, (shared, arguments), mesh, None, kept)


def _of_one(shared: tuple, arguments: dict) -> tuple:
    given, data, folds = shared
    first = lambda tree: jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), tree)  # noqa: E731
    return given, jax.eval_shape(_parts, data, first(folds)), first(arguments)


def _parts(data: dict, fold: Fold) -> tuple:
    """`(training part, its weights, held part and weights or None, tested part)`."""
    part = lambda rows: jax.tree.map(lambda x: x[rows], data)  # noqa: E731
    held = None if fold.held is None else (part(fold.held), fold.held_weights)
    return part(fold.rows), fold.weights, held, part(fold.tested)


def _train_on(setup: Setup, arguments: tuple) -> tuple[Fit, jax.Array]:
    given, (data, weights, held, tested), numbers = arguments
    fit = train(setup, numbers, given, data, weights, held, None)
    scores = jax.vmap(model_of(setup).predict, (None, 0))(fit.params, tested["x"])
    y = tested["y"]
    if setup.losses == "regression":
        return fit, metrics.r2(jnp.exp(scores) if setup.loss == "poisson" else scores, y)
    return fit, metrics.accuracy(scores, jnp.argmax(y, axis=-1) if y.ndim > 1 else y)

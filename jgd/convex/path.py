"""A path: one problem for many strengths of its penalty, each fit starting where the last one ended."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from jgd.descent.explain import explain
from jgd.descent.loop import Fit
from jgd.objectives.checks import check_params
from jgd.program import call
from jgd.tree import require_number, strong
from jgd.tuning.run import check_lanes, lane_mesh, lifted
from jgd.tuning.sweep import train_lanes


@dataclasses.dataclass(frozen=True)
class Path:
    """The fits of K strengths.

    Attributes:
      strengths: [K].
      fits: a `Fit` whose leaves have a leading axis K.
    """

    strengths: jax.Array
    fits: Fit

    @property
    def params(self) -> Any:
        """The params of every fit, a pytree of arrays [K, ...]."""
        return self.fits.params

    @property
    def num_nonzero(self) -> np.ndarray:
        """How many numbers of the params are not 0, [K]."""
        leaves = [np.asarray(p) for p in jax.tree.leaves(self.fits.params)]
        return sum(np.count_nonzero(p.reshape(len(p), -1), axis=1) for p in leaves)

    def explain(self) -> str:
        """How many strengths there are, how many params they leave, and how the fits ended."""
        counts, strengths = self.num_nonzero, self.strengths
        ends = [f"{counts[i]} params at strength {strengths[i]:.4g}" for i in (0, -1)]
        return f"Path from {ends[0]} to {ends[1]}.\n{explain(self.fits)}"


def path(
    train: Callable,
    strengths: Any,
    params: Any,
    *,
    warm_start: bool = True,
    mesh: Mesh | None = None,
    lanes: int | None = None,
) -> Path:
    """Fits along a path of strengths, as one compiled program.

    Args:
      train: `(strength, params) -> Fit`, pure: as a rule a closure over the data that makes the penalty
        of the strength and hands the params to `jgd.descend`. With a stop test each fit takes only the
        epochs that it needs.
      strengths: [K] numbers >= 0; from the largest to the smallest each fit is near the next.
      params: pytree of float arrays, where the first fit starts.
      warm_start: whether each fit starts where the last one ended. False starts all from `params`, side
        by side as lanes over all devices: more work, but all at once.
      mesh: over whose first axis lanes are laid; None takes all devices of this process.
      lanes: how many run at once; None takes as many as the devices hold well.

    Returns:
      A `Path`.

    Raises:
      ValueError: the strengths are not [K] numbers >= 0, or an argument does not fit; the message names
        it and the way out.

    >>> def loss(params, example):
    ...     return jgd.losses.squared_error(params @ example[0], example[1])
    >>> data = jnp.eye(2), jnp.array([1.0, -3.0])
    >>> def train(strength, params):
    ...     objective = jgd.objective(loss, jgd.penalties.l1(strength))
    ...     return jgd.batch_descent(objective, params, data, rule=jgd.coordinate(), epochs=5)
    >>> found = path(train, jnp.array([3.0, 2.0, 0.5]), jnp.zeros(2))
    >>> found.num_nonzero, found.params.round(2)
    (array([0, 1, 2]), Array([[ 0. ,  0. ],
           [ 0. , -1. ],
           [ 0.5, -2.5]], dtype=float32))

    Source: Efron et al. (2004), Annals of Statistics 32(2); Friedman, Hastie and Tibshirani (2010), J.
    Statistical Software 33(1), section 2.5.
    """
    check_params(params)
    check_lanes(lanes)
    if not callable(train):
        raise ValueError(f"train is {train!r}, but a function (strength, params) -> Fit is wanted.")
    checked = require_number("strengths", strengths, lambda s: s >= 0, "an array [K] of numbers >= 0")
    if checked.ndim != 1 or not checked.size:
        raise ValueError(
            f"strengths has shape {checked.shape}, but an array [K] of one strength at least is wanted: "
            "jgd.largest_strength(objective, params, data) * jnp.logspace(0, -3, 100)."
        )
    params = strong(params)
    if warm_start:
        fits = _one_after_the_other(train, checked, params)
    else:
        fits = train_lanes(lambda strength: train(strength, params), (checked,), lane_mesh(mesh), lanes)
    return Path(checked, fits)


def _one_after_the_other(train: Callable, strengths: jax.Array, params: Any) -> Fit:
    one = lifted(train, strengths[0], params)
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (one.shapes.params, params)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"train returns params of the shapes {shapes[0]}, but those that it is given, {shapes[1]}, "
            "are wanted, so that the next fit can start from them."
        )

    @jax.jit
    def run(closed_over, strengths, params):
        def step(params, strength):
            fit = call(one, closed_over, (strength, params))
            return fit.params, fit

        return lax.scan(step, params, strengths)[1]

    return run(one.closed_over, strengths, params)

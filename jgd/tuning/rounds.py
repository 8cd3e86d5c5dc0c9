"""Trainings that go on in rounds: `train(config, epochs, state) -> Fit`, continued from its state."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgd.descent.epoch import blank_record
from jgd.descent.loop import Fit
from jgd.program import Program, uses
from jgd.tuning.run import lifted
from jgd.tuning.space import Space, StaticAxis

WANTED = (
    "train(config, epochs, state) that hands both on to jgd.descend(..., epochs=epochs, state=state)"
)


def first_round(train: Callable, epochs: int, config: Any) -> Program:
    """The training of the first `epochs` epochs, `(config,)` its arguments."""
    one = lifted(lambda config: train(config, epochs, None), config)
    _check_epochs(one.shapes, epochs)
    return one


def next_round(train: Callable, epochs: int, config: Any, before: Fit) -> Program:
    """The training of `epochs` epochs more, `(config, state)` its arguments."""
    one = lifted(lambda config, state: train(config, epochs, state), config, before.state)
    _check_epochs(one.shapes, epochs)
    if not uses(one, len(jax.tree.leaves(before.state))):
        raise ValueError(
            f"train does not use its state, and would start anew each time. Wanted: {WANTED}."
        )
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), fit.state) for fit in (before, one.shapes)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "train returns a state of another structure when it is continued, but the same is wanted. "
            f"Wanted: {WANTED}."
        )
    return one


def joined(rounds: Sequence[Fit]) -> Fit:
    """The rounds of a fit, or of fits [K], as one."""
    histories = [fits.history for fits in rounds]
    axis = rounds[-1].status.ndim
    return rounds[-1]._replace(
        epochs=functools.reduce(jnp.add, [fits.epochs for fits in rounds]),
        history=jax.tree.map(lambda *parts: _concatenated(parts, axis), *histories),
    )


def lengthened(fits: Fit, epochs: int) -> Fit:
    """A fit, or fits [K], with a history of so many epochs; those that were not run are blank."""
    axis = fits.status.ndim
    more = epochs - fits.history.loss.shape[axis]

    def filled(x):
        return _concatenated(
            [x, blank_record((*x.shape[:axis], more, *x.shape[axis + 1 :]), x.dtype)], axis
        )

    return fits._replace(history=jax.tree.map(filled, fits.history))


def _concatenated(parts: Sequence[jax.Array], axis: int) -> jax.Array:
    # Where the values are known NumPy does it, which compiles nothing for another number of parts.
    if any(isinstance(part, jax.core.Tracer) for part in parts):
        return jnp.concatenate(parts, axis)
    return jnp.asarray(np.concatenate(parts, axis))


def check_traced(space: Space, name: str) -> None:
    """Refuse axes that make another program: its fits cannot take the places of others."""
    static = [axis for axis, values in space.axes.items() if isinstance(values, StaticAxis)]
    if static:
        raise ValueError(
            f"space has the static axes {static}, but {name} moves fits about within one program, and "
            f"wants numbers alone. Call it once for each of their values: "
            f"jgd.{name}(functools.partial(train, {static[0]}=...), ...)."
        )


def _check_epochs(fit: Fit, epochs: int) -> None:
    if fit.history.loss.shape != (epochs,):
        raise ValueError(
            f"train was asked for {epochs} epochs, but its fit has a history of "
            f"{fit.history.loss.shape[0]}. Wanted: {WANTED}."
        )

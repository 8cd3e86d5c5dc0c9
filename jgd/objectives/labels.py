"""What a loss demands of its targets, and the check of it on real data.

A loss sees a tracer, so it cannot look at values. It marks its target instead, by passing it
through a jitted identity whose name says what is demanded. `check_targets` finds these marks in
the trace of a loss and looks at the targets of all examples at once, before any work is done.
XLA inlines the marks, so that they cost nothing.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgd.objectives.sums import loss_dtype
from jgd.program import call, trace
from jgd.tree import is_known

# demand: (are the targets right, given the number of classes; what the loss wants, and the way out)
_DEMANDS = {
    "probability": (
        lambda targets, classes: targets.min() >= 0 and targets.max() <= 1,
        "logistic wants labels 0 and 1; map yours to them, e.g. (y == positive_label)",
    ),
    "binary_or_sign": (
        lambda targets, classes: (
            targets.min() >= (0 if np.any(targets == 0) else -1)
            and targets.max() <= 1
            and _are_whole(targets)
        ),
        "hinge and squared_hinge want labels 0 and 1, or -1 and +1; map yours to one of these pairs",
    ),
    "class_index": (
        lambda targets, classes: targets.min() >= 0 and targets.max() < classes,
        "softmax over {classes} scores wants labels 0 to {last}; renumber the labels, "
        "or give the model one output for each class",
    ),
    "not_negative": (
        lambda targets, classes: targets.min() >= 0,
        "poisson wants counts, which are never below 0; for signed targets use squared_error or huber",
    ),
}
_PREFIX = "jgd_target"


def mark(demand: str, target: Any, classes: int = 0) -> jax.Array:
    """`target`, marked with what is demanded of it; judged on the spot where it is concrete."""
    if not isinstance(target, jax.core.Tracer):
        _judge(demand, classes, np.asarray(target))
    return _identity(demand, classes)(target)


@functools.cache
def _identity(demand: str, classes: int):
    def identity(target):
        return target

    identity.__name__ = f"{_PREFIX} {demand} {classes}"
    return jax.jit(identity)


def check_targets(loss, params: Any, data: Any, weights: Any) -> None:
    """Raise ValueError where a target that counts in `data` is not what the loss demands.

    Silent while the data are traced (under `jit`, or `vmap` over them): their values are not known.
    """
    leaves, treedef = jax.tree.flatten(params)
    shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
    targets = _targets(loss, data, treedef, shapes)
    if not all(map(is_known, jax.tree.leaves((targets, weights)))):
        return
    counts = slice(None) if weights is None else np.asarray(weights) != 0
    for (name, _), target in targets.items():
        _, demand, classes = name.split()
        _judge(demand, int(classes), np.asarray(target)[counts])


@functools.partial(jax.jit, static_argnames=("treedef", "shapes"))
def _targets(loss, data, treedef, shapes) -> dict[tuple[str, int], jax.Array]:
    """The targets of all examples at every mark in the trace of `loss`.

    As a rule they are a leaf of the data, which `jit` hands out as it is: there is little to compile.
    Marks within a nested `jit` are found, those within branches, loops and `jax.checkpoint` are not.
    """
    params = jax.tree.unflatten(treedef, [jnp.zeros(s.shape, s.dtype) for s in shapes])
    loss_dtype(loss, params, data)  # raises where the loss is no scalar
    names: list[tuple[str, int]] = []

    def targets_of(example):
        program = trace(loss, params, example)
        found: list[jax.Array] = []

        def collect(equation, operands):
            name = str(equation.params.get("name"))
            if not name.startswith(_PREFIX):
                return None
            names.append((name, len(found)))
            found.extend(operands)
            return operands

        call(program, program.closed_over, (params, example), collect)
        return found

    targets = jax.vmap(targets_of)(data)
    return dict(zip(names, targets, strict=True))


def _judge(demand: str, classes: int, targets: np.ndarray) -> None:
    if targets.dtype.kind == "V":  # bfloat16 and the like, of which NumPy knows little
        targets = targets.astype(np.float32)
    if targets.size and np.isnan(targets.min()):
        # A NaN is left to the descent, which ends in DIVERGED and names the epoch.
        targets = targets[~np.isnan(targets)]
    is_right, wanted = _DEMANDS[demand]
    if targets.size and not is_right(targets, classes):
        fractions = "" if _are_whole(targets) else " and are not all whole numbers"
        raise ValueError(
            f"target: labels run from {targets.min()} to {targets.max()}{fractions}, but "
            f"{wanted.format(classes=classes, last=classes - 1)}."
        )


def _are_whole(targets: np.ndarray) -> bool:
    return targets.dtype.kind in "bui" or bool(np.all(targets == np.round(targets)))

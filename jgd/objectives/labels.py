"""What a loss demands of its targets, and the check of it on real data.

A loss sees a tracer, so it cannot look at values. It marks its target instead, by passing it
through a jitted identity whose name says what is demanded. `check_targets` finds these marks in
the trace of a loss and looks at the targets of all examples at once, before any work is done.
XLA inlines the marks, so that they cost nothing.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun


class Span(NamedTuple):
    """What is read off the targets of one mark: enough to judge them."""

    smallest: Any
    largest: Any
    whole: Any  # every target is a whole number
    zero: Any  # some target is 0


# demand: (is the span right, given the number of classes; what the loss wants, and the way out)
_DEMANDS = {
    "probability": (
        lambda span, classes: span.smallest >= 0 and span.largest <= 1,
        "logistic wants labels 0 and 1; map yours to them, e.g. (y == positive_label)",
    ),
    "binary_or_sign": (
        lambda span, classes: (
            span.whole and span.smallest >= (0 if span.zero else -1) and span.largest <= 1
        ),
        "hinge and squared_hinge want labels 0 and 1, or -1 and +1; map yours to one of these pairs",
    ),
    "class_index": (
        lambda span, classes: span.smallest >= 0 and span.largest < classes,
        "softmax over {classes} scores wants labels 0 to {last}; renumber the labels, "
        "or give the model one output for each class",
    ),
    "not_negative": (
        lambda span, classes: span.smallest >= 0,
        "poisson wants counts, which are never below 0; for signed targets use squared_error or huber",
    ),
}
_PREFIX = "jgd_target"


def mark(demand: str, target: Any, classes: int = 0) -> jax.Array:
    """`target`, marked with what is demanded of it; judged on the spot where it is concrete."""
    if not isinstance(target, jax.core.Tracer):
        _judge(demand, classes, _span(np.asarray(target)))
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
    if not all(map(_is_known, jax.tree.leaves((targets, weights)))):
        return
    counts = slice(None) if weights is None else np.asarray(weights) != 0
    for (name, _), target in targets.items():
        _, demand, classes = name.split()
        _judge(demand, int(classes), _span(np.asarray(target)[counts]))


@functools.partial(jax.jit, static_argnames=("treedef", "shapes"))
def _targets(loss, data, treedef, shapes) -> dict[tuple[str, int], jax.Array]:
    """The targets of all examples at every mark in the trace of `loss`.

    As a rule they are a leaf of the data, which `jit` hands out as it is: nothing is compiled.
    """
    params = [jnp.zeros(s.shape, s.dtype) for s in shapes]
    example = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), data)
    closed = jax.make_jaxpr(loss)(jax.tree.unflatten(treedef, params), example)
    marks = [e for e in closed.jaxpr.eqns if str(e.params.get("name")).startswith(_PREFIX)]
    targets_of = jaxpr_as_fun(
        closed.replace(jaxpr=closed.jaxpr.replace(outvars=[e.invars[0] for e in marks]))
    )
    targets = jax.vmap(lambda *row: targets_of(*params, *row))(*jax.tree.leaves(data))
    names = [(e.params["name"], position) for position, e in enumerate(marks)]
    return dict(zip(names, targets, strict=True))


def _is_known(x) -> bool:
    """Whether the values are there to be looked at: not under a transformation, nor elsewhere."""
    return not isinstance(x, jax.core.Tracer) and x.is_fully_addressable


def _span(targets: np.ndarray) -> Span:
    targets = targets.astype("float32" if jnp.issubdtype(targets.dtype, jnp.floating) else "int32")
    # A NaN is left to the descent, which ends in DIVERGED and names the epoch.
    targets = targets[~np.isnan(targets)] if np.isnan(targets).any() else targets
    if not targets.size:
        return Span(1, 1, True, False)
    whole = np.all(targets == np.round(targets))
    return Span(targets.min(), targets.max(), whole, np.any(targets == 0))


def _judge(demand: str, classes: int, span: Span) -> None:
    is_right, wanted = _DEMANDS[demand]
    if not is_right(span, classes):
        fractions = "" if span.whole else " and are not all whole numbers"
        raise ValueError(
            f"target: labels run from {span.smallest} to {span.largest}{fractions}, but "
            f"{wanted.format(classes=classes, last=classes - 1)}."
        )

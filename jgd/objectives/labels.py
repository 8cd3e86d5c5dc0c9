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
from jax.extend.core import jaxpr_as_fun


@jax.jit
def probability(target, prediction):
    return target


@jax.jit
def binary_or_sign(target, prediction):
    return target


@jax.jit
def class_index(target, prediction):
    return target


@jax.jit
def not_negative(target, prediction):
    return target


class Span(NamedTuple):
    """What is read off the targets of one mark: enough to judge them."""

    smallest: jax.Array
    largest: jax.Array
    whole: jax.Array  # every target is a whole number
    zero: jax.Array  # some target is 0


# demand: (is the span right, given the number of scores; what the loss wants, and the way out)
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


def mark(demand, target, prediction):
    """`target`, marked with what is demanded of it; judged on the spot where it is concrete."""
    if not isinstance(target, jax.core.Tracer):
        _judge(demand.__name__, _span(jnp.atleast_1d(target)), _classes(prediction))
    return demand(target, prediction)


def check_targets(loss, params: Any, data: Any) -> None:
    """Raise ValueError where a target in `data` is not what the loss demands.

    Silent while `data` is traced (under `jit` or `vmap` over the data): its values are not known.
    """
    leaves, treedef = jax.tree.flatten(params)
    shapes = tuple(jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    spans = _spans(loss, data, treedef, shapes)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(spans)):
        return
    for (demand, classes, _), span in jax.device_get(spans).items():
        _judge(demand, span, classes)


@functools.partial(jax.jit, static_argnames=("treedef", "shapes"))
def _spans(loss, data, treedef, shapes) -> dict[tuple[str, int, int], Span]:
    """The span of the targets at every mark in the trace of `loss`, over all examples."""
    params = jax.tree.unflatten(treedef, [jnp.zeros(s.shape, s.dtype) for s in shapes])
    example = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), data)
    closed = jax.make_jaxpr(loss)(params, example)
    marks = [eqn for eqn in closed.jaxpr.eqns if eqn.params.get("name") in _DEMANDS]
    targets_of = jaxpr_as_fun(
        closed.replace(jaxpr=closed.jaxpr.replace(outvars=[eqn.outvars[0] for eqn in marks]))
    )
    targets = jax.vmap(lambda *leaves: targets_of(*jax.tree.leaves(params), *leaves))(
        *jax.tree.leaves(data)
    )
    return {
        (eqn.params["name"], _classes(eqn.invars[1].aval), position): _span(target)
        for position, (eqn, target) in enumerate(zip(marks, targets, strict=True))
    }


def _classes(prediction: Any) -> int:
    shape = jnp.shape(prediction)
    return shape[-1] if shape else 1


def _span(targets) -> Span:
    targets = targets.astype(jnp.int32) if targets.dtype == bool else targets
    # A NaN is left to the descent, which ends in DIVERGED and names the epoch.
    targets = jnp.where(jnp.isnan(targets), 1, targets).astype(targets.dtype)
    return Span(
        targets.min(), targets.max(), jnp.all(targets == jnp.round(targets)), jnp.any(targets == 0)
    )


def _judge(demand: str, span: Span, classes: int) -> None:
    is_right, wanted = _DEMANDS[demand]
    if not is_right(span, classes):
        fractions = "" if span.whole else " and are not all whole numbers"
        raise ValueError(
            f"target: labels run from {span.smallest} to {span.largest}{fractions}, but "
            f"{wanted.format(classes=classes, last=classes - 1)}."
        )

"""The linear form of an objective: a loss of `jgd.losses` at a prediction that is affine in the params.

    loss(params, example) = phi(a·params + offset, target)

Convex methods live on it: the derivative of an example is one number times a row, a bound from below
comes from those numbers, and a coordinate has a curvature. Users need not declare it: each loss of jgd
runs in a `jit` whose name tells what it is. It is found in the trace of the user's loss, and whether the
prediction is affine is read off its derivative, which must not depend on the params. XLA inlines it all.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jgd.program import Program, call, trace

_PREFIX = "jgd_loss"


def named_loss(name: str) -> Callable:
    """Decorator of `(*numbers, prediction, target) -> scalar`: a `jit` whose name a trace tells."""

    def named(core):
        core.__name__ = f"{_PREFIX} {name}"
        return jax.jit(core)

    return named


class LinearForm(NamedTuple):
    """What the loss of an example is made of.

    Attributes:
      name: of the loss in `jgd.losses`.
      numbers: that the loss is bound to, such as the delta of huber.
      prediction: scalar, or [C].
      target: as the loss takes it.
    """

    name: str
    numbers: tuple
    prediction: jax.Array
    target: jax.Array


def linear_form(loss: Callable, params: Any, example: Any) -> LinearForm:
    """The parts of the loss of one example. Traceable, and mapped over examples by `vmap`.

    Args:
      loss: of one example, that `check_linear` has accepted.
      params: pytree.
      example: pytree.

    Returns:
      A `LinearForm`.

    Raises:
      ValueError: the loss is not one of `jgd.losses` at a prediction, and nothing else.
    """
    return _parts(trace(loss, params, example), params, example)


def predictions(loss: Callable, params: Any, data: Any) -> jax.Array:
    """Those of all examples, [N] or [N, C], by a loss that `check_linear` has accepted."""
    return jax.vmap(lambda example: linear_form(loss, params, example).prediction)(data)


def check_linear(loss: Callable, params: Any, data: Any, who: str) -> str:
    """The name of the loss; ValueError unless it is one of `jgd.losses` at an affine prediction.

    Args:
      loss: of one example.
      params: pytree of float arrays.
      data: pytree of arrays [N, ...].
      who: wants it, for the message.
    """
    params, data = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), (params, data))
    example = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), data)
    names = []

    def prediction(params, example):
        form = linear_form(loss, params, example)
        names.append(form.name)
        return form.prediction

    try:
        affine = _is_affine(prediction, params, example)
    except _NotOfJgdError as error:
        raise ValueError(
            f"loss {error}, but {who} wants a loss of jgd.losses at a linear prediction and nothing "
            "beside it: jgd.losses.logistic(x @ weights + bias, y). Penalties belong into "
            "jgd.objective(loss, penalty), weights of examples into weights=."
        ) from error
    if not affine:
        raise ValueError(
            f"loss has a prediction that is not linear in the params, but {who} wants one, such as "
            "x @ weights + bias: it needs a convex problem, whose rows it knows."
        )
    return names[0]


class _NotOfJgdError(ValueError):
    """Why a loss has no linear form."""


def _parts(program: Program, params: Any, example: Any) -> LinearForm:
    found: list[LinearForm] = []
    result = object()

    def collect(equation, operands):
        name = str(equation.params.get("name"))
        if not name.startswith(_PREFIX):
            return None
        *numbers, prediction, target = operands
        found.append(LinearForm(name.removeprefix(_PREFIX).strip(), tuple(numbers), prediction, target))
        return [result]

    try:
        returned = call(program, program.closed_over, (params, example), collect)
    except TypeError as error:  # the rest of the loss wants a number where the mark stands
        raise _NotOfJgdError("does more than a loss of jgd.losses") from error
    if not found:
        raise _NotOfJgdError("calls none of jgd.losses")
    if len(found) > 1 or returned is not result:
        raise _NotOfJgdError("does more than a loss of jgd.losses")
    return found[0]


def _is_affine(function: Callable, params: Any, example: Any) -> bool:
    """Whether the derivative of `function(params, example)` along a direction is free of the params."""

    def slope(params, direction, example):
        return jax.jvp(lambda p: function(p, example), (params,), (direction,))[1]

    args = params, params, example
    program = trace(slope, *args)
    opened = trace(lambda *args: call(program, program.closed_over, args), *args).jaxpr
    needed = {id(variable) for variable in opened.outvars}
    for equation in reversed(opened.eqns):
        if any(id(variable) in needed for variable in equation.outvars):
            needed.update(id(variable) for variable in equation.invars)
    return not any(id(v) in needed for v in opened.invars[: len(jax.tree.leaves(params))])

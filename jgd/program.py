"""A traced function, carried out operation by operation, each as the caller likes.

What JAX traces is a list of operations. Where XLA makes slow code of a common form, jgd writes the same
numbers in another form; users need not know, and losses stay as plain as they are.
"""

import contextlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend import core

# What JAX raises where Python wants the value of a number that is traced.
WANTS_A_VALUE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


class Program(NamedTuple):
    """A function as the operations that JAX traced.

    Attributes:
      jaxpr: the operations; their inputs are what is closed over, then the leaves of the arguments.
      closed_over: the arrays that the function closes over.
      shapes: those of the result.
    """

    jaxpr: core.Jaxpr
    closed_over: list
    shapes: Any


def trace(function: Callable, *args: Any) -> Program:
    """The program of `function(*args)`; shapes will do for the arguments."""
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
    return Program(closed.jaxpr, closed.consts, shapes)


def uses(program: Program, leaves: int) -> bool:
    """Whether a program looks at any of the last `leaves` of its inputs."""
    used = {id(variable) for equation in program.jaxpr.eqns for variable in equation.invars}
    used |= {id(variable) for variable in program.jaxpr.outvars}
    return any(id(variable) in used for variable in program.jaxpr.invars[-leaves:])


def _as_traced(equation: Any, operands: Sequence[Any]) -> None:
    """Each operation as it is."""


def call(program: Program, closed_over: list, args: tuple, apply: Callable = _as_traced) -> Any:
    """The result of a traced function, with arrays in the place of those that it closes over.

    Args:
      program: from `trace`.
      closed_over: like `program.closed_over`.
      args: like the arguments that it was traced with.
      apply: as in `run_program`.
    """
    results = run_program(program.jaxpr, [*closed_over, *jax.tree.leaves(args)], apply)
    return jax.tree.unflatten(jax.tree.structure(program.shapes), results)


def run_program(program: core.Jaxpr, inputs: Sequence[Any], apply: Callable) -> list[Any]:
    """The results of a program, flat.

    Args:
      program: the `jaxpr` of a `Program`.
      inputs: its constants, then the leaves of its arguments.
      apply: `(equation, inputs) -> results` of one operation, or None: then it is carried out as it is,
        and a nested `jit` is opened.

    Returns:
      The leaves of its result.
    """
    values = dict(zip(program.constvars + program.invars, inputs, strict=True))

    def read(variable):
        return variable.val if isinstance(variable, core.Literal) else values[variable]

    # As a rule all equations of a program stand in one context, and to enter it costs as much as one.
    for (context, names), equations in itertools.groupby(program.eqns, _surroundings):
        with context.manager, jax.named_scope(names) if names else contextlib.nullcontext():
            for equation in equations:
                results = _results(equation, [read(v) for v in equation.invars], apply)
                values.update(zip(equation.outvars, results, strict=True))
    return [read(v) for v in program.outvars]


def _surroundings(equation: Any) -> tuple[Any, str]:
    """The settings around an operation (precision, random bits), and its names in profiles."""
    return equation.ctx, str(equation.source_info.name_stack)


def _results(equation: Any, operands: Sequence[Any], apply: Callable) -> Sequence[Any]:
    results = apply(equation, operands)
    if results is not None:
        return results
    if is_jit(equation):
        nested = equation.params["jaxpr"]
        return run_program(nested.jaxpr, [*nested.consts, *operands], apply)
    return as_it_is(equation, operands)


def is_jit(equation: Any) -> bool:
    return equation.primitive.name in ("jit", "pjit")


def as_it_is(equation: Any, operands: Sequence[Any]) -> list[Any]:
    """The results of one operation, as JAX carries it out."""
    params = equation.primitive.get_bind_params(equation.params)
    results = equation.primitive.bind(*operands, **params)
    return list(results) if equation.primitive.multiple_results else [results]

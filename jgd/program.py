"""A traced function, carried out operation by operation, each as the caller likes.

What JAX traces is a list of operations. Where XLA makes slow code of a common form, jgd writes the same
numbers in another form; users need not know, and losses stay as plain as they are.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend import core


def run_program(program: core.Jaxpr, inputs: Sequence[Any], apply: Callable) -> list[Any]:
    """The results of a program, flat.

    Args:
      program: `.jaxpr` of what `jax.make_jaxpr` returns.
      inputs: its constants, then the leaves of its arguments.
      apply: `(equation, inputs) -> results` of one operation, or None: then it is carried out as it is,
        and a nested `jit` is opened.

    Returns:
      The leaves of its result.
    """
    values = dict(zip(program.constvars + program.invars, inputs, strict=True))

    def read(variable):
        return variable.val if isinstance(variable, core.Literal) else values[variable]

    for equation in program.eqns:
        operands = [read(v) for v in equation.invars]
        with _as_traced(equation):
            results = apply(equation, operands)
            if results is None and is_jit(equation):
                nested = equation.params["jaxpr"]
                results = run_program(nested.jaxpr, [*nested.consts, *operands], apply)
            elif results is None:
                results = as_it_is(equation, operands)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(v) for v in program.outvars]


@contextlib.contextmanager
def _as_traced(equation: Any):
    """What stood around the operation: settings (precision, random bits), and its names in profiles."""
    names = str(equation.source_info.name_stack)
    with equation.ctx.manager, jax.named_scope(names) if names else contextlib.nullcontext():
        yield


def is_jit(equation: Any) -> bool:
    return equation.primitive.name in ("jit", "pjit")


def as_it_is(equation: Any, operands: Sequence[Any]) -> list[Any]:
    """The results of one operation, as JAX carries it out."""
    params = equation.primitive.get_bind_params(equation.params)
    results = equation.primitive.bind(*operands, **params)
    return list(results) if equation.primitive.multiple_results else [results]

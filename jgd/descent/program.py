"""A traced function, carried out operation by operation, each as the caller likes.

What JAX traces is a list of operations. Where XLA makes slow code of a common form, jgd writes the same
numbers in another form; users need not know, and losses stay as plain as they are.
"""

from collections.abc import Callable, Sequence
from typing import Any

from jax.extend import core


def evaluate(program: core.Jaxpr, inputs: Sequence[Any], apply: Callable) -> list[Any]:
    """The results of a program, flat.

    Args:
      program: `.jaxpr` of what `jax.make_jaxpr` returns.
      inputs: its constants, then the leaves of its arguments.
      apply: `(equation, inputs) -> results`, of one operation; nested `jit` is opened.

    Returns:
      The leaves of its result.
    """
    values = dict(zip(program.constvars + program.invars, inputs, strict=True))

    def read(variable):
        return variable.val if isinstance(variable, core.Literal) else values[variable]

    for equation in program.eqns:
        operands = [read(v) for v in equation.invars]
        if equation.primitive.name in ("jit", "pjit"):
            nested = equation.params["jaxpr"]
            results = evaluate(nested.jaxpr, [*nested.consts, *operands], apply)
        else:
            results = apply(equation, operands)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(v) for v in program.outvars]


def as_it_is(equation: Any, operands: Sequence[Any]) -> list[Any]:
    """The results of one operation, as JAX carries it out."""
    params = equation.primitive.get_bind_params(equation.params)
    results = equation.primitive.bind(*operands, **params)
    return list(results) if equation.primitive.multiple_results else [results]

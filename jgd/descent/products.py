"""Products of two vectors that a processor can take in parallel.

XLA turns `x @ w` of two vectors into a sum from left to right on the CPU: one number at a time, each
waiting for the one before. In a step of stochastic descent nothing else can go on meanwhile. Here the
products are summed as vectors, then by halves: other roundings of the same sum, no larger ones.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jgd.program import call, trace

MOST_SLICES = 16
WIDTH = 64  # numbers that are left to be summed by halves


def with_parallel_products(function: Callable) -> Callable:
    """`function` with each product of two vectors in it taken in parallel.

    Args:
      function: of pytrees of arrays, traceable.

    Returns:
      A function of the same arguments and result.

    >>> dot = with_parallel_products(lambda x, w: x @ w)
    >>> float(dot(jnp.arange(3.0), jnp.ones(3)))
    3.0
    """

    def apply(equation, operands):
        return [vector_product(*operands)] if _is_vector_product(equation) else None

    def rewritten(*args):
        program = trace(function, *args)
        return call(program, program.closed_over, args, apply)

    return rewritten


def _is_vector_product(equation: Any) -> bool:
    if equation.primitive.name != "dot_general":
        return False
    (contracted, _), _ = equation.params["dimension_numbers"]
    vectors = all(v.aval.ndim == 1 and v.aval.dtype == jnp.float32 for v in equation.invars)
    # With a precision, or a dtype of the sum, the user wants a product of one kind and no other.
    as_usual = equation.params["precision"] is None and equation.outvars[0].aval.dtype == jnp.float32
    return vectors and len(contracted) == 1 and as_usual


def vector_product(x: jax.Array, w: jax.Array) -> jax.Array:
    """`sum_i x_i w_i`, summed in parallel.

    Args:
      x: [D].
      w: [D].

    Returns:
      A scalar.
    """
    terms, rest = x * w, []
    while len(terms) > WIDTH:
        slices = min(MOST_SLICES, len(terms) // (WIDTH // 2))
        width = len(terms) // slices // 8 * 8
        rest.append(jnp.sum(terms[slices * width :]))
        parts = [terms[i * width : (i + 1) * width] for i in range(slices)]
        # Without the barrier XLA would fuse this sum into each of its many uses.
        terms = lax.optimization_barrier(sum(parts[1:], parts[0]))
    while len(terms) > 1:
        half = len(terms) // 2
        rest.extend(terms[2 * half :])
        terms = terms[:half] + terms[half : 2 * half]
    return sum(rest, jnp.sum(terms))

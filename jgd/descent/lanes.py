"""A scan over steps that lays the lanes of a sweep where the processor wants them.

`vmap` puts the lanes in front: params of D numbers become [K, D], and a step works through K short
rows, each with its own start and end. With the lanes last, [D, K], every operation of a step runs over
the K lanes at once. Only the steps see it: lanes are in front again when the scan is done.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_batching import custom_vmap
from jax.custom_derivatives import SymbolicZero

from jgd.descent.products import with_parallel_products
from jgd.program import as_it_is, call, is_jit, run_program, trace

FEWEST_LANES = 64  # LLVM unrolls a loop over fewer, and the vectors of the processor lie idle
LONGEST_ROW = 128  # numbers of one leaf in one lane; longer rows fill the vectors by themselves
FEWEST_TO_FILL_UP = 16  # lanes from which it pays to add idle ones up to `FEWEST_LANES`,
LONGEST_TO_FILL_UP = 32  # and the longest rows: 32 lanes of 20 numbers take 425 ns a step, 64 take 235


def scan_steps(step: Callable, constants: Any, carry: Any, batches: Any, lanes_last: bool = True) -> Any:
    """The carry after `carry = step(constants, carry, batch)` for each batch.

    Args:
      step: `(constants, carry, batch) -> carry`.
      constants: pytree of what all steps share.
      carry: pytree of arrays.
      batches: pytree of arrays that share their leading axis, the steps.
      lanes_last: whether a step gains by it, as one with a single example does. One with many is a
        product of matrices, which XLA does better with the lanes in front.

    Returns:
      The carry.
    """
    batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), batches)
    program = trace(step, constants, carry, batch)
    # A loss or rule may close over what is differentiated or differs between lanes. Neither
    # `custom_vmap` nor `custom_jvp` sees that unless it is an argument.
    constants = program.closed_over, constants

    def one_step(constants, carry, batch):
        closed_over, constants = constants
        return call(program, closed_over, (constants, carry, batch))

    def in_turn(step, constants, carry, batches):
        return lax.scan(lambda c, b: (step(constants, c, b), None), carry, batches)[0]

    plainly = functools.partial(in_turn, one_step)
    # The reasons for the rest are those of CPUs; and `custom_vmap` knows no axis by its name.
    if jax.default_backend() != "cpu" or program.jaxpr.effects:
        return plainly(constants, carry, batches)

    @custom_vmap
    def laid_out(constants, carry, batches):
        return in_turn(with_parallel_products(one_step), constants, carry, batches)

    @laid_out.def_vmap
    def _(num_lanes, batched, constants, carry, batches):
        width = _lanes_last_in_all(num_lanes, carry, batched[1], batched[2]) if lanes_last else 0
        if width:
            places = np.minimum(np.arange(width), num_lanes - 1)
            fill_up = lambda x, b: x[places] if b and width > num_lanes else x  # noqa: E731
            constants = jax.tree.map(fill_up, constants, batched[0])
            carry = jax.tree.map(fill_up, carry, batched[1])
            mapped = _scan_with_lanes_last(program.jaxpr, width, batched, constants, carry, batches)
            mapped = jax.tree.map(lambda x: x[:num_lanes], mapped)
        else:
            axes = jax.tree.map(lambda b: 0 if b else None, tuple(batched))
            mapped = jax.vmap(plainly, axes, axis_size=num_lanes)(constants, carry, batches)
        return mapped, jax.tree.map(lambda _: True, mapped)

    return _differentiated_as(plainly, laid_out)(constants, carry, batches)


def _differentiated_as(plainly: Callable, laid_out: Callable) -> Callable:
    """`laid_out`, whose derivatives are those of `plainly`, for `custom_vmap` has no transpose.

    So the value beside a derivative may differ from the value alone in its last digits.
    """

    @jax.custom_jvp
    def function(*args):
        return laid_out(*args)

    # Symbolic zeros keep integers, and what no derivative is wanted by, out of the derivative.
    def jvp(primals, tangents):
        leaves, tree = jax.tree.flatten(primals)
        moves = [not isinstance(t, SymbolicZero) for t in jax.tree.leaves(tangents)]
        moving = lambda xs: [x for x, m in zip(xs, moves, strict=True) if m]  # noqa: E731

        def of_moving(*xs):
            rest = iter(xs)
            full = [next(rest) if m else x for x, m in zip(leaves, moves, strict=True)]
            return plainly(*jax.tree.unflatten(tree, full))

        return jax.jvp(of_moving, moving(leaves), moving(jax.tree.leaves(tangents)))

    function.defjvp(jvp, symbolic_zeros=True)
    return function


class Lanes(NamedTuple):
    """A value that differs between lanes, which are its last axis."""

    value: jax.Array


def _scan_with_lanes_last(program, num_lanes, batched, constants, carry, batches):
    constants = jax.tree.map(_lanes_last, constants, batched[0])
    carry = jax.tree.map(
        lambda x, b: x if b else jnp.broadcast_to(x, (num_lanes, *jnp.shape(x))), carry, batched[1]
    )
    tree = jax.tree.structure(carry)

    def apply(equation, operands):
        axes = [-1 if isinstance(x, Lanes) else None for x in operands]
        if is_jit(equation) or all(axis is None for axis in axes):
            return None
        one_lane = lambda *operands: as_it_is(equation, operands)  # noqa: E731
        values = [x.value if isinstance(x, Lanes) else x for x in operands]
        return [Lanes(x) for x in jax.vmap(one_lane, axes, -1, axis_size=num_lanes)(*values)]

    def all_lanes(carry, batch):
        inputs = jax.tree.leaves((constants, [Lanes(x) for x in carry], batch), is_leaf=_is_lanes)
        results = run_program(program, inputs, apply)
        return [_all(x, num_lanes) for x in results], None

    last = [jnp.moveaxis(x, 0, -1) for x in jax.tree.leaves(carry)]
    last, _ = lax.scan(all_lanes, last, batches)
    return jax.tree.unflatten(tree, [jnp.moveaxis(x, -1, 0) for x in last])


def _lanes_last(x, batched):
    return Lanes(jnp.moveaxis(x, 0, -1)) if batched else x


def _is_lanes(x):
    return isinstance(x, Lanes)


def _all(x, num_lanes):
    return x.value if _is_lanes(x) else jnp.broadcast_to(x[..., None], (*jnp.shape(x), num_lanes))


def _lanes_last_in_all(num_lanes: int, carry, carry_batched, batches_batched) -> int:
    """How many lanes to lay last, idle ones included; 0 where they are better in front."""
    rows = [
        jnp.shape(x)[1:] if batched else jnp.shape(x)
        for x, batched in zip(jax.tree.leaves(carry), jax.tree.leaves(carry_batched), strict=True)
    ]
    longest = max(max(row, default=1) if len(row) <= 1 else math.inf for row in rows)
    if longest > LONGEST_ROW or any(jax.tree.leaves(batches_batched)):
        return 0
    if FEWEST_TO_FILL_UP <= num_lanes < FEWEST_LANES and longest <= LONGEST_TO_FILL_UP:
        return FEWEST_LANES
    return num_lanes if num_lanes >= FEWEST_LANES else 0

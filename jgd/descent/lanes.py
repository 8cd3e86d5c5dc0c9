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
LARGEST_MATRIX = 1024  # numbers of one: 64 lanes of 64 x 10 take 0.12 us a step, and in front 1.0
VECTOR = 16  # lanes in a line of the cache; a number that is no multiple of it costs half as much again
BLOCK_BYTES = 45 * 2**10  # what lanes carry that run side by side, in the cache next to the core
FEWEST_OF_MATRICES, HALF = 24, 32  # 32 lanes of 64 x 10 take 0.18 us a step and lane, and in front 1.2
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
        block = _lanes_of_a_block(num_lanes, carry, batched[1], batched[2]) if lanes_last else 0
        if block:
            leaves, tree = jax.tree.flatten((constants, carry))
            differ = jax.tree.leaves((batched[0], batched[1]))

            def of_block(lanes):
                rest = iter(lanes)
                shared_and_lanes = [next(rest) if b else x for x, b in zip(leaves, differ, strict=True)]
                constants, carry = jax.tree.unflatten(tree, shared_and_lanes)
                return _scan_with_lanes_last(program.jaxpr, block, batched, constants, carry, batches)

            lanes = [x for x, b in zip(leaves, differ, strict=True) if b]
            mapped = _by_blocks(of_block, lanes, num_lanes, block)
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


def _lanes_of_a_block(num_lanes: int, carry, carry_batched, batches_batched) -> int:
    """How many lanes run side by side, idle ones included; 0 where they are better in front."""
    rows = [
        jax.ShapeDtypeStruct(jnp.shape(x)[1:] if batched else jnp.shape(x), jnp.result_type(x))
        for x, batched in zip(jax.tree.leaves(carry), jax.tree.leaves(carry_batched), strict=True)
    ]
    is_too_long = any(x.size > (LONGEST_ROW if x.ndim <= 1 else LARGEST_MATRIX) for x in rows)
    if is_too_long or any(jax.tree.leaves(batches_batched)):
        return 0
    # Within `shard_map` these are the lanes of one device; elsewhere they may be laid over all.
    devices = 1 if jax.sharding.get_abstract_mesh().manual_axes else jax.device_count()
    if num_lanes < FEWEST_LANES:
        if max(x.size for x in rows) <= LONGEST_TO_FILL_UP:
            return FEWEST_LANES if num_lanes >= FEWEST_TO_FILL_UP else 0
        if devices > 1 or num_lanes < FEWEST_OF_MATRICES or all(x.ndim <= 1 for x in rows):
            return 0
        return HALF if num_lanes <= HALF else FEWEST_LANES
    most = int(devices * BLOCK_BYTES // sum(x.size * x.dtype.itemsize for x in rows))
    widths = range(FEWEST_LANES, max(most, FEWEST_LANES) + 1, VECTOR * devices)
    # With the fewest idle lanes; of those alike, the widest.
    return min(reversed(widths), key=lambda width: math.ceil(num_lanes / width) * width)


def _by_blocks(of_block: Callable, lanes: list[jax.Array], num_lanes: int, block: int) -> Any:
    """What `of_block(lanes [block, ...])` gives for all lanes; the last one fills up the blocks."""
    num_blocks = math.ceil(num_lanes / block)
    if num_blocks * block > num_lanes:
        places = np.minimum(np.arange(num_blocks * block), num_lanes - 1)
        lanes = [x[places] for x in lanes]
    if num_blocks == 1:
        mapped = of_block(lanes)
    else:
        # A block takes lanes from all over: those that are laid over devices stay where they are.
        cut = [jnp.moveaxis(x.reshape(block, num_blocks, *x.shape[1:]), 1, 0) for x in lanes]
        mapped = jax.tree.map(
            lambda x: jnp.moveaxis(x, 0, 1).reshape(-1, *x.shape[2:]), lax.map(of_block, cut)
        )
    return jax.tree.map(lambda x: x[:num_lanes], mapped)

"""The blocks of an epoch, in its order: read ahead in a thread, then laid on the devices."""

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jgd.descent.order import order
from jgd.runtime.blocks import Blocks, Iterated, check_block
from jgd.runtime.mesh import parts_of

OF_BLOCKS = 0  # folded into the key for the order of the blocks; block b takes b + 1 for its rows


class Block(NamedTuple):
    """A block, as this process has read it, and then on the devices.

    Attributes:
      number: with the key and the epoch it gives the order of its rows.
      rows: pytree of arrays: all rows of the block, or those of the devices of this process.
      weights: of these rows, or None.
      num_rows: of the whole block.
      place: `row of those read -> str`, for messages.
    """

    number: int
    rows: Any
    weights: Any
    num_rows: int
    place: Callable[[int], str]


def blocks_of_epoch(
    source: Blocks | Iterated, key, epoch: int, skip: int, weights, rows_of, like
) -> Iterator[Block]:
    """The blocks of an epoch from `skip` on, on the devices; the next one comes while one is in use.

    Args:
      source: `Blocks` come in the order of the epoch, batches in their own.
      key: PRNG key, or None for blocks as they lie.
      epoch: its number.
      skip: how many blocks of it have been.
      weights: [N], of all rows, or None.
      rows_of: sharding of a block by rows, or None for the default device.
      like: shapes of a block to which all are alike but for their length; None takes the first one.
    """
    if isinstance(source, Blocks):
        read = _in_order(source, numbers_in_order(source, key, epoch)[skip:], weights, rows_of)
    else:
        read = _in_turn(source, epoch, skip, rows_of)
    # Mapped, for what has been read shall be held by nobody once it is on the devices.
    for block in _ahead(map(functools.partial(_on_devices, rows_of), read)):
        check_block(block.rows, like, f"block {block.number}")
        like = like or shapes_of(block.rows)
        yield block


def _on_devices(rows_of: NamedSharding | None, block: Block) -> Block:
    lay = functools.partial(_laid, num_rows=block.num_rows, rows_of=rows_of)
    rows, weights = jax.tree.map(lay, (block.rows, block.weights))
    return block._replace(rows=rows, weights=weights)


def rows_at_hand(x: jax.Array) -> np.ndarray:
    """The rows of a block that this process has."""
    if x.is_fully_addressable or x.is_fully_replicated:
        return np.asarray(x)
    parts = {shard.index[0].start or 0: shard.data for shard in x.addressable_shards}
    return np.concatenate([np.asarray(parts[first]) for first in sorted(parts)])


def shapes_of(rows: Any) -> Any:
    """Shapes and dtypes alone, which hold no block in memory."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), rows)


def _ahead(items: Iterator) -> Iterator:
    """The items, each taken in a thread while the one before it is in use."""
    end, has_float64 = object(), jax.config.jax_enable_x64

    def take():
        with jax.enable_x64(has_float64):  # which may be set for one thread alone
            return next(items, end)

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(take)
        while (item := _result(coming)) is not end:
            coming = thread.submit(take)
            yield item


def _result(coming: Future) -> Any:
    """What was read; whatever kept it from being read is a ValueError, as bad input is everywhere."""
    try:
        return coming.result()
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"a block could not be read ({type(error).__name__}: {error})") from error


def numbers_in_order(source: Blocks, key, epoch: int) -> np.ndarray:
    """The numbers of all blocks, in the order of an epoch."""
    if key is None:
        return np.arange(source.num_blocks)
    key = jax.random.fold_in(key, OF_BLOCKS)
    return np.asarray(jax.jit(order, static_argnums=2)(key, epoch, source.num_blocks))


def _in_order(source: Blocks, numbers: np.ndarray, weights, rows_of) -> Iterator[Block]:
    for number in numbers.tolist():
        first = number * source.rows
        num_rows = min(source.rows, source.num_rows - first)
        begin, end = (first + row for row in _own_rows(num_rows, rows_of))
        own = None if weights is None else np.asarray(weights[begin:end], float)
        yield Block(number, source.read(begin, end), own, num_rows, _shifted(source.place, begin))


def _shifted(place: Callable[[int], str], first: int) -> Callable[[int], str]:
    return lambda row: place(first + row)


def _in_turn(source: Iterated, epoch: int, skip: int, rows_of) -> Iterator[Block]:
    for number, batch in enumerate(source.start(epoch)):
        if number < skip:
            continue
        what = f"batch {number} of epoch {epoch} of {source.name}"
        num_rows = check_block(batch, None, what) * jax.process_count()
        if jax.process_count() > 1 and _parts(num_rows, rows_of) == 1:
            raise ValueError(
                f"{what} has {num_rows // jax.process_count()} rows in process {jax.process_index()}, "
                "which do not divide among its devices. Batches of several processes want a multiple of "
                "them."
            )
        yield Block(number, batch, None, num_rows, f"{what}, row {{}}".format)


def _parts(num_rows: int, rows_of: NamedSharding) -> int:
    """Into how many parts a block is cut: as many as there are, or 1, where its rows do not divide."""
    parts = parts_of(rows_of)
    return parts if num_rows % parts == 0 else 1


def _sharding(num_rows: int, rows_of: NamedSharding) -> NamedSharding:
    """By rows, or whole on each device, as the last block is whose rows do not divide."""
    return rows_of if _parts(num_rows, rows_of) > 1 else NamedSharding(rows_of.mesh, PartitionSpec())


def _own_rows(num_rows: int, rows_of: NamedSharding | None) -> tuple[int, int]:
    """The first and the last of the rows of a block that this process reads."""
    if rows_of is None:
        return 0, num_rows
    places = _sharding(num_rows, rows_of).addressable_devices_indices_map((num_rows,)).values()
    ends = [(place[0] if place else slice(None)).indices(num_rows) for place in places]
    return min(end[0] for end in ends), max(end[1] for end in ends)


def _laid(x: np.ndarray, num_rows: int, rows_of: NamedSharding | None) -> jax.Array:
    if rows_of is None:
        return jnp.asarray(x)
    # Of float64 JAX may make float32, and here it does not so by itself.
    x = np.asarray(x, jax.dtypes.canonicalize_dtype(x.dtype))
    sharding = _sharding(num_rows, rows_of)
    return jax.make_array_from_process_local_data(sharding, x, (num_rows, *x.shape[1:]))

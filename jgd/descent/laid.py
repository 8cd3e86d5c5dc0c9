"""An epoch of batches whose rows lie on several devices.

Every device holds a part of the rows and finds by itself which places they have in the order of the
epoch. A step takes the rows of its batch wherever they lie; sums of losses and gradients meet in one
collective. The batches are those of one device, and so are the numbers, beyond rounding.
"""

import math
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec

from jgd.descent.checks import Arguments
from jgd.descent.order import position_of
from jgd.descent.step import Position, carry_after, carry_at_start, position_at_end
from jgd.objectives.rows import Layout
from jgd.objectives.sums import loss_dtype, wide

DEVIATIONS = 6  # by which the rows of a batch on one device may exceed their mean: 1 in 1e9 batches


class Places(NamedTuple):
    """Which places of the epoch the rows of each device have. Each device holds its own part.

    Attributes:
      position: [N], the places in the order, rising on each device.
      row: [N], the rows that have them, numbered on their device.
    """

    position: jax.Array
    row: jax.Array


def places_of(arguments: Arguments, shuffle: bool, key, epoch) -> Places:
    """The places that the rows have in the order of an epoch."""
    layout = cast(Layout, arguments.layout)
    num_examples = jax.tree.leaves(arguments.data)[0].shape[0]
    cut = PartitionSpec(layout.axis)

    def of_device(examples, key, epoch):
        position = position_of(key, epoch, examples, num_examples) if shuffle else examples
        return Places(*lax.sort((position, jnp.arange(len(examples))), num_keys=1, is_stable=False))

    whole = PartitionSpec()
    find = layout.on_each(of_device, cut, whole, whole, out_specs=cut)
    return find(jnp.arange(num_examples), key, epoch)


def rows_between(arguments: Arguments, places: Places, first, last, width: int) -> tuple[Any, jax.Array]:
    """The rows whose places are from `first` to before `last`.

    Args:
      arguments: of the descent; the data are laid over devices.
      places: of the epoch.
      first: integer.
      last: integer.
      width: the most of them that one device has.

    Returns:
      Rows [P * width, ...], laid over P devices, and their weights [P * width]: 0 where a device has
      fewer.
    """
    layout = cast(Layout, arguments.layout)
    cut, whole = PartitionSpec(layout.axis), PartitionSpec()

    def of_device(places, data, weights, ends):
        begin, end = jnp.searchsorted(places.position, ends, method="scan_unrolled")
        slots = begin + jnp.arange(width)
        rows = places.row.at[slots].get(mode="clip")
        taken, weights = jax.tree.map(
            lambda x: x.at[rows].get(mode="promise_in_bounds"), (data, weights)
        )
        return taken, jnp.where(slots < end, 1.0 if weights is None else weights, 0)

    take = layout.on_each(of_device, cut, cut, cut, whole, out_specs=cut)
    return take(places, arguments.data, arguments.weights, jnp.stack([first, last]))


def pass_over_laid(arguments: Arguments, places: Places, start: Position, shuffle: bool):
    """One epoch of batches: the position after it, and the sum of all losses."""
    num_examples = jax.tree.leaves(arguments.data)[0].shape[0]
    batch_size, shards = arguments.batch_size or 1, cast(Layout, arguments.layout).shards
    wide_enough = min(batch_size, num_examples // shards)
    share = batch_size / shards
    narrow = math.ceil(share + DEVIATIONS * math.sqrt(share))
    if not shuffle or 2 * narrow > wide_enough:
        return _pass_of_width(arguments, places, start, wide_enough)
    # Rarely a device has more rows in one of the batches; then all steps of the epoch take more room.
    # One look an epoch, since the host waits for it on a GPU.
    return lax.cond(
        _most_in_a_batch(places, batch_size, num_examples, shards) <= narrow,
        lambda start: _pass_of_width(arguments, places, start, narrow),
        lambda start: _pass_of_width(arguments, places, start, wide_enough),
        start,
    )


def _most_in_a_batch(places: Places, batch_size: int, num_examples: int, shards: int) -> jax.Array:
    ends = batch_size * jnp.arange(1 + math.ceil(num_examples / batch_size))
    of_devices = places.position.reshape(shards, -1)
    cuts = jax.vmap(lambda position: jnp.searchsorted(position, ends))(of_devices)
    return jnp.max(jnp.diff(cuts, axis=1))


def _pass_of_width(arguments: Arguments, places: Places, start: Position, width: int):
    objective, batch_size = arguments.objective, arguments.batch_size or 1
    num_examples = jax.tree.leaves(arguments.data)[0].shape[0]
    zero = jnp.zeros((), wide(loss_dtype(objective.loss, start.params, arguments.data)))
    constants = objective, arguments.rule, arguments.traced_batch_size

    def take_step(carry, first):
        batch = rows_between(arguments, places, first, first + batch_size, width)
        return carry_after(constants, carry, *batch, arguments.layout)

    carry = carry_at_start(start, arguments.traced_batch_size, zero)
    carry, added = lax.scan(take_step, carry, jnp.arange(0, num_examples, batch_size))
    return position_at_end(constants, carry), jnp.sum(added)

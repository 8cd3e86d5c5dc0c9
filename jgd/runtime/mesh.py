"""Rows laid over devices, of one process or of many."""

import zlib
from typing import Any, cast

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jgd.objectives.checks import check_data, checked_weights
from jgd.objectives.rows import Layout
from jgd.runtime.processes import first_of, said_by_all
from jgd.wording import count

REFUSED = -1  # in the place of the number of rows: the process has refused its data


def shard_rows(data: Any, mesh: Mesh | None = None, *, weights: Any = None, fill: bool = False):
    """Lay the rows of data over devices: each holds a part of them, and descents use all.

        data, _ = jgd.shard_rows(data)
        fit = jgd.minibatch_descent(objective, params, data, batch_size=1024, ...)

    All descents take them so, and a sweep on a mesh that has an axis for its lanes, too. A batch is the
    same examples as on one device, and so are losses and params, beyond rounding, whatever the number of
    devices; sums meet in one collective a step, which costs about 0.1 ms between the cores of a CPU. So
    batches want to be large: a device has B / P rows of each. `shuffle=False` leaves all but one of them
    idle.

    In several processes (`jax.distributed.initialize()`), each calls it with its own rows, as many as
    the others have; they are taken as lying one after the other by the number of the process.

    Args:
      data: pytree of arrays [N, ...]; in several processes, the rows of this one.
      mesh: whose axis "rows", or only axis, the rows are cut along; None takes all devices of all
        processes.
      weights: [N] or None.
      fill: whether to fill up what does not divide into equal parts with rows of weight 0. These have
        places in the order, so that batches are then others than on one device.

    Returns:
      The data, and the weights, [N] and laid likewise, or None where every row counts.

    Raises:
      ValueError: the rows are fewer than the devices, or do not divide into equal parts and `fill` is
        False; a process has other many than the rest; the mesh has no such axis; data or weights do not
        fit.

    >>> data, _ = shard_rows({"x": np.ones((8, 3)), "y": np.ones(8)}, jax.make_mesh((1,), ("rows",)))
    >>> tuple(data["x"].sharding.spec)
    ('rows',)

    Source: Dean et al. (2012), Large Scale Distributed Deep Networks, for rows over machines; Valiant
    (1990) for steps that meet in one exchange.
    """
    sharding = row_sharding(mesh)
    num_rows, weights = _in_agreement(data, weights)
    parts = _own_parts(sharding)
    largest = max(num_rows)
    wanted = -(-largest // parts) * parts
    is_even = all(number == wanted for number in num_rows)
    if not fill and not is_even:
        _refuse(num_rows, parts)
    if min(num_rows) < parts:
        raise ValueError(
            f"data has {_of_whom(num_rows, min(num_rows))}, but there are {count(parts, 'device')} for "
            'them, and each wants one at least. Use fewer: jax.make_mesh((1,), ("rows",), '
            "devices=jax.devices()[:1])."
        )
    missing = wanted - num_rows[jax.process_index()]
    if not is_even:
        own = np.ones(wanted - missing) if weights is None else np.asarray(weights)
        weights = np.concatenate([own, np.zeros(missing)]).astype(jax.numpy.asarray(0.0).dtype)
        data = jax.tree.map(lambda x: _filled(x, missing), data)
    return jax.tree.map(lambda x: _place(x, sharding), (data, weights))


def row_sharding(mesh: Mesh | None) -> NamedSharding:
    """How rows lie on a mesh: along its axis "rows", or its only one; None is of all devices."""
    if mesh is None:
        mesh = jax.make_mesh((jax.device_count(),), ("rows",), (AxisType.Auto,))
    names: Any = getattr(mesh, "axis_names", ())
    axis = "rows" if "rows" in names else names[0] if len(names) == 1 else None
    if not isinstance(mesh, Mesh) or axis is None:
        raise ValueError(
            f'mesh is {mesh!r}, but one with an axis "rows", or with one axis, is wanted: '
            'jax.make_mesh((8,), ("rows",)).'
        )
    return NamedSharding(Mesh(mesh.devices, names), PartitionSpec(axis))


def _in_agreement(data: Any, weights: Any) -> tuple[list[int], jax.Array | None]:
    """The number of rows of every process; ValueError in all of them where one has refused its own."""
    own, error = REFUSED, None
    try:
        own = check_data(data)
        weights = checked_weights(weights, own)
    except ValueError as refusal:
        own, error = REFUSED, refusal
    everywhere, kinds = said_by_all(own, 0 if error else _kind(data)).T
    other = first_of(kinds != kinds[0])
    if REFUSED not in everywhere and other is not None:
        error = ValueError(
            f"process {other} has data of another structure, width or dtype than process 0, but all "
            f"want the same. Here (process {jax.process_index()}) they are {_described(data)}."
        )
    if error is not None:
        raise error
    refused = first_of(everywhere == REFUSED)
    if refused is not None:
        raise ValueError(f"process {refused} has refused its data; it says why.")
    return everywhere.tolist(), weights


def _described(data: Any) -> str:
    leaves = jax.tree_util.tree_leaves_with_path(data)
    return ", ".join(f"{jax.tree_util.keystr(p)} {x.dtype}[*, {list(x.shape[1:])}]" for p, x in leaves)


def _kind(data: Any) -> int:
    """A number that tells data of one kind from others."""
    return zlib.crc32(_described(data).encode()) & 0x7FFFFFFF


def _own_parts(sharding: NamedSharding) -> int:
    """Into how many parts the rows of this process are cut."""
    places: Any = sharding.addressable_devices_indices_map((parts_of(sharding),)).values()
    return len({place[0].start for place in places})


def parts_of(sharding: NamedSharding) -> int:
    """Into how many parts rows are cut, of all processes together."""
    mesh, axis = cast(Mesh, sharding.mesh), cast(str, sharding.spec[0])
    return Layout(mesh, axis).shards


def _refuse(num_rows: list[int], parts: int) -> None:
    if len(set(num_rows)) > 1:
        other = next(i for i, number in enumerate(num_rows) if number != num_rows[0])
        raise ValueError(
            f"process {other} has {num_rows[other]:,} rows and process 0 has {num_rows[0]:,}, but all "
            "want the same number. Share them out anew, or pass fill=True: rows of weight 0 then fill "
            "up the shorter ones."
        )
    if num_rows[0] >= parts:
        raise ValueError(
            f"data has {_of_whom(num_rows, num_rows[0])}, which do not divide among "
            f"{count(parts, 'device')}: {num_rows[0] % parts} are left over. Leave them out, or pass "
            "fill=True: rows of weight 0 then fill up the parts."
        )


def _of_whom(num_rows: list[int], number: int) -> str:
    whose = f" in process {num_rows.index(number)}" if len(num_rows) > 1 else ""
    return count(number, "row") + whose


def _place(x: Any, sharding: NamedSharding) -> jax.Array:
    """A part of the rows where it belongs; a float64 of NumPy becomes what JAX takes it for."""
    if jax.process_count() == 1:
        return jax.device_put(x, sharding)
    return jax.make_array_from_process_local_data(sharding, np.asarray(jax.numpy.asarray(x)))


def _filled(x: Any, missing: int) -> Any:
    """With copies of its last row, which are sane numbers for every loss."""
    return x[np.minimum(np.arange(len(x) + missing), len(x) - 1)]

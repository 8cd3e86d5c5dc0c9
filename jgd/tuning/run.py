"""Many trainings of one structure as one program, its lanes laid over devices.

On a mesh of two axes the second is for the rows of the data: a lane is then trained by several devices.

What `train` closes over, the data above all, is lifted to arguments: as constants of the program they
would be copied and folded by the compiler. Lanes go through in chunks that memory can hold.
"""

import functools
import math
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jgd.descent.loop import Fit
from jgd.program import WANTS_A_VALUE, Program, trace
from jgd.tree import is_cut, is_whole

CACHE_BYTES = 2**20  # params and memory of the rules of the lanes of a core: beyond, its caches spill
LARGE_LANE_BYTES = 2**19  # of one lane: side by side with others it is slower than alone
MEMORY_SHARE = 0.8  # of what a device has free


def lifted(train: Callable, *arguments: Any) -> Program:
    """Trace `train`, so that the arrays that it closes over can be arguments.

    Args:
      train: `(*arguments) -> Fit`, pure.
      *arguments: of one training: arrays or their shapes.

    Returns:
      A `Program`, whose shapes are those of one `Fit`.

    Raises:
      ValueError: the result is no single Fit, or `train` wants the value of a number while it is traced.
    """
    try:
        program = trace(train, *arguments)
    except WANTS_A_VALUE as error:
        raise ValueError(
            "train uses a traced number where Python must know its value: as a shape, an int, a "
            "condition. Mark that axis of the space with jgd.static([...]), or keep to jnp.where and "
            "the like."
        ) from error
    fit = program.shapes
    if not isinstance(fit, Fit):
        raise ValueError(
            f"train returns {type(fit).__name__}, but a Fit is wanted: return what jgd.descend or a "
            "variant of it returns."
        )
    if fit.status.shape:
        raise ValueError(
            f"train returns a batch of fits of shape {fit.status.shape}, but a single Fit is wanted: "
            "leave jax.vmap to jgd, and make what it maps over an axis of the space."
        )
    return program


def over_lanes(run: Callable, mesh: Mesh, at_once: int) -> Callable:
    """`(shared, arguments [K, ...]) -> results [K, ...]`: each device runs its own lanes.

    Args:
      run: `(shared, arguments) -> results` of one lane.
      mesh: over whose first axis the lanes are laid.
      at_once: how many of them a device runs at a time.
    """
    parts = lane_parts(mesh)

    def all_lanes(shared, arguments):
        num = len(jax.tree.leaves(arguments)[0])
        rounds = math.ceil(num / (parts * at_once))
        width = math.ceil(num / (parts * rounds))
        lay = _by_devices if len(mesh.axis_names) == 1 else _by_the_compiler
        # Where the last round has places to spare, the last lane stands in them again.
        places = np.minimum(np.arange(parts * rounds * width), num - 1)
        filled = arguments if len(places) == num else jax.tree.map(lambda x: x[places], arguments)
        results = lay(run, mesh, rounds, width)(shared, filled)
        return jax.tree.map(lambda x: x[:num], results)

    return all_lanes


def _by_devices(run: Callable, mesh: Mesh, rounds: int, width: int) -> Callable:
    """Each device runs its own lanes, `width` at a time."""
    whole, cut = PartitionSpec(), PartitionSpec(mesh.axis_names[0])

    def of_device(shared, arguments):
        one_lane = functools.partial(run, shared)
        if width == 1:
            return lax.map(one_lane, arguments)
        if rounds == 1:
            return jax.vmap(one_lane)(arguments)
        return lax.map(one_lane, arguments, batch_size=width)

    return jax.shard_map(of_device, mesh=mesh, in_specs=(whole, cut), out_specs=cut, check_vma=False)


def _by_the_compiler(run: Callable, mesh: Mesh, rounds: int, width: int) -> Callable:
    """Lanes over the first axis; a lane itself says what goes over the second."""
    by_lanes = NamedSharding(mesh, PartitionSpec(None, mesh.axis_names[0]))

    def laid(shared, arguments):
        cut = jax.tree.map(lambda x: x.reshape(rounds, -1, *x.shape[1:]), arguments)
        cut = lax.with_sharding_constraint(cut, by_lanes)
        results = lax.map(jax.vmap(functools.partial(run, shared)), cut)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), results)

    return laid


def lane_parts(mesh: Mesh) -> int:
    """Into how many parts the lanes are cut."""
    return mesh.shape[mesh.axis_names[0]]


def compiled(program: Callable, arguments: tuple, mesh: Mesh, lanes: int | None, kept: Any) -> Callable:
    """Compile a program of many lanes, with as many at once as memory holds well.

    Args:
      program: `at_once -> function`; the lanes of one device at a time.
      arguments: those of the function, on all devices of the mesh.
      mesh: over whose first axis the lanes are laid.
      lanes: how many shall run at once, on all devices together; None leaves it to jgd.
      kept: shapes of what one lane keeps from step to step.

    Returns:
      The compiled function.
    """
    at_once = math.ceil(lanes / lane_parts(mesh)) if lanes else lanes_of_the_cache(kept, mesh)
    while True:
        function = jax.jit(program(at_once)).lower(*arguments).compile()
        if lanes or at_once == 1 or _fits_in_memory(function, mesh):
            return function
        at_once = math.ceil(at_once / 2)


def of_one_lane(tree: Any) -> Any:
    """Shapes of one lane of arrays [K, ...]."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), tree)


def on_all_devices(tree: Any, mesh: Mesh) -> Any:
    """Arrays for every device of the mesh; those of a CPU, which share its memory, without a copy.

    What is laid over these devices by rows stays as it is.
    """
    everywhere = NamedSharding(mesh, PartitionSpec())
    on_cpu = all(device.platform == "cpu" for device in mesh.devices.flat)

    def place(x):
        if is_cut(x):  # by its rows; lanes are not, between two programs
            _check_rows_have_an_axis(x, mesh)
            return x
        is_plain = isinstance(x, jax.Array) and not jnp.issubdtype(x.dtype, jax.dtypes.extended)
        return jax.device_put(np.asarray(x) if on_cpu and is_plain else x, everywhere)

    return jax.tree.map(place, tree)


def _check_rows_have_an_axis(x: Any, mesh: Mesh) -> None:
    if len(mesh.axis_names) != 2 or x.sharding.device_set != set(mesh.devices.flat):
        raise ValueError(
            f"train closes over an array of shape {x.shape} that is laid over devices, "
            f"{x.sharding.spec}, but the lanes are laid over them, too. Give both an axis: "
            'mesh = jax.make_mesh((2, 4), ("lanes", "rows")), data = jgd.shard_rows(data, mesh)[0], and '
            "mesh=mesh here; or hand over data that lie together."
        )


def on_first_device(tree: Any, mesh: Mesh) -> Any:
    return jax.device_put(tree, mesh.devices.flat[0])


def lane_mesh(mesh: Mesh | None) -> Mesh:
    """The mesh whose first axis the lanes are laid over: that given, or all devices of this process."""
    if mesh is None:
        return jax.make_mesh((jax.local_device_count(),), ("lanes",), (AxisType.Auto,))
    if not isinstance(mesh, Mesh) or len(mesh.axis_names) not in (1, 2):
        raise ValueError(
            f"mesh is {mesh!r}, but a mesh of one axis is wanted, over which the lanes are laid, or of "
            'two, the second for rows: jax.make_mesh((2, 4), ("lanes", "rows")).'
        )
    return Mesh(mesh.devices, mesh.axis_names)


def check_lanes(lanes: Any) -> None:
    if lanes is not None and not (is_whole(lanes) and lanes >= 1):
        raise ValueError(
            f"lanes is {lanes!r}, but how many run at once, an int >= 1, or None, is wanted."
        )


def lanes_of_the_cache(kept: Any, mesh: Mesh) -> int:
    """How many lanes a core runs best at once; an accelerator has no bound but its memory."""
    if mesh.devices.flat[0].platform != "cpu":
        return 2**31
    of_one = max(sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(kept)), 1)
    return 1 if of_one > LARGE_LANE_BYTES else CACHE_BYTES // of_one


def _fits_in_memory(program: Any, mesh: Mesh) -> bool:
    analysis = program.memory_analysis()
    if analysis is None:
        return True
    wanted = analysis.temp_size_in_bytes + analysis.output_size_in_bytes
    return wanted <= MEMORY_SHARE * _free_bytes(mesh.devices.flat[0], mesh.devices.size)


def _free_bytes(device: Any, devices: int) -> float:
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / devices

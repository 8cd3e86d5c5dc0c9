"""Many trainings of one structure as one program, its lanes laid over all devices.

What `train` closes over, the data above all, is lifted to arguments: as constants of the program they
would be copied and folded by the compiler. Lanes go through in chunks that memory can hold.
"""

import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jgd.descent.loop import Fit
from jgd.program import Program, call, trace

CACHE_BYTES = 2**24  # params and memory of the rules of all lanes on a CPU: beyond, its caches spill
MEMORY_SHARE = 0.8  # of what a device has free


def lifted(train: Callable, config: dict[str, Any]) -> Program:
    """Trace `train`, so that the arrays that it closes over can be arguments.

    Args:
      train: `config -> Fit`, pure.
      config: one configuration: name -> array.

    Returns:
      A `Program`, whose shapes are those of one `Fit`.

    Raises:
      ValueError: the result is no Fit, or `train` wants the value of a number while it is traced.
    """
    try:
        program = trace(train, config)
    except jax.errors.ConcretizationTypeError as error:
        raise ValueError(
            f"train uses one of the numbers {sorted(config)} of config where Python must know its "
            "value: as a shape, an int, a condition. Mark that axis with jgd.static([...]), or keep to "
            "jnp.where and the like."
        ) from error
    if not isinstance(program.shapes, Fit):
        raise ValueError(
            f"train returns {type(program.shapes).__name__}, but a Fit is wanted: return what "
            "jgd.descend or a variant of it returns."
        )
    return program


def run_lanes(
    train: Callable, configs: dict[str, jax.Array], num: int, mesh: Mesh, lanes: int | None
) -> Fit:
    """Every configuration trained, as lanes of one program.

    Args:
      train: `config -> Fit`.
      configs: name -> array [num, ...].
      num: K, how many there are.
      mesh: of one axis, over whose devices the lanes are laid.
      lanes: how many run at once; None takes as many as the memory of the devices holds well.

    Returns:
      A `Fit` whose leaves have a leading axis K, on the first device.
    """
    devices = mesh.devices.size
    one = lifted(train, jax.tree.map(lambda x: x[0], configs))
    closed_over = jax.device_put(one.closed_over, NamedSharding(mesh, PartitionSpec()))
    at_once = _rounded(min(lanes or _lanes_of_the_cache(one.shapes, devices), num), devices)
    while True:
        program = _compiled(one, closed_over, _chunk(configs, 0, at_once, num), mesh)
        if lanes or at_once == devices or _fits_in_memory(program, mesh):
            break
        at_once = _rounded(at_once // 2, devices)
    chunks = [
        jax.device_put(program(closed_over, _chunk(configs, start, at_once, num)), mesh.devices.flat[0])
        for start in range(0, num, at_once)
    ]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[:num], *chunks)


def _compiled(training: Program, closed_over: Any, configs: Any, mesh: Mesh):
    """All lanes of a chunk, each device its own: none waits for another."""
    whole, cut = PartitionSpec(), PartitionSpec(mesh.axis_names[0])
    # A training without an axis of numbers has nothing to map over but its place.
    lanes = jax.vmap(
        lambda closed_over, place_and_config: call(training, closed_over, place_and_config[1:]),
        (None, 0),
    )
    laid = jax.shard_map(lanes, mesh=mesh, in_specs=(whole, cut), out_specs=cut, check_vma=False)
    return jax.jit(laid).lower(closed_over, configs).compile()


def _chunk(configs: dict[str, jax.Array], start: int, at_once: int, num: int):
    """The places and configs of one chunk; where there are too few, the last one again."""
    places = np.minimum(np.arange(start, start + at_once), num - 1)
    return jnp.asarray(places), jax.tree.map(lambda x: x[places], configs)


def _rounded(lanes: int, devices: int) -> int:
    """A multiple of the number of devices, upwards."""
    return max(-(-lanes // devices), 1) * devices


def _lanes_of_the_cache(fit: Fit, devices: int) -> int:
    """How many lanes a CPU runs best at once; elsewhere there is no bound but memory."""
    if jax.default_backend() != "cpu":
        return 2**31
    kept = jax.tree.leaves((fit.params, fit.state.rule_state))
    return max(CACHE_BYTES // max(sum(x.size * x.dtype.itemsize for x in kept), 1), devices)


def _fits_in_memory(program, mesh: Mesh) -> bool:
    analysis = program.memory_analysis()
    if analysis is None:
        return True
    wanted = analysis.temp_size_in_bytes + analysis.output_size_in_bytes
    return wanted <= MEMORY_SHARE * _free_bytes(mesh.devices.flat[0], mesh.devices.size)


def _free_bytes(device, devices: int) -> float:
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / devices

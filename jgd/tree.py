"""Small things about pytrees that every floor needs."""

import dataclasses
import numbers
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.tree_util import Partial


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Static:
    """A value that belongs to the structure of a pytree, not to its leaves."""

    value: Hashable


def as_partial(function: Callable) -> Partial:
    """`function` as a pytree: its identity is structure, the numbers bound to it are leaves."""
    return function if isinstance(function, Partial) else Partial(function)


def is_whole(number: Any) -> bool:
    """Whether it is an int, of Python or NumPy, and no bool."""
    return isinstance(number, numbers.Integral) and not isinstance(number, bool)


def is_known(x: Any) -> bool:
    """Whether the values are there to be looked at: not traced, nor in another process."""
    return not isinstance(x, jax.core.Tracer) and getattr(x, "is_fully_addressable", True)


def require_number(name: str, number: Any, is_right: Callable, wanted: str) -> jax.Array:
    """`number` as an array of the default float type; ValueError where it is concrete and wrong.

    A Python float would be weakly typed, and a program compiled twice for it.
    """
    try:
        if isinstance(number, str):  # NumPy would read a number off it
            raise ValueError
        # Judged by NumPy: each operation of JAX on a concrete number would be compiled first.
        if not isinstance(number, jax.core.Tracer) and not np.all(is_right(np.asarray(number, float))):
            raise ValueError
        return jnp.asarray(number, float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is {number!r}, but {wanted} is wanted.") from error


def of_one_shape(name: str, numbers: Any) -> Any:
    """The numbers of `name`, all of the shape of the largest, so that `vmap` maps over all of them."""
    shapes = [jnp.shape(x) for x in jax.tree.leaves(numbers)]
    try:
        shape = jnp.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ValueError(
            f"{name}: its numbers have the shapes {shapes}, but one shape for all of them is wanted, "
            "or a single number. For a grid map twice."
        ) from error
    return jax.tree.map(lambda x: jnp.broadcast_to(x, shape), numbers)


def strong(tree: Any) -> Any:
    """The leaves as arrays that are not weakly typed, for which a program would be compiled twice."""
    arrays = jax.tree.map(jnp.asarray, tree)
    return jax.tree.map(lambda x: on_automatic_axes(jnp.asarray(x, x.dtype)), arrays)


def on_automatic_axes(x: jax.Array) -> jax.Array:
    """The array where it lies, on a mesh whose axes are not explicit, as those of `jax.make_mesh` are.

    With explicit axes every function that is traced would have to say how its results are laid out.
    """
    sharding = None if isinstance(x, jax.core.Tracer) else x.sharding
    if not isinstance(sharding, NamedSharding) or not sharding.mesh.explicit_axes:
        return x
    mesh = Mesh(sharding.mesh.devices, sharding.mesh.axis_names)
    return jax.device_put(x, NamedSharding(mesh, sharding.spec, memory_kind=sharding.memory_kind))


def is_cut(x: Any) -> bool:
    """Whether the array is cut over devices, each of which holds a part."""
    sharding = None if isinstance(x, jax.core.Tracer) else getattr(x, "sharding", None)
    return isinstance(sharding, NamedSharding) and not sharding.is_fully_replicated


def all_finite(tree: Any) -> jax.Array:
    """Whether every number of `tree` is finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(tree)] or [True]))


def select(condition: jax.Array, new: Any, old: Any) -> Any:
    """`new` where `condition` holds, else `old`; a scalar condition over two equal pytrees."""
    return jax.tree.map(lambda n, o: jnp.where(condition, n, o), new, old)


def norm(tree: Any) -> jax.Array:
    """Euclidean norm over all leaves; no square overflows, and at 0 the derivative is 0."""
    leaves = [x for x in jax.tree.leaves(tree) if x.size]
    largest = jax.lax.stop_gradient(jnp.max(jnp.stack([jnp.max(jnp.abs(x)) for x in leaves])))
    is_zero = largest == 0  # of NaN it is False, so that NaN comes through
    scale = jnp.where(is_zero, 1, largest)
    squares = sum(jnp.sum(jnp.square(x / scale)) for x in leaves)
    return jnp.where(is_zero, 0, scale * jnp.sqrt(jnp.where(is_zero, 1, squares)))

"""Rows of data: which do not count, how many are taken at once, and where they lie."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding

BLOCK_BYTES = 2**19  # rows that are taken at once on a CPU: read once, they serve loss and gradient
FEWEST_BLOCK_ROWS = 128  # of wide rows, which want matrix products of some size


class Layout(NamedTuple):
    """Rows laid over the devices of a mesh.

    Attributes:
      mesh: of devices.
      axis: the name of the axis along which the rows lie, or a tuple of names. What else the mesh has is
        free for lanes and for the numbers of wide models.
    """

    mesh: Mesh
    axis: str | tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (self.axis,) if isinstance(self.axis, str) else self.axis

    @property
    def shards(self) -> int:
        """Into how many parts the rows are cut."""
        return math.prod(self.mesh.shape[name] for name in self.names)

    def on_each(self, function: Callable, *in_specs: Any, out_specs: Any) -> Callable:
        """`function` on each part of the rows, by itself; the other axes of the mesh stay XLA's."""
        return jax.shard_map(
            function,
            mesh=self.mesh,
            in_specs=in_specs,
            out_specs=out_specs,
            axis_names=set(self.names),
            check_vma=False,
        )


def row_layout(data: Any) -> Layout | None:
    """How the rows of `data` are laid over devices.

    Args:
      data: pytree of arrays [N, ...].

    Returns:
      A `Layout`, where the rows of all leaves are cut alike; None where they are not, or where that is
      not known, because `data` is traced.
    """
    layouts = {_layout(x) for x in jax.tree.leaves(data)}
    return layouts.pop() if len(layouts) == 1 else None


def _layout(x) -> Layout | None:
    sharding = None if isinstance(x, jax.core.Tracer) else getattr(x, "sharding", None)
    if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh):
        return None
    axis = sharding.spec[0] if len(sharding.spec) else None
    layout = Layout(sharding.mesh, axis) if axis else None
    return layout if layout is not None and layout.shards > 1 else None


def rows_per_block(data: Any) -> int:
    """How many rows to take at once, where nobody said: all, but on a CPU what its cache can hold.

    A number that divides N is preferred, so that the last block is like the others.
    """
    leaves = jax.tree.leaves(data)
    num_rows = leaves[0].shape[0]
    num_bytes = sum(x.dtype.itemsize * x.size for x in leaves)
    if jax.default_backend() != "cpu" or num_bytes <= 8 * BLOCK_BYTES:
        return num_rows
    most = min(max(BLOCK_BYTES * num_rows // num_bytes, FEWEST_BLOCK_ROWS), num_rows)
    return next((rows for rows in range(most, most // 2, -1) if num_rows % rows == 0), most)


def counted_rows(data: Any, weights: Any) -> Any:
    """`data`, where a row of weight 0 is replaced by one that counts.

    Zero times NaN is NaN: a weight of 0 alone would keep neither a row of NaN nor a row of zeros
    under a logarithm out of the gradient.

    Args:
      data: pytree of arrays [N, ...].
      weights: [N], or None: then every row counts.

    Returns:
      A pytree like `data`.
    """
    if weights is None:
        return data
    some_row = jnp.argmax(weights != 0)

    def leaf(x):
        counts = (weights != 0).reshape(-1, *(1,) * (x.ndim - 1))
        return jnp.where(counts, x, x[some_row])

    return jax.tree.map(leaf, data)

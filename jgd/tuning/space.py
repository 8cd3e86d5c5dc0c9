"""Spaces of configurations: grids and random draws over named axes.

An axis is numbers, which are traced, so that all of them share one program; or it is marked with
`static`, because another value makes another program: a layer's width, an activation.
"""

import dataclasses
import math
import numbers
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgd.objectives.checks import check_key
from jgd.tree import is_whole


@dataclasses.dataclass(frozen=True)
class StaticAxis:
    """Values of an axis that changes the program; like an array, it has a length and is indexed.

    Attributes:
      values: any hashable Python values.
    """

    values: tuple

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, places: Any) -> Any:
        if np.ndim(places):
            return StaticAxis(tuple(self.values[i] for i in places))
        return self.values[places]


class Distribution(NamedTuple):
    """Where the values of an axis are drawn from.

    Attributes:
      draw: `(key, num) -> array [num]`, or a `StaticAxis` of `num` values.
    """

    draw: Callable


@dataclasses.dataclass(frozen=True)
class Space:
    """K configurations.

    Attributes:
      axes: name -> array [K, ...] of numbers, or a `StaticAxis` of K values.
    """

    axes: dict[str, Any]

    def __len__(self) -> int:
        return len(next(iter(self.axes.values())))

    def numbers(self) -> dict[str, jax.Array]:
        """The axes that are traced."""
        return {name: axis for name, axis in self.axes.items() if not isinstance(axis, StaticAxis)}

    def groups(self) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """The static values of each program, and the numbers of the configurations that it runs."""
        static = {name: axis.values for name, axis in self.axes.items() if isinstance(axis, StaticAxis)}
        found: dict[tuple, list[int]] = {}
        for position in range(len(self)):
            found.setdefault(tuple(v[position] for v in static.values()), []).append(position)
        for values, positions in found.items():
            yield dict(zip(static, values, strict=True)), np.asarray(positions)

    def config(self, position: int) -> dict[str, Any]:
        """One configuration, by name."""
        return {name: axis[position] for name, axis in self.axes.items()}


def static(values: Sequence) -> StaticAxis:
    """Mark the values of an axis that changes the program; each gets a program of its own.

    Args:
      values: hashable Python values: layer widths, batch sizes that shall be static, functions.

    Returns:
      An axis for `grid`, or a distribution for `sample`, which draws from the values.

    Raises:
      ValueError: there is none, or one is not hashable.

    >>> grid(width=static([8, 16]), learning_rate=[0.1, 1.0]).config(2)["width"]
    16
    """
    values = tuple(values)
    if not values:
        raise ValueError("static: values is empty, but at least one value is wanted.")
    for value in values:
        try:
            hash(value)
        except TypeError as error:
            raise ValueError(
                f"static: {value!r} is not hashable, but a value by which a program is known is wanted. "
                "Make a tuple of a list; numbers and arrays that are traced need no static()."
            ) from error
    return StaticAxis(values)


def grid(**axes: Any) -> Space:
    """Every combination of the values of all axes; the last axis runs fastest.

    Args:
      **axes: name -> numbers [n], an array [n, ...], PRNG keys [n], or `static([...])`.

    Returns:
      A `Space` of as many configurations as the product of the lengths.

    Raises:
      ValueError: there is no axis, one is empty, or holds no numbers.

    >>> space = grid(learning_rate=[0.1, 1.0], momentum=[0.0, 0.5, 0.9])
    >>> len(space), {name: float(x) for name, x in space.config(1).items()}
    (6, {'learning_rate': 0.10000000149011612, 'momentum': 0.5})
    """
    if not axes:
        raise ValueError("grid has no axis, but at least one is wanted, e.g. learning_rate=[0.1, 1.0].")
    checked = {name: _axis(name, values) for name, values in axes.items()}
    shape = [len(axis) for axis in checked.values()]
    places = np.unravel_index(np.arange(math.prod(shape)), shape)
    return Space({name: axis[at] for (name, axis), at in zip(checked.items(), places, strict=True)})


def sample(key: jax.Array, num: int, **distributions: Any) -> Space:
    """Random configurations: each axis drawn on its own.

    Args:
      key: PRNG key.
      num: K, how many configurations.
      **distributions: name -> `uniform`, `log_uniform`, `integers`, `choice` or `static([...])`.

    Returns:
      A `Space` of `num` configurations.

    Raises:
      ValueError: num is no int >= 1, there is no axis, or one is no distribution.

    >>> key = jax.random.key(0)
    >>> space = sample(key, 100, learning_rate=log_uniform(1e-4, 1.0), width=static([8, 16]))
    >>> len(space), bool(jnp.median(space.axes["learning_rate"]) < 0.1)
    (100, True)

    Source: Bergstra and Bengio (2012), Journal of Machine Learning Research 13: a random search tries
    more values of the axis that matters than a grid of the same size.
    """
    if not is_whole(num) or num < 1:
        raise ValueError(f"num is {num!r}, but a number of configurations, an int >= 1, is wanted.")
    if not distributions:
        raise ValueError(
            "sample has no axis, but at least one is wanted, e.g. "
            "learning_rate=jgd.log_uniform(1e-4, 1.0)."
        )
    check_key(key)
    axes = {}
    for name, distribution in distributions.items():
        if isinstance(distribution, StaticAxis):
            distribution = choice(distribution)
        if not isinstance(distribution, Distribution):
            raise ValueError(
                f"{name} is {distribution!r}, but a distribution is wanted: jgd.uniform, "
                "jgd.log_uniform, jgd.integers, jgd.choice or jgd.static. For every combination of "
                "given values use jgd.grid."
            )
        key, own = jax.random.split(key)
        axes[name] = distribution.draw(own, int(num))
    return Space(axes)


def uniform(low: float, high: float) -> Distribution:
    """Numbers between `low` and `high`, each as likely as the other.

    Args:
      low: the smallest.
      high: the largest.

    Returns:
      A `Distribution` for `sample`.

    Raises:
      ValueError: not finite, or low >= high.

    >>> sample(jax.random.key(0), 3, momentum=uniform(0.5, 0.99)).axes["momentum"].shape
    (3,)
    """
    low, high = _bounds("uniform", low, high)
    return Distribution(lambda key, num: jax.random.uniform(key, (num,), float, low, high))


def log_uniform(low: float, high: float) -> Distribution:
    """Numbers between `low` and `high` whose logarithm is uniform: every power of ten as often.

    Args:
      low: the smallest, above 0.
      high: the largest.

    Returns:
      A `Distribution` for `sample`.

    Raises:
      ValueError: not finite, low <= 0, or low >= high.

    >>> sample(jax.random.key(0), 3, learning_rate=log_uniform(1e-5, 1.0)).axes["learning_rate"].shape
    (3,)
    """
    low, high = _bounds("log_uniform", low, high)
    if low <= 0:
        raise ValueError(
            f"log_uniform: low is {low!r}, but a number above 0 is wanted; 0 has no logarithm."
        )
    powers = math.log(low), math.log(high)
    return Distribution(lambda key, num: jnp.exp(jax.random.uniform(key, (num,), float, *powers)))


def integers(low: int, high: int) -> Distribution:
    """Whole numbers from `low` to `high`, both included.

    Args:
      low: the smallest.
      high: the largest.

    Returns:
      A `Distribution` for `sample`.

    Raises:
      ValueError: not whole, or low >= high.

    >>> sample(jax.random.key(0), 3, batch_size=integers(1, 128)).axes["batch_size"].dtype
    dtype('int32')
    """
    first, last = map(int, _bounds("integers", low, high))
    if (first, last) != (low, high):
        raise ValueError(f"integers: the bounds are {low!r} and {high!r}, but whole numbers are wanted.")
    return Distribution(lambda key, num: jax.random.randint(key, (num,), first, last + 1))


def choice(values: Any) -> Distribution:
    """One of the values, each as likely as the other.

    Args:
      values: numbers [n], an array [n, ...], PRNG keys [n], or `static([...])`.

    Returns:
      A `Distribution` for `sample`.

    Raises:
      ValueError: there is none, or they are no numbers.

    >>> sample(jax.random.key(0), 3, momentum=choice([0.0, 0.9])).axes["momentum"].shape
    (3,)
    """
    axis = _axis("choice", values)
    return Distribution(lambda key, num: axis[np.asarray(jax.random.randint(key, (num,), 0, len(axis)))])


def _axis(name: str, values: Any) -> jax.Array | StaticAxis:
    """The values as an array [n, ...], or as they are where they are static."""
    if isinstance(values, StaticAxis):
        return values
    if isinstance(values, Distribution):
        raise ValueError(
            f"{name} is a distribution, but grid wants values. Use jgd.sample to draw from it."
        )
    try:
        array = jnp.asarray(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{name} is {values!r}, but numbers of one kind are wanted. What changes the program, and "
            "what is no number, goes into jgd.static([...])."
        ) from error
    if array.ndim == 0 or len(array) == 0:
        raise ValueError(f"{name} is {values!r}, but a list of at least one value is wanted.")
    return array


def _bounds(name: str, low: Any, high: Any) -> tuple[float, float]:
    are_numbers = all(isinstance(x, numbers.Real) and not isinstance(x, bool) for x in (low, high))
    if not are_numbers or not -math.inf < low < high < math.inf:
        raise ValueError(
            f"{name}: low is {low!r} and high is {high!r}, but numbers with low < high are wanted."
        )
    return low, high

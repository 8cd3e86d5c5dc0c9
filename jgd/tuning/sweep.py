"""A sweep: every configuration of a space trained, and what came of it."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jgd.descent.ending import endings_of
from jgd.descent.explain import counted
from jgd.descent.loop import Fit
from jgd.descent.status import Status
from jgd.program import call
from jgd.shown import shown_as
from jgd.tuning.cards import best_card, sweep_card
from jgd.tuning.run import (
    check_lanes,
    compiled,
    lane_mesh,
    lifted,
    of_one_lane,
    on_all_devices,
    on_first_device,
    over_lanes,
)
from jgd.tuning.score import scores_of
from jgd.tuning.space import Space


class Group(NamedTuple):
    """The configurations that share a program.

    Attributes:
      places: [k], their numbers in the space.
      fits: a `Fit` whose leaves have a leading axis k.
    """

    places: np.ndarray
    fits: Fit


@shown_as(best_card)
class Best(NamedTuple):
    """The best of a sweep.

    Attributes:
      place: its number in the space.
      config: name -> value.
      fit: its `Fit`.
      score: a float, the highest of all.
    """

    place: int
    config: dict[str, Any]
    fit: Fit
    score: float


@shown_as(sweep_card)
@dataclasses.dataclass(frozen=True)
class Sweep:
    """K trainings.

    Attributes:
      configs: the `Space`, of K configurations.
      groups: a `Group` for each program: one, where no axis is static.
    """

    configs: Space
    groups: tuple[Group, ...]

    @property
    def fits(self) -> Fit:
        """All fits as one, with a leading axis K; where axes are static, see `fit` and `groups`."""
        if len(self.groups) > 1:
            raise ValueError(
                f"fits: the static axes made {len(self.groups)} programs, whose params need not have "
                "the same shapes. Take sweep.fit(i), or sweep.groups, each with its places and fits."
            )
        return self.groups[0].fits

    def fit(self, place: int) -> Fit:
        """The fit of one configuration.

        Args:
          place: its number in the space.

        Raises:
          ValueError: there is none of that number.
        """
        return fit_in_groups(self.groups, place)

    def scores(self, score: Callable | None = None) -> np.ndarray:
        """The score of every fit, [K]; the higher the better; -inf for what diverged or scores NaN.

        Args:
          score: `Fit -> scalar`, traceable; None takes the negative loss of the last epoch.
        """
        found = np.empty(len(self.configs))
        for group in self.groups:
            found[group.places] = jax.jit(functools.partial(scores_of, score))(group.fits)
        return found

    def best(self, score: Callable | None = None) -> Best:
        """The configuration with the highest score; one that diverged never is.

        Args:
          score: as in `scores`.

        Raises:
          ValueError: no fit has a score.
        """
        scores = self.scores(score)
        place = int(np.argmax(scores))
        if scores[place] == -np.inf:
            raise ValueError(
                f"score: none of the {len(scores)} fits has one that is a number. {self.explain()}"
            )
        return Best(place, self.configs.config(place), self.fit(place), float(scores[place]))

    def records(self, score: Callable | None = None) -> list[dict[str, Any]]:
        """A dict for each configuration, of which polars and pandas make a table.

        Args:
          score: as in `scores`.

        Returns:
          A list of K dicts: the values of the config, `status`, `epochs`, `loss` and `gradient_norm` of
          the last epoch, and `score`.
        """
        scores = self.scores(score)
        rows: list[dict[str, Any]] = [{} for _ in scores]
        for group in self.groups:
            status, epochs, history = map(np.asarray, (*group.fits[1:3], group.fits.history.loss))
            norms = np.asarray(group.fits.history.gradient_norm)
            for lane, place in enumerate(group.places):
                last = max(int(epochs[lane]), 1) - 1
                rows[place] = {
                    **{name: plain(value) for name, value in self.configs.config(place).items()},
                    "status": Status(int(status[lane])).name,
                    "epochs": int(epochs[lane]),
                    "loss": float(history[lane, last]),
                    "gradient_norm": float(norms[lane, last]),
                    "score": float(scores[place]),
                }
        return rows

    def explain(self) -> str:
        """How many ended in which way, where in the space, and what to do about it."""
        endings = np.empty(len(self.configs), object)
        for group in self.groups:
            endings[group.places] = endings_of(group.fits)
        return explain_lanes(self.configs, endings)


def sweep(train: Callable, space: Space, *, mesh: Mesh | None = None, lanes: int | None = None) -> Sweep:
    """Train every configuration of a space, as lanes of one compiled program.

    Args:
      train: `config -> Fit`, pure: as a rule a closure over the data that calls `jgd.descend`. `config`
        is a dict of scalars: numbers are traced, what is static is a Python value. Arrays that it closes
        over become arguments of the program.
      space: from `jgd.grid` or `jgd.sample`. For each combination of static values there is one program.
      mesh: over whose first axis the lanes are laid; over its second, where it has one, lie the rows of
        the data that `train` closes over. None takes all devices of this process.
      lanes: how many run at once; None takes as many as the devices hold well.

    Returns:
      A `Sweep`.

    Raises:
      ValueError: space is no Space, lanes no int >= 1, mesh has not one axis or two, train returns no
        Fit, wants to know a number of the config while it is traced, or closes over data that are laid
        over devices which the mesh has no axis for.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> def train(config):
    ...     return jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...                              rule=jgd.sgd(config["learning_rate"]), epochs=5)
    >>> found = sweep(train, jgd.grid(learning_rate=[0.01, 0.1, 0.5, 2.0]))
    >>> best = found.best()
    >>> best.place, float(best.fit.params)
    (2, 2.0)

    Source: Bergstra and Bengio (2012), Journal of Machine Learning Research 13, for what is swept; lanes
    of trainings as one `vmap` are the idea of JAX (Bradbury et al. 2018).
    """
    check_space(space)
    check_lanes(lanes)
    mesh = lane_mesh(mesh)
    groups = []
    for static, places in space.groups():
        configs = {name: axis[places] for name, axis in space.numbers().items()}
        lane = functools.partial(_train_lane, train, static)
        fits = train_lanes(lane, (places, configs), mesh, lanes)
        groups.append(Group(places, fits))
    return Sweep(space, tuple(groups))


def _train_lane(train: Callable, static: dict, place: Any, config: dict) -> Fit:
    """A lane has a place even where its space has no axis of numbers to be mapped over."""
    return train({**static, **config})


def train_lanes(train: Callable, arguments: tuple, mesh: Mesh, lanes: int | None) -> Fit:
    """Every lane trained, in one program.

    Args:
      train: `(*arguments) -> Fit`.
      arguments: pytrees of arrays with a leading axis K.
      mesh: over whose first axis the lanes are laid.
      lanes: how many run at once; None takes as many as the devices hold well.

    Returns:
      A `Fit` whose leaves have a leading axis K, on the first device.
    """
    arguments = on_all_devices(jax.tree.map(jnp.asarray, arguments), mesh)
    one = lifted(train, *of_one_lane(arguments))
    inputs = on_all_devices(one.closed_over, mesh), arguments
    program = functools.partial(over_lanes, functools.partial(call, one), mesh)
    kept = one.shapes.params, one.shapes.state.rule_state
    return on_first_device(compiled(program, inputs, mesh, lanes, kept)(*inputs), mesh)


def fit_in_groups(groups: tuple[Group, ...], place: int) -> Any:
    """The fit of one configuration, or the batch of its fits."""
    for group in groups:
        for lane in np.flatnonzero(group.places == place):
            return jax.tree.map(lambda x, lane=lane: x[lane], group.fits)
    num = sum(len(group.places) for group in groups)
    raise ValueError(f"place is {place!r}, but a whole number from 0 to {num - 1} is wanted.")


def explain_lanes(configs: Space, endings: np.ndarray) -> str:
    """How many of the fits [K, ...] ended in which way, where in the space, and what to do about it."""
    return counted(endings, functools.partial(_where, configs))


def _where(configs: Space, lanes: np.ndarray) -> str:
    """The range of each axis of numbers in these lanes, for the axes that it tells something of."""
    places = np.unique(np.nonzero(lanes)[0])
    parts = []
    for name, axis in configs.numbers().items():
        if axis.ndim > 1 or not jnp.issubdtype(axis.dtype, jnp.number):
            continue
        values = np.asarray(axis)
        low, high = values[places].min(), values[places].max()
        if low > values.min() or high < values.max():
            parts.append(f"{name} {low:.4g}" + (f" to {high:.4g}" if low < high else ""))
    return f" ({', '.join(parts)})" if parts else ""


def check_space(space: Any) -> None:
    if not isinstance(space, Space):
        raise ValueError(
            f"space is {type(space).__name__}, but jgd.grid(...) or jgd.sample(...) is wanted."
        )


def plain(value: Any) -> Any:
    """A Python number, where the value is one."""
    is_number = isinstance(value, jax.Array) and value.ndim == 0
    return value.item() if is_number and jnp.issubdtype(value.dtype, jnp.number) else value

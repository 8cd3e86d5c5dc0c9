"""Population based training: those that do badly go on from where the good ones are."""

import dataclasses
import functools
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from jgd.descent.ending import endings_of
from jgd.descent.loop import Fit, History
from jgd.objectives.checks import check_key
from jgd.program import call
from jgd.tree import is_whole
from jgd.tuning.rounds import check_traced, first_round, next_round
from jgd.tuning.run import (
    check_lanes,
    compiled,
    lane_mesh,
    of_one_lane,
    on_all_devices,
    on_first_device,
    over_lanes,
)
from jgd.tuning.score import check_score, negative_loss, scores_after, scores_of
from jgd.tuning.space import Space
from jgd.tuning.sweep import Best, check_space, explain_lanes, plain


@dataclasses.dataclass(frozen=True)
class Population:
    """K members over R rounds.

    Attributes:
      configs: name -> [R, K, ...], what each member trained with in each round.
      parents: [R, K], the member whose state, of the round before, each went on from.
      scores: [R, K], at the end of each round; -inf for what diverged or scored NaN.
      fits: a `Fit` whose leaves have a leading axis K, at the end; each with the history and the epochs
        of its lineage.
    """

    configs: dict[str, jax.Array]
    parents: np.ndarray
    scores: np.ndarray
    fits: Fit

    @property
    def best(self) -> Best:
        """The member with the highest score of the last round, and its last config.

        Raises:
          ValueError: none has a score.
        """
        place = int(np.argmax(self.scores[-1]))
        if self.scores[-1, place] == -np.inf:
            raise ValueError(
                "score: no member has one that is a number after the last round. " + self.explain()
            )
        fit = jax.tree.map(lambda x: x[place], self.fits)
        return Best(place, self._config(-1, place), fit, float(self.scores[-1, place]))

    def lineage(self, place: int) -> list[dict[str, Any]]:
        """The way of one member back to its start: its schedule of numbers.

        Args:
          place: number of the member.

        Returns:
          A list of R dicts, as of `records`, the first round first.
        """
        places = _ancestors(self.parents)[:, place]
        return [self._record(round_, place) for round_, place in enumerate(places)]

    def records(self) -> list[dict[str, Any]]:
        """A dict for each round and member, of which polars and pandas make a table.

        Returns:
          A list of R * K dicts: `round`, `place`, `parent`, the values of the config, and `score`.
        """
        rounds, members = self.scores.shape
        return [self._record(round_, place) for round_ in range(rounds) for place in range(members)]

    def explain(self) -> str:
        """How many went on from another, how many lines are left, and how the fits ended."""
        rounds, members = self.scores.shape
        copied = int(np.sum(self.parents != np.arange(members)))
        times = "once" if copied == 1 else f"{copied} times"
        lines = len(np.unique(_ancestors(self.parents)[0]))
        last = Space({name: values[-1] for name, values in self.configs.items()})
        return (
            f"{members} members, {rounds} rounds: {times} one went on from another; those at the "
            f"end descend from {lines} of the start.\n"
            f"{explain_lanes(last, endings_of(self.fits))}"
        )

    def _config(self, round_: int, place: int) -> dict[str, Any]:
        return {name: values[round_, place] for name, values in self.configs.items()}

    def _record(self, round_: int, place: int) -> dict[str, Any]:
        return {
            "round": int(round_),
            "place": int(place),
            "parent": int(self.parents[round_, place]),
            **{name: plain(value) for name, value in self._config(round_, place).items()},
            "score": float(self.scores[round_, place]),
        }


def population_based_training(
    train: Callable,
    space: Space,
    *,
    key: jax.Array,
    rounds: int,
    epochs: int,
    exploit: float = 0.2,
    perturb: float = 1.25,
    explore: Callable | None = None,
    score: Callable | None = None,
    mesh: Mesh | None = None,
    lanes: int | None = None,
) -> Population:
    """Train all configurations in rounds; between them the worst copy the best and change a little.

    After each round but the last, the worst part of the members, and all that diverged, take over state
    and config of a random one of the best part, and explore from there: each number is multiplied or
    divided by `perturb`. So the numbers found are schedules. All rounds are one compiled program.

    Args:
      train: `(config, epochs, state) -> Fit`, pure: as a rule a closure over the data that calls
        `jgd.descend(..., epochs=epochs, state=state)`. `epochs`, an int, is how many to run now; `state`
        is None at first, then that of the fit so far.
      space: from `jgd.grid` or `jgd.sample`, without static axes: the members at the start.
      key: PRNG key of who copies whom and how numbers change.
      rounds: R, an int.
      epochs: of each round, an int.
      exploit: which part of the members copies, and which part is copied, in (0, 0.5].
      perturb: factor, above 1, by which `explore` changes numbers.
      explore: `(key, config) -> config` of one member that has copied; None multiplies or divides each
        number by `perturb`, at random, within the range that its axis has at the start. Whole numbers
        are rounded; keys and bools stay.
      score: `Fit -> scalar`, traceable, the higher the better, of a fit with the history of its round;
        None takes the negative loss of the last epoch. What diverged, and NaN, is last.
      mesh: over whose first axis the lanes are laid, see `jgd.sweep`; None takes all devices of this
        process.
      lanes: how many run at once; None takes as many as the devices hold well.

    Returns:
      A `Population`.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> def train(config, epochs, state):
    ...     return jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...                              rule=jgd.sgd(config["learning_rate"]), epochs=epochs, state=state)
    >>> space = jgd.grid(learning_rate=[0.001, 0.003, 0.01, 0.03, 0.1])
    >>> found = population_based_training(train, space, key=jax.random.key(0), rounds=4, epochs=5)
    >>> round(float(found.best.fit.params), 2), found.parents.shape, len(found.lineage(0))
    (1.98, (4, 5), 4)

    Source: Jaderberg et al. (2017), arXiv:1711.09846.
    """
    check_space(space)
    check_traced(space, "population_based_training")
    check_lanes(lanes)
    check_key(key)
    check_score(score or negative_loss, "Fit -> scalar")
    _check_numbers(len(space), rounds, epochs, exploit, perturb)
    mesh = lane_mesh(mesh)
    configs = on_all_devices(space.numbers(), mesh)
    one = of_one_lane(configs)
    first = first_round(train, int(epochs), one)
    then = next_round(train, int(epochs), one, first.shapes)
    _check_explore(explore, key, one)
    changed = explore or functools.partial(_perturbed, _ranges(configs), float(perturb))

    def program(at_once):
        runs = [over_lanes(functools.partial(call, part), mesh, at_once) for part in (first, then)]
        return functools.partial(_all_rounds, runs, int(rounds), float(exploit), changed, score)

    closed_over = on_all_devices([part.closed_over for part in (first, then)], mesh)
    inputs = closed_over, configs, on_all_devices(key, mesh)
    kept = first.shapes.params, first.shapes.state.rule_state
    told, fits = on_first_device(compiled(program, inputs, mesh, lanes, kept)(*inputs), mesh)
    parents = np.asarray(told.parents)
    return Population(
        told.configs, parents, np.asarray(told.scores), fits._replace(**_along_lineages(told, parents))
    )


class _Round(NamedTuple):
    """What one round leaves behind, for [K] members."""

    configs: Any
    parents: jax.Array
    scores: jax.Array
    epochs: jax.Array
    history: History


def _all_rounds(runs, num_rounds, exploit, explore, score, closed_over, configs, key):
    """The rounds [R, K], and the fits [K] of the last."""
    members = jnp.arange(len(jax.tree.leaves(configs)[0]))
    fits = runs[0](closed_over[0], (configs,))
    scores = scores_of(score, fits)
    first = _Round(configs, members, scores, fits.epochs, fits.history)

    def go_on(carry, key):
        configs, fits, scores = carry
        parents, configs = _exploited(exploit, explore, key, configs, scores)
        fits = runs[1](closed_over[1], (configs, jax.tree.map(lambda x: x[parents], fits.state)))
        scores = scores_after(score, fits, scores[parents])
        return (configs, fits, scores), _Round(configs, parents, scores, fits.epochs, fits.history)

    (_, fits, _), others = lax.scan(
        go_on, (configs, fits, scores), jax.random.split(key, num_rounds - 1)
    )
    return jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs]), first, others), fits


def _exploited(exploit, explore, key, configs, scores):
    """From whom each goes on, and with which config."""
    num = len(scores)
    part = max(1, int(exploit * num))
    choose, change = jax.random.split(key)
    order = jnp.argsort(scores, descending=True)
    donors = order[jax.random.randint(choose, (num,), 0, part)]
    is_bad = (jnp.argsort(order) >= num - part) | jnp.isneginf(scores)
    copies = is_bad & (scores[donors] > scores)
    parents = jnp.where(copies, donors, jnp.arange(num))
    inherited = jax.tree.map(lambda x: x[parents], configs)
    changed = jax.vmap(explore)(jax.random.split(change, num), inherited)

    def where_copied(new, old):
        return jax.vmap(jnp.where)(copies, jnp.asarray(new, old.dtype), old)

    return parents, jax.tree.map(where_copied, changed, configs)


def _ranges(configs: dict[str, jax.Array]) -> dict[str, tuple]:
    """The smallest and the largest number of each axis; keys and bools have none."""
    return {
        name: (jnp.min(axis, axis=0), jnp.max(axis, axis=0))
        for name, axis in configs.items()
        if jnp.issubdtype(axis.dtype, jnp.number)
    }


def _perturbed(ranges, factor, key, config):
    """Each number multiplied or divided by the factor, within its range."""
    keys = jax.random.split(key, len(config))
    return {
        name: _perturbed_number(own, value, factor, *ranges[name]) if name in ranges else value
        for own, (name, value) in zip(keys, config.items(), strict=True)
    }


def _perturbed_number(key, number, factor, low, high):
    up = jax.random.bernoulli(key, shape=jnp.shape(number))
    changed = number * jnp.where(up, factor, 1 / factor)
    if jnp.issubdtype(number.dtype, jnp.integer):
        changed = jnp.round(changed)
    return jnp.clip(changed, low, high).astype(number.dtype)


def _ancestors(parents: np.ndarray) -> np.ndarray:
    """In whose place each member of the last round stood in every round, [R, K]."""
    places = [np.arange(parents.shape[1])]
    for from_whom in parents[:0:-1]:
        places.append(from_whom[places[-1]])
    return np.stack(places[::-1])


def _along_lineages(told: _Round, parents: np.ndarray) -> dict[str, Any]:
    """Epochs [K] and history [K, R * E] of the members, and of those that they descend from."""
    places = _ancestors(parents), np.arange(len(parents))[:, None]

    def of_lineage(x):
        return jnp.moveaxis(x[places[1], places[0]], 0, 1)

    def joined(x):
        return of_lineage(x).reshape(x.shape[1], -1, *x.shape[3:])

    epochs = jnp.sum(of_lineage(told.epochs), axis=1, dtype=jnp.int32)
    return {"epochs": epochs, "history": jax.tree.map(joined, told.history)}


def _check_numbers(members, rounds, epochs, exploit, perturb) -> None:
    if members < 2:
        raise ValueError(f"space has {members} configuration, but a population wants two or more.")
    for name, number in (("rounds", rounds), ("epochs", epochs)):
        if not (is_whole(number) and number >= 1):
            raise ValueError(f"{name} is {number!r}, but an int >= 1 is wanted.")
    for name, number, wanted, is_right in (
        ("exploit", exploit, "a part above 0 and at most 0.5", lambda x: 0 < x <= 0.5),
        ("perturb", perturb, "a finite factor above 1", lambda x: 1 < x < np.inf),
    ):
        is_number = isinstance(number, numbers.Real) and not isinstance(number, bool)
        if not is_number or not is_right(number):
            raise ValueError(f"{name} is {number!r}, but {wanted} is wanted.")


def _check_explore(explore: Any, key: jax.Array, config: dict[str, Any]) -> None:
    if explore is None:
        return
    if not callable(explore):
        raise ValueError(
            f"explore is {explore!r}, but a function (key, config) -> config, or None, is wanted."
        )
    came = jax.eval_shape(explore, key, config)
    shapes = [jax.tree.map(lambda x: x.shape, tree) for tree in (came, config)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"explore returns {shapes[0]} (names and shapes), but a config like the one given is "
            f"wanted: {shapes[1]}. Start from {{**config}} and change what shall change."
        )

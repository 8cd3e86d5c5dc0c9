"""Successive halving: many configurations a little, the good ones for longer."""

import dataclasses
import functools
import itertools
import math
import numbers
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jgd.descent.loop import Fit
from jgd.program import call
from jgd.shown import shown_as
from jgd.tree import is_whole
from jgd.tuning.cards import halving_card
from jgd.tuning.rounds import check_traced, first_round, joined, lengthened, next_round
from jgd.tuning.run import (
    check_lanes,
    compiled,
    lane_mesh,
    of_one_lane,
    on_all_devices,
    on_first_device,
    over_lanes,
)
from jgd.tuning.score import check_score, negative_loss, scores_of
from jgd.tuning.space import Space
from jgd.tuning.sweep import Best, Group, Sweep, check_space

SAME_SCORES = (
    "all fits of the first rung have the same score, {score:.6g}, so that those which went on are any "
    "of them. In batch descent the loss of the first epoch is that of the start: let the first rung "
    "have 2 epochs or more, or give a score that tells the fits apart."
)


@shown_as(halving_card)
@dataclasses.dataclass(frozen=True)
class Halving:
    """K configurations, of which each rung kept the best.

    Attributes:
      configs: the `Space`, of K configurations.
      fits: a `Fit` whose leaves have a leading axis K, each as it was when it was dropped or had run
        all rungs; epochs that were not run hold NaN in its history.
      epochs: the epochs at the end of each of the R rungs.
      rungs: [K], the last rung that each reached, from 0.
      scores: [K, R], the score at the end of each rung; NaN where it was not reached, -inf for what
        diverged or scored NaN.
    """

    configs: Space
    fits: Fit
    epochs: tuple[int, ...]
    rungs: np.ndarray
    scores: np.ndarray

    @property
    def sweep(self) -> Sweep:
        """The same fits as a `Sweep`."""
        return Sweep(self.configs, (Group(np.arange(len(self.configs)), self.fits),))

    @property
    def best(self) -> Best:
        """The configuration with the highest score of the last rung.

        Raises:
          ValueError: no fit of the last rung has a score.
        """
        scores = np.where(self.rungs == len(self.epochs) - 1, self.scores[:, -1], -np.inf)
        place = int(np.argmax(scores))
        if scores[place] == -np.inf:
            raise ValueError(
                "score: none of the fits that reached the last rung has one that is a number. "
                f"{self.sweep.explain()}"
            )
        return Best(place, self.configs.config(place), self.sweep.fit(place), float(scores[place]))

    def records(self) -> list[dict[str, Any]]:
        """A dict for each configuration, of which polars and pandas make a table.

        Returns:
          A list of K dicts, as of `Sweep.records`, with `rung`, the last that each reached, and its
          `score` there.
        """
        rows = self.sweep.records()
        at_end = self.scores[np.arange(len(rows)), self.rungs]
        return [
            {**row, "rung": int(rung), "score": float(score)}
            for row, rung, score in zip(rows, self.rungs, at_end, strict=True)
        ]

    def explain(self) -> str:
        """How many reached each rung, and how the fits ended."""
        reached = (
            f"{int(np.sum(self.rungs >= rung))} reached {epochs} epoch{'s' if epochs > 1 else ''}"
            for rung, epochs in enumerate(self.epochs)
        )
        return f"{', '.join(reached)}.\n{self.sweep.explain()}"


def successive_halving(
    train: Callable,
    space: Space,
    *,
    rungs: Sequence[int] = (1, 3, 9),
    keep: float = 1 / 3,
    score: Callable | None = None,
    mesh: Mesh | None = None,
    lanes: int | None = None,
) -> Halving:
    """Train all configurations to the first rung, the best of them to the second, and so on.

    Of k configurations `max(1, floor(keep * k))` go on. All rungs are one compiled program: survivors
    are gathered, so that one that was dropped costs nothing more.

    Args:
      train: `(config, epochs, state) -> Fit`, pure: as a rule a closure over the data that calls
        `jgd.descend(..., epochs=epochs, state=state)`. `epochs`, an int, is how many to run now; `state`
        is None at first, then that of the fit so far.
      space: from `jgd.grid` or `jgd.sample`, without static axes.
      rungs: epochs at the end of each rung, counted from the start, rising. In batch descent the loss of
        an epoch is that at its start, the same for all in the first: begin with 2 or more.
      keep: which part of the configurations goes on to the next rung, in (0, 1].
      score: `Fit -> scalar`, traceable, the higher the better, of the fit with all of its history; None
        takes the negative loss of the last epoch. What diverged, and NaN, is last.
      mesh: over whose first axis the lanes are laid, see `jgd.sweep`; None takes all devices of this
        process.
      lanes: how many run at once; None takes as many as the devices hold well.

    Returns:
      A `Halving`.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> def train(config, epochs, state):
    ...     return jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...                              rule=jgd.sgd(config["learning_rate"]), epochs=epochs, state=state)
    >>> space = jgd.grid(learning_rate=jnp.logspace(-3, 0, 9))
    >>> found = successive_halving(train, space, rungs=(2, 4, 8))
    >>> found.rungs.tolist(), round(float(found.best.config["learning_rate"]), 2)
    ([0, 0, 0, 0, 0, 1, 1, 2, 0], 0.42)

    Source: Jamieson and Talwalkar (2016), AISTATS; Karnin, Koren and Somekh (2013), ICML.
    """
    check_space(space)
    check_lanes(lanes)
    check_traced(space, "successive_halving")
    _check_rungs(rungs)
    check_keep(keep)
    check_score(score or negative_loss, "Fit -> scalar")
    mesh = lane_mesh(mesh)
    rungs = tuple(int(epochs) for epochs in rungs)
    configs = on_all_devices(space.numbers(), mesh)
    one = of_one_lane(configs)
    trainings = [first_round(train, rungs[0], one)]
    for before, epochs in itertools.pairwise(rungs):
        trainings.append(next_round(train, epochs - before, one, trainings[-1].shapes))

    def program(at_once):
        runs = [functools.partial(call, training) for training in trainings]
        lanes_of = [over_lanes(run, mesh, at_once) for run in runs]
        return functools.partial(_all_rungs, lanes_of, rungs, keep, score)

    inputs = on_all_devices([training.closed_over for training in trainings], mesh), configs
    last = trainings[-1].shapes
    run = compiled(program, inputs, mesh, lanes, (last.params, last.state.rule_state))
    fits, reached, scores = on_first_device(run(*inputs), mesh)
    if len(rungs) > 1 and len(space) > 1 and len(np.unique(scores[:, 0])) == 1:
        warnings.warn(SAME_SCORES.format(score=scores[0, 0]), stacklevel=2)
    return Halving(space, fits, rungs, np.asarray(reached), np.asarray(scores))


def _all_rungs(lanes_of, rungs, keep, score, closed_over, configs):
    """The fits [K], the rung that each reached [K], and the scores [K, R]."""
    num = len(jax.tree.leaves(configs)[0])
    alive = jnp.arange(num)
    reached, scores = jnp.zeros(num, int), jnp.full((num, len(rungs)), jnp.nan)
    for rung, (train, constants) in enumerate(zip(lanes_of, closed_over, strict=True)):
        if rung == 0:
            all_fits = fits = train(constants, (configs,))
        else:
            survivors = jax.tree.map(lambda x: x[alive], configs)  # noqa: B023
            fits = joined([fits, train(constants, (survivors, fits.state))])
            all_fits = _replaced(all_fits, fits, alive)
        found = scores_of(score, fits)
        scores = scores.at[alive, rung].set(found)
        reached = reached.at[alive].set(rung)
        if rung + 1 < len(rungs):
            _, best = jax.lax.top_k(found, max(1, math.floor(keep * len(alive) + 1e-9)))
            alive, fits = alive[best], jax.tree.map(lambda x: x[best], fits)  # noqa: B023
    return all_fits, reached, scores


def _replaced(fits: Fit, longer: Fit, places: jax.Array) -> Fit:
    """All fits, those at the places by longer ones; histories as long as the longest."""
    fits = lengthened(fits, longer.history.loss.shape[1])
    return jax.tree.map(lambda all_, some: all_.at[places].set(some), fits, longer)


def _check_rungs(rungs: Any) -> None:
    try:
        rungs = tuple(rungs)
    except TypeError:
        rungs = (rungs,)
    are_counts = bool(rungs) and all(is_whole(epochs) and epochs >= 1 for epochs in rungs)
    if not are_counts or any(before >= after for before, after in itertools.pairwise(rungs)):
        raise ValueError(
            f"rungs is {rungs!r}, but epochs at the end of each rung are wanted, ints >= 1 that rise, "
            "e.g. (1, 3, 9)."
        )


def check_keep(keep: Any) -> None:
    if isinstance(keep, bool) or not isinstance(keep, numbers.Real) or not 0 < float(keep) <= 1:
        raise ValueError(
            f"keep is {keep!r}, but the part that goes on to the next rung is wanted, above 0 and at "
            "most 1, e.g. 1/3."
        )

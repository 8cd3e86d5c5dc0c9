"""Hyperband: successive halvings that start with many configurations, with few, and between."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jgd.objectives.checks import check_key
from jgd.shown import shown_as
from jgd.tree import is_whole
from jgd.tuning.cards import hyperband_card
from jgd.tuning.halving import Halving, check_keep, successive_halving
from jgd.tuning.sweep import Best


@shown_as(hyperband_card)
@dataclasses.dataclass(frozen=True)
class Hyperband:
    """Several successive halvings.

    Attributes:
      brackets: a `Halving` each, the one with the most configurations first.
    """

    brackets: tuple[Halving, ...]

    @property
    def best(self) -> Best:
        """The best of all brackets; `place` is its number in its own.

        Raises:
          ValueError: no fit that reached a last rung has a score.
        """
        finished = [b for b in self.brackets if np.nanmax(b.scores[:, -1]) > -np.inf]
        return max((b.best for b in finished or self.brackets), key=lambda best: best.score)

    def records(self) -> list[dict[str, Any]]:
        """The records of all brackets, each with its `bracket`."""
        return [
            {"bracket": number, **row}
            for number, bracket in enumerate(self.brackets)
            for row in bracket.records()
        ]

    def explain(self) -> str:
        """What became of each bracket."""
        return "\n".join(
            f"Bracket {number}: {bracket.explain()}" for number, bracket in enumerate(self.brackets)
        )


def hyperband(
    train: Callable,
    draw: Callable,
    *,
    key: jax.Array,
    epochs: int,
    keep: float = 1 / 3,
    score: Callable | None = None,
    mesh: Mesh | None = None,
    lanes: int | None = None,
) -> Hyperband:
    """Several successive halvings, from many configurations and short rungs to few and long ones.

    A score after one epoch may mislead; how much is not known beforehand. So the same work is spent in
    each of S + 1 brackets, `S = floor(log(epochs) / log(1/keep))`: bracket s of S, ..., 0 starts with
    `ceil((S + 1) / (s + 1) * keep**-s)` configurations and a first rung of `epochs * keep**s` epochs.

    Args:
      train: `(config, epochs, state) -> Fit`, as in `successive_halving`.
      draw: `(key, num) -> Space`, as a rule `functools.partial(jgd.sample, learning_rate=...)`.
      key: PRNG key of the draws.
      epochs: those of the last rung of every bracket, an int.
      keep: which part goes on to the next rung, in (0, 1).
      score: as in `successive_halving`.
      mesh: over whose first axis the lanes are laid, see `jgd.sweep`; None takes all devices of this
        process.
      lanes: how many run at once; None takes as many as the devices hold well.

    Returns:
      A `Hyperband`.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> import functools
    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> def train(config, epochs, state):
    ...     return jgd.stochastic_descent(
    ...         jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...         rule=jgd.sgd(config["learning_rate"]), epochs=epochs, state=state, key=jax.random.key(0))
    >>> draw = functools.partial(jgd.sample, learning_rate=jgd.log_uniform(1e-3, 1.0))
    >>> found = hyperband(train, draw, key=jax.random.key(0), epochs=9)
    >>> [(len(bracket.configs), bracket.epochs) for bracket in found.brackets]
    [(9, (1, 3, 9)), (5, (3, 9)), (3, (9,))]

    Source: Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar (2018), Journal of Machine Learning
    Research 18.
    """
    if not callable(draw):
        raise ValueError(
            f"draw is {type(draw).__name__}, but (key, num) -> Space is wanted, e.g. "
            "functools.partial(jgd.sample, learning_rate=jgd.log_uniform(1e-4, 1.0))."
        )
    if not (is_whole(epochs) and epochs >= 1):
        raise ValueError(f"epochs is {epochs!r}, but those of the last rung, an int >= 1, are wanted.")
    check_key(key)
    check_keep(keep)
    if keep == 1:
        raise ValueError("keep is 1, but hyperband wants a part below 1: with 1 no bracket differs.")
    most = math.floor(math.log(epochs) / math.log(1 / keep) + 1e-9)
    halvings = []
    for bracket, own in zip(range(most, -1, -1), jax.random.split(key, most + 1), strict=True):
        num = math.ceil((most + 1) / (bracket + 1) * keep**-bracket - 1e-9)
        rungs = sorted({max(round(epochs * keep**rung), 1) for rung in range(bracket + 1)})
        halvings.append(
            successive_halving(
                train, draw(own, num), rungs=rungs, keep=keep, score=score, mesh=mesh, lanes=lanes
            )
        )
    return Hyperband(tuple(halvings))

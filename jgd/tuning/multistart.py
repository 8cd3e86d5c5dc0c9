"""Many random starts: the best of their ends, and how many different ones there are."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jgd.descent.explain import explain
from jgd.descent.loop import Fit
from jgd.descent.status import Status
from jgd.objectives.checks import check_key
from jgd.shown import shown_as
from jgd.tree import is_whole, require_number
from jgd.tuning.cards import multistart_card
from jgd.tuning.run import check_lanes, lane_mesh
from jgd.tuning.score import check_score, negative_loss, scores_of
from jgd.tuning.sweep import Best, train_lanes


@shown_as(multistart_card)
@dataclasses.dataclass(frozen=True)
class Multistart:
    """K descents from different starts.

    Attributes:
      starts: pytree of arrays [K, ...], the params they began with.
      fits: a `Fit` whose leaves have a leading axis K.
      scores: [K], the higher the better; -inf for what diverged or scored NaN.
      minima: [K], the number of the minimum where each ended, that of the best 0; -1 for what diverged.
    """

    starts: Any
    fits: Fit
    scores: np.ndarray
    minima: np.ndarray

    @property
    def best(self) -> Best:
        """The fit with the highest score; its config is its start.

        Raises:
          ValueError: none has a score.
        """
        place = int(np.argmax(self.scores))
        if self.scores[place] == -np.inf:
            raise ValueError(f"score: no fit has one that is a number. {explain(self.fits)}")
        start, fit = (jax.tree.map(lambda x: x[place], tree) for tree in (self.starts, self.fits))
        return Best(place, {"start": start}, fit, float(self.scores[place]))

    @property
    def counts(self) -> np.ndarray:
        """How many starts ended in each minimum."""
        return np.bincount(self.minima[self.minima >= 0])

    def explain(self) -> str:
        """How many minima there are, what each is worth and how often it was met."""
        num, found = len(self.scores), len(self.counts)
        lines = [f"{num} starts ended in {found} minima, the best of them met {self._times(0)}:"]
        for minimum in range(min(found, 5)):
            score = self.scores[self.minima == minimum].max()
            lines.append(f"  minimum {minimum}: score {score:.6g}, met {self._times(minimum)}")
        if found > max(num // 2, 1):
            lines.append(
                "Nearly every start has an end of its own: the fits are not done (run more epochs), or "
                "the minima are no points but valleys, as those of networks are. Compare the scores."
            )
        return "\n".join([*lines, explain(self.fits)])

    def _times(self, minimum: int) -> str:
        times = int(self.counts[minimum]) if minimum < len(self.counts) else 0
        return "once" if times == 1 else f"{times} times"


def multistart(
    train: Callable,
    init: Callable,
    key: jax.Array,
    num: int,
    *,
    tolerance: float = 0.01,
    score: Callable | None = None,
    mesh: Mesh | None = None,
    lanes: int | None = None,
) -> Multistart:
    """Train from many random starts, against local minima, as lanes of one compiled program.

    Two ends are the same minimum if `|params - params'| <= tolerance * s`, where s is the root mean
    square distance of two starts.

    Args:
      train: `params -> Fit`, pure: as a rule a closure over the data that hands its params to
        `jgd.descend`.
      init: `key -> params`, pure, such as `jgd.models.mlp.init` with its sizes bound.
      key: PRNG key of the starts.
      num: K, how many.
      tolerance: part of the distance of the starts within which two ends are one minimum.
      score: `Fit -> scalar`, traceable, the higher the better; None takes the negative loss of the last
        epoch. What diverged, and NaN, is last.
      mesh: over whose first axis the lanes are laid, see `jgd.sweep`; None takes all devices of this
        process.
      lanes: how many run at once; None takes as many as the devices hold well.

    Returns:
      A `Multistart`.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     return (params**2 - 1) ** 2 + 0.3 * params  # two valleys; that at -1.04 is the deeper one
    >>> def train(params):
    ...     return jgd.batch_descent(jgd.objective(loss), params, jnp.zeros(1), rule=jgd.sgd(0.05),
    ...                              epochs=100)
    >>> found = multistart(train, lambda key: jax.random.uniform(key, (), float, -2, 2),
    ...                    jax.random.key(0), 20)
    >>> round(float(found.best.fit.params), 2), len(found.counts), int(found.counts.sum())
    (-1.04, 2, 20)

    Source: Martí, Resende and Ribeiro (2013), European Journal of Operational Research 226(1).
    """
    check_key(key)
    check_lanes(lanes)
    check_score(score or negative_loss, "Fit -> scalar")
    for name, function in (("train", train), ("init", init)):
        if not callable(function):
            raise ValueError(f"{name} is {function!r}, but a function is wanted.")
    if not (is_whole(num) and num >= 1):
        raise ValueError(f"num is {num!r}, but a number of starts, an int >= 1, is wanted.")
    require_number("tolerance", tolerance, lambda x: (x >= 0) & np.isfinite(x), "a number >= 0")
    starts = jax.jit(jax.vmap(init))(jax.random.split(key, int(num)))
    fits = train_lanes(train, (starts,), lane_mesh(mesh), lanes)
    scores = np.asarray(jax.jit(lambda fits: scores_of(score, fits))(fits))
    return Multistart(starts, fits, scores, _minima(starts, fits, scores, tolerance))


def _minima(starts: Any, fits: Fit, scores: np.ndarray, tolerance: float) -> np.ndarray:
    """The number of the minimum in which each fit ended, the better ones first."""
    ends, sound = _rows(fits.params), np.asarray(fits.status) != Status.DIVERGED
    spread = _distance_of_two(_rows(starts)[sound])
    if sound.sum() > 1 and spread == 0:
        raise ValueError(
            "init returns the same params for every key, but random starts are wanted: let it draw them "
            "with jax.random."
        )
    minima = np.full(len(ends), -1)
    found: list[np.ndarray] = []
    for place in np.argsort(-scores, kind="stable"):
        if not sound[place]:
            continue
        near = [np.linalg.norm(ends[place] - other) <= tolerance * spread for other in found]
        if True not in near:
            found.append(ends[place])
            near.append(True)
        minima[place] = near.index(True)
    return minima


def _rows(params: Any) -> np.ndarray:
    """Params [K, ...] as rows [K, P] of float64."""
    leaves = [np.asarray(x, float) for x in jax.tree.leaves(params)]
    return np.concatenate([x.reshape(len(x), -1) for x in leaves], axis=1)


def _distance_of_two(rows: np.ndarray) -> float:
    """Root mean square distance of two rows that are drawn alike."""
    if not len(rows):
        return 0.0
    return float(np.sqrt(2 * np.mean(np.sum((rows - rows.mean(axis=0)) ** 2, axis=1))))

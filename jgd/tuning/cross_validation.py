"""Cross-validation: every configuration trained without each fold, and judged by it."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from jgd.descent.ending import endings_of
from jgd.descent.loop import Fit
from jgd.descent.status import Status
from jgd.program import Program, call, uses
from jgd.shown import shown_as
from jgd.tuning.cards import cross_validation_card
from jgd.tuning.folds import fold_numbers
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
from jgd.tuning.score import check_score, judged
from jgd.tuning.space import Space
from jgd.tuning.sweep import Best, Group, check_space, explain_lanes, fit_in_groups, plain

FEWEST_CONFIGS = 16  # on a device; with fewer, the lanes of all folds run side by side


@shown_as(cross_validation_card)
@dataclasses.dataclass(frozen=True)
class CrossValidation:
    """K configurations, each trained F times, without one fold of the examples.

    Attributes:
      configs: the `Space`, of K configurations.
      folds: [N], the fold in which each example was held out.
      groups: a `Group` for each program, the leaves of its fits with leading axes [k, F].
      scores: [K, F], the score of each fit on the fold that it has not seen; -inf for what diverged or
        scored NaN.
      refit: `place -> Fit`, one configuration trained on all examples.
    """

    configs: Space
    folds: np.ndarray
    groups: tuple[Group, ...]
    scores: np.ndarray
    refit: Callable[[int], Fit]

    @property
    def mean(self) -> np.ndarray:
        """The mean score of each configuration, [K]; -inf where a fold has none."""
        return self.scores.mean(axis=1)

    @property
    def standard_error(self) -> np.ndarray:
        """The standard error of each mean, [K]; NaN where a fold has no score.

        The fits share most of their examples, so it is on the small side (Bengio and Grandvalet 2004).
        """
        finite = np.isfinite(self.scores).all(axis=1, keepdims=True)
        scores = np.where(finite, self.scores, np.nan)
        return scores.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])

    @functools.cached_property
    def best(self) -> Best:
        """The configuration with the highest mean score, and its fit on all examples.

        Raises:
          ValueError: none has a score in every fold.
        """
        place = int(np.argmax(self.mean))
        if self.mean[place] == -np.inf:
            raise ValueError(
                "score: no configuration has one that is a number in every fold. "
                f"{self._explain_status()}"
            )
        return Best(place, self.configs.config(place), self.refit(place), float(self.mean[place]))

    def fit(self, place: int, fold: int) -> Fit:
        """The fit of one configuration that has not seen one fold.

        Args:
          place: number of the configuration in the space.
          fold: number of the fold.
        """
        return jax.tree.map(lambda x: x[fold], fit_in_groups(self.groups, place))

    def records(self) -> list[dict[str, Any]]:
        """A dict for each configuration, of which polars and pandas make a table.

        Returns:
          A list of K dicts: the values of the config, `mean` and `standard_error` of its scores,
          `score_0` and so on of the folds, and how many of its fits `diverged`.
        """
        diverged = np.zeros(len(self.scores), int)
        for group in self.groups:
            diverged[group.places] = np.sum(np.asarray(group.fits.status) == Status.DIVERGED, axis=1)
        return [
            {
                **{name: plain(value) for name, value in self.configs.config(place).items()},
                "mean": float(self.mean[place]),
                "standard_error": float(self.standard_error[place]),
                **{f"score_{fold}": float(score) for fold, score in enumerate(scores)},
                "diverged": int(diverged[place]),
            }
            for place, scores in enumerate(self.scores)
        ]

    def explain(self) -> str:
        """The best, those that are as good for all that is known, and how the fits ended."""
        place = int(np.argmax(self.mean))
        if self.mean[place] == -np.inf:
            return self._explain_status()
        error = self.standard_error[place]
        as_good = int(np.sum(self.mean >= self.mean[place] - error))
        config = ", ".join(f"{k} {plain(v)}" for k, v in self.configs.config(place).items())
        return (
            f"Best of {len(self.configs)} in {self.scores.shape[1]} folds: number {place} ({config}), "
            f"score {self.mean[place]:.6g} with a standard error of {error:.2g}; {as_good} are within "
            f"it.\n{self._explain_status()}"
        )

    def _explain_status(self) -> str:
        endings = np.empty(self.scores.shape, object)
        for group in self.groups:
            endings[group.places] = endings_of(group.fits)
        return explain_lanes(self.configs, endings)


def cross_validate(
    train: Callable,
    space: Space,
    data: Any,
    *,
    folds: Any,
    key: jax.Array | None = None,
    score: Callable,
    stratify: Any = None,
    mesh: Mesh | None = None,
    lanes: int | None = None,
) -> CrossValidation:
    """Train every configuration without each fold in turn, and score it on that fold.

    All fits are lanes over one copy of the data: a fold is a vector of weights, 1 for what is trained on
    and 0 for what is held out.

    Args:
      train: `(config, weights) -> Fit`, pure: as a rule a closure over the data that calls
        `jgd.descend(..., weights=weights)`. `weights` is [N].
      space: from `jgd.grid` or `jgd.sample`.
      data: pytree of arrays that share their leading axis N, those that `train` closes over.
      folds: F, how many, an int from 2 to N; or an array [N] of fold numbers 0, 1, ..., for groups of
        examples that belong together.
      key: PRNG key by which the folds are drawn; not needed where they are given.
      score: `(params, held_out) -> scalar`, traceable, the higher the better; `held_out` is the data of
        one fold. What diverged, and NaN, is last.
      stratify: [N] classes that every fold shall hold in equal parts. None takes them from the data,
        where exactly one leaf [N] is of whole numbers or of two values; False deals the examples out as
        they come.
      mesh: over whose first axis the lanes are laid, see `jgd.sweep`; None takes all devices of this
        process.
      lanes: how many run at once; None takes as many as the devices hold well.

    Returns:
      A `CrossValidation`; its `best` is trained on all examples when it is first asked for.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     x, y = example
    ...     return (params * x - y) ** 2
    >>> x = jnp.linspace(0.0, 1.0, 20)
    >>> data = x, 3 * x
    >>> def train(config, weights):
    ...     return jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), data, weights=weights,
    ...                              rule=jgd.sgd(config["learning_rate"]), epochs=20)
    >>> def score(params, held_out):
    ...     return -jgd.value(jgd.objective(loss), params, held_out)
    >>> found = cross_validate(train, jgd.grid(learning_rate=[0.01, 0.1, 1.0, 10.0]), data,
    ...                        folds=5, key=jax.random.key(0), score=score)
    >>> found.best.place, round(float(found.best.fit.params), 2), found.scores.shape
    (2, 3.0, (4, 5))

    Source: Stone (1974), Journal of the Royal Statistical Society B 36(2); Kohavi (1995), IJCAI, for
    folds that hold the classes in equal parts.
    """
    check_space(space)
    check_lanes(lanes)
    check_score(score, "(params, held_out) -> scalar")
    numbers = fold_numbers(data, folds, key, stratify)
    mesh = lane_mesh(mesh)
    data = on_all_devices(jax.tree.map(jnp.asarray, data), mesh)
    groups, scores = [], np.empty((len(space), numbers.max() + 1))
    for static, places in space.groups():
        configs = {name: axis[places] for name, axis in space.numbers().items()}
        fits = _fits(functools.partial(_train, train, static), (places, configs), numbers, mesh, lanes)
        scores[places] = _scores(score, fits, data, numbers)
        groups.append(Group(places, on_first_device(fits, mesh)))
    refit = functools.partial(_refit, train, space, len(numbers))
    return CrossValidation(space, numbers, tuple(groups), scores, refit)


def _train(train: Callable, static: dict, config: dict, weights: jax.Array) -> Fit:
    return train({**static, **config}, weights)


def _refit(train: Callable, space: Space, num_examples: int, place: int) -> Fit:
    return train(space.config(place), jnp.ones(num_examples))


def _fits(train: Callable, arguments: tuple, numbers: np.ndarray, mesh: Mesh, lanes: int | None) -> Fit:
    """Fits [k, F] of `(places, configs)` [k]."""
    num_folds, num_configs = int(numbers.max()) + 1, len(arguments[0])
    arguments = on_all_devices(jax.tree.map(jnp.asarray, arguments), mesh)
    one = _lifted(train, of_one_lane(arguments)[1], len(numbers))
    shared = on_all_devices((one.closed_over, jnp.asarray(numbers)), mesh)
    one_by_one = num_configs >= FEWEST_CONFIGS * mesh.devices.size
    program = functools.partial(_fold_by_fold if one_by_one else _side_by_side, one, num_folds, mesh)
    kept = one.shapes.params, one.shapes.state.rule_state
    return compiled(program, (shared, arguments), mesh, lanes, kept)(shared, arguments)


def _lifted(train: Callable, config: Any, num_examples: int) -> Program:
    one = lifted(train, config, jax.ShapeDtypeStruct((num_examples,), jnp.zeros(()).dtype))
    if not uses(one, 1):
        raise ValueError(
            "train does not use its weights, and would see the examples that are held out. Wanted: "
            "train(config, weights) that hands them on to jgd.descend(..., weights=weights)."
        )
    return one


def _fold_by_fold(training: Program, num_folds: int, mesh: Mesh, at_once: int) -> Callable:
    """The configurations as lanes, one fold after the other: all lanes of a fold share its weights."""

    def run(shared, place_and_config):
        closed_over, weights = shared
        return call(training, closed_over, (place_and_config[1], weights))

    lanes = over_lanes(run, mesh, at_once)

    def program(shared, arguments):
        closed_over, numbers = shared
        of_fold = lambda fold: lanes((closed_over, _weights(numbers, fold)), arguments)  # noqa: E731
        return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), lax.map(of_fold, jnp.arange(num_folds)))

    return program


def _side_by_side(training: Program, num_folds: int, mesh: Mesh, at_once: int) -> Callable:
    """Every pair of configuration and fold as a lane, so that a few of them fill all devices."""

    def run(shared, lane):
        (closed_over, numbers), (config, fold) = shared, lane
        return call(training, closed_over, (config, _weights(numbers, fold)))

    lanes = over_lanes(run, mesh, at_once)

    def program(shared, arguments):
        places, configs = arguments
        folds = jnp.tile(jnp.arange(num_folds), len(places))
        fits = lanes(shared, (jax.tree.map(lambda x: jnp.repeat(x, num_folds, axis=0), configs), folds))
        return jax.tree.map(lambda x: x.reshape(len(places), num_folds, *x.shape[1:]), fits)

    return program


def _weights(numbers: jax.Array, fold: jax.Array) -> jax.Array:
    """1 for what is trained on, 0 for what is held out."""
    return jnp.where(numbers == fold, 0.0, 1.0)


def _scores(score: Callable, fits: Fit, data: Any, numbers: np.ndarray) -> np.ndarray:
    """The scores [k, F], each on the very rows of its fold."""
    scores = [
        _scores_of_fold(
            score,
            jax.tree.map(lambda x: x[:, fold], (fits.params, fits.status)),  # noqa: B023
            jax.tree.map(lambda x: x[np.flatnonzero(numbers == fold)], data),  # noqa: B023
        )
        for fold in range(numbers.max() + 1)
    ]
    return np.stack(scores, axis=1)


@functools.partial(jax.jit, static_argnums=0)
def _scores_of_fold(score: Callable, params_and_status: tuple, held_out: Any) -> jax.Array:
    params, status = params_and_status
    return judged(lambda params: score(params, held_out), params, status)

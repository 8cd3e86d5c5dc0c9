"""What a diagnosis is made of, measured."""

import contextlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgd.tuning.features_at_hand import Features, features_of, parted, standardised_problem
from jgd.tuning.hessian import Problem, num_params_of
from jgd.tuning.separable import Parted
from jgd.tuning.soundness import leaf_names, unsound_losses
from jgd.tuning.surroundings import (
    MOST_PARAMS,
    Curvature,
    Secant,
    Slope,
    curvature_at,
    flattened,
    like,
    losses_of_examples,
    noise_at,
    secant_at,
    slope_at,
    value_along,
)

DISTANCES = 10.0 ** np.arange(7)


class Findings(NamedTuple):
    """What was measured at one place.

    Attributes:
      num_params: numbers in the params.
      num_examples: those that count.
      num_sampled: those drawn.
      dtype: of the params.
      has_kinks: whether the penalty has.
      slope: over all examples.
      rounded: over the sample, in the dtype of the params; None where that is the slope itself.
      precise: over the sample, in float64 where it could be.
      variances: [P], of the gradients of single examples.
      curvature: of J.
      secant: the curvature that a step sees; None where the gradient or the sharpness is 0.
      standard: that with standardised features; None where the loss is not linear in any.
      features: the leaves that are taken for features.
      parted: a class that a plane parts from the others; None where none was found.
      size: the largest norm of a leaf of params, at least 1.
      length: the norm of the params.
      fall: how far J was seen to fall without end, and its value there; None where it was not.
      leaves: name and size of each leaf of params.
    """

    num_params: int
    num_examples: int
    num_sampled: int
    dtype: Any
    has_kinks: bool
    slope: Slope
    rounded: Slope | None
    precise: Slope
    variances: np.ndarray
    curvature: Curvature
    secant: Secant | None
    standard: Curvature | None
    features: tuple[Features, ...]
    parted: Parted | None
    size: float
    length: float
    fall: tuple[float, float] | None
    leaves: tuple[tuple[str, int], ...]

    @property
    def variance(self) -> float:
        """The trace of the covariance of the gradients of single examples."""
        return float(self.variances.sum())

    @property
    def steeper(self) -> Secant | None:
        """The secant, if it sees more curvature than the sharpness; None where J is about a parabola."""
        is_steeper = self.secant is not None and self.secant.rate * self.curvature.largest < 0.99
        return self.secant if is_steeper else None


def findings(
    problem: Problem, rows: np.ndarray, index: np.ndarray, key: jax.Array
) -> Findings | list[str]:
    """Everything measured; or, where the loss is not finite, sentences that say so.

    Args:
      problem: all rows of it.
      rows: [N] bools, which of them to take.
      index: [n], which of these to look at closely.
      key: PRNG key.
    """
    own = taken(problem, index)
    whole = slope_at(_with_rows(problem, rows)) if len(index) < rows.sum() else None
    if whole is not None and not np.isfinite(whole.norm + whole.value):
        return [_NOT_IN_THE_SAMPLE.format(all=int(rows.sum()), drawn=len(index))]
    wide_problem, context = in_float64(own)
    with context:
        losses = np.asarray(losses_of_examples(wide_problem.objective.loss, *wide_problem[1:3]))
        unsound = unsound_losses(losses, index)
        if unsound:
            return unsound
        precise = slope_at(wide_problem)
        if not np.isfinite(precise.norm):
            return [_NO_GRADIENT.format(value=precise.value)]
        slope = precise if whole is None else whole
        curvature = curvature_at(wide_problem, slope, key)
        if np.isnan(curvature.largest):
            return [_NO_CURVATURE.format(norm=precise.norm)]
        features = features_of(problem, wide_problem, rows, index)
        # Where J curves downwards there is no condition number that could be lowered.
        standard = standardised_problem(wide_problem, features) if curvature.is_convex else None
        found = Findings(
            num_params=num_params_of(own.params),
            num_examples=int(rows.sum()),
            num_sampled=len(index),
            dtype=jnp.result_type(*jax.tree.leaves(own.params)),
            has_kinks=own.objective.penalty is not None and not own.objective.penalty.smooth,
            slope=slope,
            rounded=None,
            precise=precise,
            variances=np.asarray(noise_at(wide_problem), float),
            curvature=curvature,
            secant=secant_at(wide_problem, precise, curvature),
            standard=None if standard is None else curvature_at(standard, slope_at(standard), key),
            features=features,
            parted=parted(problem, wide_problem, rows, index, features),
            size=max(1.0, *(float(np.linalg.norm(p)) for p in jax.tree.leaves(wide_problem.params))),
            length=float(np.linalg.norm(flattened(wide_problem.params))),
            fall=_endless_fall(wide_problem, precise, curvature),
            leaves=tuple(zip(leaf_names("params", own.params), _sizes(own.params), strict=True)),
        )
    return found._replace(rounded=slope_at(own) if wide_problem is not own else None)


_NOT_IN_THE_SAMPLE = (
    "Over all {all:,} examples the loss or its gradient is NaN or infinite, though their numbers are "
    "finite. To see more, diagnose with sample={all}: as yet {drawn:,} examples were drawn."
)
_NO_GRADIENT = (
    "The loss is finite ({value:.4g}), but its gradient is not: look for a square root, a norm or a "
    "power at 0, or a division that jnp.where hides (the branch not taken is differentiated, too). A "
    "descent from here ends as DIVERGED at once."
)
_NO_CURVATURE = (
    "Loss and gradient are finite (gradient norm {norm:.2g}), but the second derivative is not, so no "
    "learning rate can be told to be stable: look for a power below 2, such as |x|^1.5, at 0."
)


def taken(problem: Problem, index: np.ndarray) -> Problem:
    """The problem with the rows of an index alone."""
    if len(index) == jax.tree.leaves(problem.data)[0].shape[0]:
        return problem
    data, weights = jax.tree.map(lambda x: x[index], (problem.data, problem.weights))
    return problem._replace(data=data, weights=weights)


def _with_rows(problem: Problem, rows: np.ndarray) -> Problem:
    """The problem, in which all other rows weigh 0."""
    if rows.all():
        return problem
    weights = np.ones(len(rows)) if problem.weights is None else np.asarray(problem.weights)
    return problem._replace(weights=jnp.asarray(np.where(rows, weights, 0), float))


def in_float64(problem: Problem) -> tuple[Problem, Any]:
    """The problem in float64 and the context to use it in; as it is, where it is large or float64 fails.

    A loss may insist on a dtype, e.g. in the carry of a loop; then its own has to do.
    """
    if num_params_of(problem.params) > MOST_PARAMS:
        return problem, contextlib.nullcontext()
    with jax.enable_x64(True):
        found = jax.tree.map(_as_float64, problem)
        example = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), found.data)
        try:
            jax.eval_shape(jax.grad(found.objective.loss), found.params, example)
        except (TypeError, ValueError):
            return problem, contextlib.nullcontext()
    return found, jax.enable_x64(True)


def _as_float64(x):
    is_float = jnp.issubdtype(jnp.result_type(x), jnp.floating)
    return jnp.asarray(np.asarray(x, np.float64)) if is_float else x


def _sizes(tree: Any) -> list[int]:
    return [leaf.size for leaf in jax.tree.leaves(tree)]


def _endless_fall(problem: Problem, slope: Slope, curvature: Curvature) -> tuple[float, float] | None:
    """How far J falls ever more along a direction, and its value there; None where it does not.

    Only where J curves downwards or is straight may it do so; along the gradient, and both ways along
    the eigenvector of the smallest curvature.
    """
    is_straight = curvature.largest <= curvature.blur and slope.norm > 0
    if curvature.is_convex and not is_straight:
        return None
    directions = [curvature.direction, -curvature.direction]
    if slope.norm > 0:
        directions.append(-slope.gradient / np.linalg.norm(slope.gradient))
    for direction in directions:
        values = value_along(problem, like(direction, problem.params), DISTANCES)
        falls = slope.value - values
        if np.all(falls[-3:] >= 5 * falls[-4:-1]) and falls[-4] > 0 and values[-1] < -abs(slope.value):
            return float(DISTANCES[-1]), float(values[-1])
    return None

"""The objective around one place: loss, gradient, noise and curvature, with all the digits there are."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jgd.descent.step import proximal_gradient
from jgd.objectives.objective import Objective, value_and_gradient
from jgd.objectives.sums import loss_dtype, loss_sum
from jgd.tree import all_finite, norm
from jgd.tuning.curvature import extreme_eigenvalues
from jgd.tuning.hessian import Problem, Rows, flat_product, num_params_of
from jgd.tuning.noise import moments_of

MOST_PARAMS = 1024  # of which the whole Hessian is made, with products for 16 columns at once
COLUMNS_AT_ONCE = 16
NO_PARABOLA = 1.5  # by how many times its length the step 1 / sharpness may change the gradient
CALM = 0.5  # the share of the gradient that the step of a rate to begin with may change
BLOCK = 512  # rows at once: what a row of a deep network holds may be large


class Curvature(NamedTuple):
    """The spectrum of the Hessian. Eigenvalues have the units of the loss by those of params squared.

    Attributes:
      largest: eigenvalue.
      smallest: eigenvalue; below 0 where J is not convex.
      smallest_positive: the smallest eigenvalue that is not flat; NaN where there is none.
      num_flat: how many eigenvalues cannot be told from 0; where the spectrum is not exact, 1 if the
        smallest is such a one.
      blur: what cannot be told from 0.
      is_exact: whether all eigenvalues are known, or only bounds of the two ends.
      direction: [P], the eigenvector of the smallest.
      gain: by how much J falls to the minimum of its parabola, where it is convex, but for what is
        flat; NaN where the spectrum is not exact.
      pull: norm of the gradient along what is flat; NaN where the spectrum is not exact.
      still: [P], whether a parameter has no gradient and no curvature; None where not exact.
    """

    largest: float
    smallest: float
    smallest_positive: float
    num_flat: int
    blur: float
    is_exact: bool
    direction: np.ndarray
    gain: float
    pull: float
    still: np.ndarray | None

    @property
    def is_convex(self) -> bool:
        return self.smallest >= -max(self.blur, 1e-6 * abs(self.largest))

    @property
    def condition_number(self) -> float:
        """Largest by smallest positive eigenvalue; infinite where J curves downwards or not at all."""
        if np.isnan(self.largest):
            return np.nan
        is_known = self.is_exact or self.num_flat == 0
        if not (self.is_convex and is_known and self.smallest_positive > 0):
            return np.inf
        return self.largest / self.smallest_positive


class Slope(NamedTuple):
    """Value and gradient of J.

    Attributes:
      value: J.
      norm: of the gradient, or of its proximal form where the penalty has kinks.
      gradient: [P], of the smooth part of J.
    """

    value: float
    norm: float
    gradient: np.ndarray


def slope_at(problem: Problem) -> Slope:
    """Value and gradient of J over all rows of the problem, in the dtype of its params."""
    objective, params, data, weights = problem
    smooth = _smooth_part(objective)
    value, grads = value_and_gradient(smooth, params, data, weights)
    flat = flattened(grads)
    if smooth is objective:
        return Slope(float(value), float(np.linalg.norm(flat)), flat)
    length, penalty = _proximal_norm(objective, params, grads)
    return Slope(float(value) + float(penalty), float(length), flat)


def _smooth_part(objective: Objective) -> Objective:
    has_kinks = objective.penalty is not None and not objective.penalty.smooth
    return dataclasses.replace(objective, penalty=None) if has_kinks else objective


@jax.jit
def _proximal_norm(objective, params, grads):
    """The norm of the proximal gradient, and the value of the penalty."""
    return norm(proximal_gradient(objective, params, grads)), objective.penalty.value(params)


@jax.jit
def losses_of_examples(loss: Any, params: Any, data: Any) -> jax.Array:
    """The loss of each example, [n]."""
    loss_dtype(loss, params, data)  # raises where the loss is no scalar
    return jax.vmap(loss, (None, 0))(params, data)


class Secant(NamedTuple):
    """The curvature that a step sees: how much the gradient changes over it, by its length.

    Attributes:
      curvature: over the step of the learning rate 1 / sharpness; no more than the sharpness, were J a
        parabola.
      rate: 1 / sharpness, where its step changes the gradient little more than by its length; else the
        first of its fourths whose step changes half of the gradient at most.
    """

    curvature: float
    rate: float


def secant_at(problem: Problem, slope: Slope, curvature: Curvature) -> Secant | None:
    """The curvature that a step down the gradient sees.

    None where no sharpness tells how long it is, or where it ends at a place without a gradient.
    """
    if slope.norm == 0 or curvature.largest <= curvature.blur:
        return None
    start, rates = flattened(problem.params), 0.25 ** np.arange(12) / curvature.largest
    seen = []
    for rate in rates:
        params = like(start - rate * slope.gradient, problem.params)
        change = slope.gradient - slope_at(problem._replace(params=params)).gradient
        seen.append(float(np.linalg.norm(change) / (rate * np.linalg.norm(slope.gradient))))
        if np.isnan(seen[-1]):
            return None
        if rate * seen[-1] <= (NO_PARABOLA if len(seen) == 1 else CALM):
            break
    return Secant(seen[0], float(rate))


def flattened(params: Any) -> np.ndarray:
    return np.concatenate([np.ravel(p).astype(float) for p in jax.tree.leaves(params)])


def like(flat: np.ndarray, params: Any) -> Any:
    """A vector [P] as a pytree like `params`."""
    leaves, treedef = jax.tree.flatten(params)
    cuts = np.cumsum([leaf.size for leaf in leaves])[:-1]
    parts = np.split(flat, cuts)
    arrays = [jnp.asarray(x.reshape(p.shape), p.dtype) for x, p in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(treedef, arrays)


@jax.jit
def noise_at(problem: Problem) -> jax.Array:
    """The variances of the gradients of single examples, [P]."""
    objective, params, data, weights = problem
    moments = moments_of(objective.loss, params, data, weights)
    return moments.squares / jnp.maximum(moments.num, 1)


def curvature_at(problem: Problem, slope: Slope, key: jax.Array) -> Curvature:
    """The spectrum of the Hessian of J: all of it up to 1024 params, the two ends of it for more."""
    if num_params_of(problem.params) > MOST_PARAMS:
        return _by_lanczos(problem, key)
    values, vectors, rows = map(np.asarray, _whole_spectrum(problem))
    eps = np.finfo(values.dtype).eps
    blur = 10 * max(len(values), 16) * eps * np.max(np.abs(values))
    upward = values > blur
    along = vectors.T @ slope.gradient
    return Curvature(
        largest=float(values[-1]),
        smallest=float(values[0]),
        smallest_positive=float(values[upward].min()) if upward.any() else np.nan,
        num_flat=int(np.sum(np.abs(values) <= blur)),
        blur=float(blur),
        is_exact=True,
        direction=vectors[:, 0],
        gain=float(np.sum(np.square(along[upward]) / (2 * values[upward]))),
        pull=float(np.linalg.norm(along[np.abs(values) <= blur])),
        still=(rows == 0) & (slope.gradient == 0),
    )


@jax.jit
@jax.default_matmul_precision("highest")
def _whole_spectrum(problem: Problem):
    """Eigenvalues, eigenvectors and the largest number of each row of the Hessian; NaN if it has one."""
    multiply, flat, _ = flat_product(problem, Rows(sample=None, block=BLOCK, layout=None))
    at_once = min(COLUMNS_AT_ONCE, flat.size)
    # Rows of 0 fill the last of the groups, which would be compiled by itself otherwise.
    units = jnp.eye(-(-flat.size // at_once) * at_once, flat.size, dtype=flat.dtype)
    columns = jax.lax.map(multiply, units, batch_size=at_once)[: flat.size]
    matrix = (columns + columns.T) / 2
    sound = all_finite(matrix)  # LAPACK may search for the eigenvalues of NaN without end
    values, vectors = jnp.linalg.eigh(jnp.where(sound, matrix, 0))
    values, vectors = (jnp.where(sound, x, jnp.nan) for x in (values, vectors))
    return values, vectors, jnp.max(jnp.abs(matrix), axis=1)


def _by_lanczos(problem: Problem, key: jax.Array) -> Curvature:
    found = extreme_eigenvalues(*problem[:3], key=key, weights=problem.weights, block=2 * BLOCK)
    largest, smallest, error = (float(x) for x in found[:3])
    return Curvature(
        largest=largest,
        smallest=smallest,
        smallest_positive=smallest if smallest > error else np.nan,
        num_flat=int(abs(smallest) <= error),
        blur=error,
        is_exact=False,
        direction=np.asarray(ravel_pytree(found.vector)[0], float),
        gain=np.nan,
        pull=np.nan,
        still=None,
    )


def value_along(problem: Problem, step: Any, lengths: np.ndarray) -> np.ndarray:
    """J at `params + length * step`, for each of the lengths.

    Args:
      problem: its rows are the sample.
      step: pytree like the params.
      lengths: [K].
    """
    return np.array([float(_value_at(problem, step, jnp.asarray(length, float))) for length in lengths])


@jax.jit
def _value_at(problem: Problem, step, length):
    objective, params, data, weights = problem
    params = jax.tree.map(lambda p, s: (p + length * s).astype(p.dtype), params, step)
    total, num = loss_sum(objective.loss, params, data, weights)
    penalty = 0.0 if objective.penalty is None else objective.penalty.value(params)
    return total / jnp.maximum(num, 1) + penalty

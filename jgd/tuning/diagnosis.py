"""A diagnosis: what can be measured of a problem before a training, and what to do about it."""

from typing import Any, NamedTuple

import jax
import numpy as np

from jgd.descent.order import order
from jgd.objectives.checks import check_data, check_key, check_params, checked_weights
from jgd.objectives.objective import check_objective
from jgd.objectives.sums import loss_dtype
from jgd.shown import shown_as
from jgd.tree import is_whole, strong
from jgd.tuning.advice import sentences
from jgd.tuning.advice_on_place import place
from jgd.tuning.cards import diagnosis_card
from jgd.tuning.findings import Findings, findings
from jgd.tuning.hessian import Problem, num_params_of
from jgd.tuning.pace import momentum_for, rates
from jgd.tuning.soundness import label_troubles, same_everywhere, sound_rows, unsound_params
from jgd.wording import count, figure


@shown_as(diagnosis_card)
class Diagnosis(NamedTuple):
    """What was measured at one place. A number that could not be measured is NaN.

    Attributes:
      loss: J at the params.
      gradient_norm: of J, or of its proximal form where the penalty has kinks.
      sharpness: the largest eigenvalue of the Hessian of J.
      smallest_curvature: the smallest; below 0 where J is not convex.
      max_learning_rate: 2 / sharpness, up to which batch descent is stable near a minimum;
        infinite where nothing curves upwards.
      best_learning_rate: the best constant one of batch descent, 2 / (largest + smallest) eigenvalue;
        1 / sharpness where J is not convex or the smallest is not known; a lower one to begin with
        where a step of that rate meets more curvature.
      condition_number: largest by smallest eigenvalue, without those that are 0; infinite where J curves
        downwards, or the smallest is not known.
      momentum: that fits the condition number k, ((sqrt(k) - 1) / (sqrt(k) + 1))², of `jgd.sgd`.
      momentum_learning_rate: the learning rate to go with it.
      standardized_condition_number: that with standardised features, at the same predictions.
      num_flat: number of eigenvalues that are 0.
      noise_scale: the critical batch size, a number of examples; infinite where the gradient is 0.
      feature_scale_ratio: largest by smallest standard deviation of a feature.
      place: "minimum", "maximum", "saddle", "plateau", "constant" (no gradient, no
        curvature), "slope", or "unknown" where nothing could be measured.
      separable: whether a plane was found that parts the classes, so that there is no minimum. False is
        no proof of the contrary.
      num_params: numbers in the params.
      num_examples: those that count.
      num_sampled: those that were looked at for all but loss, gradient and constant columns.
      advice: plain sentences with numbers, the most important first.
    """

    loss: float = np.nan
    gradient_norm: float = np.nan
    sharpness: float = np.nan
    smallest_curvature: float = np.nan
    max_learning_rate: float = np.nan
    best_learning_rate: float = np.nan
    condition_number: float = np.nan
    momentum: float = np.nan
    momentum_learning_rate: float = np.nan
    standardized_condition_number: float = np.nan
    num_flat: int = 0
    noise_scale: float = np.nan
    feature_scale_ratio: float = np.nan
    place: str = "unknown"
    separable: bool = False
    num_params: int = 0
    num_examples: int = 0
    num_sampled: int = 0
    advice: tuple[str, ...] = ()

    def explain(self) -> str:
        """What was measured, in one line, and the advice, a numbered line for each."""
        parts = [count(self.num_params, "param"), count(self.num_examples, "example")]
        if 0 < self.num_sampled < self.num_examples:
            parts[1] += f" ({self.num_sampled:,} of them drawn)"
        if not np.isnan(self.loss):
            parts += [f"loss {self.loss:.4g}", f"gradient norm {figure(self.gradient_norm)}"]
        lines = [f"{number}. {sentence}" for number, sentence in enumerate(self.advice, start=1)]
        return "\n".join([", ".join(parts) + ".", *lines])


def diagnose(
    objective: Any,
    params: Any,
    data: Any,
    *,
    key: jax.Array,
    weights: Any = None,
    sample: int = 4096,
) -> Diagnosis:
    """What a training from these params would meet, measured, and what to do about it.

    With L and m the largest and the smallest eigenvalue (not 0) of the Hessian of J, and k = L / m,

        max_learning_rate = 2 / L        best_learning_rate = 2 / (L + m)
        momentum = ((√k - 1) / (√k + 1))²        momentum_learning_rate = (2 / (√L + √m))²

    It looks for what has gone wrong (NaN, labels, a saddle, a plateau, a minimum, no minimum at all),
    for features that make it slow (scale, constant and dependent columns), for separable classes, and
    for digits that the dtype has not got. All numbers hold at these params: a network wants another
    diagnosis later, of `fit.params`.

    What is measured by what. Loss, gradient norm, NaN, constant columns and separability: all rows.
    Curvature, noise, scales and dependent columns: `sample` rows. Up to 1024 params the whole Hessian is
    made, in float64; for more, its two ends are sought by Lanczos iteration in the dtype of the params,
    and a condition number is a lower bound. Standardising is judged where the loss is linear in the
    features, as linear models and networks are: by trial, at random params.

    Args:
      objective: from `jgd.objective`.
      params: pytree of float arrays; where to look.
      data: pytree of arrays that share their leading axis N. Leaves [N, D] are looked at as features.
      key: PRNG key of the sample and of the iteration.
      weights: [N] or None. An example of weight 0 is as if it were not there.
      sample: how many examples to draw, at most.

    Returns:
      A `Diagnosis`; `print(diagnosis.explain())`.

    Raises:
      ValueError: an argument does not fit, or is traced; the message names it and the way out.

    >>> def loss(params, example):
    ...     return jnp.array([1.0, 100.0]) @ (params - example) ** 2 / 2
    >>> found = diagnose(jgd.objective(loss), jnp.zeros(2), jnp.array([[1.0, 3.0], [3.0, 1.0]]),
    ...                  key=jax.random.key(0))
    >>> round(found.max_learning_rate, 4), round(found.condition_number, 4), round(found.momentum, 4)
    (0.02, 100.0, 0.6694)
    >>> print(found.advice[0])  # doctest: +ELLIPSIS
    Learning rate: batch descent is stable below 0.02 (2 / sharpness 100); the best constant one is ...

    Source: Polyak (1964), USSR Comp. Math. Math. Phys. 4(5), for the momentum; McCandlish et al. (2018),
    An Empirical Model of Large-Batch Training, for the noise scale.
    """
    problem = _checked(objective, params, data, weights, key, sample)
    nothing = Diagnosis(num_params=num_params_of(problem.params))
    rows, unsound = sound_rows(problem)
    places, troubles = np.flatnonzero(rows), unsound_params(problem.params)
    nothing = nothing._replace(num_examples=len(places))
    if troubles:
        return nothing._replace(advice=(*troubles, *unsound))
    wrong_labels = label_troubles(problem)
    if wrong_labels or not len(places):
        return nothing._replace(advice=(*wrong_labels, *unsound))
    index = places
    if len(places) > sample:
        index = np.sort(places[np.asarray(order(key, 0, len(places)))[:sample]])
    found = findings(problem, rows, index, key)
    if isinstance(found, list):
        return nothing._replace(num_sampled=len(index), advice=(*unsound, *found))
    return _of_findings(found, (*unsound, *sentences(found), *same_everywhere(problem, rows)))


def _checked(objective, params, data, weights, key, sample) -> Problem:
    given = objective, params, data, weights, key
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(given)):
        raise ValueError(
            "diagnose got traced arguments, whose numbers are not known: call it outside of jit."
        )
    check_objective(objective)
    check_params(params)
    weights = checked_weights(weights, check_data(data))
    check_key(key)
    if not is_whole(sample) or sample < 1:
        raise ValueError(f"sample is {sample!r}, but a whole number of examples >= 1 is wanted.")
    params, data = strong((params, data))
    loss_dtype(objective.loss, params, data)  # raises where the loss is no scalar
    return Problem(objective, params, data, weights)


def _of_findings(found: Findings, advice: tuple[str, ...]) -> Diagnosis:
    curvature, slope = found.curvature, found.slope
    largest_rate, best_rate = rates(curvature)
    if found.steeper is not None:
        best_rate = min(best_rate, found.steeper.rate)
    momentum, momentum_rate = momentum_for(curvature)
    is_still = slope.norm == 0
    noise = found.variance / slope.norm**2 if not is_still else np.inf if found.variance else 0.0
    ratios = [part.columns.scale_ratio() for part in found.features]
    return Diagnosis(
        loss=slope.value,
        gradient_norm=slope.norm,
        sharpness=curvature.largest,
        smallest_curvature=curvature.smallest,
        max_learning_rate=largest_rate,
        best_learning_rate=best_rate,
        condition_number=curvature.condition_number,
        momentum=momentum,
        momentum_learning_rate=momentum_rate,
        standardized_condition_number=(
            np.nan if found.standard is None else found.standard.condition_number
        ),
        num_flat=curvature.num_flat,
        noise_scale=noise,
        feature_scale_ratio=max(filter(np.isfinite, ratios), default=np.nan),
        place=place(found),
        separable=found.parted is not None,
        num_params=found.num_params,
        num_examples=found.num_examples,
        num_sampled=found.num_sampled,
        advice=advice,
    )

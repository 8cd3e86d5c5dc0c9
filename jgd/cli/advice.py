"""What to do after a fit, in the words of the command line."""

from __future__ import annotations

import math
from typing import Any

import jgd
from jgd.cli.options import Options
from jgd.cli.running import losses

FALLING = 0.01  # of the loss: what fell by more in the last tenth of the epochs falls on
APART = 0.05  # in R² or accuracy: training is better than what is held out by so much
FAR = 0.2  # in R² or accuracy: what is worse than a guess by so much has not learned less, but nonsense
ARRIVED = 1e-2  # of the first gradient norm


def advice(options: Options, fit: jgd.Fit, found: dict[str, Any], out: str) -> list[str]:
    """Sentences, the most important one first.

    Args:
      options: of the fit.
      fit: the fit.
      found: part -> metrics, from `jgd.cli.metrics.table`.
      out: the directory, as it is written.

    Returns:
      At least one sentence.
    """
    status = jgd.Status(int(fit.status)).name
    said = {
        "DIVERGED": _diverged,
        "EPOCHS_DONE": _epochs_done,
        "STALLED": _stalled,
        "CONVERGED": _converged,
    }[status](options, fit, out)
    return [*said, *_of_metrics(options, found)] if status != "DIVERGED" else said


def _diverged(options: Options, fit: jgd.Fit, out: str) -> list[str]:
    rate = options.learning_rate
    if isinstance(rate, float):
        first = f"The steps were too long: take --learning-rate {rate / 10:g}, or --learning-rate auto."
    else:
        first = "The steps were too long: give a small learning rate, e.g. --learning-rate 0.001."
    return [first, "The last params that were finite are saved, but the model is of no use."]


def _epochs_done(options: Options, fit: jgd.Fit, out: str) -> list[str]:
    course = losses(fit)["training"]
    num = len(course)
    before = course[-1 - max(num // 10, 1)] if num > 1 else math.inf
    more = f"jgd resume {out} --epochs {2 * options.epochs}"
    if num < 2 or before - course[-1] > FALLING * abs(course[-1]):
        return [f"The loss is still falling. Train on: {more}"]
    return [f"The loss hardly falls any more, so it is done, or the steps are short. Train on: {more}"]


def _stalled(options: Options, fit: jgd.Fit, out: str) -> list[str]:
    norms = fit.history.gradient_norm[: int(fit.epochs)]
    if float(norms[-1]) <= ARRIVED * float(norms.max()):
        return ["The loss falls no more, and the gradient has all but vanished: it is done."]
    if options.variant == "batch":
        return ["The loss falls no more. Take another rule, e.g. --rule adam, or --patience 20."]
    size = (options.batch_size or 1) * 4
    return [
        "The loss falls no more: as a rule that is the noise of the steps. For the last digits take "
        f"--batch-size {size}, a lower learning rate, or --patience 20."
    ]


def _converged(options: Options, fit: jgd.Fit, out: str) -> list[str]:
    return [
        f"The gradient is {options.tolerance:g} of that at the start: training has done its work. "
        "For more digits take a smaller --tolerance."
    ]


def _of_metrics(options: Options, found: dict[str, Any]) -> list[str]:
    """Where the model learned too much, or too little."""
    names = list(found)
    if "held out" not in found:
        return ["No rows were held out, so nobody knows how it does on new ones: --validation 0.2"]
    main = next(iter(found["held out"]))
    train, held, guess = (found[name][main] for name in ("training", "held out", names[-1]))
    if None in (train, held, guess):
        return []
    if held < guess - FAR:
        return [
            f"On rows held out it is far worse than {names[-1]}: the steps are too long, or far too "
            "few. Take --learning-rate auto, or a tenth of the number."
        ]
    if held <= guess:
        return [f"On rows held out it is no better than {names[-1]}. Look for other columns."]
    if train - held > APART:
        return [
            f"{main} is {train:.3g} in training and {held:.3g} on rows held out: it has learned by "
            "heart. Take a stronger --penalty l2=0.01, fewer --hidden units, or more rows."
        ]
    if options.model == "linear":
        return ["If the relation is not linear, a network may do better: --model mlp"]
    return []

"""What became of a fit and what to do about it, in words."""

from collections.abc import Callable

import jax
import numpy as np

from jgd.descent import figures
from jgd.descent.rule import flags, remembered
from jgd.descent.status import Status
from jgd.wording import figure, listed

# Reasons of STALLED that a fit can tell apart; beside these, a reason is a status.
NO_STEP, BEST_KEPT = 4, 5
FLAGS = {NO_STEP: "stalled", BEST_KEPT: "out_of_patience"}  # in what rules and stop tests remember
ARRIVED = 1e-3  # of the largest gradient norm: then a loss that falls no more is at its minimum
ROSE = 0.1  # of the loss: by less it may rise where it is noise
TOO_SHORT = 1e-7  # of the loss: a step that promises less does not change it
HARDLY = 0.01  # of the loss and 0.1 of the gradient norm: what fell by less has hardly moved
AS_ROUNDING = 1e-5  # of the loss: what rose by less may not have risen

ADVICE = {
    Status.EPOCHS_DONE: (
        "All epochs were run and no stop test fired. If the loss is still falling, run more epochs "
        "(continue with state=fit.state) or raise the learning rate; to end when it is done, pass "
        "stop=jgd.stop.gradient_norm(...)."
    ),
    Status.CONVERGED: (
        "The gradient of the objective is as small as the stop test asked for. For more digits ask for "
        "a smaller tolerance; a much lower loss wants another model, other features or a weaker penalty."
    ),
    Status.STALLED: (
        "The loss fell no more. With single examples or small batches this is as a rule the noise "
        "of the steps: lower the learning rate, let it decay with a schedule, or raise the batch "
        "size. Otherwise look at the scale of the features (jgd.features.standardize), then try "
        "momentum or jgd.adam against a plateau, and other starts against a local minimum."
    ),
    NO_STEP: (
        "The rule found no step that lowers the loss. Where the gradient norm is small this is the "
        "floor of the floats: end before it, with stop=jgd.stop.gradient_norm(...), or compute in "
        "float64 (jax.enable_x64). Otherwise look for a loss that jumps or whose gradient is wrong, and "
        "raise the batch size or try jgd.adam."
    ),
    BEST_KEPT: (
        "The score on validation data rose no more; the parameters are those of its best epoch. For a "
        "better one try a stronger penalty, more data, a smaller model, or more patience. If the best "
        "epoch was the first: scores are the higher the better, so that a loss wants "
        "jgd.stop.validation(score=jnp.negative)."
    ),
    Status.DIVERGED: (
        "Loss, gradient or parameters ceased to be finite; the last finite parameters are kept. "
        "Lower the learning rate (a tenth is a good next try), and bring the features to one scale "
        "(jgd.features.standardize)."
    ),
}

_NOT_FINITE_AT_ONCE = (
    " It happened in the first epoch: look for NaN or infinity in the data first "
    "(jnp.isfinite(x).all())."
)
_NOT_FINITE_SOON = (
    " It happened in the first epoch, though its first gradient is finite: most likely the learning "
    "rate is far too high."
)
_NO_EPOCH = "No epoch was asked for, so the params are those given."
_BROKE_AT_THE_FLOOR = (
    "The rule ceased to be finite after the gradient had all but vanished; the last finite parameters "
    "are kept, and are as good as converged. Line searches break down where the loss falls by less "
    "than a float can hold: stop before, with stop=jgd.stop.gradient_norm(...)."
)
_WITHOUT_END = (
    "The loss fell until it was minus infinity: it has no minimum. Is its sign right? If it is, add a "
    "penalty (jgd.penalties.l2); the last finite parameters are kept."
)
_BEST_BEFORE = (
    " Here fit.params are those with the best score on validation data; the last finite ones are "
    "fit.state.params."
)
_ROSE = (
    "The {what} is higher than at the start: the learning rate is too high for this data. Lower it "
    "(a tenth is a good next try), or bring the features to one scale (jgd.features.standardize)."
)
_AT_REST = (
    "The gradient is zero, so that no rule moves from here: it is a minimum, a saddle or a plateau, and "
    "jgd.diagnose(objective, fit.params, data, key=key) tells which. If it is no minimum, start "
    "elsewhere; if the loss is the same everywhere, see whether it uses the params."
)
_HARDLY_MOVED = (
    "Loss and gradient are hardly smaller than at the start: the learning rate is too small (ten times "
    "as much is a good next try), or the start is on a plateau (try jgd.auto_rule or jgd.adam)."
)
_TOO_SHORT = (
    "At the end the steps were too short to lower the loss, though the gradient is not small: the "
    "learning rate, {rate}, is too small (ten times as much is a good next try), or it has decayed too "
    "fast."
)
_REFUSED = (
    "The last step was refused, since it would have raised the loss of its own batch, and the rule was "
    "still looking for a shorter one. Run more epochs (continue with state=fit.state), or start from a "
    "lower learning rate."
)
_STOOD_STILL = "All epochs were run, but at the end the loss fell no more. "
_ARRIVED = (
    "The loss falls no more, and the gradient norm is {share} of the largest: it is as good as "
    "converged. To end there, pass stop=jgd.stop.relative_gradient_norm(1e-3)."
)
_CUT_SHORT = (
    "The time was up, or it was interrupted, before all epochs were run and before a stop test fired. "
    "Continue with state=fit.state."
)
_ENDED_BEFORE = (
    " It had ended before this call, whose state it was given. To go on all the same, "
    "start from fit.params without state."
)


def explain(fit, diagnosis=None) -> str:
    """What became of a fit, and what to do next, in words.

    Args:
      fit: from `descend` or a variant; or a batch of fits, from `vmap`.
      diagnosis: from `jgd.diagnose` of the same problem, at the start or at `fit.params`: it adds
        numbers, such as how many times the learning rate is the largest stable one. None adds nothing.

    Returns:
      A text: status, epochs, loss and learning rate, and the advice. For a batch of fits, how many
      ended in which way, where, and the advice for each way.

    Raises:
      ValueError: it is no fit, or traced, so that its numbers are not known yet; no diagnosis.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> fit = jgd.batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.ones(3),
    ...                         rule=jgd.sgd(0.5), epochs=5, stop=jgd.stop.gradient_norm(1e-3))
    >>> print(explain(fit))  # doctest: +ELLIPSIS
    CONVERGED after 2 of 5 epochs: ...
    """
    if not hasattr(fit, "history"):
        raise ValueError(f"fit is {type(fit).__name__}, but the result of a descent, a Fit, is wanted.")
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(fit)):
        raise ValueError("fit is traced, so its numbers are not known; call explain outside of jit.")
    reasons = reasons_of(fit)
    text = _explain_one(fit) if reasons.ndim == 0 else counted(reasons, _numbers_of_lanes)
    return text if diagnosis is None else "\n".join([text, *_in_numbers(fit, diagnosis)])


def reasons_of(fits) -> np.ndarray:
    """Why each fit ended, a key of `ADVICE`: its status, or what a rule or a stop test says of it."""
    status = np.asarray(fits.status)
    reasons = status.astype(int)
    for reason, name in FLAGS.items():
        for flag in flags(fits.state, name):
            is_set = np.asarray(flag).reshape(*status.shape, -1).any(axis=-1)
            reasons = np.where((status == Status.STALLED) & is_set, reason, reasons)
    return reasons


def counted(reasons: np.ndarray, where: Callable) -> str:
    """How many ended for each reason, where (a text of the mask of them), and what to do about it."""
    lines = [f"{reasons.size} fits:"]
    for reason, advice in ADVICE.items():
        lanes = reasons == reason
        if lanes.any():
            status = Status.STALLED if reason in FLAGS else Status(reason)
            lines.append(f"{lanes.sum()} {status.name}{where(lanes)}. {advice}")
    return "\n".join(lines)


def _numbers_of_lanes(lanes: np.ndarray) -> str:
    return f" (lanes {listed(np.flatnonzero(lanes).tolist(), 8)})"


def _in_numbers(fit, diagnosis) -> list[str]:
    """What the diagnosis adds: one paragraph, or none."""
    figures.check_diagnosis(diagnosis)
    status = np.asarray(fit.status)
    names = np.array([kind.name for kind in Status])[status]
    rule_state = fit.state.rule_state
    if status.ndim == 0:
        losses = np.asarray(fit.history.loss, float)[: int(fit.epochs)]
        fell = len(losses) > 0 and bool(losses[-1] < losses[0])
        text = figures.of_fit(str(names), fell, rule_state, diagnosis)
    else:
        text = figures.of_fits(names, rule_state, diagnosis)
    return [text] * bool(text)


def _explain_one(fit) -> str:
    status, epochs = Status(int(fit.status)), int(fit.epochs)
    losses, norms = (np.asarray(x, float) for x in (fit.history.loss, fit.history.gradient_norm))
    headline = _headline(fit, status, epochs, losses, norms)
    ran = losses[:epochs], norms[:epochs]
    if not len(losses):
        advice = _NO_EPOCH
    elif epochs == 0:
        advice = ADVICE[status] + (_ENDED_BEFORE if status != Status.EPOCHS_DONE else "")
    elif status == Status.DIVERGED:
        advice = _on_divergence(*ran)
    else:
        advice = _advice(fit, status, *ran)
    keeps_best = any(np.isfinite(score) for score in remembered(fit.state.stop_state, "best_score"))
    is_said = status == Status.CONVERGED or advice == ADVICE[BEST_KEPT]
    return f"{headline}\n{advice}{_BEST_BEFORE if keeps_best and not is_said else ''}"


def _on_divergence(losses: np.ndarray, norms: np.ndarray) -> str:
    if len(losses) == 1:
        at_once = not np.isfinite(norms[0])
        return ADVICE[Status.DIVERGED] + (_NOT_FINITE_AT_ONCE if at_once else _NOT_FINITE_SOON)
    if np.isneginf(losses[-1]):
        return _WITHOUT_END
    at_the_floor = norms[-2] < 1e-5 * norms[0]
    return _BROKE_AT_THE_FLOOR if at_the_floor else ADVICE[Status.DIVERGED]


def _advice(fit, status: Status, losses: np.ndarray, norms: np.ndarray) -> str:
    """What to do, given the status and the record of the epochs that were run, one at least."""
    reason, rule_state = int(reasons_of(fit)), fit.state.rule_state
    fell = losses[0] - losses[-1]
    stands = status == Status.STALLED or not _falls(losses)
    if norms[-1] == 0 and (norms[0] == 0 or fell <= 0):
        return _AT_REST
    if status == Status.CONVERGED:
        return ADVICE[status]
    if stands and norms[-1] <= ARRIVED * norms.max() and reason != BEST_KEPT:
        return _ARRIVED.format(share=figure(norms[-1] / norms.max()))
    # A line search of optax does not say that it found no step.
    if reason == NO_STEP or (stands and remembered(rule_state, "decrease_error")):
        return ADVICE[NO_STEP]
    if any(np.any(flag) for flag in flags(rule_state, "refused")):
        return _REFUSED
    if fell < -ROSE * max(abs(losses[0]), abs(losses[-1])):
        return _ROSE.format(what="loss")
    if stands and _has_hardly_moved(losses, norms):
        return _HARDLY_MOVED
    rate = figures.rate_of_sgd(rule_state)
    if stands and rate is not None and rate * norms[-1] ** 2 < TOO_SHORT * abs(losses[-1]):
        return _TOO_SHORT.format(rate=figure(rate))
    if reason == BEST_KEPT:
        return ADVICE[reason]
    # Of small batches the first loss is a mean over the first epoch, which may hide the rise. A
    # gradient that grows while the loss still falls is no fault: so begins many a network.
    if status == Status.STALLED and norms[-1] > norms[0]:
        return _ROSE.format(what="gradient")
    if status == Status.EPOCHS_DONE and len(losses) < len(fit.history.loss):
        return _CUT_SHORT
    if stands and status == Status.EPOCHS_DONE:
        return _STOOD_STILL + ADVICE[Status.STALLED].removeprefix("The loss fell no more. ")
    return ADVICE[status]


def _has_hardly_moved(losses: np.ndarray, norms: np.ndarray) -> bool:
    size = max(abs(losses[0]), abs(losses[-1]))
    return bool(losses[0] - losses[-1] < HARDLY * size and 0.9 * norms[0] < norms[-1] <= norms[0])


def _falls(losses: np.ndarray) -> bool:
    """Whether the last quarter of the epochs lies below the one before; of few it is taken to."""
    window = len(losses) // 4
    if window < 2:
        return True
    before, last = losses[-2 * window : -window].mean(), losses[-window:].mean()
    return bool(before - last > AS_ROUNDING * abs(before))


def _headline(fit, status: Status, epochs: int, losses: np.ndarray, norms: np.ndarray) -> str:
    when = f"in epoch {epochs}" if status == Status.DIVERGED else f"after {epochs}"
    parts = [f"{status.name} {when} of {len(losses)} epochs"]
    if epochs:
        parts.append(f"loss {losses[0]:.4g} -> {losses[epochs - 1]:.4g}")
        parts.append(f"gradient norm {norms[epochs - 1]:.3g}")
    rate = remembered(fit.state.rule_state, "learning_rate")
    if len(rate) == 1:
        parts.append(f"learning rate {float(rate[0]):.3g}")
    return f"{parts[0]}: {', '.join(parts[1:])}." if parts[1:] else f"{parts[0]}."

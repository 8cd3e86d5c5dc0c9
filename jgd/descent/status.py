"""How a fit ended, and what to do about it."""

import enum
from typing import Any

import jax
import numpy as np
import optax

from jgd.descent import figures


class Status(enum.IntEnum):
    """How a fit ended. Under `vmap` the status is an integer array that compares with these.

    Attributes:
      EPOCHS_DONE: all epochs were run; no stop test had fired.
      CONVERGED: the gradient is as small as was asked for.
      STALLED: the loss fell no more, although the gradient is not shown to be small; or the score on
        validation data rose no more; or the rule found no step.
      DIVERGED: loss, gradient or parameters ceased to be finite.
    """

    EPOCHS_DONE = 0
    CONVERGED = 1
    STALLED = 2
    DIVERGED = 3


ADVICE = {
    Status.EPOCHS_DONE: (
        "All epochs were run and no stop test fired. If the loss is still falling, run more epochs "
        "(continue with state=fit.state) or raise the learning rate; to end when it is done, pass "
        "stop=jgd.stop.gradient_norm(...)."
    ),
    Status.CONVERGED: (
        "The gradient of the objective is as small as the stop test asked for. "
        "A lower loss wants another model, other features or a weaker penalty, not more epochs."
    ),
    Status.STALLED: (
        "The loss fell no more. With single examples or small batches this is as a rule the noise "
        "of the steps: lower the learning rate, let it decay with a schedule, or raise the batch "
        "size. Otherwise look at the scale of the features (jgd.features.standardize), then try "
        "momentum or jgd.adam against a plateau, and other starts against a local minimum."
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
_BROKE_AT_THE_FLOOR = (
    "The rule ceased to be finite after the gradient had all but vanished; the last finite parameters "
    "are kept, and are as good as converged. Line searches break down where the loss falls by less "
    "than a float can hold: stop before, with stop=jgd.stop.gradient_norm(...)."
)
_ROSE = (
    "The {what} is higher than at the start: the learning rate is too high for this data. Lower it "
    "(a tenth is a good next try), or bring the features to one scale (jgd.features.standardize)."
)
_CUT_SHORT = (
    "The time was up, or it was interrupted, before all epochs were run and before a stop test fired. "
    "Continue with state=fit.state."
)
_BEST_KEPT = (
    "The score on validation data rose no more; the parameters are those of its best epoch. For a "
    "better one try a stronger penalty, more data, a smaller model, or more patience. If the best epoch "
    "was the first: scores are the higher the better, so that a loss wants "
    "jgd.stop.validation(score=jnp.negative)."
)
_NO_STEP = (
    "The rule found no step that lowers the loss. Where the gradient norm is small this is the floor of "
    "the floats: end before it, with stop=jgd.stop.gradient_norm(...), or compute in float64 "
    "(jax.enable_x64). Otherwise look for a loss that jumps or whose gradient is wrong, and raise the "
    "batch size or try jgd.adam."
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
    status = np.asarray(fit.status)
    text = _explain_one(fit) if status.ndim == 0 else _explain_many(status)
    return text if diagnosis is None else "\n".join([text, *_in_numbers(fit, status, diagnosis)])


def _in_numbers(fit, status: np.ndarray, diagnosis) -> list[str]:
    """What the diagnosis adds: one paragraph, or none."""
    figures.check_diagnosis(diagnosis)
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
    advice = _advice(status, losses[:epochs], norms[:epochs])
    if advice == ADVICE[Status.EPOCHS_DONE] and epochs < len(losses):
        advice = _CUT_SHORT
    if status == Status.STALLED and epochs and _says(fit.state.stop_state, "out_of_patience"):
        advice = _BEST_KEPT
    elif status == Status.STALLED and epochs and _says(fit.state.rule_state, "stalled"):
        advice = _NO_STEP
    return f"{headline}\n{advice}"


def _says(state: Any, name: str) -> bool:
    """Whether any flag of that name is set in what a rule or the stop tests remember."""
    found: Any = optax.tree_utils.tree_get_all_with_path(state, name)
    return any(np.any(flag) for _, flag in found if getattr(flag, "dtype", None) == np.bool_)


def _advice(status: Status, losses: np.ndarray, norms: np.ndarray) -> str:
    """What to do, given the status and the record of the epochs that were run."""
    epochs, diverged = len(losses), status == Status.DIVERGED
    if epochs == 0:
        return ADVICE[status] + (_ENDED_BEFORE if status != Status.EPOCHS_DONE else "")
    if diverged and epochs == 1:
        return ADVICE[status] + _NOT_FINITE_AT_ONCE
    if diverged and norms[-2] < 1e-5 * norms[0]:
        return _BROKE_AT_THE_FLOOR
    if status in (Status.EPOCHS_DONE, Status.STALLED) and losses[-1] > losses[0]:
        return _ROSE.format(what="loss")
    # Of small batches the first loss is a mean over the first epoch, which may hide the rise. A
    # gradient that grows while the loss still falls is no fault: so begins many a network.
    if status == Status.STALLED and norms[-1] > norms[0]:
        return _ROSE.format(what="gradient")
    return ADVICE[status]


def _headline(fit, status: Status, epochs: int, losses: np.ndarray, norms: np.ndarray) -> str:
    when = f"in epoch {epochs}" if status == Status.DIVERGED else f"after {epochs}"
    parts = [f"{status.name} {when} of {len(losses)} epochs"]
    if epochs:
        parts.append(f"loss {losses[0]:.4g} -> {losses[epochs - 1]:.4g}")
        parts.append(f"gradient norm {norms[epochs - 1]:.3g}")
    rate: Any = optax.tree_utils.tree_get_all_with_path(fit.state, "learning_rate")
    if len(rate) == 1:
        parts.append(f"learning rate {float(rate[0][1]):.3g}")
    return f"{parts[0]}: {', '.join(parts[1:])}." if parts[1:] else f"{parts[0]}."


def _explain_many(status: np.ndarray) -> str:
    lines = [f"{status.size} fits:"]
    for kind in Status:
        lanes = np.flatnonzero(status.ravel() == kind)
        if lanes.size:
            shown = ", ".join(map(str, lanes[:8])) + (", ..." if lanes.size > 8 else "")
            lines.append(f"{lanes.size} {kind.name} (lanes {shown}). {ADVICE[kind]}")
    return "\n".join(lines)

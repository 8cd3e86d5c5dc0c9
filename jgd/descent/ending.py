"""How fits ended, and what to do about it: a sentence for each way."""

import math
from typing import NamedTuple

import numpy as np

from jgd.descent.figures import is_sgd, learning_rate
from jgd.descent.rule import flags, remembered
from jgd.descent.status import Status

ARRIVED = 1e-3  # of the largest gradient norm: then a loss that falls no more is at its minimum
ROSE = 0.1  # of the loss: by less it may rise where it is noise
TOO_SHORT = 1e-7  # of the loss: a step that promises less does not change it
HARDLY = 0.01  # of the loss and 0.1 of the gradient norm: what fell by less has hardly moved
TINY = 0.01  # of the loss: what is below may be on its way to 0
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
    Status.DIVERGED: (
        "Loss, gradient or parameters ceased to be finite; the last finite parameters are kept. "
        "Lower the learning rate (a tenth is a good next try), and bring the features to one scale "
        "(jgd.features.standardize)."
    ),
}

_NO_STEP = (
    "The rule found no step that lowers the loss. Where the gradient norm is small this is the "
    "floor of the floats: end before it, with stop=jgd.stop.gradient_norm(...), or compute in "
    "float64 (jax.enable_x64). Otherwise look for a loss that jumps or whose gradient is wrong, and "
    "raise the batch size or try jgd.adam."
)
_BEST_KEPT = (
    "The score on validation data rose no more; the parameters are those of its best epoch. For a "
    "better one try a stronger penalty, more data, a smaller model, or more patience. If the best "
    "epoch was the first: scores are the higher the better, so that a loss wants "
    "jgd.stop.validation(score=jnp.negative). A score of NaN never rises: has the validation part all "
    "classes?"
)
_NOT_FINITE_AT_ONCE = (
    " It happened in the first epoch: look for NaN or infinity in the data first "
    "(jnp.isfinite(x).all())."
)
_NOT_FINITE_SOON = (
    " It happened in the first epoch, though its first gradient is finite: most likely the learning "
    "rate is far too high."
)
_CERTIFIED = (
    "It is certified that no params have an objective that is lower by more than the stop test allows. "
    "For more digits ask for a smaller gap; a much lower loss wants another model, other features or a "
    "weaker penalty."
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
    "The gradient is zero, so that batch descent does not move from here: it is a minimum, a saddle or "
    "a plateau, and jgd.diagnose(objective, fit.params, data, key=key) tells which. If it is no "
    "minimum, start elsewhere; if the loss is the same everywhere, see whether it uses the params."
)
_HARDLY_MOVED = (
    "Loss and gradient are hardly smaller than at the start: the learning rate is too small (ten times "
    "as much is a good next try), or the start is on a plateau (try jgd.auto_rule or jgd.adam)."
)
_TOO_SHORT = (
    "At the end the steps were too short to lower the loss, though the gradient is not small: the "
    "learning rate is too small (ten times as much is a good next try), or has decayed too fast."
)
_REFUSED = (
    "The last step was refused, since it would have raised the loss of its own batch, and the rule was "
    "still looking for a shorter one. Run more epochs (continue with state=fit.state), or start from a "
    "lower learning rate."
)
_RATE_OF_ZERO = (
    "The learning rate was 0 at the end, so that the params stood still: give one above 0, or a "
    "schedule that decays less. jgd.polyak takes 0 where the loss is not above its minimum: lower that, "
    "or pass minimum=None to have it estimated."
)
_RATE_OF_NAN = (
    "The learning rate is NaN, with which no step can be taken; the params are those given. Look where "
    "it was computed, such as in a schedule that divides by 0."
)
_TO_ZERO = (
    " It is below a hundredth of what it was: where it falls to 0 without end, as the logistic loss of "
    "separable classes does, the params grow for ever. Add a penalty then (jgd.penalties.l2)."
)
_STOOD_STILL = "All epochs were run, but at the end the loss fell no more. "
AS_GOOD = (
    "The loss falls no more, and the gradient norm is below a thousandth of its largest: it is as good "
    "as converged. To end there, pass stop=jgd.stop.relative_gradient_norm(1e-3)."
)
_CUT_SHORT = (
    "The time was up, or it was interrupted, before all epochs were run and before a stop test fired. "
    "Continue with state=fit.state."
)
_ENDED_BEFORE = (
    " It had ended before this call, whose state it was given. To go on all the same, "
    "start from fit.params without state."
)


class Ending(NamedTuple):
    """How a fit ended, and what to do about it.

    Attributes:
      status: a `Status`.
      advice: a text.
    """

    status: Status
    advice: str


class _Run(NamedTuple):
    """What tells how one fit ended.

    Attributes:
      status: a `Status`.
      asked: how many epochs there were to run.
      losses: of the epochs that were run.
      norms: of their gradients.
      has_no_step: whether the rule says that it found none.
      is_refused: whether the last step was.
      is_search: whether the rule is a line search of optax.
      rate: of the last step; infinite where the rule does not tell it.
      is_sgd: whether a step is the rate times the gradient, but for momentum.
      is_impatient: whether the score on validation data rose no more.
      has_best: whether the params returned are those of the best score.
      gap: by how much J is above its minimum at most, in the last epoch; NaN where nobody asked.
    """

    status: Status
    asked: int
    losses: np.ndarray
    norms: np.ndarray
    has_no_step: bool
    is_refused: bool
    is_search: bool
    rate: float
    is_sgd: bool
    is_impatient: bool
    has_best: bool
    gap: float


def endings_of(fits) -> np.ndarray:
    """The `Ending` on each fit, an array of the shape of the batch, () of one fit."""
    shape = np.shape(fits.status)
    losses, norms = (np.asarray(x, float) for x in (fits.history.loss, fits.history.gradient_norm))
    num = math.prod(shape)
    losses, norms = (x.reshape(num, x.shape[-1]) for x in (losses, norms))
    rule_state, stop_state = fits.state.rule_state, fits.state.stop_state

    def any_of(values) -> np.ndarray:
        found = [np.asarray(value).reshape(num, -1).any(axis=1) for value in values]
        return np.any([np.zeros(num, bool), *found], axis=0)

    rate = learning_rate(rule_state)
    of_each = zip(
        np.ravel(fits.status),
        np.ravel(fits.epochs),
        losses,
        norms,
        any_of(flags(rule_state, "stalled")),
        any_of(flags(rule_state, "refused")),
        any_of([np.ones_like(x) for x in remembered(rule_state, "decrease_error")]),
        np.broadcast_to(np.inf if rate is None else rate.ravel(), num),
        [is_sgd(rule_state)] * num,
        any_of(flags(stop_state, "out_of_patience")),
        any_of([np.isfinite(score) for score in remembered(stop_state, "best_score")]),
        last_gaps(fits).ravel(),
        strict=True,
    )
    endings = np.empty(num, object)
    for lane, (status, epochs, loss, norm, *rest) in enumerate(of_each):
        run = _Run(Status(int(status)), len(loss), loss[:epochs], norm[:epochs], *rest)
        endings[lane] = Ending(run.status, _advice(run))
    return endings.reshape(shape)


def last_gaps(fits) -> np.ndarray:
    """The duality gap of the last epoch of each fit; NaN where no stop test asked for it."""
    gaps, epochs = fits.history.duality_gap, np.asarray(fits.epochs)
    if gaps is None or not gaps.shape[-1]:
        return np.full(epochs.shape, np.nan)
    last = np.maximum(epochs, 1) - 1
    return np.take_along_axis(np.asarray(gaps, float), last[..., None], axis=-1)[..., 0]


def _advice(run: _Run) -> str:
    is_said = run.status == Status.CONVERGED or not run.has_best
    if not run.asked:
        return _NO_EPOCH
    if not len(run.losses):
        return ADVICE[run.status] + (_ENDED_BEFORE if run.status != Status.EPOCHS_DONE else "")
    if run.status == Status.DIVERGED:
        return _on_divergence(run) + ("" if is_said else _BEST_BEFORE)
    advice = _on_end(run)
    return advice + ("" if is_said or advice == _BEST_KEPT else _BEST_BEFORE)


def _on_divergence(run: _Run) -> str:
    losses, norms = run.losses, run.norms
    if len(losses) == 1:
        at_once = not np.isfinite(norms[0])
        if not at_once and np.isnan(run.rate):
            return _RATE_OF_NAN
        return ADVICE[Status.DIVERGED] + (_NOT_FINITE_AT_ONCE if at_once else _NOT_FINITE_SOON)
    if np.isneginf(losses[-1]):
        return _WITHOUT_END
    at_the_floor = norms[-2] < 1e-5 * norms[0]
    return _BROKE_AT_THE_FLOOR if at_the_floor else ADVICE[Status.DIVERGED]


def _on_end(run: _Run) -> str:
    """What to do about a run of one epoch at least that has not diverged."""
    status, losses, norms = run.status, run.losses, run.norms
    fell, size = losses[0] - losses[-1], max(abs(losses[0]), abs(losses[-1]))
    stands = status == Status.STALLED or not _falls(losses)
    if norms[-1] == 0 and (norms[0] == 0 or fell <= 0):
        return _AT_REST
    if status == Status.CONVERGED:
        return ADVICE[status] if np.isnan(run.gap) else _CERTIFIED
    if stands and norms[-1] <= ARRIVED * norms.max() and not run.is_impatient:
        return AS_GOOD
    # A line search of optax does not say that it found no step.
    if (status == Status.STALLED and run.has_no_step) or (stands and run.is_search):
        return _NO_STEP
    if run.is_refused:
        return _REFUSED
    if fell < -ROSE * size:
        return _ROSE.format(what="loss")
    if stands and run.rate == 0:
        return _RATE_OF_ZERO
    least, most = 0.9 * norms[0], (1 + AS_ROUNDING) * norms[0]
    if stands and fell < HARDLY * size and least < norms[-1] <= most:
        return _HARDLY_MOVED
    if stands and run.is_sgd and run.rate * norms[-1] ** 2 < TOO_SHORT * abs(losses[-1]):
        return _TOO_SHORT
    if status == Status.STALLED and run.is_impatient:
        return _BEST_KEPT
    # Of small batches the first loss is a mean over the first epoch, which may hide the rise. A
    # gradient that grows while the loss still falls is no fault: so begins many a network.
    if status == Status.STALLED and norms[-1] > norms[0]:
        return _ROSE.format(what="gradient")
    if status == Status.EPOCHS_DONE and len(losses) < run.asked:
        return _CUT_SHORT
    if status == Status.EPOCHS_DONE and 0 < losses[-1] < TINY * losses[0] and not stands:
        return ADVICE[status] + _TO_ZERO
    if stands and status == Status.EPOCHS_DONE:
        return _STOOD_STILL + ADVICE[Status.STALLED].removeprefix("The loss fell no more. ")
    return ADVICE[status]


def _falls(losses: np.ndarray) -> bool:
    """Whether the last quarter of the epochs lies below the one before; of few it is taken to."""
    window = len(losses) // 4
    if window < 2:
        return True
    before, last = losses[-2 * window : -window].mean(), losses[-window:].mean()
    return bool(before - last > AS_ROUNDING * abs(before))

"""What a notebook shows of a fit, or of a batch of them."""

from typing import Any

import numpy as np

from jgd.descent.status import Status
from jgd.shown import Card, Part, arrays, numbers, shape_of, short
from jgd.wording import count

COLOURS = {
    Status.EPOCHS_DONE: "#4a90d9",
    Status.CONVERGED: "#2f9e57",
    Status.STALLED: "#c98a12",
    Status.DIVERGED: "#d9484f",
}
UNKNOWN = "its numbers are not at hand: traced, deleted, or in another process"
EXPLAIN = (("jgd.explain(fit)", "says what to do about it"),)


def fit_card(fit: Any) -> Card:
    """The card of a `Fit`: status, epochs, loss, gradient norm, and the shapes of the params."""
    batch = shape_of(fit.status)
    about_params = ("params of each" if batch else "params", arrays(fit.params, len(batch)))
    status, epochs = numbers(fit.status), numbers(fit.epochs)
    if status is None or epochs is None:
        return Card("Fit", UNKNOWN, (about_params,))
    if batch:
        return _card_of_batch(fit, status, epochs, about_params)
    losses, norms = numbers(fit.history.loss), numbers(fit.history.gradient_norm)
    (part,), num = parts_of(status), int(epochs)
    when = f"in epoch {num}" if int(status) == Status.DIVERGED else f"after {num}"
    asked = [f"of {count(size, 'epoch')}" for size in shape_of(fit.history.loss)] or ["epochs"]
    facts = []
    if num and losses is not None:
        facts.append(("loss", f"{short(losses[0])} -> {short(losses[num - 1])}"))
    if num and norms is not None:
        facts.append(("gradient norm", short(norms[num - 1])))
    return Card(
        "Fit",
        f"{part.name} {when} {asked[-1]}",
        (*facts, about_params),
        curve=None if losses is None else losses[:num],
        curve_title=f"loss over {count(num, 'epoch')}",
        parts=(part,),
        foot=EXPLAIN,
    )


def _card_of_batch(fit: Any, status: np.ndarray, epochs: np.ndarray, about_params: tuple) -> Card:
    parts = parts_of(status)
    size = " x ".join(map(str, status.shape))
    facts = [("epochs", f"{spread(epochs)}, of {shape_of(fit.history.loss)[-1]}")]
    losses = numbers(fit.history.loss)
    if losses is not None:
        facts.append(("last loss", spread(last_of(losses, epochs))))
    return Card(
        "Fit",
        f"a batch of {size}: {in_words(parts)}",
        (*facts, about_params),
        parts=parts,
        foot=EXPLAIN,
    )


def parts_of(status: np.ndarray) -> tuple[Part, ...]:
    """How many ended in which way."""
    found = zip(*np.unique(status, return_counts=True), strict=True)
    return tuple(_part(int(number), int(num)) for number, num in found)


def _part(number: int, num: int) -> Part:
    if number not in COLOURS:
        return Part(f"status {number}", num, "#8a8a8a")
    return Part(Status(number).name, num, COLOURS[Status(number)])


def in_words(parts: tuple[Part, ...]) -> str:
    """`60 EPOCHS_DONE, 4 DIVERGED`."""
    return ", ".join(f"{part.num:,} {part.name}" for part in parts) or "none"


def last_of(history: np.ndarray, epochs: np.ndarray) -> np.ndarray:
    """What a history [..., E] has of the last epoch that was run; NaN where none was."""
    if not history.shape[-1]:
        return np.full(epochs.shape, np.nan)
    last = np.maximum(epochs.astype(int), 1) - 1
    found = np.take_along_axis(history, last[..., None], axis=-1)[..., 0]
    return np.where(epochs > 0, found, np.nan)


def spread(values: np.ndarray) -> str:
    """`0.01 to 5.2, median 0.4`, of those that are finite; `3` where all are the same."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "not finite"
    low, high = short(finite.min()), short(finite.max())
    if low == high:
        return low
    median = short(np.median(finite).astype(values.dtype))
    return f"{low} to {high}, median {median}"

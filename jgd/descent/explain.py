"""What became of a fit and what to do about it, in words."""

from collections.abc import Callable

import jax
import numpy as np

from jgd.descent import figures
from jgd.descent.ending import AS_GOOD, Ending, endings_of, last_gaps
from jgd.descent.status import Status
from jgd.wording import listed


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
        way_out = " Its own explain() says what it found." if hasattr(fit, "explain") else ""
        raise ValueError(
            f"fit is {type(fit).__name__}, but the result of a descent, a Fit, is wanted.{way_out}"
        )
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(fit)):
        raise ValueError("fit is traced, so its numbers are not known; call explain outside of jit.")
    endings = endings_of(fit)
    if endings.ndim == 0:
        text = f"{_headline(fit)}\n{endings.item().advice}"
    else:
        text = counted(endings, _numbers_of_lanes)
    return text if diagnosis is None else "\n".join([text, *_in_numbers(fit, endings, diagnosis)])


def counted(endings: np.ndarray, where: Callable) -> str:
    """How many ended in each way, where (a text of the mask of them), and what to do about it."""
    lines = [f"{endings.size} fits:"]
    kinds: dict[Ending, np.ndarray] = {}
    for place, ending in np.ndenumerate(endings):
        kinds.setdefault(ending, np.zeros(endings.shape, bool))[place] = True
    for (status, advice), lanes in sorted(kinds.items(), key=lambda kind: kind[0].status):
        lines.append(f"{lanes.sum()} {status.name}{where(lanes)}. {advice}")
    return "\n".join(lines)


def _numbers_of_lanes(lanes: np.ndarray) -> str:
    return f" (lanes {listed(np.flatnonzero(lanes).tolist(), 8)})"


def _in_numbers(fit, endings, diagnosis) -> list[str]:
    """What the diagnosis adds: one paragraph, or none."""
    figures.check_diagnosis(diagnosis)
    if endings.ndim == 0:
        text = figures.of_fit(_course(fit, endings.item(), diagnosis), diagnosis)
    else:
        names = np.array([kind.name for kind in Status])[np.asarray(fit.status)]
        text = figures.of_fits(names, fit.state.rule_state, diagnosis)
    return [text] * bool(text)


def _course(fit, ending: Ending, diagnosis) -> figures.Course:
    losses = np.asarray(fit.history.loss, float)[: int(fit.epochs)]
    fell = len(losses) > 0 and bool(losses[-1] < losses[0])
    return figures.Course(
        status=ending.status.name,
        fell=fell,
        arrived=ending.advice.startswith(AS_GOOD),
        left=fell and bool(abs(diagnosis.loss - losses[0]) < abs(diagnosis.loss - losses[-1])),
        in_batches=fit.state.key is not None,  # that of their order
        rule_state=fit.state.rule_state,
    )


def _headline(fit) -> str:
    status, epochs = Status(int(fit.status)), int(fit.epochs)
    losses, norms = (np.asarray(x, float) for x in (fit.history.loss, fit.history.gradient_norm))
    when = f"in epoch {epochs}" if status == Status.DIVERGED else f"after {epochs}"
    parts = [f"{status.name} {when} of {len(losses)} epochs"]
    if epochs:
        parts.append(f"loss {losses[0]:.4g} -> {losses[epochs - 1]:.4g}")
        parts.append(f"gradient norm {norms[epochs - 1]:.3g}")
    gap = float(last_gaps(fit))
    if np.isfinite(gap):
        parts.append(f"within {gap:.2g} of the global minimum")
    rate = figures.learning_rate(fit.state.rule_state)
    if rate is not None:
        parts.append(f"learning rate {float(rate):.3g}")
    return f"{parts[0]}: {', '.join(parts[1:])}." if parts[1:] else f"{parts[0]}."

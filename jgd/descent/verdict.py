"""What the stop tests say of an epoch, and which params they let the fit return.

A test is a pair of pure functions, `init(params) -> memory` and `update(memory, record, params) ->
(memory, status)`; `jgd.descent.stop` has them.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jgd.descent.status import Status
from jgd.tree import select


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Stop:
    """A stop test.

    Attributes:
      init: `params -> memory`.
      update: `(memory, record, params) -> (memory, status)`, where the record has the `loss` and the
        `gradient_norm` of the epoch, and the params are those that they speak of, with which the epoch
        began; EPOCHS_DONE as status means: go on.
      keep: `(memory, params) -> params`, those that the fit returns in the place of the last ones; or
        None.
      wants_gradient: whether `gradient_norm` must be that of all examples, exactly. It is so in
        batch descent anyway; elsewhere it costs one more pass over the data in each epoch.
      wants_evaluation: whether it judges the `evaluation` of the record. The params are then those
        that were evaluated, with which the epoch ended, and CONVERGED is not for it to say.
      wants_gap: whether the record must have the `duality_gap` of the params.
    """

    init: Callable
    update: Callable
    keep: Callable | None = None
    wants_gradient: bool = dataclasses.field(default=False, metadata={"static": True})
    wants_evaluation: bool = dataclasses.field(default=False, metadata={"static": True})
    wants_gap: bool = dataclasses.field(default=False, metadata={"static": True})


def ask(stops: tuple, memories: tuple, record: Any, params: Any, evaluated: bool = False):
    """The memories, and what the tests say that want an evaluation, or want none.

    Args:
      stops: tuple of `Stop`.
      memories: of each of them.
      record: of the epoch.
      params: what it speaks of.
      evaluated: which tests are asked; the memories of the others stay.

    Returns:
      The memories of all, and an int32 `Status`; CONVERGED counts before STALLED.
    """
    verdict = jnp.asarray(Status.EPOCHS_DONE, jnp.int32)
    after = list(memories)
    for place, test in enumerate(stops):
        if test.wants_evaluation == evaluated:
            after[place], status = test.update(memories[place], record, params)
            first = (verdict == Status.EPOCHS_DONE) | (status == Status.CONVERGED)
            verdict = jnp.where(first, status, verdict)
    return tuple(after), verdict


def returned_params(stops: tuple, state: Any) -> Any:
    """The params of a fit: those that a test has kept, else those of its state.

    CONVERGED speaks of the params of the state, which are then the ones returned.
    """
    for test, memory in zip(stops, state.stop_state, strict=True):
        if test.keep is not None:
            kept = test.keep(memory, state.params)
            return select(state.status == Status.CONVERGED, state.params, kept)
    return state.params

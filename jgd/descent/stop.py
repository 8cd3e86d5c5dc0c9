"""Stop tests: when a descent is done. None depends on the learning rate.

A test is a pair of pure functions, `init() -> state` and `update(state, record) -> (state, status)`;
the loop asks it after every epoch. Tolerances are leaves, so that they may be mapped over.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from jgd.descent.status import Status
from jgd.tree import require_number


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Stop:
    """A stop test.

    Attributes:
      init: `() -> state`.
      update: `(state, record) -> (state, status)`, where the record has the `loss` and the
        `gradient_norm` of the epoch; EPOCHS_DONE as status means: go on.
      wants_gradient: whether `gradient_norm` must be that of all examples, exactly. It is so in
        batch descent anyway; elsewhere it costs one more pass over the data in each epoch.
    """

    init: Callable
    update: Callable
    wants_gradient: bool = dataclasses.field(default=False, metadata={"static": True})


def gradient_norm(tolerance) -> Stop:
    """CONVERGED once `|gradient of J| <= tolerance`, over all examples.

    The parameters that meet the test are the ones returned. With a penalty that has kinks the
    gradient is the proximal one, `params - prox(params - gradient, 1)`, which is 0 at the minimum.

    Args:
      tolerance: number > 0, in units of the loss by units of the parameters.

    Returns:
      A stop test.

    Raises:
      ValueError: the tolerance is below 0.

    >>> stop = gradient_norm(1e-4)

    Source: Nocedal and Wright (2006), Numerical Optimization, section 3.1; Beck (2017), First-Order
    Methods in Optimization, section 10.3, for the proximal gradient.
    """
    tolerance = require_number(
        "stop.gradient_norm: tolerance", tolerance, lambda t: t >= 0, "a number >= 0"
    )
    return Stop(Partial(_no_memory), Partial(_test_gradient, tolerance), wants_gradient=True)


def _no_memory():
    return ()


def _test_gradient(tolerance, state, record):
    small = record.gradient_norm <= tolerance
    return state, jnp.where(small, Status.CONVERGED, Status.EPOCHS_DONE)


class PlateauState(NamedTuple):
    """Lowest loss so far, and the epochs since it last fell by enough."""

    lowest: jax.Array
    stale: jax.Array


def plateau(patience=10, tolerance=1e-4) -> Stop:
    """STALLED once the loss has not fallen by `tolerance * |loss|` for `patience` epochs.

    Args:
      patience: number of epochs, >= 1.
      tolerance: the fall that counts, as a share of the lowest loss so far.

    Returns:
      A stop test.

    Raises:
      ValueError: the patience is below 1, or the tolerance below 0.

    >>> stop = plateau(patience=5, tolerance=1e-3)

    Source: Prechelt (1998), Early stopping - but when?, for patience.
    """
    patience = require_number("stop.plateau: patience", patience, lambda p: p >= 1, "a number >= 1")
    tolerance = require_number("stop.plateau: tolerance", tolerance, lambda t: t >= 0, "a number >= 0")
    return Stop(Partial(_fresh_plateau), Partial(_test_plateau, patience, tolerance))


def _fresh_plateau():
    return PlateauState(jnp.asarray(jnp.inf, float), jnp.zeros((), jnp.int32))


def _test_plateau(patience, tolerance, state, record):
    loss = record.loss.astype(state.lowest.dtype)
    enough = jnp.where(jnp.isinf(state.lowest), 0, tolerance * jnp.abs(state.lowest))
    fell = loss < state.lowest - enough
    stale = jnp.where(fell, 0, state.stale + 1)
    state = PlateauState(jnp.where(fell, loss, state.lowest), stale)
    return state, jnp.where(stale >= patience, Status.STALLED, Status.EPOCHS_DONE)

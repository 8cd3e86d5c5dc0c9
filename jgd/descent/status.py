"""How a fit ended."""

import enum


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

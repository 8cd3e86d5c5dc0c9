"""An epoch of another make: what is more than the steps of a rule over batches.

A rule sees gradients of batches. Some methods want more: the gradient at a second point, a table with a
number for each example, one coordinate after the other. A method is given to `descend` in the place of a
rule. It takes the params through an epoch in its own way; how an epoch is recorded, when a descent ends,
how it is continued, mapped over and explained is the same for all.
"""

import dataclasses
from collections.abc import Callable

import jax


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Method:
    """How an epoch is gone through; the leaves are its numbers.

    Attributes:
      init: `(arguments, params) -> memory`, a pytree of arrays, where the arguments are the checked ones
        of `descend`; ValueError where the method does not suit them. What the memory calls
        `learning_rate` and `stalled` is found as in the state of a rule.
      run: `(arguments, position, index) -> (position, total, mean_grads)`: the position after the epoch,
        and of the params with which it began the sum of the weighted losses and the gradient of the mean
        loss, both over all examples. The index [N] is the order of the examples, or None where they are
        taken as they lie, or all at once.
    """

    init: Callable
    run: Callable

"""What all rules share: a transformation of optax that is a pytree of its numbers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.tree_util import Partial

from jgd.tree import as_partial, of_one_shape, require_number

# A learning rate of NaN or infinity passes: a lane of a sweep may have one, and ends in DIVERGED.
RANGES: dict[str, tuple[Callable, str]] = {
    "learning_rate": (lambda x: ~(x < 0), "a number >= 0, or a schedule of optax,"),
    "momentum": (lambda x: (x >= 0) & (x <= 1), "a number from 0 to 1, or None,"),
    "decay": (lambda x: (x >= 0) & (x <= 1), "a number from 0 to 1"),
    "b1": (lambda x: (x >= 0) & (x <= 1), "a number from 0 to 1"),
    "b2": (lambda x: (x >= 0) & (x <= 1), "a number from 0 to 1"),
    "eps": (lambda x: x >= 0, "a number >= 0"),
    "eps_root": (lambda x: x >= 0, "a number >= 0"),
    "initial_scale": (lambda x: x >= 0, "a number >= 0"),
    "initial_accumulator_value": (lambda x: x >= 0, "a number >= 0"),
    "decrease": (lambda x: (x > 0) & (x < 1), "a number between 0 and 1"),
    "memory": (lambda x: x >= 1, "a number of steps >= 1"),
    "minimum": (np.isfinite, "a finite number, or None to have it estimated,"),
    "total": (lambda x: (x > 0) & np.isfinite(x), "a number > 0, or None,"),
    "strong_convexity": (lambda x: x > 0, "a number > 0, or None,"),
    "damping": (lambda x: x > 0, "a number > 0"),
}


def make_rule(name, init, update, learning_rate, *forms, **numbers):
    """The transformation whose leaves are the numbers, all of one batch shape for `vmap`.

    Args:
      name: of the rule, for messages.
      init: `(numbers, *forms, params) -> state`.
      update: `(numbers, *forms, grads, state, params, **extra_args) -> (updates, state)`.
      learning_rate: a number or a schedule.
      *forms: what else the functions are bound to, structure (`Static`) or a pytree.
      **numbers: by the names of `RANGES`; None stays None.
    """
    numbers = {
        key: None if number is None else require_number(f"{name}: {key}", number, *RANGES[key])
        for key, number in numbers.items()
    }
    if not callable(learning_rate):
        rate = require_number(f"{name}: learning_rate", learning_rate, *RANGES["learning_rate"])
        numbers["learning_rate"] = rate
    numbers = of_one_shape(name, numbers)
    if callable(learning_rate):
        numbers["learning_rate"] = as_partial(learning_rate)
    return optax.GradientTransformationExtraArgs(
        Partial(init, numbers, *forms), Partial(update, numbers, *forms)
    )


def remembered(state, name: str) -> list:
    """What a state calls by that name: the fields of its tuples and the hyperparameters of optax.

    Params may bear any name, and are kept in states, so entries of dicts do not count.
    """
    found = optax.tree_utils.tree_get_all_with_path(state, name)
    return [value for path, value in found if any(_is_field(key, name) for key in path[-2:])]


def flags(state, name: str) -> list:
    """The booleans among them; params that bear the name as a field are floats."""
    return [
        value for value in remembered(state, name) if jnp.issubdtype(jnp.result_type(value), jnp.bool_)
    ]


def _is_field(key, name) -> bool:
    return isinstance(key, optax.tree_utils.NamedTupleKey) and key.name in (name, "hyperparams")


def scaled(number, tree):
    """Every leaf times the number."""
    return jax.tree.map(lambda x: like(number, x) * x, tree)


def like(number, x):
    """The number in the dtype of x: a float32 learning rate must not widen bfloat16 params."""
    return number.astype(x.dtype)

"""Checks of the arguments of `descend`: a clear ValueError at the entry, before any work is done."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.tree_util import Partial

from jgd.descent.method import Method
from jgd.descent.rule import remembered
from jgd.descent.step import learning_rate
from jgd.descent.verdict import Stop
from jgd.objectives.checks import check_data, check_key, check_params, checked_weights
from jgd.objectives.objective import Objective, check_objective
from jgd.objectives.rows import Layout, row_layout
from jgd.tree import as_partial, is_whole, strong


class Arguments(NamedTuple):
    """The arguments of `descend`, checked and in the form that the compiled loop takes.

    Attributes:
      objective: an `Objective`.
      params: pytree of float arrays.
      data: pytree of arrays [N, ...].
      rule: a rule whose functions are Partials, or a `Method`.
      weights: [N] floats, or None.
      batch_size: static: an int from 1 to N - 1; None where all examples form one step, or where
        the size is traced.
      traced_batch_size: integer array, or None.
      key: PRNG key; None where nothing is shuffled and no loss takes a key.
      stop: tuple of stop tests.
      evaluate: Partial, or None.
      validation: what `evaluate` sees.
      layout: static: how the rows of `data` are laid over devices; None where they lie together.
    """

    objective: Objective
    params: Any
    data: Any
    rule: optax.GradientTransformationExtraArgs | Method
    weights: jax.Array | None
    batch_size: int | None
    traced_batch_size: jax.Array | None
    key: jax.Array | None
    stop: tuple[Stop, ...]
    evaluate: Partial | None
    validation: Any
    layout: Layout | None


def checked_arguments(
    objective,
    params,
    data,
    *,
    rule,
    batch_size,
    epochs,
    key,
    weights,
    shuffle,
    stop,
    evaluate,
    validation,
    state,
) -> Arguments:
    """The arguments of `descend`, checked; ValueError where one is wrong."""
    check_objective(objective, may_be_random=True)
    check_params(params)
    if not isinstance(shuffle, bool | np.bool_):
        raise ValueError(f"shuffle is {shuffle!r}, but True or False is wanted.")
    num_examples = check_data(data)
    weights = checked_weights(weights, num_examples)
    check_epochs(epochs)
    static_size, traced_size = split_batch_size(batch_size, num_examples)
    if getattr(state, "key", None) is not None:
        key = state.key
    is_batch = static_size is None and traced_size is None
    in_order = bool(shuffle) and not is_batch
    key = checked_key(key, in_order) if in_order or objective.random else None
    params, data = strong((params, data))
    rule = checked_rule(rule)
    stop = _checked_stop(stop, evaluate)
    if objective.random:
        _check_noise_is_borne(rule, stop)
    if evaluate is not None and not callable(evaluate):
        raise ValueError(
            f"evaluate is {evaluate!r}, but a function (params, validation) -> numbers is wanted."
        )
    if evaluate is not None:
        validation = data if validation is None else strong(validation)
    return Arguments(
        objective=objective,
        params=params,
        data=data,
        rule=rule,
        weights=weights,
        batch_size=static_size,
        traced_batch_size=traced_size,
        key=key,
        stop=stop,
        evaluate=None if evaluate is None else as_partial(evaluate),
        validation=validation if evaluate is not None else None,
        layout=row_layout(data),
    )


def check_epochs(epochs) -> None:
    if not is_whole(epochs) or epochs < 0:
        raise ValueError(
            f"epochs is {epochs!r}, but a whole number >= 0 is wanted, as a Python int: the number "
            "of epochs is part of the compiled program."
        )


def split_batch_size(batch_size, num_examples: int) -> tuple[int | None, jax.Array | None]:
    """The batch size as (static, traced): one of them is None, both where a batch is everything."""
    wanted = f"a whole number from 1 to {num_examples}, the number of examples in data"
    if batch_size is None:
        return None, None
    if is_whole(batch_size):
        batch_size = int(batch_size)
        if not 1 <= batch_size <= num_examples:
            raise ValueError(
                f"batch_size is {batch_size}, but {wanted}, is wanted. None takes all examples at once."
            )
        return (batch_size if batch_size < num_examples else None), None
    dtype, shape = getattr(batch_size, "dtype", None), jnp.shape(batch_size)
    if dtype is None or not jnp.issubdtype(dtype, jnp.integer) or shape != ():
        raise ValueError(
            f"batch_size is {batch_size!r}, but {wanted}, is wanted: an int, or an integer scalar "
            "array. For several batch sizes, map over it: jax.vmap(lambda batch_size: "
            "jgd.descend(..., batch_size=batch_size))(jnp.array([1, 32]))."
        )
    if not isinstance(batch_size, jax.core.Tracer) and not 1 <= int(batch_size) <= num_examples:
        raise ValueError(f"batch_size is {batch_size}, but {wanted}, is wanted.")
    return None, jnp.asarray(batch_size, jnp.int32)


def checked_key(key, in_order: bool):
    """The key; ValueError where none is given, or what is no key."""
    if key is None:
        way_out = ", or shuffle=False to visit the examples in their order" if in_order else ""
        raise ValueError(
            f"key is None, but {'shuffling' if in_order else 'a random objective'} wants a PRNG key: "
            f"pass key=jax.random.key(0){way_out}."
        )
    check_key(key)
    return key


def checked_rule(rule) -> optax.GradientTransformationExtraArgs | Method:
    """The rule as a pytree that takes extra arguments, whatever optax calls it; a method as it is."""
    if isinstance(rule, Method):
        return rule
    if isinstance(rule, optax.MultiSteps):
        rule = rule.gradient_transformation()
    if not isinstance(rule, optax.GradientTransformation):
        raise ValueError(
            f"rule is {rule!r}, but a rule is wanted: jgd.sgd(0.1), jgd.adam(1e-3), or any "
            "GradientTransformation of optax."
        )
    takes_extra = isinstance(rule, optax.GradientTransformationExtraArgs)
    update = as_partial(rule.update) if takes_extra else Partial(_update_plain, as_partial(rule.update))
    return optax.GradientTransformationExtraArgs(as_partial(rule.init), update)


def _update_plain(update: Callable, grads, state, params=None, **extra_args):
    return update(grads, state, params)


def check_single(objective: Objective, rule, rule_state) -> None:
    """ValueError where the rule is a batch for `vmap`, or does not suit the penalty."""
    penalty = objective.penalty
    if penalty is not None and not penalty.smooth and not isinstance(rule, Method):
        learning_rate(rule_state)
    shapes = [jnp.shape(rate) for rate in remembered(rule_state, "learning_rate")]
    if any(shapes):
        raise ValueError(
            f"rule holds a batch of numbers of shape {max(shapes)}, but a descent wants one number. "
            "Map over them: jax.vmap(lambda rule: jgd.descend(...))(rule)."
        )


def _check_noise_is_borne(rule, stop: tuple[Stop, ...]) -> None:
    """ValueError where what is known of a convex problem is asked of a random objective."""
    if isinstance(rule, Method):
        raise ValueError(
            "rule is a method for convex problems, which wants a loss that is the same at every visit, "
            "but objective is random. Take a rule, such as jgd.sgd(0.1) or jgd.adam(1e-3), or the loss "
            "without its noise."
        )
    if any(test.wants_gap for test in stop):
        raise ValueError(
            "stop holds stop.duality_gap, but objective is random, and no gap is known of it. Stop by "
            "jgd.stop.plateau(patience=10) or jgd.stop.validation."
        )


def _checked_stop(stop, evaluate) -> tuple[Stop, ...]:
    stops = () if stop is None else stop if isinstance(stop, tuple | list) else (stop,)
    for test in stops:
        if not isinstance(test, Stop):
            raise ValueError(
                f"stop is {test!r}, but a stop test is wanted, or several in a tuple: "
                "jgd.stop.gradient_norm(1e-4), jgd.stop.plateau(patience=10)."
            )
        if any(jnp.ndim(number) for number in jax.tree.leaves(test)):
            raise ValueError(
                "stop holds a batch of numbers, but a descent wants one. Map over them: "
                "jax.vmap(lambda tolerance: jgd.descend(..., stop=...))(tolerances)."
            )
    if evaluate is None and any(test.wants_evaluation for test in stops):
        raise ValueError(
            "evaluate is None, but stop.validation judges what it returns: pass "
            "evaluate=lambda params, validation: ..., defined once, and validation=data held out."
        )
    if sum(test.keep is not None for test in stops) > 1:
        raise ValueError(
            "stop holds several tests that keep the best params, but a fit returns one: keep one "
            "stop.validation, whose score weighs what counts."
        )
    return tuple(stops)


# part of the state: what it must agree with
_PARTS_OF_STATE = (
    ("params", "params"),
    ("rule_state", "rule"),
    ("stop_state", "stop"),
    ("status", "state"),
    ("epoch", "state"),
)


def check_state(state: Any, fresh: Any) -> None:
    """ValueError unless `state` has the structure, shapes and dtypes of a fresh one."""
    if type(state) is not type(fresh):
        raise ValueError(f"state is {state!r}, but the state of an earlier fit is wanted: fit.state.")
    for part, what in _PARTS_OF_STATE:
        came, wanted = getattr(state, part), getattr(fresh, part)
        structures = str(jax.tree.structure(came)), str(jax.tree.structure(wanted))
        if structures[0] != structures[1]:
            raise ValueError(
                f"state.{part} has the structure {structures[0]}, but the {what} given "
                f"here has {structures[1]}. Continue with the {what} of the earlier "
                "fit, or start from its params without state."
            )
        leaves = zip(jax.tree.leaves(came), jax.tree_util.tree_leaves_with_path(wanted), strict=True)
        for leaf, (path, like) in leaves:
            if jnp.shape(leaf) != like.shape or jnp.result_type(leaf) != like.dtype:
                raise ValueError(
                    f"state.{part}{jax.tree_util.keystr(path)} has shape {jnp.shape(leaf)} and dtype "
                    f"{jnp.result_type(leaf)}, but the {what} given here wants {like.shape} and "
                    f"{like.dtype}. Continue with the {what} of the earlier fit, or start from its "
                    "params without state."
                )

"""Where a descent starts: its first state."""

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import NamedSharding

from jgd.descent.checks import Arguments, check_single
from jgd.descent.epoch import State
from jgd.descent.method import Method
from jgd.descent.status import Status
from jgd.objectives.objective import check_one_penalty
from jgd.tree import Static, all_finite, is_cut, select
from jgd.xla import all_digits


def cut_of(params: Any) -> tuple[NamedSharding | None, ...]:
    """How the params of a wide model are cut over devices, leaf by leaf; None where they are not."""
    return tuple(x.sharding if is_cut(x) else None for x in jax.tree.leaves(params))


def _cut_alike(rule, rule_state: Any, params: Any, cut: tuple) -> Any:
    """The memory of a rule, cut as the params are: else each device would hold all of it."""
    if not any(cut):
        return rule_state
    like = jax.tree.unflatten(jax.tree.structure(params), [Static(sharding) for sharding in cut])

    def leaf(x, sharding):
        return x if sharding.value is None else lax.with_sharding_constraint(x, sharding.value)

    return optax.tree_utils.tree_map_params(rule, leaf, rule_state, like)


@functools.partial(jax.jit, static_argnames=("batch_size", "layout", "cut"))
def first_state(arguments: Arguments, *, batch_size, layout, cut) -> tuple[State, jax.Array | None]:
    """The state, and whether the params lay outside of the set of a penalty with kinks."""
    arguments = arguments._replace(batch_size=batch_size, layout=layout)
    params, rule, penalty = arguments.params, arguments.rule, arguments.objective.penalty
    check_one_penalty(arguments.objective, params)
    is_outside = None
    if penalty is not None and not penalty.smooth:
        is_outside = jnp.isposinf(penalty.value(params)) & all_finite(params)
        # Without a step to be made, the proximal map of a set still projects.
        params = select(is_outside, penalty.prox(params, 0.0), params)
    if isinstance(rule, Method):
        with all_digits():
            rule_state = rule.init(arguments, params)
    else:
        rule_state = _cut_alike(rule, rule.init(params), params, cut)
    # Here, where it is done once for one structure.
    check_single(arguments.objective, rule, rule_state)
    state = State(
        params=params,
        rule_state=rule_state,
        stop_state=tuple(test.init(params) for test in arguments.stop),
        status=jnp.asarray(Status.EPOCHS_DONE, jnp.int32),
        epoch=jnp.zeros((), jnp.int32),
        key=arguments.key,
    )
    return state, is_outside


def say_that_it_was_projected(was_outside: jax.Array | None) -> None:
    is_known = was_outside is not None and not isinstance(was_outside, jax.core.Tracer)
    if is_known and np.any(was_outside):
        warnings.warn(
            "params lie outside of the set that the penalty allows, so the descent starts from their "
            "projection onto it. Start from penalty.prox(params, 0.0) to say so yourself.",
            stacklevel=3,
        )

"""Epochs one after the other: a number of them, or until every lane has ended."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from jgd.descent.epoch import Record, State, blank_record
from jgd.descent.status import Status


def run_all(epoch, state: State, epochs: int) -> tuple[State, Record]:
    """All epochs, as a scan, which reverse differentiation goes through."""
    return lax.scan(lambda state, _: epoch(state), state, length=epochs)


def run_until_stopped(epoch, state: State, epochs: int) -> tuple[State, Record]:
    """Epochs until every lane has ended."""
    shapes = jax.eval_shape(epoch, state)[1]
    blank = jax.tree.map(lambda x: blank_record((epochs, *x.shape), x.dtype), shapes)

    def goes_on(carry):
        done, state, _ = carry
        return (done < epochs) & _in_any_lane(state.status == Status.EPOCHS_DONE)

    def body(carry):
        done, state, records = carry
        state, record = epoch(state)
        return done + 1, state, jax.tree.map(lambda r, x: r.at[done].set(x), records, record)

    return lax.while_loop(goes_on, body, (0, state, blank))[1:]


@custom_vmap
def _in_any_lane(flag):
    """The flag; under `vmap`, whether any lane has it.

    A loop whose condition differs between lanes would give each lane an epoch counter, and so an
    order of examples, of its own: then no row could be read once for all of them.
    """
    return flag


@_in_any_lane.def_vmap
def _in_any_lane_vmap(axis_size, in_batched, flag):
    return _in_any_lane(jnp.any(flag, axis=0)), False

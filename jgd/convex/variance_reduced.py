"""Stochastic gradients whose noise vanishes at the minimum: SVRG, SAGA, Katyusha.

Each corrects the gradient of a few examples by what it knows of them from before, and of the mean:

    direction = (gradient of the batch) - (the same, as it was) + (mean of all, as they were)

It is right on average, and its noise falls with the distance from the minimum, so that a constant
learning rate leads to it, at a rate that plain stochastic descent has not.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from jgd.convex.all_examples import count_of, sum_and_gradient, weighted
from jgd.convex.examples import entries_of, safe_rate, scan_examples
from jgd.descent.checks import Arguments
from jgd.descent.method import Method
from jgd.descent.rule import RANGES, like
from jgd.descent.step import Position, smooth_gradient
from jgd.objectives.rows import counted_rows
from jgd.tree import of_one_shape, require_number, select


def svrg(learning_rate=None) -> Method:
    """Stochastic variance reduced gradient: corrected by a full gradient at the start of the epoch.

        direction = g_batch(p) - g_batch(p_start) + g_all(p_start)
        p = prox(p - learning_rate * direction)

    An epoch costs a gradient over all examples and the steps of one pass. Where the loss is one of
    `jgd.losses` at a linear prediction, a number for each example is all that it keeps; else each step
    takes two gradients.

    Args:
      learning_rate: number >= 0 or an array of them to be mapped over. None takes `1 / (3 L)`, where L
        is the largest curvature of the loss of an example (of a batch, by expected smoothness): known
        for squared_error, logistic, huber, squared_hinge and softmax at a linear prediction.

    Returns:
      A `Method`, for `rule=` of `jgd.stochastic_descent` or `jgd.minibatch_descent`.

    Raises:
      ValueError: the rate is below 0; from `descend`, if it is None and L is not known, or if the batch
        size is traced.

    >>> def loss(params, example):
    ...     return jgd.losses.squared_error(params @ example[0], example[1])
    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> fit = jgd.stochastic_descent(jgd.objective(loss), jnp.zeros(2), (x, jnp.array([1.0, 2.0, 0.0])),
    ...                              rule=svrg(), epochs=60, key=jax.random.key(0))
    >>> [round(float(p), 3) for p in fit.params]  # least squares, though no plane goes through all
    [0.0, 1.0]

    Source: Johnson and Zhang (2013), NeurIPS; Xiao and Zhang (2014), SIAM J. Optimization 24(4), with a
    proximal map; Gower et al. (2019), ICML, for the curvature of batches.
    """
    bound = _checked("svrg", learning_rate=learning_rate)
    return Method(Partial(_init_svrg, bound), Partial(_run_svrg, bound))


def saga(learning_rate=None) -> Method:
    """SAGA: corrected by the last gradient that was seen of each example.

        direction = g_batch(p) - (the last of these examples) + (mean of the last of all)
        p = prox(p - learning_rate * direction)

    Every example is visited once in an epoch, in its random order. What is remembered of an example is a
    number where the loss is one of `jgd.losses` at a linear prediction, else a gradient: N times the
    params.

    Args:
      learning_rate: number >= 0 or an array of them to be mapped over. None takes `1 / (3 L)`, where L
        is the largest curvature of the loss of an example (of a batch, by expected smoothness): known
        for squared_error, logistic, huber, squared_hinge and softmax at a linear prediction.

    Returns:
      A `Method`, for `rule=` of `jgd.stochastic_descent` or `jgd.minibatch_descent`.

    Raises:
      ValueError: the rate is below 0; from `descend`, if it is None and L is not known, or if the batch
        size is traced.

    >>> def loss(params, example):
    ...     return jgd.losses.squared_error(params @ example[0], example[1])
    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> fit = jgd.stochastic_descent(jgd.objective(loss), jnp.zeros(2), (x, jnp.array([1.0, 2.0, 0.0])),
    ...                              rule=saga(), epochs=60, key=jax.random.key(0))
    >>> [round(float(p), 3) for p in fit.params]
    [0.0, 1.0]

    Source: Defazio, Bach and Lacoste-Julien (2014), NeurIPS; with examples in random order instead of
    drawn anew each time: Ying, Yuan and Sayed (2020), IEEE Trans. Signal Processing 68.
    """
    bound = _checked("saga", learning_rate=learning_rate)
    return Method(Partial(_init_saga, bound), Partial(_run_saga, bound))


def katyusha(learning_rate=None, strong_convexity=None) -> Method:
    """Katyusha: variance reduction with momentum, for badly conditioned problems.

        x = t z + p_start / 2 + (1/2 - t) p
        direction = g_batch(x) - g_batch(p_start) + g_all(p_start)
        z = prox(z - (learning_rate / t) * direction),   p = x + t (z - z_before)

    The snapshot `p_start` is renewed at the start of each epoch, as in the first paper; in the loopless
    form a coin decides that in each step, with one renewal an epoch in the mean. Under `scan` and `vmap`
    every step would have to pay for it.

    Args:
      learning_rate: number > 0 or an array of them to be mapped over. None takes `1 / (3 L)`, as in
        `jgd.svrg`.
      strong_convexity: number > 0, a lower bound mu of the curvature, such as the strength of an l2
        penalty: `t = min(sqrt(steps * mu * learning_rate), 1/2)` with the steps of an epoch. None takes
        `t = 2 / (epoch + 4)`, counted from 0, for problems that are not strongly convex.

    Returns:
      A `Method`, for `rule=` of `jgd.stochastic_descent` or `jgd.minibatch_descent`.

    Raises:
      ValueError: a number is out of its range; from `descend`, if the rate is None and L is not known,
        or if the batch size is traced.

    >>> def loss(params, example):
    ...     return jgd.losses.squared_error(params @ example[0], example[1])
    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> fit = jgd.stochastic_descent(jgd.objective(loss), jnp.zeros(2), (x, jnp.array([1.0, 2.0, 0.0])),
    ...                              rule=katyusha(strong_convexity=0.5), epochs=60,
    ...                              key=jax.random.key(0))
    >>> [round(float(p), 3) for p in fit.params]
    [0.0, 1.0]

    Source: Allen-Zhu (2017), JMLR 18; Kovalev, Horváth and Richtárik (2020), ALT, for the loopless form,
    whose last point is the snapshot here too.
    """
    bound = _checked("katyusha", learning_rate=learning_rate, strong_convexity=strong_convexity)
    return Method(Partial(_init_katyusha, bound), Partial(_run_katyusha, bound))


class SvrgState(NamedTuple):
    """What `svrg` remembers: the length of its steps."""

    learning_rate: jax.Array


class SagaState(NamedTuple):
    """What `saga` remembers.

    Attributes:
      learning_rate: length of a step.
      table: of each example the entry as it was last seen.
    """

    learning_rate: jax.Array
    table: Any


class KatyushaState(NamedTuple):
    """What `katyusha` remembers.

    Attributes:
      learning_rate: of a step, before it is divided by t.
      mirror: z.
      epochs: how many are done.
    """

    learning_rate: jax.Array
    mirror: Any
    epochs: jax.Array


def _checked(name: str, **numbers) -> dict:
    checked = {
        key: None if number is None else require_number(f"{name}: {key}", number, *RANGES[key])
        for key, number in numbers.items()
    }
    return of_one_shape(name, checked)


def _rate(name: str, numbers, arguments: Arguments, params) -> jax.Array:
    if arguments.traced_batch_size is not None:
        raise ValueError(
            f"batch_size is an array, but {name} wants it static: an int, as jgd.minibatch_descent(..., "
            "batch_size=32)."
        )
    rate = numbers["learning_rate"]
    return safe_rate(name, arguments, params) if rate is None else rate


def _init_svrg(numbers, arguments: Arguments, params) -> SvrgState:
    return SvrgState(_rate("svrg", numbers, arguments, params))


def _init_saga(numbers, arguments: Arguments, params) -> SagaState:
    rate = _rate("saga", numbers, arguments, params)
    data = counted_rows(arguments.data, arguments.weights)
    return SagaState(rate, entries_of(arguments._replace(params=params)).of(params, data))


def _init_katyusha(numbers, arguments: Arguments, params) -> KatyushaState:
    rate = _rate("katyusha", numbers, arguments, params)
    return KatyushaState(rate, params, jnp.zeros((), jnp.int32))


def _stepped(arguments: Arguments, params, direction, rate):
    """`prox(params - rate * direction)`."""
    moved = jax.tree.map(lambda p, d: p - like(rate, p) * d, params, direction)
    penalty = arguments.objective.penalty
    return moved if penalty is None or penalty.smooth else penalty.prox(moved, rate)


def _corrected(entries, params, rows, weights, old):
    """The new entries of a batch; sum and mean of the gradients that they are ahead of the old."""
    rows = counted_rows(rows, weights)
    new = entries.of(params, rows)
    ahead = weighted(jax.tree.map(jnp.subtract, new, old), weights)
    total = entries.pulled(params, rows, ahead)
    count: Any = len(jax.tree.leaves(new)[0])
    if weights is not None:
        count = jnp.maximum(jnp.sum(weights != 0), 1)
    return new, total, jax.tree.map(lambda t: t / jnp.asarray(count, t.dtype), total)


def _if_counted(weights, new, old):
    """`new`, but `old` where nothing of the batch counts."""
    return new if weights is None else select(jnp.any(weights != 0), new, old)


def _run_svrg(numbers, arguments: Arguments, position: Position, index):
    params, memory = position
    arguments = arguments._replace(params=params)
    total, mean_grads = sum_and_gradient(arguments, params)
    entries, table = _snapshot(arguments, params)

    def step(carry, rows, weights, old):
        if not entries.are_numbers:
            old = entries.of(params, counted_rows(rows, weights))
        _, _, ahead = _corrected(entries, carry, rows, weights, old)
        direction = smooth_gradient(arguments.objective, carry, jax.tree.map(jnp.add, ahead, mean_grads))
        moved = _stepped(arguments, carry, direction, memory.learning_rate)
        return _if_counted(weights, moved, carry), ()

    landed, _ = scan_examples(arguments, index, step, params, table)
    return Position(landed, memory), total, mean_grads


def _snapshot(arguments: Arguments, params):
    """How entries are made, and those of all examples at the params, where they are numbers."""
    entries = entries_of(arguments)
    if not entries.are_numbers:
        return entries, ()
    return entries, entries.of(params, counted_rows(arguments.data, arguments.weights))


def _run_saga(numbers, arguments: Arguments, position: Position, index):
    params, memory = position
    arguments = arguments._replace(params=params)
    total, mean_grads = sum_and_gradient(arguments, params)
    entries, count = entries_of(arguments), count_of(arguments)

    def step(carry, rows, weights, old):
        params, mean = carry
        new, added, ahead = _corrected(entries, params, rows, weights, old)
        direction = smooth_gradient(arguments.objective, params, jax.tree.map(jnp.add, ahead, mean))
        moved = _stepped(arguments, params, direction, memory.learning_rate)
        mean = jax.tree.map(lambda m, a: m + a / jnp.asarray(count, a.dtype), mean, added)
        return _if_counted(weights, (moved, mean), carry), new

    start = params, _mean_of_table(arguments, entries, params, memory.table)
    (landed, _), table = scan_examples(arguments, index, step, start, memory.table)
    return Position(landed, memory._replace(table=table)), total, mean_grads


def _mean_of_table(arguments: Arguments, entries, params, table):
    """The mean gradient that the table tells, summed anew: on the way it gathers rounding errors."""
    data = counted_rows(arguments.data, arguments.weights)
    total = entries.pulled(params, data, weighted(table, arguments.weights))
    count = count_of(arguments)
    return jax.tree.map(lambda t: t / jnp.asarray(count, t.dtype), total)


def _run_katyusha(numbers, arguments: Arguments, position: Position, index):
    params, memory = position
    arguments = arguments._replace(params=params)
    total, mean_grads = sum_and_gradient(arguments, params)
    entries, table = _snapshot(arguments, params)
    rate, convexity = memory.learning_rate, numbers["strong_convexity"]
    count = count_of(arguments)
    if convexity is None:
        t = 2 / (memory.epochs.astype(rate.dtype) + 4)
    else:
        steps = count / (arguments.batch_size or count)
        t = jnp.minimum(jnp.sqrt(steps * convexity * rate), 0.5)

    def step(carry, rows, weights, old):
        p, z = carry
        at = jax.tree.map(lambda z, s, p: like(t, p) * z + s / 2 + like(0.5 - t, p) * p, z, params, p)
        if not entries.are_numbers:
            old = entries.of(params, counted_rows(rows, weights))
        _, _, ahead = _corrected(entries, at, rows, weights, old)
        direction = smooth_gradient(arguments.objective, at, jax.tree.map(jnp.add, ahead, mean_grads))
        new_z = _stepped(arguments, z, direction, rate / t)
        new_p = jax.tree.map(lambda x, n, z: x + like(t, x) * (n - z), at, new_z, z)
        return _if_counted(weights, (new_p, new_z), carry), ()

    (landed, mirror), _ = scan_examples(arguments, index, step, (params, memory.mirror), table)
    memory = KatyushaState(rate, mirror, memory.epochs + 1)
    return Position(landed, memory), total, mean_grads

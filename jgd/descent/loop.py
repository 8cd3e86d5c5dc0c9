"""The loop: epochs of steps, as one compiled program. `descend` and the three variants."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jgd.descent.card import fit_card
from jgd.descent.checks import Arguments, check_state, checked_arguments
from jgd.descent.epoch import State, run_epoch
from jgd.descent.epochs import run_all, run_until_stopped
from jgd.descent.start import cut_of, first_state, say_that_it_was_projected
from jgd.descent.verdict import returned_params
from jgd.objectives.labels import check_targets
from jgd.objectives.visits import with_any_key
from jgd.shown import shown_as


class History(NamedTuple):
    """What happened, epoch by epoch. Epochs that were not run hold NaN.

    Attributes:
      loss: [E], mean over the examples of the losses as the steps met them, and the penalty at the
        start of the epoch. In batch descent this is J at the start of the epoch.
      gradient_norm: [E], norm of the gradient of J at the start of the epoch (of its proximal form
        where the penalty has kinks): over all examples in batch descent and where a stop test wants
        it, else over 256 examples of the epoch.
      evaluation: what `evaluate` returned at the end of each epoch, each leaf [E]; None without.
      duality_gap: [E], by how much J at the start of the epoch is above its global minimum at most; None
        without `stop.duality_gap`.
    """

    loss: jax.Array
    gradient_norm: jax.Array
    evaluation: Any
    duality_gap: jax.Array | None = None


@shown_as(fit_card)
class Fit(NamedTuple):
    """The result of a descent.

    Attributes:
      params: pytree like the one given. After DIVERGED, the last finite ones; with `stop.validation`,
        those of the best epoch.
      status: int32 scalar, a `Status`.
      epochs: int32 scalar, number of epochs run, the last one (that of DIVERGED, say) counted.
      history: a `History`.
      state: a `State`, to continue.
    """

    params: Any
    status: jax.Array
    epochs: jax.Array
    history: History
    state: State


def descend(
    objective,
    params,
    data,
    *,
    rule,
    batch_size=None,
    epochs,
    key=None,
    weights=None,
    shuffle=True,
    stop=None,
    evaluate=None,
    validation=None,
    state=None,
) -> Fit:
    """Minimise `J(params) = mean_i loss(params, example_i) + penalty(params)` by gradient descent.

    Each step takes a batch of examples, the mean gradient over it, and lets the rule turn that into
    a step; a penalty with kinks is applied by its proximal map, with the rule's learning rate. With
    plain `sgd` that ends at the minimum of J. With momentum or a scaled step (adam, a chain that clips)
    the two steps have different lengths, and it ends where the penalty counts less or more than asked
    for; `stop.gradient_norm` then does not fire, for it measures J. Every example counts once an epoch.
    One structure of arguments compiles once; numbers are traced, so that `jax.vmap` over learning
    rates, penalty strengths, batch sizes, weights or keys trains all of them in one program.

    Args:
      objective: from `jgd.objective`.
      params: pytree of float arrays, where the descent starts. Outside of the set of a penalty such as
        `box` it starts from their projection, and a warning says so.
      data: pytree of arrays that share their leading axis N.
      rule: `jgd.sgd(0.1)`, `jgd.adam(1e-3)`, or any rule of optax. A rule of optax is known by the
        identity of its functions: make it once, or every call compiles. Or a method for convex problems,
        such as `jgd.accelerated()`.
      batch_size: None takes all examples at once (batch), 1 is stochastic, an int is mini-batch; an
        integer array is a traced size, which may be mapped over; where its value is not known before
        the program runs, one below 1 counts as 1 and one above N as N.
      epochs: number of times that every example is visited, an int.
      key: PRNG key of the order, and of the keys of a random objective; wanted where there is either.
      weights: [N] or None. `J = sum_i w_i loss_i / #{i: w_i != 0} + penalty`; an example of weight 0
        is as if it were not there.
      shuffle: whether each epoch has a random order of its own.
      stop: a stop test of `jgd.stop`, or a tuple of them, each of which may end it. The loop then
        ends early, and only forward derivatives go through it; without a test both kinds do.
      evaluate: `(params, validation) -> pytree of scalars`, recorded after every epoch. Known by its
        identity: define it once.
      validation: what `evaluate` sees; the data where it is None.
      state: of an earlier fit: continue it exactly. It holds the params, the rule's memory and the
        place in the order, which then take precedence over `params` and `key`.

    Returns:
      A `Fit`. `jgd.explain(fit)` says what became of it.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     x, y = example
    ...     return jgd.losses.squared_error(x @ params, y)
    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> fit = descend(jgd.objective(loss), jnp.zeros(2), (x, x @ jnp.array([1.0, 2.0])),
    ...               rule=jgd.sgd(0.1), batch_size=1, epochs=100, key=jax.random.key(0))
    >>> [round(float(w), 3) for w in fit.params]
    [1.0, 2.0]

    Source: Cauchy (1847); Robbins and Monro (1951); Bottou, Curtis and Nocedal (2018), SIAM Review
    60(2), section 3, for the three variants.
    """
    arguments = checked_arguments(
        objective,
        params,
        data,
        rule=rule,
        batch_size=batch_size,
        epochs=epochs,
        key=key,
        weights=weights,
        shuffle=shuffle,
        stop=stop,
        evaluate=evaluate,
        validation=validation,
        state=state,
    )
    # What is static goes beside the leaves.
    leaves = arguments._replace(batch_size=None, layout=None, validation=None)
    static = {"batch_size": arguments.batch_size, "layout": arguments.layout}
    start = functools.partial(first_state, **static, cut=cut_of(arguments.params))
    if state is not None:
        check_state(state, jax.eval_shape(start, leaves)[0])
    loss = with_any_key(arguments.objective)
    check_targets(loss, arguments.params, arguments.data, arguments.weights)
    if state is None:
        state, was_outside = start(leaves)
        say_that_it_was_projected(was_outside)
    else:
        state = state._replace(key=arguments.key)
    return _descend(
        leaves._replace(params=None, key=None, validation=arguments.validation),
        state,
        **static,
        epochs=int(epochs),
        shuffle=bool(shuffle),
    )


def batch_descent(objective, params, data, **options) -> Fit:
    """Gradient descent over all examples at once: `params -= learning_rate * gradient of J`.

    Args:
      objective: from `jgd.objective`.
      params: pytree of float arrays, where the descent starts.
      data: pytree of arrays that share their leading axis N.
      **options: those of `descend`, without `batch_size`. No key is needed.

    Returns:
      A `Fit`.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> fit = batch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...                     rule=jgd.sgd(0.5), epochs=1)
    >>> float(fit.params)
    2.0

    Source: Cauchy (1847), Comptes Rendus 25.
    """
    return descend(objective, params, data, **_fixed("batch_descent", None, options))


def stochastic_descent(objective, params, data, **options) -> Fit:
    """Gradient descent one example at a time: `params -= learning_rate * gradient of loss_i`.

    Args:
      objective: from `jgd.objective`.
      params: pytree of float arrays, where the descent starts.
      data: pytree of arrays that share their leading axis N.
      **options: those of `descend`, without `batch_size`.

    Returns:
      A `Fit`.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> fit = stochastic_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0]),
    ...                          rule=jgd.sgd(0.5), epochs=1, shuffle=False)
    >>> float(fit.params)
    3.0

    Source: Robbins and Monro (1951), Annals of Mathematical Statistics 22(3).
    """
    return descend(objective, params, data, **_fixed("stochastic_descent", 1, options))


def minibatch_descent(objective, params, data, *, batch_size=32, **options) -> Fit:
    """Gradient descent over a few examples at a time, by the mean of their gradients.

    Args:
      objective: from `jgd.objective`.
      params: pytree of float arrays, where the descent starts.
      data: pytree of arrays that share their leading axis N.
      batch_size: examples of one step: an int, or an integer array to be traced. The last batch of
        an epoch may be smaller; its step is the mean over the examples that it has.
      **options: those of `descend`.

    Returns:
      A `Fit`.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.

    >>> def loss(params, example):
    ...     return (params - example) ** 2
    >>> fit = minibatch_descent(jgd.objective(loss), jnp.array(0.0), jnp.array([1.0, 3.0, 5.0]),
    ...                         batch_size=2, rule=jgd.sgd(0.5), epochs=1, shuffle=False)
    >>> float(fit.params)
    5.0

    Source: Bottou, Curtis and Nocedal (2018), SIAM Review 60(2), section 3.
    """
    if batch_size is None:
        raise ValueError(
            "batch_size is None, but minibatch_descent wants a number of examples. "
            "For all of them at once use jgd.batch_descent."
        )
    return descend(objective, params, data, batch_size=batch_size, **options)


def _fixed(name: str, batch_size: int | None, options: dict) -> dict:
    if "batch_size" in options:
        raise ValueError(
            f"batch_size is given, but {name} has its own, {batch_size}. Use jgd.minibatch_descent "
            "or jgd.descend for another."
        )
    return {"batch_size": batch_size, **options}


@functools.partial(jax.jit, static_argnames=("batch_size", "layout", "epochs", "shuffle"))
def _descend(arguments: Arguments, state: State, *, batch_size, layout, epochs, shuffle) -> Fit:
    arguments = arguments._replace(batch_size=batch_size, layout=layout)
    epoch = functools.partial(run_epoch, arguments, shuffle)
    state, records = (run_until_stopped if arguments.stop and epochs else run_all)(epoch, state, epochs)
    return Fit(
        params=returned_params(arguments.stop, state),
        status=state.status,
        epochs=jnp.sum(records.ran, dtype=jnp.int32),
        history=History(records.loss, records.gradient_norm, records.evaluation, records.duality_gap),
        state=state,
    )

"""Rules: how a gradient becomes a step.

Each rule is an `optax.GradientTransformationExtraArgs` whose `init` and `update` are
`jax.tree_util.Partial`s. So it goes into `optax.chain`, and it is a pytree of its numbers: another
learning rate compiles nothing, `sgd(jnp.logspace(-4, 0, 64))` is a batch of 64 rules for `vmap`, and
`jax.grad` reaches the learning rate. The state carries the `learning_rate` of the step just done.
A schedule is known by its identity: make it once, or every call compiles.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jgd.descent.rule import like, make_rule, scaled
from jgd.tree import Static


class RuleState(NamedTuple):
    """What a rule remembers. What it has no use for is None.

    Attributes:
      learning_rate: of the step just done; before the first step, of the first.
      num_steps: number of steps done.
      first: running mean of gradients, like the params.
      second: running sum or mean of squared gradients, like the params.
      trace: accumulated updates of momentum, like the params.
    """

    learning_rate: jax.Array
    num_steps: jax.Array | None = None
    first: Any = None
    second: Any = None
    trace: Any = None


def sgd(learning_rate, momentum=None, nesterov=False) -> optax.GradientTransformationExtraArgs:
    """Gradient descent: `p -= learning_rate * g`; with momentum `v = g + momentum * v` in place of g.

    Nesterov's form steps along `g + momentum * v`, the gradient as seen a step ahead.

    Args:
      learning_rate: number >= 0, an array of them to be mapped over, or an optax schedule.
      momentum: number from 0 to 1, or None for none.
      nesterov: whether momentum looks ahead.

    Returns:
      A rule, equal to `optax.sgd` with the same arguments.

    Raises:
      ValueError: a number is out of its range; nesterov without momentum.

    >>> rule = sgd(0.1)
    >>> updates, state = rule.update(jnp.array([1.0]), rule.init(jnp.zeros(1)))
    >>> float(updates[0]), float(state.learning_rate)
    (-0.10000000149011612, 0.10000000149011612)

    Source: Robbins and Monro (1951); Polyak (1964) for momentum; Nesterov (1983), in the form of
    Sutskever et al. (2013), eq. 3-4.
    """
    _check_nesterov(nesterov, momentum)
    return make_rule(
        "sgd", _init_sgd, _update_sgd, learning_rate, Static(bool(nesterov)), momentum=momentum
    )


def _init_sgd(numbers, nesterov, params):
    trace = None if numbers["momentum"] is None else optax.tree.zeros_like(params)
    return _first_state(numbers)._replace(trace=trace)


def _update_sgd(numbers, nesterov, grads, state, params=None, **extra_args):
    direction, trace = _with_momentum(numbers["momentum"], nesterov, grads, state.trace)
    state = _step_taken(numbers, state)
    return scaled(-state.learning_rate, direction), state._replace(trace=trace)


def adagrad(
    learning_rate, initial_accumulator_value=0.1, eps=1e-7
) -> optax.GradientTransformationExtraArgs:
    """Adagrad: `s += g²; p -= learning_rate * g / sqrt(s + eps)`.

    Each parameter slows down by the gradients that it has seen, which serves sparse features.

    Args:
      learning_rate: number >= 0, an array of them to be mapped over, or an optax schedule.
      initial_accumulator_value: first value of s, >= 0.
      eps: number >= 0 that keeps the quotient finite.

    Returns:
      A rule, equal to `optax.adagrad` with the same arguments.

    Raises:
      ValueError: a number is out of its range.

    >>> rule = adagrad(1.0, initial_accumulator_value=0.0)
    >>> updates, _ = rule.update(jnp.array([4.0]), rule.init(jnp.zeros(1)))
    >>> round(float(updates[0]), 3)
    -1.0

    Source: Duchi, Hazan and Singer (2011), JMLR 12.
    """
    return make_rule(
        "adagrad",
        _init_adagrad,
        _update_adagrad,
        learning_rate,
        initial_accumulator_value=initial_accumulator_value,
        eps=eps,
    )


def _init_adagrad(numbers, params):
    return _first_state(numbers)._replace(
        second=_filled_like(params, numbers["initial_accumulator_value"])
    )


def _update_adagrad(numbers, grads, state, params=None, **extra_args):
    second = jax.tree.map(lambda g, s: jnp.square(g) + s, grads, state.second)
    state = _step_taken(numbers, state)._replace(second=second)

    def scale(g, s):
        return jnp.where(s > 0, jax.lax.rsqrt(s + like(numbers["eps"], s)), 0) * g

    return scaled(-state.learning_rate, jax.tree.map(scale, grads, second)), state


def rmsprop(
    learning_rate,
    decay=0.9,
    eps=1e-8,
    initial_scale=0.0,
    eps_in_sqrt=True,
    centered=False,
    momentum=None,
    nesterov=False,
    bias_correction=False,
) -> optax.GradientTransformationExtraArgs:
    """RMSProp: `s = decay s + (1 - decay) g²; p -= learning_rate * g / sqrt(s + eps)`.

    Args:
      learning_rate: number >= 0, an array of them to be mapped over, or an optax schedule.
      decay: weight of the past in the running mean of squares, from 0 to 1.
      eps: number >= 0 that keeps the quotient finite.
      initial_scale: first value of the running mean of squares.
      eps_in_sqrt: `sqrt(s + eps)`; if False, `sqrt(s) + eps`.
      centered: divide by the standard deviation of the gradient, not by its root mean square.
      momentum: number from 0 to 1, applied to the scaled step, or None for none.
      nesterov: whether momentum looks ahead.
      bias_correction: whether the running means are corrected for their start.

    Returns:
      A rule, equal to `optax.rmsprop` with the same arguments.

    Raises:
      ValueError: a number is out of its range; nesterov without momentum.

    >>> rule = rmsprop(0.1, decay=0.0)
    >>> updates, _ = rule.update(jnp.array([4.0]), rule.init(jnp.zeros(1)))
    >>> round(float(updates[0]), 3)
    -0.1

    Source: Tieleman and Hinton (2012), lecture 6e; Graves (2013), eq. 38-45, for `centered`.
    """
    _check_nesterov(nesterov, momentum)
    return make_rule(
        "rmsprop",
        _init_rmsprop,
        _update_rmsprop,
        learning_rate,
        Static((bool(eps_in_sqrt), bool(centered), bool(nesterov), bool(bias_correction))),
        decay=decay,
        eps=eps,
        initial_scale=initial_scale,
        momentum=momentum,
    )


def _init_rmsprop(numbers, forms, params):
    _, centered, _, bias_correction = forms.value
    state = _first_state(numbers)
    return state._replace(
        num_steps=jnp.zeros((), jnp.int32) if bias_correction else state.num_steps,
        first=optax.tree.zeros_like(params) if centered else None,
        second=_filled_like(params, numbers["initial_scale"]),
        trace=None if numbers["momentum"] is None else optax.tree.zeros_like(params),
    )


def _update_rmsprop(numbers, forms, grads, state, params=None, **extra_args):
    eps_in_sqrt, centered, nesterov, bias_correction = forms.value
    decay, eps = numbers["decay"], numbers["eps"]
    second = _running_mean(decay, jax.tree.map(jnp.square, grads), state.second)
    first = _running_mean(decay, grads, state.first) if centered else None
    state = _step_taken(numbers, state)._replace(first=first, second=second)
    if bias_correction:
        first, second = _unbiased(decay, state.num_steps, (first, second))
    if centered:
        second = jax.tree.map(lambda s, m: s - jnp.square(m), second, first)

    def scale(g, s):
        e = like(eps, s)
        return g * (jax.lax.rsqrt(s + e) if eps_in_sqrt else 1 / (jnp.sqrt(s) + e))

    step = scaled(-state.learning_rate, jax.tree.map(scale, grads, second))
    step, trace = _with_momentum(numbers["momentum"], Static(nesterov), step, state.trace)
    return step, state._replace(trace=trace)


def adam(
    learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, *, nesterov=False
) -> optax.GradientTransformationExtraArgs:
    """Adam: `p -= learning_rate * m / (sqrt(v) + eps)`, m and v unbiased running means of g and g².

    Args:
      learning_rate: number >= 0, an array of them to be mapped over, or an optax schedule.
      b1: weight of the past in the running mean m of gradients, from 0 to 1.
      b2: weight of the past in the running mean v of squared gradients, from 0 to 1.
      eps: number >= 0, added to the root.
      eps_root: number >= 0, added under the root; wanted where one differentiates through the rule.
      nesterov: whether m looks a step ahead (NAdam).

    Returns:
      A rule, equal to `optax.adam` with the same arguments.

    Raises:
      ValueError: a number is out of its range.

    >>> rule = adam(0.1)
    >>> updates, _ = rule.update(jnp.array([4.0]), rule.init(jnp.zeros(1)))
    >>> round(float(updates[0]), 3)
    -0.1

    Source: Kingma and Ba (2015), algorithm 1; Dozat (2016) for `nesterov`.
    """
    return make_rule(
        "adam",
        _init_adam,
        _update_adam,
        learning_rate,
        Static(bool(nesterov)),
        b1=b1,
        b2=b2,
        eps=eps,
        eps_root=eps_root,
    )


def _init_adam(numbers, nesterov, params):
    zeros = optax.tree.zeros_like(params)
    return _first_state(numbers)._replace(num_steps=jnp.zeros((), jnp.int32), first=zeros, second=zeros)


def _update_adam(numbers, nesterov, grads, state, params=None, **extra_args):
    b1, b2 = numbers["b1"], numbers["b2"]
    first = _running_mean(b1, grads, state.first)
    second = _running_mean(b2, jax.tree.map(jnp.square, grads), state.second)
    state = _step_taken(numbers, state)._replace(first=first, second=second)
    if nesterov.value:
        ahead = _unbiased(b1, optax.safe_increment(state.num_steps), first)
        mean = _running_mean(b1, _unbiased(b1, state.num_steps, grads), ahead)
    else:
        mean = _unbiased(b1, state.num_steps, first)
    mean_square = _unbiased(b2, state.num_steps, second)

    def scale(m, v):
        return m / (jnp.sqrt(v + like(numbers["eps_root"], v)) + like(numbers["eps"], v))

    return scaled(-state.learning_rate, jax.tree.map(scale, mean, mean_square)), state


def _check_nesterov(nesterov, momentum) -> None:
    if nesterov and momentum is None:
        raise ValueError("nesterov is True and momentum None, but Nesterov wants a momentum, e.g. 0.9.")


def _first_state(numbers) -> RuleState:
    rate = numbers["learning_rate"]
    if callable(rate):
        count = jnp.zeros((), jnp.int32)
        return RuleState(jnp.asarray(rate(count), float), count)
    return RuleState(rate)


def _step_taken(numbers, state: RuleState) -> RuleState:
    """The state with the learning rate of this step, and the step counted where that is needed."""
    rate = numbers["learning_rate"]
    return state._replace(
        learning_rate=jnp.asarray(rate(state.num_steps), float) if callable(rate) else rate,
        num_steps=None if state.num_steps is None else optax.safe_increment(state.num_steps),
    )


def _with_momentum(momentum, nesterov, step, trace):
    if momentum is None:
        return step, None
    add = lambda s, t: s + like(momentum, s) * t  # noqa: E731
    trace = jax.tree.map(add, step, trace)
    return (jax.tree.map(add, step, trace) if nesterov.value else trace), trace


def _running_mean(decay, new, old):
    return jax.tree.map(lambda n, o: like(1 - decay, n) * n + like(decay, n) * o, new, old)


def _unbiased(decay, count, means):
    correction = 1 - decay**count
    return jax.tree.map(lambda m: m / like(correction, m), means)


def _filled_like(params, number):
    return jax.tree.map(lambda p: jnp.full_like(p, number), params)

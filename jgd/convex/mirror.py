"""Mirror descent with the entropy: steps that multiply, for params above 0 and on the simplex."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jgd.descent.rule import like, make_rule


def mirror(learning_rate, total=None) -> optax.GradientTransformationExtraArgs:
    """Exponentiated gradient: `p *= exp(-learning_rate * g)`, and then `p *= total / sum p` if wanted.

    Params stay above 0 without a projection. With a total they stay on the simplex, where the error
    grows with the logarithm of their number only, while that of a Euclidean step grows with its root.
    Use one or the other: no penalty beside it is needed, and one with kinks would be applied with the
    Euclidean map.

    Args:
      learning_rate: number >= 0 or an array of them to be mapped over.
      total: number > 0, the sum of all params; None leaves it free.

    Returns:
      A rule, for every variant of descent. Params must be above 0 at the start: 0 stays 0, and a
      negative number ends as DIVERGED.

    Raises:
      ValueError: a number is out of its range; the learning rate is a schedule.

    >>> def loss(params, example):
    ...     return params @ example
    >>> fit = jgd.batch_descent(jgd.objective(loss), jnp.full(3, 1 / 3), jnp.array([[3.0, 1.0, 2.0]]),
    ...                         rule=mirror(0.5, total=1.0), epochs=40)
    >>> fit.params.round(3)  # all on the smallest cost
    Array([0., 1., 0.], dtype=float32)

    Source: Nemirovski and Yudin (1983); Kivinen and Warmuth (1997), Information and Computation 132;
    Beck and Teboulle (2003), Operations Research Letters 31, section 5.
    """
    if callable(learning_rate):
        raise ValueError("mirror: learning_rate is a schedule, but a number is wanted.")
    return make_rule("mirror", _init, _update, learning_rate, total=total)


class MirrorState(NamedTuple):
    """What `mirror` remembers: the length of its steps."""

    learning_rate: jax.Array


def _init(numbers, params):
    del params
    return MirrorState(numbers["learning_rate"])


def _update(numbers, grads, state, params=None, **extra_args):
    rate, total = numbers["learning_rate"], numbers["total"]
    exponents = jax.tree.map(lambda g: -like(rate, g) * g, grads)
    if total is not None:
        # What all have in common falls out of the quotient, and the largest must not overflow.
        largest = jnp.max(jnp.stack([jnp.max(e) for e in jax.tree.leaves(exponents)]))
        exponents = jax.tree.map(lambda e: e - largest.astype(e.dtype), exponents)
    moved = jax.tree.map(lambda p, e: jnp.where(p >= 0, p * jnp.exp(e), jnp.nan), params, exponents)
    if total is not None:
        factor = total / optax.tree.sum(moved)
        moved = jax.tree.map(lambda p: like(factor, p) * p, moved)
    return jax.tree.map(jnp.subtract, moved, params), state

"""Every rule and every variant, and a small problem to run them on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jgd
from jgd.tree import as_partial

NUM_EXAMPLES = 37
RULES = {
    "sgd": lambda rate: jgd.sgd(rate),
    "momentum": lambda rate: jgd.sgd(rate, momentum=0.9),
    "nesterov": lambda rate: jgd.sgd(rate, momentum=0.9, nesterov=True),
    "adagrad": lambda rate: jgd.adagrad(rate),
    "rmsprop": lambda rate: jgd.rmsprop(rate),
    "adam": lambda rate: jgd.adam(rate),
}
VARIANTS = {
    "batch": None,
    "stochastic": 1,
    "minibatch": 8,
    "traced": jnp.array(8),
}


def marks(name, few):
    """With the oldest versions a few run, to which the others are alike."""
    return () if name in few else pytest.mark.exhaustive


# Each rule, and each variant; every pair of them runs in test_loop.py, against the steps one by one.
EACH_VARIANT = [pytest.param(name, marks=marks(name, ("stochastic", "traced"))) for name in VARIANTS]
EACH_RULE = [pytest.param(rule, marks=marks(rule, ("sgd", "adam"))) for rule in RULES]
RULES_AND_VARIANTS = [
    pytest.param(rule, "stochastic", marks=marks(rule, ("sgd", "adam"))) for rule in RULES
]
RULES_AND_VARIANTS += [
    pytest.param("adam", variant, marks=marks(variant, ("traced",)))
    for variant in VARIANTS
    if variant != "stochastic"
]


def loss(params, example):
    prediction = example["x"] @ params["weights"] + params["bias"]
    return jgd.losses.logistic(prediction, example["y"])


objective = jgd.objective(loss, jgd.penalties.l2(0.01, mask={"weights": True, "bias": False}))


def data(num_examples=NUM_EXAMPLES, dtype=jnp.float32, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_examples, 4))
    y = x @ np.array([1.0, -2.0, 0.5, 0.0]) + rng.normal(size=num_examples) > 0
    return {"x": jnp.asarray(x, dtype), "y": jnp.asarray(y)}


def params(dtype=jnp.float32):
    return {"weights": jnp.full(4, 0.1, dtype), "bias": jnp.zeros((), dtype)}


def fit(rule, batch_size, **options):
    """A short training on the problem, with everything that is not said set to a default."""
    defaults = {"epochs": 3, "key": jax.random.key(0)}
    train = functools.partial(jgd.descend, options.pop("objective", objective))
    start = options.pop("params", None) or params()
    rows = options.pop("data", None) or data()
    return train(start, rows, rule=rule, batch_size=batch_size, **(defaults | options))


@jax.jit
def _reference_step(objective, rule, position, state, part, weights):
    def mean(p):
        total = jnp.sum(weights * jax.vmap(objective.loss, (None, 0))(p, part))
        return total / jnp.sum(weights != 0) + objective.penalty.value(p)

    updates, state = rule.update(jax.grad(mean)(position), state, position)
    return optax.apply_updates(position, updates), state


def reference(rule, batches, weights=None):
    """The same descent, one step after the other in Python, over batches of example numbers."""
    rule = optax.GradientTransformation(*map(as_partial, rule))
    weights = np.ones(NUM_EXAMPLES) if weights is None else weights
    rows, position = data(), params()
    state = rule.init(position)
    for batch in map(np.asarray, batches):
        if np.any(weights[batch]):
            part = jax.tree.map(lambda x, batch=batch: x[batch], rows)
            position, state = _reference_step(objective, rule, position, state, part, weights[batch])
    return position

"""Bad input: a ValueError at the entry that names the argument, what came, and the way out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jgd
from tests import cases


def vector_loss(params, example):
    return (example["x"] * params["weights"]) ** 2


def no_loss(params, example):
    params["weights"] @ example["x"]


def branching_loss(params, example):
    return cases.loss(params, example) if params["bias"] > 0 else params["bias"]


def integer_loss(params, example):
    return jnp.sum(example["x"] > 0)


ROWS = cases.data()
OTHER_STATE = cases.fit(jgd.adam(0.1), 8, epochs=1).state
WIDE_STATE = cases.fit(jgd.sgd(0.1), None, epochs=1).state._replace(
    params={"weights": jnp.zeros(9), "bias": jnp.zeros(())}
)
L1 = jgd.objective(cases.loss, jgd.penalties.l1(0.1))

BAD = {
    "axes differ": (
        {"data": {**ROWS, "y": ROWS["y"][:-1]}},
        r"data\['x'\] has 37 examples and data\['y'\] has 36",
    ),
    "no examples": (
        {"data": jax.tree.map(lambda x: x[:0], ROWS)},
        "data has 0 examples, but at least 1",
    ),
    "no data": ({"data": {}}, "holds no array"),
    "a number in the data": (
        {"data": {**ROWS, "scale": 2.0}},
        r"data\['scale'\] is float of shape \(\)",
    ),
    "lists": ({"data": {"x": [[1.0, 2.0]], "y": [1.0]}}, "jnp.asarray"),
    "text": ({"data": {**ROWS, "name": np.array(["a"] * 37)}}, r"data\['name'\] has dtype <U1"),
    "batch of none": ({"batch_size": 0}, "batch_size is 0, but a whole number from 1 to 37"),
    "batch too large": ({"batch_size": 38}, "batch_size is 38, but a whole number from 1 to 37"),
    "negative batch": ({"batch_size": -1}, "batch_size is -1"),
    "fractional batch": ({"batch_size": 1.5}, "batch_size is 1.5"),
    "bool batch": ({"batch_size": True}, "batch_size is True"),
    "array batch too large": ({"batch_size": jnp.array(38)}, "batch_size is 38"),
    "float array batch": ({"batch_size": jnp.array(8.0)}, "an int, or an integer scalar"),
    "many batches": ({"batch_size": jnp.array([1, 8])}, "map over it"),
    "negative epochs": ({"epochs": -1}, "epochs is -1, but a whole number >= 0"),
    "fractional epochs": ({"epochs": 2.5}, "epochs is 2.5"),
    "traced epochs": ({"epochs": jnp.array(3)}, "part of the compiled program"),
    "no key": ({"batch_size": 8, "key": None}, r"key is None.*jax.random.key\(0\).*shuffle=False"),
    "a seed for a key": ({"batch_size": 8, "key": 0}, "key is 0, but one PRNG key"),
    "many keys": ({"batch_size": 8, "key": jax.random.split(jax.random.key(0))}, "one PRNG key"),
    "vector loss": ({"objective": jgd.objective(vector_loss)}, r"loss returns \(4,\).*scalar"),
    "no loss": ({"objective": jgd.objective(no_loss)}, r"loss returns \[\] for one example"),
    "loss with if": ({"objective": jgd.objective(branching_loss)}, "loss wants the value of a number"),
    "integer loss": ({"objective": jgd.objective(integer_loss)}, "loss returns dtype int32"),
    "a loss, not an objective": ({"objective": cases.loss}, r"jgd.objective\(loss"),
    "integer params": (
        {"params": {"weights": jnp.zeros(4, int), "bias": jnp.zeros(())}},
        r"params\['weights'\] has dtype int32",
    ),
    "no params": ({"params": ()}, "nothing to learn"),
    "text params": (
        {"params": {"weights": "none", "bias": jnp.zeros(())}},
        r"params\['weights'\] is 'none'",
    ),
    "short weights": ({"weights": np.ones(36)}, r"weights have shape \(36,\).*shape \(37,\)"),
    "weights all zero": ({"weights": np.zeros(37)}, "weights are all 0"),
    "a number for a rule": ({"rule": 0.1}, r"rule is 0.1.*jgd.sgd"),
    "a function for a stop": ({"stop": abs}, "stop is .*jgd.stop.gradient_norm"),
    "a name for evaluate": ({"evaluate": "accuracy"}, "evaluate is 'accuracy'"),
    "l1 without a rate": (
        {"objective": L1, "rule": optax.sgd(0.1)},
        "rule carries 0 learning rates.*inject_hyperparams",
    ),
    "l1 with two rates": (
        {"objective": L1, "rule": optax.chain(jgd.sgd(0.1), jgd.sgd(0.1))},
        "rule carries 2 learning rates",
    ),
    "state of another rule": ({"state": OTHER_STATE}, r"state.rule_state has the structure.*rule given"),
    "state of other params": ({"state": WIDE_STATE}, r"state.params\['weights'\] has shape \(9,\)"),
    "params for a state": ({"state": cases.params()}, "state is .*fit.state"),
    "state of another stop": (
        {"state": WIDE_STATE._replace(params=cases.params()), "stop": jgd.stop.plateau()},
        "state.stop_state",
    ),
    "state of a fraction": (
        {"state": WIDE_STATE._replace(params=cases.params(), epoch=1.5)},
        "state.epoch",
    ),
    "a key of the wrong length": ({"batch_size": 8, "key": jnp.zeros(7, jnp.uint32)}, "one PRNG key"),
    "a word for shuffle": ({"shuffle": "no"}, "shuffle is 'no'"),
    "a batch of rules": (
        {"rule": jgd.sgd(jnp.ones(4))},
        r"rule holds a batch of numbers of shape \(4,\).*jax.vmap",
    ),
    "a batch of penalties": (
        {"objective": jgd.objective(cases.loss, jgd.penalties.l2(jnp.ones(4)))},
        r"penalty holds a batch of numbers of shape \(4,\).*jax.vmap",
    ),
    "a batch of stops": ({"stop": jgd.stop.gradient_norm(jnp.ones(2))}, "stop holds a batch"),
    "line search over a traced batch": (
        {"rule": optax.lbfgs(), "batch_size": jnp.array(8)},
        "line search",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    changed, message = BAD[case]
    arguments = {
        "objective": cases.objective,
        "params": cases.params(),
        "data": ROWS,
        "rule": jgd.sgd(0.1),
        "batch_size": None,
        "epochs": 1,
        "key": jax.random.key(0),
    } | changed
    with pytest.raises(ValueError, match=f"(?s){message}"):
        jgd.descend(
            arguments.pop("objective"), arguments.pop("params"), arguments.pop("data"), **arguments
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (jgd.batch_descent, "batch_descent has its own, None"),
        (jgd.stochastic_descent, "stochastic_descent has its own, 1"),
    ],
)
def test_variants_have_their_own_batch_size(call, message):
    with pytest.raises(ValueError, match=message):
        call(cases.objective, cases.params(), ROWS, rule=jgd.sgd(0.1), epochs=1, batch_size=8)


def test_minibatch_wants_a_batch_size():
    with pytest.raises(ValueError, match=r"jgd\.batch_descent"):
        jgd.minibatch_descent(
            cases.objective, cases.params(), ROWS, rule=jgd.sgd(0.1), epochs=1, batch_size=None
        )


@pytest.mark.parametrize(
    ("loss", "penalty", "message"),
    [("logistic", None, "loss is 'logistic'"), (cases.loss, 0.1, r"penalty is 0.1.*jgd.penalties.l2")],
)
def test_objective_names_what_it_cannot_use(loss, penalty, message):
    with pytest.raises(ValueError, match=message):
        jgd.objective(loss, penalty)


def test_the_state_brings_its_own_key_and_params():
    half = cases.fit(jgd.sgd(0.1), 8, epochs=2)
    rest = cases.fit(jgd.sgd(0.1), 8, epochs=2, state=half.state, key=None)
    whole = cases.fit(jgd.sgd(0.1), 8, epochs=4)
    np.testing.assert_array_equal(rest.params["weights"], whole.params["weights"])

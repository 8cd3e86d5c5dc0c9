"""Factorizations against NumPy, and ids that are in no table."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from jgd import models
from tests.models.test_models import random_like

KEY = jax.random.key(0)
PARAMS = random_like(models.factorization.init(KEY, 5, 4, rank=3))


def by_numpy(params, user, item):
    p = jax.tree.map(lambda leaf: np.asarray(leaf, float), params)
    return p["mean"] + p["user_bias"][user] + p["item_bias"][item] + p["users"][user] @ p["items"][item]


def test_it_is_that_of_numpy():
    pairs = np.array(list(itertools.product(range(5), range(4))), np.int32)
    wanted = [by_numpy(PARAMS, *pair) for pair in pairs]
    came = jax.vmap(models.factorization.predict, (None, 0))(PARAMS, pairs)
    np.testing.assert_allclose(came, wanted, rtol=1e-5)
    as_tuples = jax.vmap(models.factorization.predict, (None, 0))(PARAMS, (pairs[:, 0], pairs[:, 1]))
    np.testing.assert_array_equal(as_tuples, came)
    np.testing.assert_allclose(models.factorization.predict(PARAMS, (2, 3)), by_numpy(PARAMS, 2, 3))


@pytest.mark.parametrize("unknown_id", [5, 10**6, -1, -(10**6)])
def test_unknown_users_and_items_fall_back_to_the_biases(unknown_id):
    mean, item_bias = (
        float(PARAMS[name]) if name == "mean" else PARAMS[name] for name in ("mean", "item_bias")
    )
    for predict in (models.factorization.predict, jax.jit(models.factorization.predict)):
        came = predict(PARAMS, (unknown_id, 2))
        np.testing.assert_allclose(came, mean + item_bias[2], rtol=1e-6)
        np.testing.assert_allclose(
            predict(PARAMS, (1, unknown_id)), mean + PARAMS["user_bias"][1], rtol=1e-6
        )
        np.testing.assert_allclose(predict(PARAMS, (unknown_id, unknown_id)), mean, rtol=1e-6)


def test_unknown_ones_learn_nothing_and_disturb_nothing():
    grads = jax.grad(models.factorization.predict)(PARAMS, (-1, 2))
    assert float(grads["mean"]) == float(grads["item_bias"][2]) == 1
    assert not grads["users"].any()
    assert not grads["items"].any()
    assert not grads["user_bias"].any()


def test_unknown_ones_are_counted():
    pairs = np.array([[0, 0], [4, 3], [5, 3], [-1, 4], [2, 7]])
    users, items = models.unknown(PARAMS, pairs)
    assert users.tolist() == [False, False, True, True, False]
    assert items.tolist() == [False, False, False, True, True]
    again = jax.jit(models.unknown)(PARAMS, (pairs[:, 0], pairs[:, 1]))
    np.testing.assert_array_equal(again[0], users)


def loss(params, rating):
    return jgd.losses.squared_error(models.factorization.predict(params, rating["pair"]), rating["y"])


def test_it_learns_a_table_of_rank_two():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(12, 2)) @ rng.normal(size=(2, 9)) + rng.normal(size=(12, 1)) + 3
    pairs = np.array(list(itertools.product(range(12), range(9))), np.int32)
    data = {"pair": pairs, "y": table.ravel().astype(np.float32)}
    start = models.factorization.init(KEY, 12, 9, rank=3, scale=0.3)
    fit = jgd.minibatch_descent(
        jgd.objective(loss), start, data, rule=jgd.adam(0.03), batch_size=27, epochs=300, key=KEY
    )
    assert fit.history.loss[-1] < 1e-3 * np.var(table)


def test_rank_zero_is_the_model_of_biases():
    params = models.factorization.init(KEY, 5, 4, rank=0)
    data = {"pair": np.array([[0, 0], [4, 3]], np.int32), "y": np.array([1.0, 2.0], np.float32)}
    fit = jgd.batch_descent(jgd.objective(loss), params, data, rule=jgd.sgd(0.3), epochs=50)
    assert fit.history.loss[-1] < 1e-6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.factorization.init(KEY, 0, 3), "^factorization.init: size 0"),
        (lambda: models.factorization.init(KEY, 3, 3, rank=-1), "^factorization.init: rank is -1"),
        (lambda: models.factorization.init(KEY, 3, 3, rank=2.0), "^factorization.init: rank is 2.0"),
        (lambda: models.factorization.predict(PARAMS, (1.0, 2)), "^ids have dtype float"),
        (
            lambda: models.factorization.predict(PARAMS, jnp.ones((3, 2), int)),
            r"^pair has the shape \(3, 2\)",
        ),
        (lambda: models.factorization.predict(PARAMS, 3), r"^pair has the shape \(\)"),
        (lambda: models.factorization.predict(PARAMS, (1, 2, 3)), "^pair has the shape"),
        (lambda: models.unknown(PARAMS, jnp.ones((4, 3), int)), r"^pairs have the shape \(4, 3\)"),
        (lambda: models.unknown(PARAMS, 3), r"^pairs have the shape \(\), but"),
        (lambda: models.unknown(PARAMS, (jnp.arange(3), jnp.arange(5))), "^pairs have the shape"),
        (lambda: models.factorization.predict(PARAMS, ("ann", "film")), "^ids have dtype <U3"),
        (lambda: models.factorization_machine.init(KEY, 0), "^factorization_machine.init: size 0"),
        (
            lambda: models.factorization_machine.init(KEY, 3, rank=0),
            "^factorization_machine.init: size 0",
        ),
    ],
)
def test_nonsense_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_factorization_machine_is_the_sum_over_pairs():
    params = random_like(models.factorization_machine.init(KEY, 6, rank=3))
    p = jax.tree.map(lambda leaf: np.asarray(leaf, float), params)
    x = np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)
    wanted = [
        p["bias"]
        + row @ p["weights"]
        + sum(p["factors"][j] @ p["factors"][k] * row[j] * row[k] for j in range(6) for k in range(j))
        for row in x.astype(float)
    ]
    came = jax.vmap(models.factorization_machine.predict, (None, 0))(params, x)
    np.testing.assert_allclose(came, wanted, rtol=1e-4)


def test_of_one_hot_users_and_items_it_is_the_factorization():
    machine = {
        "bias": PARAMS["mean"],
        "weights": jnp.concatenate([PARAMS["user_bias"], PARAMS["item_bias"]]),
        "factors": jnp.concatenate([PARAMS["users"], PARAMS["items"]]),
    }
    inputs = jnp.zeros(9).at[jnp.array([3, 5 + 1])].set(1.0)
    came = models.factorization_machine.predict(machine, inputs)
    np.testing.assert_allclose(came, models.factorization.predict(PARAMS, (3, 1)), rtol=1e-5)


def test_params_of_numpy_do():
    saved = jax.tree.map(np.asarray, PARAMS)
    came = models.factorization.predict(saved, (2, 3))
    np.testing.assert_array_equal(came, models.factorization.predict(PARAMS, (2, 3)))

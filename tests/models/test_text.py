"""The model of text against NumPy; tokens that are none, and texts without any."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from jgd import models
from tests.models.test_models import forward, random_like, relu

KEY = jax.random.key(0)
PARAMS = models.text.init(KEY, 5)


@pytest.mark.parametrize("units", [(), (5,)])
@pytest.mark.parametrize("outputs", [None, 3])
def test_it_is_that_of_numpy(units, outputs):
    params = random_like(models.text.init(KEY, 20, outputs, width=4, units=units))
    rng = np.random.default_rng(1)
    texts = [rng.integers(0, 20, length) for length in (1, 3, 7, 7)]
    table = np.asarray(params["embedding"], float)
    wanted = [forward(params["dense"], table[tokens].mean(axis=0), relu) for tokens in texts]
    padded = np.stack([np.pad(t, (0, 7 - len(t)), constant_values=-1) for t in texts])
    came = jax.vmap(models.text.predict, (None, 0))(params, padded)
    np.testing.assert_allclose(came, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stray", [-1, -5, 20, 10**6])
def test_tokens_outside_of_the_table_are_left_out(stray):
    params = random_like(models.text.init(KEY, 20, 2))
    with_it, without = jnp.array([3, stray, 5]), jnp.array([3, 5])
    for predict in (models.text.predict, jax.jit(models.text.predict)):
        np.testing.assert_allclose(predict(params, with_it), predict(params, without), rtol=1e-6)
    grads = jax.grad(lambda p: models.text.predict(p, with_it).sum())(params)["embedding"]
    assert set(np.flatnonzero(np.abs(grads).sum(axis=1))) == {3, 5}


@pytest.mark.parametrize("tokens", [[-1, -1], [], [25]])
def test_an_empty_text_is_predicted_by_the_bias(tokens):
    params = random_like(models.text.init(KEY, 20, 2))
    tokens = jnp.array(tokens, int)
    came = models.text.predict(params, tokens)
    np.testing.assert_array_equal(came, params["dense"]["layer_1"]["bias"])
    grads = jax.grad(lambda p: models.text.predict(p, tokens).sum())(params)
    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(grads))


def loss(params, example):
    return jgd.losses.logistic(models.text.predict(params, example[0]), example[1])


def test_it_learns_which_token_matters():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 30, (200, 6))
    labels = (tokens == 7).any(axis=1)
    start = models.text.init(KEY, 30, width=4)
    fit = jgd.minibatch_descent(
        jgd.objective(loss),
        start,
        (tokens, labels.astype(int)),
        rule=jgd.adam(0.1),
        epochs=30,
        key=KEY,
    )
    scores = jax.vmap(models.text.predict, (None, 0))(fit.params, tokens)
    assert ((scores > 0) == labels).mean() > 0.97


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.text.init(KEY, 0), "^text.init: size 0"),
        (lambda: models.text.init(KEY, 5, width=0), "^text.init: size 0"),
        (
            lambda: models.text.predict(models.text.init(KEY, 5), jnp.ones((2, 3), int)),
            "^tokens have shape",
        ),
        (lambda: models.text.predict(models.text.init(KEY, 5), jnp.ones(3)), "^ids have dtype float32"),
    ],
)
def test_nonsense_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "uint32"])
@pytest.mark.parametrize("size", [127, 256, 257, 300])
def test_ids_of_few_bits_are_what_they_are(dtype, size):
    """Bytes as tokens: the size of the table need not fit into their dtype."""
    params = {**PARAMS, "embedding": jax.random.normal(KEY, (size, 16))}
    tokens = np.array([1, 100, 126])
    came = models.text.predict(params, jnp.asarray(tokens, dtype))
    np.testing.assert_array_equal(came, models.text.predict(params, jnp.asarray(tokens)))


@pytest.mark.parametrize("tokens", [[], [3, 4]])
def test_lists_of_tokens_do(tokens):
    came = models.text.predict(PARAMS, tokens)
    np.testing.assert_array_equal(came, models.text.predict(PARAMS, jnp.array(tokens, int)))

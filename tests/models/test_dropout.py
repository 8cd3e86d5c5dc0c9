"""Dropout against its law: the share that is left out, and the mean that stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from jgd import models

KEY = jax.random.key(0)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_share_and_mean(rate):
    values = jnp.full(100_000, 3.0)
    came = np.asarray(models.dropout(KEY, values, rate))
    share = np.mean(came == 0)
    assert abs(share - rate) < 5 * np.sqrt(rate * (1 - rate) / values.size) + 1e-12
    np.testing.assert_allclose(came[came != 0], 3 / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize("args", [(None, 0.5), (KEY, None)])
def test_without_a_key_or_a_rate_all_stay(args):
    key, rate = args
    values = jnp.arange(5.0)
    assert models.dropout(key, values, rate) is values


@pytest.mark.parametrize("rate", [1, 1.5, -0.1, np.nan, "half"])
def test_a_wrong_rate_is_an_error(rate):
    with pytest.raises(ValueError, match=r"^dropout: rate is .* a number in \[0, 1\)"):
        models.dropout(KEY, jnp.ones(3), rate)


def test_whole_numbers_become_floats_and_a_traced_rate_out_of_range_nan():
    came = models.dropout(KEY, [1, 1, 1, 1], 0.4)
    assert set(np.round(np.asarray(came), 4)) <= {0.0, np.float32(1.6667)}
    assert jnp.isnan(jax.jit(models.dropout)(KEY, jnp.ones(3), 1.5)).all()


CASES = [
    (models.mlp, (KEY, (4, 200, 150, 2)), jnp.ones(4)),
    (models.cnn, (KEY, (8, 8), 2), jnp.ones((8, 8))),
    (models.text, (KEY, 50, 2), jnp.array([3, 4, -1])),
]


@pytest.mark.parametrize(("model", "args", "inputs"), CASES)
def test_models_leave_out_hidden_units_where_a_key_is_given(model, args, inputs):
    options = {"units": (150,)} if model is models.text else {}
    params = model.init(*args, **options)
    plain = model.predict(params, inputs)
    np.testing.assert_array_equal(model.predict(params, inputs, dropout=0.5), plain)
    np.testing.assert_array_equal(model.predict(params, inputs, key=KEY), plain)
    np.testing.assert_allclose(model.predict(params, inputs, dropout=0.0, key=KEY), plain, rtol=1e-6)
    first, again, other = (
        model.predict(params, inputs, dropout=0.5, key=jax.random.key(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first != plain).any()


def test_the_mean_over_keys_is_the_prediction_of_a_linear_network():
    params = models.mlp.init(KEY, (4, 50, None))
    keys = jax.random.split(KEY, 20_000)
    predict = lambda key: models.mlp.predict(params, jnp.ones(4), lambda x: x, dropout=0.3, key=key)  # noqa: E731
    came, plain = jax.vmap(predict)(keys), models.mlp.predict(params, jnp.ones(4), lambda x: x)
    assert abs(came.mean() - plain) < 5 * came.std() / np.sqrt(len(keys))


def loss(params, example, key, rate):
    prediction = models.mlp.predict(params, example[0], dropout=rate, key=key)
    return jgd.losses.softmax(prediction, example[1])


def test_the_rate_is_swept_as_any_number():
    x = jax.random.normal(KEY, (30, 4))
    data = x, (x[:, 0] > 0).astype(int)
    start = models.mlp.init(KEY, (4, 16, 2))

    def train(rate):
        noisy = jgd.objective(jax.tree_util.Partial(bound, rate), random=True)
        return jgd.descend(noisy, start, data, rule=jgd.sgd(0.1), epochs=3, key=KEY).history.loss

    losses = jax.vmap(train)(jnp.array([0.0, 0.5]))
    plain = jgd.descend(
        jgd.objective(lambda params, example: loss(params, example, None, None)),
        start,
        data,
        rule=jgd.sgd(0.1),
        epochs=3,
    )
    np.testing.assert_allclose(losses[0], plain.history.loss, rtol=1e-5)
    assert (losses[1] != losses[0]).all()


def bound(rate, params, example, key):
    return loss(params, example, key, rate)

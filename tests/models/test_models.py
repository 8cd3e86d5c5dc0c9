"""Models against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import jgd
from jgd import models

KEY = jax.random.key(0)


def random_like(params, seed=0):
    """Params of the same shapes, none of them zero."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), params)


@pytest.mark.parametrize("outputs", [None, 1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_that_of_numpy(outputs, bias):
    params = models.linear.init(KEY, 4, outputs, bias=bias)
    outer = () if outputs is None else (outputs,)
    shapes = {"weights": (4, *outer)} | ({"bias": outer} if bias else {})
    assert {name: p.shape for name, p in params.items()} == shapes
    assert all((p == 0).all() and p.dtype == jnp.float32 for p in params.values())
    params, x = random_like(params), np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    wanted = x @ np.asarray(params["weights"]) + (np.asarray(params["bias"]) if bias else 0)
    for predict in (models.linear.predict, jax.jit(models.linear.predict)):
        came = predict(params, jnp.asarray(x[0]))
        assert came.shape == outer
        np.testing.assert_allclose(came, wanted[0], rtol=1e-5)
    batch = jax.vmap(models.linear.predict, in_axes=(None, 0))(params, x)
    np.testing.assert_allclose(batch, wanted, rtol=1e-5)


def forward(params, inputs, activation):
    """A multi-layer perceptron in NumPy."""
    layers = [params[f"layer_{number}"] for number in range(1, len(params) + 1)]
    for number, layer in enumerate(layers):
        weights, bias = (np.asarray(layer[name], np.float64) for name in ("weights", "bias"))
        inputs = inputs @ weights + bias
        if number < len(layers) - 1:
            inputs = activation(inputs)
    return inputs


def relu(x):
    return np.maximum(x, 0)


@pytest.mark.parametrize(
    ("sizes", "activation", "of_numpy"),
    [
        ((3, 5, 2), None, relu),
        ((3, 5, None), None, relu),
        ((3, 2), None, relu),
        ((3, None), None, relu),
        ((3, 4, 5, 6, 1), None, relu),
        ((3, 5, 2), jnp.tanh, np.tanh),
        ((3, 5, 2), jax.nn.sigmoid, special.expit),
    ],
)
def test_mlp_is_that_of_numpy(sizes, activation, of_numpy):
    params = random_like(models.mlp.init(KEY, sizes))
    x = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    options = () if activation is None else (activation,)
    came = jax.vmap(lambda inputs: models.mlp.predict(params, inputs, *options))(x)
    assert came.shape == (6,) if sizes[-1] is None else (6, sizes[-1])
    np.testing.assert_allclose(came, forward(params, x, of_numpy), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("sizes", "shapes"),
    [
        ((4, 8, 3), [((4, 8), (8,)), ((8, 3), (3,))]),
        ((4, 8, None), [((4, 8), (8,)), ((8,), ())]),
        ([2, np.int64(3)], [((2, 3), (3,))]),
        ((1, None), [((1,), ())]),
    ],
)
def test_mlp_shapes(sizes, shapes):
    params = models.mlp.init(KEY, sizes)
    assert list(params) == [f"layer_{number + 1}" for number in range(len(shapes))]
    for layer, (weights, bias) in zip(params.values(), shapes, strict=True):
        assert (layer["weights"].shape, layer["bias"].shape) == (weights, bias)
        assert (layer["bias"] == 0).all()
        assert (layer["weights"] != 0).all()


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_weights_have_the_variance_of_he(layer):
    """2 / inputs; the share of the sample variance of n normal numbers strays by sqrt(2/n)."""
    sizes = (300, 200, 400, None)
    variances, means, numbers = [], [], 0
    for seed in range(20):
        weights = models.mlp.init(jax.random.key(seed), sizes)[f"layer_{layer}"]["weights"]
        variances.append(float(jnp.var(weights)))
        means.append(float(jnp.mean(weights)))
        numbers += weights.size
    wanted = 2 / sizes[layer - 1]
    assert abs(np.mean(variances) / wanted - 1) < 5 * np.sqrt(2 / numbers) + 1 / numbers
    assert abs(np.mean(means)) < 5 * np.sqrt(wanted / numbers)


def test_layers_and_keys_differ():
    params = models.mlp.init(KEY, (4, 4, 4))
    first, second = params["layer_1"]["weights"], params["layer_2"]["weights"]
    assert not np.isin(first, second).any()
    other = models.mlp.init(jax.random.key(1), (4, 4, 4))["layer_1"]["weights"]
    assert not np.isin(first, other).any()
    again = models.mlp.init(KEY, (4, 4, 4))["layer_1"]["weights"]
    np.testing.assert_array_equal(first, again)


def test_mlp_takes_another_initializer():
    params = models.mlp.init(KEY, (3, 4, None), initializer=lambda key, shape: jnp.full(shape, 0.5))
    assert params["layer_1"]["weights"].tolist() == [[0.5] * 4] * 3
    assert params["layer_2"]["weights"].tolist() == [0.5] * 4


def test_init_and_predict_go_under_vmap_and_grad():
    keys = jax.random.split(KEY, 3)
    starts = jax.vmap(lambda key: models.mlp.init(key, (2, 3, None)))(keys)
    assert starts["layer_1"]["weights"].shape == (3, 2, 3)
    one = models.mlp.init(keys[1], (2, 3, None))
    np.testing.assert_array_equal(starts["layer_1"]["weights"][1], one["layer_1"]["weights"])
    grads = jax.grad(models.mlp.predict)(one, jnp.ones(2))
    assert jax.tree.structure(grads) == jax.tree.structure(one)
    assert float(grads["layer_2"]["bias"]) == 1.0


@pytest.mark.parametrize("size", [0, -1, 2.0, "3", True, None, jnp.array(3)])
def test_linear_of_a_wrong_size_is_an_error(size):
    with pytest.raises(ValueError, match=r"^linear.init: size .* is no whole number >= 1"):
        models.linear.init(KEY, size)
    if size is not None:
        with pytest.raises(ValueError, match=r"^linear.init: size .* is no whole number >= 1"):
            models.linear.init(KEY, 3, size)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((4, 0, 3), "^mlp.init: size 0 in .* is no whole number >= 1"),
        ((4, 2.5, 3), "^mlp.init: size 2.5 in"),
        ((4, None, 3), "^mlp.init: size None in"),
        ((None, 3), "^mlp.init: size None in"),
        ((4, -1), "^mlp.init: size -1 in"),
        ((4,), "^mlp.init: sizes are .* inputs and outputs at least"),
        ((), "^mlp.init: sizes are .* inputs and outputs at least"),
        ((None,), "^mlp.init: sizes are .* inputs and outputs at least"),
        (4, "^mlp.init: size"),
    ],
)
def test_mlp_of_wrong_sizes_is_an_error(sizes, message):
    with pytest.raises(ValueError, match=message):
        models.mlp.init(KEY, sizes)


@pytest.mark.parametrize("shape", [(5, 4), (3,), (), (1, 4), (4, 1)])
@pytest.mark.parametrize(
    ("model", "params", "name"),
    [
        (models.linear, models.linear.init(KEY, 4), "linear"),
        (models.linear, models.linear.init(KEY, 4, 4), "linear"),
        (models.mlp, models.mlp.init(KEY, (4, 4, None)), "mlp"),
    ],
)
def test_inputs_of_another_shape_are_an_error(shape, model, params, name):
    with pytest.raises(ValueError, match=r"^inputs have shape .* wants \(4,\)") as error:
        model.predict(params, jnp.ones(shape))
    assert f"inputs have shape {shape}" in str(error.value)
    assert f"jax.vmap({name}.predict, in_axes=(None, 0))(params, x)" in str(error.value)


def loss(params, example):
    return jgd.losses.softmax(models.linear.predict(params, example[0]), example[1])


def test_a_class_that_never_occurs_is_learned_never_to_occur():
    """Its score falls below the others, and neither loss nor params cease to be finite."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)).astype(np.float32), rng.integers(0, 2, 60)
    start = models.linear.init(KEY, 4, 3)
    fit = jgd.batch_descent(jgd.objective(loss), start, (x, y), rule=jgd.sgd(0.5), epochs=200)
    scores = jax.vmap(models.linear.predict, (None, 0))(fit.params, x)
    assert fit.status == jgd.Status.EPOCHS_DONE
    assert (scores[:, 2] < scores[:, :2].max(axis=1)).all()
    assert jax.nn.softmax(scores)[:, 2].mean() < 0.02

"""The convolutional network against SciPy, NumPy and XLA's own convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from scipy.signal import correlate

from jgd import models
from tests.models.test_models import forward, random_like, relu

pytestmark = pytest.mark.exhaustive

KEY = jax.random.key(0)
PARAMS = models.cnn.init(KEY, (8, 8), 2, channels=(2, 3), units=(4,))


def by_scipy(params, image, activation=relu):
    """The same network, a channel and a window at a time."""
    hidden = np.asarray(image, np.float64)
    hidden = hidden[..., None] if hidden.ndim == 2 else hidden
    for layer in range(1, len(params)):
        weights, bias = (
            np.asarray(params[f"convolution_{layer}"][n], float) for n in ("weights", "bias")
        )
        kernel = weights.shape[0]
        after = kernel // 2  # an even kernel looks one further to the right, as XLA's SAME does
        padded = np.pad(hidden, ((kernel - 1 - after, after), (kernel - 1 - after, after), (0, 0)))
        outs = [
            correlate(padded, weights[..., out], mode="valid")[..., 0] for out in range(weights.shape[3])
        ]
        hidden = activation(np.stack(outs, axis=-1) + bias)
        height, width = hidden.shape[0] // 2, hidden.shape[1] // 2
        windows = [hidden[i : 2 * height : 2, j : 2 * width : 2] for i in (0, 1) for j in (0, 1)]
        hidden = np.max(windows, axis=0)
    return forward(params["dense"], hidden.ravel(), activation)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((8, 8), {}),
        ((28, 28), {"channels": (3, 4), "units": (5,)}),
        ((9, 7, 3), {"channels": (3,), "units": (), "kernel": 5}),
        ((8, 6), {"channels": (3,), "kernel": 2}),
        ((4, 4, 2), {"channels": (), "units": (3,)}),
    ],
)
def test_it_is_that_of_scipy(shape, options):
    start = jax.jit(lambda key: models.cnn.init(key, shape, 3, **options))(KEY)
    params = random_like(start)
    image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    wanted = by_scipy(params, image)
    came = jax.jit(models.cnn.predict)(params, jnp.asarray(image))
    np.testing.assert_allclose(came, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_other_activations_and_a_scalar():
    params = random_like(models.cnn.init(KEY, (8, 8), channels=(2,), units=(4,)))
    image = jnp.asarray(np.random.default_rng(1).normal(size=(8, 8)), jnp.float32)
    came = models.cnn.predict(params, image, jnp.tanh)
    assert came.shape == ()
    np.testing.assert_allclose(came, by_scipy(params, image, np.tanh), rtol=1e-4)


def test_gradients_are_those_of_the_convolution_of_xla():
    params = random_like(models.cnn.init(KEY, (6, 6), 2, channels=(3,), units=()))
    image = jnp.asarray(np.random.default_rng(1).normal(size=(6, 6)), jnp.float32)

    def by_xla(params, image):
        first = params["convolution_1"]
        hidden = lax.conv_general_dilated(
            image[None, :, :, None],
            first["weights"],
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )[0]
        hidden = jax.nn.relu(hidden + first["bias"])
        hidden = lax.reduce_window(hidden, -jnp.inf, lax.max, (2, 2, 1), (2, 2, 1), "VALID")
        last = params["dense"]["layer_1"]
        return jnp.sum(jnp.sin(hidden.ravel() @ last["weights"] + last["bias"]))

    ours = jax.grad(lambda p, x: jnp.sum(jnp.sin(models.cnn.predict(p, x))), (0, 1))(params, image)
    wanted = jax.grad(by_xla, (0, 1))(params, image)
    for came, like in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(came, like, rtol=1e-3, atol=1e-4)


def test_weights_have_the_variance_of_he():
    params = models.cnn.init(KEY, (8, 8), 10, channels=(64, 64), units=(128,))
    for layer, inputs in (("convolution_1", 9), ("convolution_2", 9 * 64)):
        weights = params[layer]["weights"]
        assert abs(float(jnp.var(weights)) * inputs / 2 - 1) < 5 * np.sqrt(2 / weights.size)
    assert all((p["bias"] == 0).all() for p in (params["convolution_1"], params["dense"]["layer_2"]))


def test_bytes_become_floats():
    image = np.random.default_rng(0).integers(0, 255, (8, 8))
    came = models.cnn.predict(PARAMS, image.astype(np.uint8))
    np.testing.assert_array_equal(came, models.cnn.predict(PARAMS, image.astype(np.float32)))


def test_it_goes_under_vmap():
    images = jax.random.normal(KEY, (5, 8, 8))
    together = jax.vmap(models.cnn.predict, (None, 0))(PARAMS, images)
    alone = jnp.stack([jax.jit(models.cnn.predict)(PARAMS, image) for image in images])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(64,), (), (5, 8, 8), (1, 8, 8, 1), (8, 8, 3)])
def test_images_of_another_rank_are_an_error(shape):
    with pytest.raises(ValueError, match=r"^image has shape .* one image \[height, width, 1\]") as error:
        models.cnn.predict(PARAMS, jnp.ones(shape))
    assert "jax.vmap(cnn.predict" in str(error.value)


def test_images_of_another_size_are_an_error():
    with pytest.raises(ValueError, match=r"^image has shape \(28, 28\).* wants 12.*another size"):
        models.cnn.predict(PARAMS, jnp.ones((28, 28)))


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        (((8,), 2), {}, r"^cnn.init: shape is \(8,\), but \(height, width\)"),
        ((64, 2), {}, r"^cnn.init: shape is 64, but \(height, width\)"),
        (((8, 0), 2), {}, r"^cnn.init: size 0"),
        (((8, 8.0), 2), {}, r"^cnn.init: size 8.0"),
        (((8, 8), 0), {}, r"^mlp.init: size 0"),
        (((8, 8), 2), {"channels": (0,)}, r"^cnn.init: size 0"),
        (((8, 8), 2), {"channels": 16}, r"^cnn.init: channels are 16, but several"),
        (((8, 8), 2), {"units": 64}, r"^cnn.init: units are 64, but several"),
        (((8, 8), 2), {"kernel": 0}, r"^cnn.init: size 0"),
        (((3, 8), 2), {}, r"^cnn.init: shape is \(3, 8\), too small to be halved for each of 2"),
    ],
)
def test_wrong_sizes_are_an_error(args, options, message):
    with pytest.raises(ValueError, match=message):
        models.cnn.init(KEY, *args, **options)

"""The page about models of other libraries: its code runs, and the numbers are those of our network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from tests import scripts

PAGE = "other_models.md"
SECTIONS = {"Flax Linen": "flax", "Flax NNX": "flax", "Equinox": "equinox"}
X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4)), jnp.float32)
KEY = jax.random.key(0)


@pytest.fixture
def traces(monkeypatch):
    """A list that grows whenever a loss is traced."""
    seen, softmax = [], jgd.losses.softmax

    def counted(prediction, target):
        seen.append(None)
        return softmax(prediction, target)

    monkeypatch.setattr(jgd.losses, "softmax", counted)
    return seen


def train(names, rate):
    """As the page does, with another learning rate."""
    rule = jgd.sgd(rate, momentum=0.9)
    objective, params, data = names["objective"], names["params"], names["data"]
    return jgd.minibatch_descent(objective, params, data, rule=rule, **names["options"])


def loss(params, example):
    return jgd.losses.softmax(jgd.models.mlp.predict(params, example["x"]), example["y"])


def as_mlp(params, is_transposed):
    """The params of a network of two layers, as those of `models.mlp`."""
    leaves = jax.tree.leaves(params)
    layers = {}
    for layer in (1, 2):
        bias, weights = sorted(leaves[2 * layer - 2 : 2 * layer], key=jnp.ndim)
        layers[f"layer_{layer}"] = {"weights": weights.T if is_transposed else weights, "bias": bias}
    return layers


@pytest.mark.parametrize("heading", SECTIONS)
def test_a_network_is_trained_as_ours_is(heading, traces):
    pytest.importorskip(SECTIONS[heading])
    names = scripts.run_page(PAGE, heading)
    assert jgd.metrics.accuracy(names["scores"], names["y_test"]) > 0.95

    num_traces = len(traces)
    slower = train(names, 0.01)
    assert len(traces) == num_traces > 0
    assert slower.history.loss[0] > names["fit"].history.loss[0]

    is_transposed = heading == "Equinox"
    start = as_mlp(names["params"], is_transposed)
    ours = train(names | {"objective": jgd.objective(loss), "params": start}, 0.1)
    np.testing.assert_allclose(names["fit"].history.loss, ours.history.loss, rtol=1e-3)
    found = as_mlp(names["fit"].params, is_transposed)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-3), found, ours.params)


def test_dropout_learns_and_predicts_without_noise():
    pytest.importorskip("flax")
    names = scripts.run_page(PAGE, "Dropout and batch norm")
    assert jgd.metrics.accuracy(names["scores"], names["y_test"]) > 0.95

    few = jax.tree.map(lambda x: x[:8], names["data"])
    objective, visits = jgd.with_keys(names["objective"], few, KEY)
    losses = jax.vmap(names["loss"], in_axes=(None, 0, 0))(names["params"], *visits)
    found = jgd.value(objective, names["params"], visits)
    np.testing.assert_allclose(found, losses.mean(), rtol=1e-6)
    scores = jax.vmap(names["network"].apply, in_axes=(None, 0))({"params": names["params"]}, few["x"])
    assert abs(found - jgd.metrics.log_loss(scores, few["y"])) > 1e-3


def test_what_is_kept_is_one_objective():
    scripts.run_page(PAGE, "What compiles, and what does not")


# What the text says, without code, of dropout and batch norm.


def test_layers_of_dropout_in_nnx_have_noise_of_their_own():
    nnx = pytest.importorskip("flax.nnx")

    class Network(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(4, 100, rngs=rngs)
            self.first, self.second = nnx.Dropout(0.5), nnx.Dropout(0.5)

        def __call__(self, inputs, rngs=None):
            hidden = self.linear(inputs)
            return self.first(hidden, rngs=rngs), self.second(hidden, rngs=rngs)

    graphdef, params = nnx.split(Network(nnx.Rngs(0)))

    def share_that_differs(params, example, key):
        first, second = nnx.merge(graphdef, params)(example, nnx.Rngs(dropout=key))
        return jnp.mean(first != second)

    objective, visits = jgd.with_keys(jgd.objective(share_that_differs, random=True), X, KEY)
    assert abs(jgd.value(objective, params, visits) - 0.5) < 0.1
    network = nnx.merge(graphdef, params)
    network.eval()
    first, second = network(X)
    np.testing.assert_array_equal(first, second)


def test_dropout_of_equinox_takes_the_key():
    eqx = pytest.importorskip("equinox")
    network = eqx.nn.Sequential([eqx.nn.Linear(4, 100, key=KEY), eqx.nn.Dropout(0.5)])
    params, static = eqx.partition(network, eqx.is_inexact_array)

    def share_left_out(params, example, key):
        return jnp.mean(eqx.combine(params, static)(example, key=key) == 0)

    objective, visits = jgd.with_keys(jgd.objective(share_left_out, random=True), X, KEY)
    assert abs(jgd.value(objective, params, visits) - 0.5) < 0.1
    assert jnp.all(eqx.nn.inference_mode(network)(X[0]) != 0)


def test_batch_norm_of_linen_puts_out_its_bias():
    linen = pytest.importorskip("flax.linen")
    norm = linen.BatchNorm(use_running_average=False)
    variables = norm.init(KEY, X)
    params = {"scale": jnp.arange(1.0, 5), "bias": jnp.arange(4.0)}

    def loss(params, example):
        variables_now = variables | {"params": params}
        return jnp.sum(norm.apply(variables_now, example, mutable=["batch_stats"])[0])

    assert jgd.value(jgd.objective(loss), params, X) == 0 + 1 + 2 + 3


@pytest.mark.parametrize("library", ["flax.linen", "flax.nnx", "equinox"])
def test_batch_norm_fits_with_its_statistics_held_fast(library):
    loss, params = FROZEN[library](pytest.importorskip(library))
    found, grads = jgd.value_and_gradient(jgd.objective(loss), params, X)
    normed = X / np.sqrt(1 + 1e-5)  # mean 0 and variance 1 are the statistics at the start
    np.testing.assert_allclose(found, jnp.sum(normed**2, axis=1).mean(), rtol=1e-5)
    slopes = {tuple(np.round(leaf, 3)) for leaf in map(np.asarray, jax.tree.leaves(grads))}
    wanted = [2 * (normed**2).mean(axis=0), 2 * normed.mean(axis=0)]  # of scale and bias
    assert slopes == {tuple(np.round(np.asarray(leaf), 3)) for leaf in wanted}


def frozen_linen(linen):
    norm = linen.BatchNorm(use_running_average=True)
    variables = norm.init(KEY, X)

    def loss(params, example):
        return jnp.sum(norm.apply(variables | {"params": params}, example) ** 2)

    return loss, variables["params"]


def frozen_nnx(nnx):
    norm = nnx.BatchNorm(4, use_running_average=True, rngs=nnx.Rngs(0))
    graphdef, params, rest = nnx.split(norm, nnx.Param, ...)

    def loss(params, example):
        return jnp.sum(nnx.merge(graphdef, params, rest)(example) ** 2)

    return loss, params


def frozen_equinox(eqx):
    norm, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(4, "batch", mode="batch")
    params, static = eqx.partition(eqx.nn.inference_mode(norm), eqx.is_inexact_array)

    def loss(params, example):
        return jnp.sum(eqx.combine(params, static)(example, state)[0] ** 2)

    return loss, params


FROZEN = {"flax.linen": frozen_linen, "flax.nnx": frozen_nnx, "equinox": frozen_equinox}

"""The linear form: which losses have one, and that its parts are those of the loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from jgd.objectives.linear_form import check_linear, linear_form, predictions

DATA = {"x": jnp.arange(12.0).reshape(4, 3), "y": jnp.array([0.0, 1.0, 1.0, 0.0])}
PARAMS = {"weights": jnp.array([1.0, -2.0, 0.5]), "bias": jnp.array(0.25)}


def linear(params, example):
    return jgd.models.linear.predict(params, example["x"])


def loss_of(function, predict=linear):
    return lambda params, example: function(predict(params, example), example["y"])


def as_scores(params, example):
    return jnp.stack([linear(params, example), 2 * linear(params, example)])


LINEAR = {
    "squared_error": loss_of(jgd.losses.squared_error),
    "absolute_error": loss_of(jgd.losses.absolute_error),
    "huber": loss_of(jgd.losses.huber(0.5)),
    "quantile": loss_of(jgd.losses.quantile(0.3)),
    "poisson": loss_of(jgd.losses.poisson),
    "logistic": jax.jit(loss_of(jgd.losses.logistic)),
    "hinge": loss_of(jgd.losses.hinge, lambda p, e: jnp.dot(e["x"][::-1], p["weights"]) / 2),
    "squared_hinge": loss_of(jgd.losses.squared_hinge),
    "softmax": lambda params, example: jgd.losses.softmax(
        as_scores(params, example), example["y"].astype(int)
    ),
}
OTHER = {
    "calls none": lambda p, e: (linear(p, e) - e["y"]) ** 2,
    "does more": lambda p, e: 2 * jgd.losses.logistic(linear(p, e), e["y"]),
    "does more, in NumPy": lambda p, e: jnp.sum(jnp.stack([jgd.losses.logistic(linear(p, e), e["y"])])),
    "not linear": loss_of(jgd.losses.logistic, lambda p, e: linear(p, e) ** 2),
    "not linear: a product": loss_of(jgd.losses.huber(1.0), lambda p, e: p["bias"] * linear(p, e)),
    "not linear: a kink": loss_of(jgd.losses.squared_error, lambda p, e: jax.nn.relu(linear(p, e))),
}


@pytest.mark.parametrize("name", LINEAR)
def test_losses_of_linear_models_have_one(name):
    assert check_linear(LINEAR[name], PARAMS, DATA, "this test") == name
    form = linear_form(LINEAR[name], PARAMS, jax.tree.map(lambda x: x[1], DATA))
    of_form = getattr(jgd.losses, name)
    if name in ("huber", "quantile"):
        of_form = of_form(*form.numbers)
    loss = LINEAR[name](PARAMS, jax.tree.map(lambda x: x[1], DATA))
    np.testing.assert_allclose(of_form(form.prediction, form.target), loss, rtol=1e-6)


def test_predictions_are_those_of_all_examples():
    wanted = DATA["x"] @ PARAMS["weights"] + PARAMS["bias"]
    came = jax.jit(predictions, static_argnums=0)(LINEAR["logistic"], PARAMS, DATA)
    np.testing.assert_allclose(came, wanted, rtol=1e-6)


@pytest.mark.parametrize("why", OTHER)
def test_other_losses_are_refused_with_the_reason(why):
    with pytest.raises(ValueError, match=f"loss .*{why.partition(',')[0].partition(':')[0]}.*this test"):
        check_linear(OTHER[why], PARAMS, DATA, "this test")

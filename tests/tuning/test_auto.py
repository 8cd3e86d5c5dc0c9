"""The rule that chooses its own numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

import jgd
from tests import cases, problems

KEY = jax.random.key(0)
SQUARE = jgd.objective(problems.square)


def numbers(rule):
    """First rate and scale, where the state of the rule has them."""
    return rule.init.args[0]["learning_rate"], rule.init.args[1]


def unscaled():
    """Least squares whose two features are of one scale, so that no scaling is called for."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 2)) @ np.array([[1.0, 0.3], [0.3, 1.2]])
    y = x @ np.array([1.0, -1.0]) + 0.3 * rng.normal(size=50)
    return x, y, {"x": jnp.asarray(x, float), "y": jnp.asarray(y, float)}


@pytest.mark.exhaustive
def test_the_first_rate_is_that_of_curvature_and_noise():
    """Least squares: curvature `2 XᵀX / N`, the gradient of example i at 0 `-2 y_i x_i`."""
    x, y, data = unscaled()
    sharpness = np.linalg.eigvalsh(2 * x.T @ x / 50)[-1]
    gradients = -2 * y[:, None] * x
    noise = gradients.var(axis=0).sum() / np.square(gradients.mean(axis=0)).sum()
    rate, scale = numbers(jgd.auto_rule(SQUARE, jnp.zeros(2), data, key=KEY))
    np.testing.assert_allclose(rate, 1 / sharpness, rtol=1e-3)
    np.testing.assert_array_equal(scale, [1, 1])
    rate, _ = numbers(jgd.auto_rule(SQUARE, jnp.zeros(2), data, batch_size=5, key=KEY))
    np.testing.assert_allclose(rate, 1 / sharpness / (1 + noise / 5), rtol=1e-3)


@pytest.mark.exhaustive
def test_features_of_unlike_scale_get_lengths_of_their_own():
    """Raw breast cancer, whose features are 1e5 apart: what is one rate for all takes far longer."""
    x, y = load_breast_cancer(return_X_y=True)
    data = {"x": jnp.asarray(x, float), "y": jnp.asarray(y)}
    objective = jgd.objective(
        lambda p, e: jgd.losses.logistic(jgd.models.linear.predict(p, e["x"]), e["y"])
    )
    start = jgd.models.linear.init(None, 30)
    rule = jgd.auto_rule(objective, start, data, key=KEY)
    scale = numbers(rule)[1]["weights"]
    squares = np.square(x).mean(axis=0)
    np.testing.assert_allclose(scale * squares, scale[0] * squares[0], rtol=1.0)
    fit = jgd.batch_descent(objective, start, data, rule=rule, epochs=200)
    plain = jgd.batch_descent(
        objective, start, data, rule=jgd.barzilai_borwein(rule.init.args[0]["learning_rate"]), epochs=200
    )
    assert fit.history.loss[-1] < 0.07
    assert plain.history.loss[-1] > 2 * fit.history.loss[-1]


def test_with_kinks_there_is_one_length_for_all():
    x, _, data = unscaled()
    x = x * np.array([1.0, 1e3])
    data = {"x": jnp.asarray(x, float), "y": data["y"]}
    objective = jgd.objective(problems.square, jgd.penalties.l1(0.1))
    assert numbers(jgd.auto_rule(objective, jnp.zeros(2), data, key=KEY))[1] is None


@pytest.mark.exhaustive
def test_a_row_of_weight_0_is_as_if_it_were_not_there():
    _, _, data = unscaled()
    spoiled = jax.tree.map(lambda v: jnp.concatenate([v, jnp.full_like(v[:9], jnp.nan)]), data)
    weights = jnp.concatenate([jnp.ones(50), jnp.zeros(9)])
    whole = numbers(jgd.auto_rule(SQUARE, jnp.zeros(2), data, batch_size=5, key=KEY))
    rest = numbers(jgd.auto_rule(SQUARE, jnp.zeros(2), spoiled, batch_size=5, key=KEY, weights=weights))
    np.testing.assert_allclose(rest[0], whole[0], rtol=1e-4)


@pytest.mark.exhaustive
def test_a_mean_gradient_that_is_0_by_chance_does_not_hold_the_rule():
    data = jnp.array([1.0, -1.0] * 50)
    objective = jgd.objective(lambda p, example: (p**2 - 1) ** 2 + example * p / 2)
    rule = jgd.auto_rule(objective, jnp.zeros(()), data, batch_size=10, key=KEY)
    fit = jgd.minibatch_descent(
        objective, jnp.zeros(()), data, rule=rule, batch_size=10, epochs=50, key=KEY
    )
    np.testing.assert_allclose(abs(fit.params), 1, atol=0.1)


def test_it_is_pure():
    """Under jit and vmap, over params, data and keys, and on to the end of the fit."""
    _, _, data = unscaled()

    @jax.jit
    @jax.vmap
    def train(start, key):
        rule = jgd.auto_rule(SQUARE, start, data, batch_size=10, key=key)
        return jgd.minibatch_descent(
            SQUARE, start, data, rule=rule, batch_size=10, epochs=30, key=key
        ).params

    found = train(jnp.array([[0.0, 0.0], [5.0, 5.0]]), jax.random.split(KEY))
    best = np.linalg.lstsq(np.asarray(data["x"]), np.asarray(data["y"]), rcond=None)[0]
    np.testing.assert_allclose(found, np.stack([best, best]), atol=0.05)


@functools.partial(jax.jit, static_argnames="batch_size")
def fit_of(form, batch_size):
    rows = jnp.broadcast_to(form, (6, 4))
    start = jnp.array([0.5, -0.5])
    objective = jgd.objective(form_loss)
    rule = jgd.auto_rule(objective, start, rows, batch_size=batch_size, key=KEY)
    return jgd.descend(objective, start, rows, rule=rule, batch_size=batch_size, epochs=100, key=KEY)


def form_loss(params, form):
    bowl, slope, constant, kink = form
    total = bowl * jnp.sum(jnp.square(params)) + slope * jnp.sum(params) + constant
    return total + kink * jnp.sum(jnp.abs(params - jnp.array([1.0, 2.0])))


@pytest.mark.parametrize("batch_size", [pytest.param(None, marks=pytest.mark.exhaustive), 2])
def test_hostile_losses_have_an_end(batch_size):
    forms = {
        "constant": [0.0, 0.0, 1.0, 0.0],
        "zero": [0.0, 0.0, 0.0, 0.0],
        "falls without end": [0.0, 1.0, 0.0, 0.0],
        "a maximum": [-1.0, 0.0, 0.0, 0.0],
        "NaN": [jnp.nan, 0.0, 0.0, 0.0],
        "without curvature": [0.0, 0.0, 0.0, 1.0],
        "huge": [1e12, 0.0, 0.0, 0.0],
        "tiny": [1e-12, 0.0, 0.0, 0.0],
    }
    status = jgd.Status
    fits = jax.vmap(lambda form: fit_of(form, batch_size))(jnp.array([*forms.values()]))
    ended = dict(zip(forms, np.asarray(fits.status), strict=True))
    params = dict(zip(forms, np.asarray(fits.params), strict=True))
    assert np.isfinite(fits.params).all()
    assert ended["NaN"] == status.DIVERGED
    assert status.DIVERGED not in [ended[name] for name in ("constant", "zero", "huge", "tiny")]
    np.testing.assert_array_equal(params["constant"], [0.5, -0.5])
    np.testing.assert_allclose(params["huge"], 0, atol=1e-3)
    np.testing.assert_allclose(params["tiny"], 0, atol=1e-3)
    assert params["falls without end"].max() < -10
    assert np.abs(params["without curvature"] - [1, 2]).max() < 0.3


@pytest.mark.exhaustive
def test_a_separable_problem_ends_near_that_of_scikit_learn():
    data = cases.data()
    rule = jgd.auto_rule(cases.objective, cases.params(), data, batch_size=8, key=KEY)
    fit = cases.fit(rule, 8, epochs=200)
    model = LogisticRegression(C=1 / (0.01 * cases.NUM_EXAMPLES), tol=1e-8).fit(*data.values())
    best = {
        "weights": jnp.asarray(model.coef_[0], float),
        "bias": jnp.asarray(model.intercept_[0], float),
    }
    smallest, found = (jgd.value(cases.objective, p, data) for p in (best, fit.params))
    assert found < smallest + 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": jnp.array(4)}, "batch_size is .*, but an int, or None, is wanted"),
        ({"batch_size": 0}, "batch_size is 0, but a whole number from 1 to 50"),
        ({"key": 3}, "key is 3, but one PRNG key is wanted"),
        ({"params": {}}, "holds no array"),
        ({"weights": np.zeros(50)}, "weights are all 0"),
        ({"data": jnp.zeros((0, 2))}, "data has 0 examples"),
        ({"objective": problems.square}, "objective is .*, but an Objective is wanted"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    arguments = {"objective": SQUARE, "params": jnp.zeros(2), "data": unscaled()[2], "key": KEY}
    with pytest.raises(ValueError, match=message):
        jgd.auto_rule(**(arguments | options))


def test_the_rule_goes_into_a_chain():
    _, _, data = unscaled()
    rule = jgd.auto_rule(SQUARE, jnp.zeros(2), data, key=KEY)
    chain = optax.chain(optax.clip_by_global_norm(10.0), rule)
    fit = jgd.batch_descent(SQUARE, jnp.zeros(2), data, rule=chain, epochs=30)
    best = np.linalg.lstsq(np.asarray(data["x"]), np.asarray(data["y"]), rcond=None)[0]
    np.testing.assert_allclose(fit.params, best, atol=1e-3)

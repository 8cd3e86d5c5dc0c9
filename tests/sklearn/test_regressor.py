"""The regressor against scikit-learn's solvers of the same problems."""

import functools

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, LinearRegression, PoissonRegressor, QuantileRegressor, Ridge
from sklearn.preprocessing import StandardScaler

import jgd
from jgd.sklearn import GDRegressor, training

EXACT = {"batch_size": None, "max_iter": 500, "tol": 1e-5, "n_iter_no_change": 100}


@pytest.fixture(scope="module")
def table():
    x, y = load_diabetes(return_X_y=True)
    return StandardScaler().fit_transform(x), (y - y.mean()) / y.std()


def test_least_squares_with_l2_is_ridge(table):
    x, y = table
    model = GDRegressor(alpha=0.1, **EXACT).fit(x, y)
    ridge = Ridge(alpha=0.05 * len(y)).fit(x, y)  # ours is halved in the penalty, not in the loss
    assert_allclose(model.coef_, ridge.coef_, atol=1e-4)
    assert_allclose(model.predict(x), ridge.predict(x), atol=1e-3)
    assert model.status_ == jgd.Status.CONVERGED


@pytest.mark.exhaustive
def test_elastic_net(table):
    x, y = table
    model = GDRegressor(penalty="elastic_net", alpha=0.2, l1_ratio=0.7, rule="coordinate", **EXACT)
    lasso = ElasticNet(alpha=0.1, l1_ratio=0.7, tol=1e-8).fit(x, y)
    assert_allclose(model.fit(x, y).coef_, lasso.coef_, atol=1e-4)
    assert ((model.coef_ == 0) == (lasso.coef_ == 0)).all()


@pytest.mark.exhaustive
def test_counts():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    y = rng.poisson(np.exp(x @ [0.3, -0.2, 0.0] + 1))
    model = GDRegressor("poisson", alpha=0.1, **EXACT).fit(x, y)
    expected = PoissonRegressor(alpha=0.1, tol=1e-8).fit(x, y)
    assert_allclose(model.predict(x), expected.predict(x), rtol=1e-3)


@pytest.mark.exhaustive
def test_a_loss_given_as_a_function(table):
    x, y = table
    model = GDRegressor(
        jgd.losses.quantile(0.8),
        penalty="l1",
        alpha=0.01,
        rule="primal_dual",
        batch_size=None,
        max_iter=200,
    )
    expected = QuantileRegressor(quantile=0.8, alpha=0.01).fit(x, y)
    assert_allclose(model.fit(x, y).predict(x), expected.predict(x), atol=0.05)


def test_many_outputs_are_each_by_itself(table):
    x, y = table
    both = np.stack([y, x[:, 0] - 2 * x[:, 3]], axis=1)
    model = GDRegressor(penalty=None, **EXACT).fit(x, both)
    expected = LinearRegression().fit(x, both)
    assert model.coef_.shape == (2, x.shape[1])
    assert_allclose(model.predict(x), expected.predict(x), atol=2e-3)


def test_no_intercept(table):
    x, y = table
    model = GDRegressor(penalty=None, fit_intercept=False, **EXACT).fit(x, y + 1)
    expected = LinearRegression(fit_intercept=False).fit(x, y + 1)
    assert_allclose(model.predict(x), expected.predict(x), atol=2e-3)
    assert model.intercept_.tolist() == [0]


def test_a_weight_of_two_is_an_example_twice(table):
    x, y = table
    weights = np.arange(len(y)) % 3
    weighted = GDRegressor(alpha=0.1, **EXACT).fit(x, y, sample_weight=weights)
    repeated = GDRegressor(alpha=0.1, **EXACT).fit(np.repeat(x, weights, axis=0), np.repeat(y, weights))
    assert_allclose(weighted.coef_, repeated.coef_, atol=1e-4)


def test_partial_fits_are_the_epochs_of_a_fit(table):
    x, y = table
    rule = {"rule": "sgd", "learning_rate": 0.01, "momentum": 0.9, "random_state": 3}
    whole = GDRegressor(max_iter=3, tol=None, **rule).fit(x, y)
    parts = GDRegressor(**rule)
    for _ in range(3):
        parts.partial_fit(x, y)
    assert_allclose(parts.coef_, whole.coef_, rtol=1e-6)
    assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-6)
    assert parts.n_iter_ == 3


def test_partial_fit_takes_parts_of_any_length(table):
    x, y = table
    model = GDRegressor(random_state=0)
    for rows in (slice(0, 100), slice(100, 110), slice(110, 400)) * 5:
        model.partial_fit(x[rows], y[rows])
    assert model.score(x, y) > 0.4


def test_a_warm_start_goes_on_from_the_last_params(table):
    x, y = table
    options = {"penalty": None, "batch_size": None, "max_iter": 30, "tol": None, "warm_start": True}
    model = GDRegressor(**options).fit(x, y)
    first = model.loss_curve_[-1]
    assert model.fit(x, y).loss_curve_[0] <= first
    with pytest.raises(ValueError, match="warm_start"):
        model.fit(x[:, :9], y)


def test_early_stopping_keeps_the_params_that_were_best_on_what_is_held_out(table):
    x, y = table
    model = GDRegressor(
        hidden_layer_sizes=(32,),
        rule="adam",
        learning_rate=0.01,
        early_stopping=True,
        n_iter_no_change=5,
        random_state=0,
    ).fit(x, y)
    assert model.n_iter_ < model.max_iter
    assert np.argmin(model.validation_loss_curve_) == model.n_iter_ - 1 - 5


@pytest.mark.parametrize("rule", [optax.adam(0.01), jgd.adam(0.01)], ids=["optax", "jgd"])
@pytest.mark.exhaustive
def test_rules_given_as_objects(table, rule):
    x, y = table
    model = GDRegressor(rule=rule, random_state=0, max_iter=20, tol=None).fit(x, y)
    named = GDRegressor(rule="adam", learning_rate=0.01, random_state=0, max_iter=20, tol=None).fit(x, y)
    assert_allclose(model.coef_, named.coef_, atol=1e-5)


@pytest.mark.exhaustive
def test_a_penalty_given_as_an_object(table):
    x, y = table
    box = jgd.penalties.box(-0.1, 0.1, mask={"weights": True, "bias": False})
    model = GDRegressor(penalty=box, **EXACT).fit(x, y)
    assert np.abs(model.coef_).max() == pytest.approx(0.1)


def test_it_says_how_it_ended(table):
    x, y = table
    with pytest.warns(ConvergenceWarning, match=r"EPOCHS_DONE after 2 of 2 .*max_iter"):
        GDRegressor(max_iter=2).fit(x, y)
    with pytest.warns(ConvergenceWarning, match=r"DIVERGED .*learning_rate"):
        model = GDRegressor(learning_rate=100.0, batch_size=None).fit(x, y)
    assert model.status_ == jgd.Status.DIVERGED
    assert np.isfinite(model.predict(x)).all()
    assert "DIVERGED" in model.explain()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"loss": "squared_eror"}, r"loss is 'squared_eror'.*Did you mean 'squared_error'"),
        ({"loss": 3}, "loss is 3"),
        ({"penalty": "l3"}, "penalty is 'l3'"),
        ({"penalty": 0.1}, "penalty is 0.1"),
        ({"rule": "adm"}, r"rule is 'adm'.*Did you mean 'adam'"),
        (
            {"rule": jgd.sgd(0.1), "learning_rate": 0.1},
            "learning_rate or momentum is given beside a rule",
        ),
        ({"rule": "barzilai_borwein"}, "takes all examples at once"),
        ({"momentum": 0.9}, "momentum is given"),
        ({"alpha": -1}, "alpha is -1, but a number >= 0"),
        ({"alpha": 1e300}, "alpha is 1e.300"),
        ({"learning_rate": 1e-60}, "learning_rate is 1e-60, but a number > 0"),
        ({"max_iter": 2**40}, "max_iter is 1099511627776, but a whole number from 1 to 10,000,000"),
        ({"fit_intercept": "no"}, "fit_intercept is 'no'"),
        ({"rule": "coordinate", "learning_rate": 0.1, "batch_size": None}, "no learning rate"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"tol": float("nan")}, "tol is nan"),
        ({"batch_size": 0}, r"batch_size is 0.*None"),
        ({"max_iter": 1.5}, "max_iter is 1.5"),
        ({"hidden_layer_sizes": 8}, "hidden_layer_sizes is 8"),
        ({"hidden_layer_sizes": (8,), "fit_intercept": False}, "fit_intercept is False"),
        ({"activation": "selu"}, "activation is 'selu'"),
        ({"shuffle": 1}, "shuffle is 1"),
    ],
)
def test_bad_parameters_are_named_before_any_work(table, parameters, words):
    with pytest.raises(ValueError, match=words):
        GDRegressor(**parameters).fit(*table)


def test_bad_targets_and_weights(table):
    x, y = table
    with pytest.raises(ValueError, match="never below 0"):
        GDRegressor("poisson").fit(x, y)
    with pytest.raises(ValueError, match=r"not all of them 0|non-zero"):
        GDRegressor().fit(x, y, sample_weight=np.zeros(len(y)))
    with pytest.raises(ValueError, match="Negative"):
        GDRegressor().fit(x, y, sample_weight=-np.ones(len(y)))
    with pytest.raises(ValueError, match=r"y holds numbers up to .* too large for float32"):
        GDRegressor().fit(x, y * 1e300)
    with pytest.raises(ValueError, match="too large for dtype"):
        GDRegressor().fit(x * 1e300, y)


def test_a_loss_of_ones_own():
    def cubed(prediction, target):
        return jnp.abs(prediction - target) ** 3

    x = np.linspace(-1, 1, 50)[:, None]
    model = GDRegressor(cubed, penalty=None, batch_size=None, tol=None, max_iter=100).fit(x, 2 * x[:, 0])
    assert_allclose(model.coef_, [2], atol=0.1)


def test_partial_fit_after_early_stopping_goes_on_from_the_best_params(table):
    x, y = table
    model = GDRegressor(
        rule="adam", learning_rate=0.01, early_stopping=True, n_iter_no_change=2, random_state=0
    )
    model.fit(x, y)
    best, epochs = model.coef_, model.n_iter_
    model.partial_fit(x[:32], y[:32])  # one step of adam
    assert np.abs(model.coef_ - best).max() < 0.011
    assert model.partial_fit(x, y).n_iter_ == epochs + 2


@pytest.mark.exhaustive
def test_partial_fit_with_other_numbers_of_examples_or_another_rule(table):
    x, y = table
    model = GDRegressor(rule="saga", random_state=0)
    for rows in (60, 20, 20):
        model.partial_fit(x[:rows], y[:rows])
    model.set_params(rule="adam").partial_fit(x, y)
    with pytest.raises(ValueError, match="no longer those"):
        model.partial_fit(x, np.stack([y, y], axis=1))
    model.set_params(rule="sgd", learning_rate=1e30, batch_size=None).partial_fit(x, y)
    with pytest.warns(ConvergenceWarning, match="DIVERGED"):
        model.partial_fit(x, y)


def test_a_bound_number_of_a_loss_compiles_nothing(table):
    x, y = table
    options = {"max_iter": 1, "tol": None, "random_state": 0}
    scaled = functools.partial(weighed, factor=2.0)
    GDRegressor(scaled, **options).fit(x, y)
    programs = training._run._cache_size()
    clone(GDRegressor(functools.partial(weighed, factor=3.0), **options)).fit(x, y)
    assert training._run._cache_size() == programs


def weighed(prediction, target, factor):
    return factor * jgd.losses.squared_error(prediction, target)

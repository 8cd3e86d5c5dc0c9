"""Searches as lanes against `GridSearchCV` over the same estimator."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_diabetes, load_digits
from sklearn.metrics import make_scorer, max_error, mean_absolute_error
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, TimeSeriesSplit
from sklearn.preprocessing import StandardScaler

import jgd.sklearn.grid
from jgd.sklearn import GDClassifier, GDClassifierCV, GDRegressor, GDRegressorCV


def assert_same(search, x, y, **fit):
    grid = GridSearchCV(search.estimator, search.param_grid, cv=search.cv, scoring=search.scoring)
    grid.fit(x, y, **fit)
    search.fit(x, y, **fit)
    assert search.best_params_ == grid.best_params_
    for name in ("mean_test_score", "std_test_score", "split0_test_score", "split2_test_score"):
        assert_allclose(search.cv_results_[name], grid.cv_results_[name], atol=1e-5)
    assert_allclose(search.predict(x), grid.predict(x), atol=1e-5)


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return x[:300] / 16, y[:300]


@pytest.fixture(scope="module")
def diabetes():
    x, y = load_diabetes(return_X_y=True)
    return StandardScaler().fit_transform(x)[:200], (y[:200] - y.mean()) / y.std()


def test_sixty_four_lanes_are_the_fits_of_grid_search(digits):
    grid = {"learning_rate": np.logspace(-3.5, -1.5, 8), "alpha": np.logspace(-5, -1, 8)}
    estimator = GDClassifier(batch_size=1, max_iter=2, tol=None, random_state=0)
    assert_same(GDClassifierCV(estimator, grid, cv=3), *digits)


@pytest.mark.exhaustive
def test_parameters_that_make_programs_of_their_own(digits):
    grid = [
        {"loss": ["log_loss", "squared_hinge"], "learning_rate": [0.01, 0.1]},
        {"hidden_layer_sizes": [(8,)], "batch_size": [16, None], "learning_rate": [0.1]},
        {"class_weight": ["balanced", {0: 5.0}], "learning_rate": [0.1]},
    ]
    assert_same(GDClassifierCV(GDClassifier(max_iter=3, tol=None, random_state=0), grid, cv=3), *digits)


@pytest.mark.exhaustive
def test_what_is_held_out_to_stop_by_is_the_same(digits):
    x, y = digits
    estimator = GDClassifier(
        learning_rate=0.05, early_stopping=True, n_iter_no_change=2, max_iter=30, random_state=0
    )
    weights = 1.0 + np.arange(len(y)) % 3
    assert_same(GDClassifierCV(estimator, {"alpha": [1e-4, 1e-2]}, cv=3), x, y, sample_weight=weights)


def test_regression_with_a_scorer_of_ones_own(diabetes):
    scoring = make_scorer(mean_absolute_error, greater_is_better=False)
    estimator = GDRegressor(rule="adam", learning_rate=0.01, max_iter=5, tol=None, random_state=0)
    grid = {"alpha": [1e-3, 1.0], "learning_rate": [1e-3, 1e-2]}
    assert_same(GDRegressorCV(estimator, grid, cv=3, scoring=scoring), *diabetes)


@pytest.mark.exhaustive
def test_a_second_search_compiles_nothing(diabetes):
    x, y = diabetes
    search = GDRegressorCV(GDRegressor(max_iter=2, tol=None), {"alpha": [1e-3, 1.0]}, cv=3).fit(x, y)
    before = jgd.sklearn.grid._program.cache_info().misses
    search.set_params(param_grid={"alpha": [1e-4, 2.0]}).fit(x, y)
    assert jgd.sklearn.grid._program.cache_info().misses == before


def test_what_diverged_is_counted_and_loses(diabetes):
    estimator = GDRegressor(batch_size=None, max_iter=100, tol=None)
    search = GDRegressorCV(estimator, {"learning_rate": [0.1, 1e3]}, cv=3).fit(*diabetes)
    assert search.best_params_ == {"learning_rate": 0.1}
    assert search.cv_results_["diverged"].tolist() == [0, 3]
    assert "3 of 6 fits diverged" in search.explain()


def test_bad_searches_are_refused(diabetes):
    with pytest.raises(ValueError, match=r"'alfa'.*Did you mean 'alpha'"):
        GDRegressorCV(param_grid={"alfa": [1.0]}).fit(*diabetes)
    with pytest.raises(ValueError, match="alpha is -1"):
        GDRegressorCV(param_grid={"alpha": [1.0, -1]}).fit(*diabetes)
    with pytest.raises(ValueError, match="make_pipeline"):
        GDRegressorCV(StandardScaler()).fit(*diabetes)
    with pytest.raises(ValueError, match="param_grid is"):
        GDRegressorCV(param_grid=[]).fit(*diabetes)
    with pytest.raises(ValueError, match="fold 0 holds what is no place"):
        GDRegressorCV(cv=[(np.arange(30), np.arange(190, 210))]).fit(*diabetes)
    with pytest.raises(ValueError, match="fold 0 learns from"):
        GDRegressorCV(cv=KFold(2)).fit(*diabetes, sample_weight=np.arange(200) < 100)
    with pytest.raises(ValueError, match="weight"):
        GDRegressorCV().fit(*diabetes, weight=1)


@pytest.mark.exhaustive
def test_folds_of_all_kinds(diabetes):
    x, y = diabetes
    estimator = GDRegressor(
        rule="adam", learning_rate=0.01, max_iter=3, tol=None, random_state=0, early_stopping=True
    )
    grid = {"alpha": [1e-3, 1.0]}
    masks = np.arange(200) % 3 == np.arange(3)[:, None]
    lists = [(np.flatnonzero(~mask).tolist(), np.flatnonzero(mask).tolist()) for mask in masks]
    expected = GDRegressorCV(estimator, grid, cv=lists).fit(x, y).cv_results_["mean_test_score"]
    of_masks = GDRegressorCV(estimator, grid, cv=[(~mask, mask) for mask in masks]).fit(x, y)
    assert_allclose(of_masks.cv_results_["mean_test_score"], expected)
    groups = np.arange(200) % 3
    of_groups = GDRegressorCV(estimator, grid, cv=GroupKFold(3)).fit(x, y, groups=groups)
    assert_allclose(np.sort(of_groups.cv_results_["mean_test_score"]), np.sort(expected), atol=1e-6)
    assert_same(GDRegressorCV(estimator, grid, cv=TimeSeriesSplit(3, test_size=2)), x, y)


@pytest.mark.exhaustive
def test_scores_are_by_the_scorer_and_need_not_take_weights(diabetes):
    x, y = diabetes
    estimator = GDRegressor(rule="adam", learning_rate=0.01, max_iter=3, tol=None, random_state=0)
    search = GDRegressorCV(estimator, {"alpha": [1e-3]}, cv=3, scoring=make_scorer(max_error))
    search.fit(x, y, sample_weight=np.ones(200))
    assert search.score(x, y) == pytest.approx(max_error(y, search.predict(x)))
    with pytest.raises(ValueError, match="no configuration has a score"):
        GDRegressorCV(estimator, {"alpha": [1e-3]}, cv=TimeSeriesSplit(2, test_size=1)).fit(x, y)

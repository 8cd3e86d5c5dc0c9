"""The classifier against scikit-learn's solvers of the same problems, and among its tools."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import jgd
from jgd.sklearn import GDClassifier, training

EXACT = {"batch_size": None, "max_iter": 500, "tol": 1e-5, "n_iter_no_change": 100}


@pytest.fixture(scope="module")
def iris():
    x, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(x), np.array(["setosa", "versicolor", "virginica"])[y]


@pytest.fixture(scope="module")
def cancer():
    x, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(x), y


@pytest.mark.parametrize("data", ["iris", "cancer"])
def test_log_loss_is_logistic_regression(data, request):
    x, y = request.getfixturevalue(data)
    model = GDClassifier(alpha=0.1, **EXACT).fit(x, y)
    expected = LogisticRegression(C=1 / (0.1 * len(y)), tol=1e-8, max_iter=1000).fit(x, y)
    assert_allclose(model.coef_, expected.coef_, atol=1e-3)
    assert_allclose(model.predict_proba(x), expected.predict_proba(x), atol=1e-3)
    assert_allclose(model.predict_log_proba(x), np.log(model.predict_proba(x)))
    assert_array_equal(model.classes_, expected.classes_)
    assert model.score(x, y) == pytest.approx(expected.score(x, y), abs=0.01)


def test_squared_hinge_of_many_classes_is_each_against_all_others(iris):
    x, y = iris
    model = GDClassifier("squared_hinge", alpha=0.1, fit_intercept=False, **EXACT).fit(x, y)
    expected = LinearSVC(C=1 / (0.1 * len(y)), fit_intercept=False, tol=1e-8, max_iter=10_000)
    assert_allclose(model.coef_, expected.fit(x, y).coef_, atol=5e-3)
    with pytest.raises(AttributeError) as refusal:
        model.predict_proba(x)
    assert "CalibratedClassifierCV" in str(refusal.value.__cause__)


def test_class_weights_are_weights_of_examples(cancer):
    x, y = cancer
    model = GDClassifier(class_weight="balanced", alpha=0.1, **EXACT).fit(x, y)
    expected = LogisticRegression(class_weight="balanced", C=1 / (0.1 * len(y)), tol=1e-8).fit(x, y)
    assert_allclose(model.coef_, expected.coef_, atol=1e-3)


def test_a_perceptron_learns_what_no_line_parts():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    y = x[:, 0] * x[:, 1] > 0
    line = GDClassifier(max_iter=30, tol=None, random_state=0).fit(x, y)
    bent = GDClassifier(
        hidden_layer_sizes=(16,), rule="adam", learning_rate=0.01, max_iter=100, tol=None, random_state=0
    ).fit(x, y)
    assert line.score(x, y) < 0.7
    assert bent.score(x, y) > 0.95
    assert [w.shape for w in bent.coefs_] == [(2, 16), (16, 1)]


def test_a_clone_compiles_nothing_and_learns_the_same(cancer):
    x, y = cancer
    model = GDClassifier(max_iter=3, tol=None, learning_rate=0.1, random_state=0).fit(x, y)
    programs = training._run._cache_size()
    same = clone(model).fit(x, y)
    clone(model).set_params(learning_rate=0.05, alpha=0.3, l1_ratio=0.1, random_state=7).fit(x, y)
    assert training._run._cache_size() == programs
    assert_array_equal(same.coef_, model.coef_)


def test_it_can_be_pickled(iris):
    x, y = iris
    model = GDClassifier(max_iter=3, tol=None, random_state=0).fit(x, y)
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict_proba(x), model.predict_proba(x))
    assert again.status_ is jgd.Status.EPOCHS_DONE
    assert again.explain() == model.explain()


def test_partial_fit_wants_all_classes_at_first(iris):
    x, y = iris
    model = GDClassifier(random_state=0)
    with pytest.raises(ValueError, match="classes is None"):
        model.partial_fit(x, y)
    for rows in (slice(0, 75), slice(75, 150)) * 10:  # each has two of the three classes
        model.partial_fit(x[rows], y[rows], classes=np.unique(y))
    assert model.score(x, y) > 0.8
    with pytest.raises(ValueError, match="rose"):
        model.partial_fit(x[:2], ["rose", "setosa"])
    with pytest.raises(ValueError, match="at the first call"):
        model.partial_fit(x[:2], y[:2], classes=["setosa", "rose"])


def test_tools_of_scikit_learn_take_it(cancer):
    x, y = cancer
    short = GDClassifier("hinge", max_iter=5, tol=None, learning_rate=0.01, random_state=0)
    pipeline = make_pipeline(StandardScaler(), short)
    assert cross_val_score(pipeline, x, y, cv=3).mean() > 0.9
    search = GridSearchCV(pipeline, {"gdclassifier__alpha": [1e-4, 100.0]}, cv=3).fit(x, y)
    assert search.best_params_ == {"gdclassifier__alpha": 1e-4}
    calibrated = CalibratedClassifierCV(short, cv=3).fit(x, y)
    assert calibrated.predict_proba(x).shape == (len(y), 2)


def test_what_it_cannot_take_is_said(iris):
    x, y = iris
    with pytest.raises(TypeError, match=r"(?i)sparse.*toarray"):
        GDClassifier().fit(csr_array(x), y)
    with pytest.raises(ValueError, match="one class alone"):
        GDClassifier().fit(x[:50], y[:50])
    with pytest.raises(ValueError, match="Did you mean 'hinge'"):
        GDClassifier("hinges").fit(x, y)
    with pytest.raises(ValueError, match="NaN"):
        GDClassifier().fit(np.where(x > 2, np.nan, x), y)
    with pytest.raises(ValueError, match=r"weights from -1 to 1 .*>= 0"):
        GDClassifier(class_weight={"setosa": -1.0}).fit(x, y)
    with pytest.raises(ValueError, match=r"class_weight names \['rose'\]"):
        GDClassifier(class_weight={"rose": 2.0}).fit(x, y)
    with pytest.raises(ValueError, match="early_stopping cannot hold out"):
        GDClassifier(early_stopping=True).fit(x[:101], y[:101])
    model = GDClassifier(max_iter=1, tol=None, warm_start=True)
    with pytest.raises(NotFittedError):
        model.explain()
    model.fit(x, y)
    with pytest.raises(ValueError, match="4 features"):
        model.predict(x[:, :2])
    with pytest.raises(ValueError, match="warm_start goes on from a fit of the classes"):
        model.fit(x, np.where(y == "setosa", "rose", y))
    with pytest.raises(ValueError, match="partial_fit sees a part"):
        model.set_params(class_weight="balanced").partial_fit(x, y)

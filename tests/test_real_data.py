"""The main job on real data, against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split

import jgd


def softmax_loss(params, example):
    x, label = example
    return jgd.losses.softmax(jgd.models.linear.predict(params, x), label)


def logistic_loss(params, example):
    x, label = example
    return jgd.losses.logistic(jgd.models.linear.predict(params, x), label)


def squared_loss(params, example):
    x, y = example
    return jgd.losses.squared_error(jgd.models.linear.predict(params, x), y)


def accuracy(params, examples):
    x, label = examples
    scores = jax.vmap(jgd.models.linear.predict, (None, 0))(params, x)
    return jnp.mean((scores.argmax(-1) if scores.ndim > 1 else scores > 0) == label)


def split(load):
    x, y = load(return_X_y=True)
    return train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)


@pytest.mark.exhaustive
def test_digits_reach_95_percent_within_30_epochs():
    x, x_test, y, y_test = split(load_digits)
    fit = jgd.minibatch_descent(
        jgd.objective(softmax_loss),
        jgd.models.linear.init(jax.random.key(0), 64, 10),
        (x / 16, y),
        batch_size=32,
        rule=jgd.sgd(0.5),
        epochs=30,
        key=jax.random.key(0),
        evaluate=accuracy,
        validation=(x_test / 16, y_test),
    )
    assert fit.history.evaluation[-1] >= 0.95
    assert fit.history.evaluation[-1] == accuracy(fit.params, (jnp.asarray(x_test / 16), y_test))


@pytest.mark.parametrize(
    ("batch_size", "rate", "epochs"),
    [
        pytest.param(None, 1.0, 300, marks=pytest.mark.exhaustive),
        (1, 0.005, 50),
        pytest.param(32, 0.1, 100, marks=pytest.mark.exhaustive),
        (np.array(32), 0.1, 100),
    ],
)
@pytest.mark.parametrize(
    "labels", [int, *(pytest.param(kind, marks=pytest.mark.exhaustive) for kind in (bool, float))]
)
def test_breast_cancer_reaches_96_percent(batch_size, rate, epochs, labels):
    x, x_test, y, y_test = split(load_breast_cancer)
    transform, _ = jgd.features.standardize(x)
    fit = jgd.descend(
        jgd.objective(logistic_loss),
        jgd.models.linear.init(jax.random.key(0), 30),
        (transform(x), y.astype(labels)),
        rule=jgd.sgd(rate),
        batch_size=batch_size,
        epochs=epochs,
        key=jax.random.key(0),
    )
    assert accuracy(fit.params, (transform(x_test), y_test)) >= 0.96


def test_breast_cancer_converges_to_the_model_of_scikit_learn():
    x, _, y, _ = split(load_breast_cancer)
    transform, _ = jgd.features.standardize(x)
    penalty = jgd.penalties.l2(0.1, mask={"weights": True, "bias": False})
    fit = jgd.batch_descent(
        jgd.objective(logistic_loss, penalty),
        jgd.models.linear.init(jax.random.key(0), 30),
        (transform(x), y),
        rule=jgd.sgd(0.3, momentum=0.9),
        epochs=3000,
        stop=jgd.stop.gradient_norm(1e-5),
    )
    model = LogisticRegression(C=1 / (0.1 * len(y)), tol=1e-8, max_iter=1000).fit(transform(x), y)
    assert fit.status == jgd.Status.CONVERGED
    np.testing.assert_allclose(fit.params["weights"], model.coef_[0], atol=3e-4)
    np.testing.assert_allclose(fit.params["bias"], model.intercept_[0], atol=3e-4)


def test_diabetes_ridge_is_that_of_scikit_learn():
    x, y = load_diabetes(return_X_y=True)
    transform, _ = jgd.features.standardize(x)
    target = (y - y.mean()) / y.std()
    penalty = jgd.penalties.l2(0.2, mask={"weights": True, "bias": False})
    fit = jgd.batch_descent(
        jgd.objective(squared_loss, penalty),
        jgd.models.linear.init(jax.random.key(0), 10),
        (transform(x), target),
        rule=jgd.sgd(0.1, momentum=0.9),
        epochs=3000,
        stop=jgd.stop.gradient_norm(1e-6),
    )
    model = Ridge(alpha=0.1 * len(y)).fit(transform(x), target)
    assert fit.status == jgd.Status.CONVERGED
    np.testing.assert_allclose(fit.params["weights"], model.coef_, atol=1e-5)

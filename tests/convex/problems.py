"""Penalised linear models in float64, and scikit-learn's solutions of the same objectives."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn import linear_model, svm

import jgd

NUM, FEATURES = 60, 5
MASK = {"weights": True, "bias": False}


def rows(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(NUM, FEATURES)) @ np.diag([1.0, 2.0, 0.5, 1.0, 1.5]) + 0.3
    scores = x @ np.array([1.0, -1.0, 0.0, 0.5, 0.0]) + 0.4
    y = scores + rng.normal(size=NUM)
    return x, y, (scores + rng.logistic(size=NUM) > 0).astype(int), rng.integers(0, 3, NUM)


def loss_of(loss):
    return lambda params, example: loss(jgd.models.linear.predict(params, example[0]), example[1])


SQUARES = loss_of(jgd.losses.squared_error)
LOGISTIC = loss_of(jgd.losses.logistic)
SOFTMAX = loss_of(jgd.losses.softmax)
SQUARED_HINGE = loss_of(jgd.losses.squared_hinge)
HUBER = loss_of(jgd.losses.huber(0.7))
HINGE = loss_of(jgd.losses.hinge)
QUANTILE = loss_of(jgd.losses.quantile(0.3))


def start(outputs=None):
    return jgd.models.linear.init(None, FEATURES, outputs)


def problem(name):
    """Objective, start, data and the solution of scikit-learn, as params."""
    x, y, label, kind = rows()
    strength = 0.2
    penalty = {
        "l1": jgd.penalties.l1(strength, MASK),
        "l2": jgd.penalties.l2(strength, MASK),
        "elastic_net": jgd.penalties.elastic_net(strength, 0.3, MASK),
    }
    tight = {"tol": 1e-12, "max_iter": 200_000}
    # The C of scikit-learn multiplies the sum of the losses.
    c = 1 / (strength * NUM)
    logistic = linear_model.LogisticRegression
    cases = {
        "ridge": (SQUARES, "l2", y, linear_model.Ridge(strength / 2 * NUM)),
        "lasso": (SQUARES, "l1", y, linear_model.Lasso(strength / 2, **tight)),
        "elastic net": (
            SQUARES,
            "elastic_net",
            y,
            linear_model.ElasticNet(strength / 2, l1_ratio=0.3, **tight),
        ),
        "logistic l2": (LOGISTIC, "l2", label, logistic(C=c, **tight)),
        "logistic l1": (LOGISTIC, "l1", label, logistic(C=c, l1_ratio=1, solver="saga", **tight)),
        "multinomial l2": (SOFTMAX, "l2", kind, logistic(C=c, **tight)),
        "multinomial l1": (SOFTMAX, "l1", kind, logistic(C=c, l1_ratio=1, solver="saga", **tight)),
        # liblinear penalises the intercept too, so it has none here.
        "squared hinge": (
            SQUARED_HINGE,
            "l2",
            label,
            svm.LinearSVC(C=c, fit_intercept=False, **tight),
        ),
    }
    loss, kind_of, targets, model = cases[name]
    model.fit(x, targets)
    params = start(3 if name.startswith("multinomial") else None)
    if name == "squared hinge":
        params = {"weights": params["weights"]}
    coef = np.asarray(model.coef_)
    if name.startswith("multinomial"):
        solution = {"weights": coef.T, "bias": model.intercept_}
    else:
        solution = {"weights": coef.ravel(), "bias": np.ravel(model.intercept_)[0]}
    solution = {key: jnp.asarray(solution[key]) for key in params}
    objective = jgd.objective(loss, penalty[kind_of])
    if name == "squared hinge":
        objective = jgd.objective(loss, jgd.penalties.l2(strength))
    params = jax.tree.map(lambda p: jnp.zeros(p.shape), params)
    return objective, params, (jnp.asarray(x), jnp.asarray(targets)), solution

"""Certificates: never below the true distance from the minimum, on 300 random problems, and closing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import jgd
from jgd import losses, penalties
from tests.problems import x64

MASK = {"weights": True, "bias": False}
NUM, FEATURES, PROBLEMS = 24, 4, 25  # of each pair of a loss and a penalty
LOSSES = {
    "squared_error": losses.squared_error,
    "logistic": losses.logistic,
    "huber": losses.huber(0.5),
    "squared_hinge": losses.squared_hinge,
    "hinge": losses.hinge,
    "quantile": losses.quantile(0.3),
    "softmax": losses.softmax,
    "poisson": losses.poisson,
}
PENALTIES = {
    "l1": penalties.l1,
    "l2": penalties.l2,
    "elastic_net": functools.partial(penalties.elastic_net, l1_ratio=0.4),
    "group_l1": functools.partial(penalties.group_l1, groups=[0, 0, 1, 1]),
    "nuclear": penalties.nuclear,
    "l2_ball": lambda s, mask: penalties.l2_ball(4 * s, mask),
    "l1_ball": lambda s, mask: penalties.l1_ball(4 * s, mask),
    "box": lambda s, mask: penalties.box(-s, 2 * s, mask),
    "simplex": lambda s, mask: penalties.simplex(4 * s, mask),
}
# Every loss and every penalty; with 25 problems each they are 300. The last tells of an intercept.
PAIRS = [
    ("squared_error", "l2", True),
    ("squared_error", "simplex", True),
    ("squared_error", "box", False),
    ("logistic", "l1", True),
    ("logistic", "l2", True),
    ("logistic", "l2_ball", True),
    ("huber", "elastic_net", True),
    ("squared_hinge", "group_l1", True),
    ("hinge", "l2", True),
    ("quantile", "elastic_net", True),
    ("softmax", "nuclear", True),
    ("poisson", "l1_ball", False),
]
KINKED = ("hinge", "quantile")


def of_loss(name):
    loss = LOSSES[name]
    return lambda params, example: loss(jgd.models.linear.predict(params, example[0]), example[1])


def made(name, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(PROBLEMS, NUM, FEATURES))
    scores = x @ rng.normal(size=FEATURES) + 0.3
    y = scores + rng.normal(size=scores.shape)
    if name in ("logistic", "squared_hinge", "hinge"):
        y = (y > 0).astype(int)
    elif name == "softmax":
        y = rng.integers(0, 3, y.shape)
    elif name == "poisson":
        y = rng.poisson(np.exp(np.clip(scores, -2, 2)))
    strengths = rng.uniform(0.05, 0.4, PROBLEMS)
    weights = rng.choice([0.0, 0.5, 1.0, 2.0], (PROBLEMS, NUM))
    return tuple(map(jnp.asarray, (x, y, strengths, weights)))


def solved(name, penalty, has_bias):
    """J and gap at a start, halfway and at the end of a descent, for each of the random problems."""
    loss, outputs = of_loss(name), 3 if name == "softmax" else None

    def one(x, y, strength, weights, noise):
        mask = MASK if has_bias else {"weights": True}
        objective = jgd.objective(loss, PENALTIES[penalty](strength, mask=mask))
        start = jgd.models.linear.init(None, FEATURES, outputs, bias=has_bias)
        start = jax.tree.map(lambda p: p + noise, start)
        start = objective.penalty.prox(start, 0.0)
        rule = jgd.primal_dual() if name in KINKED else jgd.accelerated()
        fit = functools.partial(jgd.batch_descent, rule=rule, epochs=80)
        few = jgd.batch_descent(objective, start, (x, y), rule=jgd.sgd(0.02), epochs=10, weights=weights)
        end = fit(objective, start, (x, y), weights=weights)
        points = start, few.params, end.params
        values = [jgd.value(objective, p, (x, y), weights) for p in points]
        gaps = [jgd.duality_gap(objective, p, (x, y), weights) for p in points]
        return jnp.stack(values), jnp.stack(gaps)

    with x64():
        noise = jnp.asarray(np.random.default_rng(9).uniform(0, 0.5, PROBLEMS))
        return map(np.asarray, jax.jit(jax.vmap(one))(*made(name, 1), noise))


def falling(strength, step):
    return 1 / (strength * (step + 20))


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "penalty", "has_bias"), PAIRS)
def test_the_gap_is_never_below_the_truth_and_closes(name, penalty, has_bias):
    """The truth is at least what the lowest of the three values tells, whose own gap bounds the rest."""
    values, gaps = solved(name, penalty, has_bias)
    lowest = values[:, 2:]
    assert np.all(gaps >= values - lowest)
    assert np.all(gaps > 0)
    assert np.median(gaps[:, 0]) > 1e-3
    assert gaps[:, 2].max() <= 1e-6


def test_ridge_knows_its_minimum():
    """Against the closed form, in float32 and float64, with an intercept and far from the minimum."""
    x, y, _, _ = made("squared_error", 3)
    x, y = np.asarray(x[0]), np.asarray(y[0])
    design = np.c_[x, np.ones(NUM)]
    held = np.diag([1.0] * FEATURES + [0.0])
    solution = np.linalg.solve(2 * design.T @ design / NUM + 0.2 * held, 2 * design.T @ y / NUM)

    def j(p):
        return np.mean((design @ p - y) ** 2) + 0.1 * p @ held @ p

    for dtype, rounding in (("float64", 1e-12), ("float32", 1e-4)):
        with x64():
            objective = jgd.objective(of_loss("squared_error"), penalties.l2(0.2, MASK))
            for distance in (0.0, 1e-6, 1e-3, 1.0):
                p = solution + distance * np.arange(1.0, 6.0)
                params = {"weights": jnp.asarray(p[:-1], dtype), "bias": jnp.asarray(p[-1], dtype)}
                gap = jgd.duality_gap(objective, params, (jnp.asarray(x, dtype), jnp.asarray(y, dtype)))
                truth = j(np.append(params["weights"], params["bias"])) - j(solution)
                assert truth <= gap <= 600 * distance**2 + rounding, (dtype, distance)


def test_stop_test_record_and_words():
    x, y, _, _ = made("logistic", 4)
    data = x[0].astype(jnp.float32), y[0]
    objective = jgd.objective(of_loss("logistic"), penalties.l2(0.1, MASK))
    start = jgd.models.linear.init(None, FEATURES)
    fit = jgd.minibatch_descent(
        objective, start, data, rule=jgd.sgd(Partial(falling, jnp.array(0.1))), batch_size=6, epochs=400,
        key=jax.random.key(0), stop=jgd.stop.duality_gap(1e-3),
    )  # fmt: skip
    gaps = fit.history.duality_gap
    last = int(fit.epochs) - 1
    assert fit.status == jgd.Status.CONVERGED
    assert gaps[last] <= 1e-3 < gaps[: last - 1].min()
    np.testing.assert_allclose(jgd.duality_gap(objective, fit.params, data), gaps[last], rtol=1e-3)
    assert f"within {float(gaps[last]):.2g} of the global minimum" in jgd.explain(fit)
    assert "certified" in jgd.explain(fit)
    plain = jgd.batch_descent(
        objective, start, data, rule=jgd.sgd(0.5), epochs=3, evaluate=Partial(jgd.duality_gap, objective)
    )
    assert plain.history.duality_gap is None
    after = [
        jgd.batch_descent(objective, start, data, rule=jgd.sgd(0.5), epochs=3).params,
    ]
    np.testing.assert_allclose(
        plain.history.evaluation[2], jgd.duality_gap(objective, after[0], data), rtol=1e-3
    )


@pytest.mark.exhaustive
def test_tolerances_are_lanes_and_nan_is_no_certificate():
    x, y, _, _ = made("squared_error", 5)
    data = x[0].astype(jnp.float32), y[0].astype(jnp.float32)
    objective = jgd.objective(of_loss("squared_error"), penalties.l1(0.1, MASK))
    start = jgd.models.linear.init(None, FEATURES)
    fits = jax.vmap(
        lambda t: jgd.batch_descent(
            objective,
            start,
            data,
            rule=jgd.accelerated(steps=2),
            epochs=60,
            stop=jgd.stop.duality_gap(t),
        )
    )(jnp.array([1.0, 1e-3, 0.0]))
    assert fits.status.tolist() == [jgd.Status.CONVERGED, jgd.Status.CONVERGED, jgd.Status.EPOCHS_DONE]
    assert fits.epochs[0] < fits.epochs[1] < 60
    lost = jax.tree.map(lambda p: p * jnp.nan, start)
    assert np.isnan(jgd.duality_gap(objective, lost, data))
    outside = jgd.objective(of_loss("squared_error"), penalties.box(-0.1, 0.1, MASK))
    assert jgd.duality_gap(outside, {**start, "weights": jnp.ones(4)}, data) == np.inf
    nothing = jgd.objective(of_loss("squared_error"), penalties.l2(0.0, MASK))
    assert jgd.duality_gap(nothing, start, data) == np.inf


def curved(params, example):
    return jnp.tanh(params["weights"] @ example[0]) ** 2


REFUSED = {
    "loss calls none of jgd.losses": (curved, penalties.l2(0.1), {}),
    "objective has no penalty": (of_loss("squared_error"), None, {}),
    "objective has a penalty whose conjugate": (of_loss("squared_error"), penalties.nonnegative(), {}),
    "objective has a loss with kinks": (of_loss("hinge"), penalties.l1(0.1), {}),
    "weights go down to -1.0": (
        of_loss("squared_error"),
        penalties.l2(0.1),
        {"weights": np.r_[-1.0, np.ones(NUM - 1)]},
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_has_no_certificate_is_refused(message):
    loss, penalty, options = REFUSED[message]
    x, y, _, _ = made("hinge", 6)
    with pytest.raises(ValueError, match=f"^{message}"):
        jgd.duality_gap(
            jgd.objective(loss, penalty), jgd.models.linear.init(None, FEATURES), (x[0], y[0]), **options
        )


@pytest.mark.exhaustive
def test_largest_strength_is_where_the_first_param_moves():
    x, y, _, _ = made("logistic", 7)
    data = x[0].astype(jnp.float32), y[0]
    start = jgd.models.linear.init(None, FEATURES)
    for name in ("l1", "elastic_net", "group_l1"):
        make = functools.partial(PENALTIES[name], mask=MASK)
        largest = jgd.largest_strength(jgd.objective(of_loss("logistic"), make(0.1)), start, data)
        for factor, is_zero in ((1.001, True), (0.98, False)):
            objective = jgd.objective(of_loss("logistic"), make(factor * largest))
            fit = jgd.batch_descent(objective, start, data, rule=jgd.accelerated(), epochs=100)
            assert bool(jnp.all(fit.params["weights"] == 0)) is is_zero, name
    with pytest.raises(ValueError, match=r"^objective has a penalty that makes no zeros"):
        jgd.largest_strength(jgd.objective(of_loss("logistic"), penalties.l2(0.1)), start, data)

"""Coordinate descent: groups, boxes, wide problems, weights, lanes, and what it refuses."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize
from sklearn import linear_model

import jgd
from tests.convex import problems
from tests.problems import x64


def square(params, example):
    return jgd.losses.squared_error(params @ example[0], example[1])


def data(dtype=float):
    return tuple(jnp.asarray(part, dtype) for part in problems.rows()[:2])


def fitted(penalty, rows=None, epochs=15, loss=square, params=None, **options):
    params = jnp.zeros(problems.FEATURES) if params is None else params
    return jgd.batch_descent(
        jgd.objective(loss, penalty), params, data() if rows is None else rows, rule=jgd.coordinate(),
        epochs=epochs, **options,
    )  # fmt: skip


def test_groups_end_at_a_certified_minimum():
    with x64():
        penalty = jgd.penalties.group_l1(0.6, groups=[0, 1, 0, 2, 1])
        fit = fitted(penalty, epochs=30, stop=jgd.stop.duality_gap(1e-9))
        assert fit.status == jgd.Status.CONVERGED
        plain = jgd.batch_descent(
            jgd.objective(square, penalty), jnp.zeros(5), data(), rule=jgd.sgd(0.05), epochs=2000
        )
        np.testing.assert_allclose(fit.params, plain.params, atol=1e-6)
        assert (fit.params == 0).any()


def test_bounds_are_those_of_scipy():
    with x64():
        x, y = map(np.asarray, data())
        came = fitted(jgd.penalties.nonnegative()).params
        np.testing.assert_allclose(came, optimize.nnls(x, y)[0], atol=1e-8)
        came = fitted(jgd.penalties.box(-0.1, 0.3)).params
        np.testing.assert_allclose(came, optimize.lsq_linear(x, y, (-0.1, 0.3), tol=1e-13).x, atol=1e-8)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["lasso", "ridge"])
def test_more_features_than_examples(kind):
    """1,500 features of 40 examples, beyond what is worked on at once."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 1500))
    y = x[:, :5].sum(axis=1) + 0.1 * rng.normal(size=40) + 2
    if kind == "lasso":
        strength = 0.1 * 2 * np.abs(x.T @ (y - y.mean())).max() / 40
        model = linear_model.Lasso(strength / 2, tol=1e-10, max_iter=100_000)
        penalty = jgd.penalties.l1(strength, problems.MASK)
    else:
        model = linear_model.Ridge(0.5 / 2 * 40, solver="cholesky")
        penalty = jgd.penalties.l2(0.5, problems.MASK)
    model.fit(x, y)
    with x64():
        fit = fitted(
            penalty, (jnp.asarray(x), jnp.asarray(y)), 20, problems.SQUARES,
            jgd.models.linear.init(None, 1500),
        )  # fmt: skip
        np.testing.assert_allclose(fit.params["weights"], model.coef_, atol=1e-5)
        np.testing.assert_allclose(fit.params["bias"], model.intercept_, atol=1e-5)


@pytest.mark.exhaustive
def test_weights_of_zero_leave_examples_out():
    x, y = data(jnp.float32)
    weights = jnp.asarray(np.arange(len(x)) % 3, jnp.float32)
    bad = jnp.where(weights[:, None] == 0, jnp.nan, x)
    keep = np.asarray(weights) != 0
    for loss, targets in ((problems.SQUARES, y), (problems.LOGISTIC, (y > 0).astype(jnp.float32))):
        penalty = jgd.penalties.elastic_net(0.1, 0.5, problems.MASK)
        came = fitted(penalty, (bad, targets), 8, loss, problems.start(), weights=weights)
        wanted = fitted(
            penalty, (x[keep], targets[keep]), 8, loss, problems.start(), weights=weights[keep]
        )
        chex.assert_trees_all_close(came.params, wanted.params, atol=1e-5)


@pytest.mark.exhaustive
def test_columns_that_depend_on_each_other_or_are_constant():
    x, y = data(jnp.float32)
    x = jnp.concatenate([x, x[:, :1], jnp.zeros((len(x), 1))], axis=1)
    for penalty in (None, jgd.penalties.l1(0.1), jgd.penalties.l2(0.1)):
        fit = fitted(penalty, (x, y), 6, params=jnp.zeros(7))
        assert np.isfinite(fit.params).all()
        assert fit.params[-1] == 0
        losses = np.asarray(fit.history.loss)[: int(fit.epochs)]
        assert losses[-1] < 0.8 * losses[0]


def test_strengths_are_lanes_and_one_trace_serves_all():
    x, y = data(jnp.float32)
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def fit(strength):
        return fitted(jgd.penalties.l1(strength), (x, y), 4).params

    strengths = jnp.array([0.01, 0.3, 3.0])
    wanted = jnp.stack([fit(strength) for strength in strengths])
    lanes = jax.vmap(lambda s: fitted(jgd.penalties.l1(s), (x, y), 4).params)(strengths)
    np.testing.assert_allclose(lanes, wanted, atol=1e-5)


def test_it_ends_where_rounding_is_all_that_is_left():
    fit = fitted(jgd.penalties.l1(0.1), data(jnp.float32), 30)
    assert fit.status == jgd.Status.STALLED
    assert int(fit.epochs) < 10
    assert "as good as converged" in jgd.explain(fit) or "no step" in jgd.explain(fit)


def network(params, example):
    return jgd.losses.squared_error(jnp.tanh(params @ example[0]), example[1])


def scores(params, example):
    return jgd.losses.softmax(params.reshape(3, 5) @ example[0], example[1].astype(int) % 3)


def hinge(params, example):
    return jgd.losses.hinge(params @ example[0], (example[1] > 0).astype(int))


REFUSED = {
    "loss has a prediction that is not linear": (network, None, {}),
    "loss is softmax": (scores, None, {"params": jnp.zeros(15)}),
    "loss is hinge": (hinge, None, {}),
    "penalty does not fall apart": (square, jgd.penalties.l2_ball(1.0), {}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_it_cannot_do_is_refused(message):
    loss, penalty, options = REFUSED[message]
    with pytest.raises(ValueError, match=f"^{message}.*"):
        fitted(penalty, data(jnp.float32), 1, loss, **options)
    with pytest.raises(ValueError, match=r"^coordinate: working_set"):
        jgd.coordinate(0)

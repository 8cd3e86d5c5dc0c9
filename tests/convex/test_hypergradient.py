"""Derivatives of fitted points against finite differences, closed forms, and those through the loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from tests.convex import problems
from tests.problems import x64

DIRECTION = jnp.array([1.0, -0.5, 2.0, 0.3, -1.0])


def square(params, example):
    return jgd.losses.squared_error(params @ example[0], example[1])


def log_odds(params, example):
    return jgd.losses.logistic(params @ example[0], (example[1] > 0).astype(int))


def solve(objective, params, data, weights=None):
    return jgd.batch_descent(objective, params, data, rule=jgd.accelerated(), epochs=60, weights=weights)


def unrolled(objective, params, data, weights=None):
    return jgd.batch_descent(objective, params, data, rule=jgd.sgd(0.05), epochs=1500, weights=weights)


CASES = {
    "lasso": (square, jgd.penalties.l1),
    "elastic net": (square, lambda s: jgd.penalties.elastic_net(s, 0.5)),
    "logistic": (log_odds, jgd.penalties.l2),
    "box": (square, lambda s: jgd.penalties.box(-s, s)),
    "groups": (square, lambda s: jgd.penalties.group_l1(s, [0, 0, 1, 1, 2])),
}


def along(name, run, strength, x, weights):
    """A number of the fitted point."""
    loss, penalty = CASES[name]
    y = jnp.asarray(problems.rows()[1])
    fit = run(jgd.objective(loss, penalty(strength)), jnp.zeros(5), (x, y), weights)
    return DIRECTION @ fit.params


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", CASES)
def test_derivatives_are_those_of_differences(name):
    """By strength, data and weights, forward and in reverse, and the second one by the strength."""
    rng = np.random.default_rng(2)
    with x64():
        x = jnp.asarray(problems.rows()[0])
        point = jnp.array(0.3), x, jnp.asarray(rng.uniform(0.5, 2, 60))
        move = jnp.array(1.0), *(jnp.asarray(rng.normal(size=p.shape)) for p in point[1:])
        plain = jax.jit(lambda *args: along(name, solve, *args))
        exact = lambda *args: along(name, jgd.implicit(solve), *args)  # noqa: E731
        value, reverse = jax.jit(jax.value_and_grad(exact, (0, 1, 2)))(*point)
        np.testing.assert_allclose(value, plain(*point), rtol=1e-12)
        h = 1e-5
        for part, slope in enumerate(reverse):
            steps = [jnp.zeros_like(m) if i != part else m for i, m in enumerate(move)]
            ends = [
                plain(*(p + sign * h * m for p, m in zip(point, steps, strict=True))) for sign in (1, -1)
            ]
            np.testing.assert_allclose(
                jnp.sum(slope * move[part]), (ends[0] - ends[1]) / (2 * h), rtol=1e-4, atol=1e-6
            )
        forward = jax.jit(lambda s: jax.jvp(lambda s: exact(s, *point[1:]), (s,), (jnp.ones(()),))[1])
        np.testing.assert_allclose(forward(point[0]), reverse[0], rtol=1e-6)
        if name not in ("lasso", "logistic"):
            return
        second = jax.jit(jax.grad(jax.grad(exact)))(*point)
        slopes = [forward(point[0] + sign * h) for sign in (1, -1)]
        np.testing.assert_allclose(second, (slopes[0] - slopes[1]) / (2 * h), rtol=1e-3, atol=1e-6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["elastic net"])
def test_derivatives_are_those_through_the_loop(name):
    with x64():
        x, weights = jnp.asarray(problems.rows()[0]), jnp.ones(60)
        exact, loop = (
            jax.grad(lambda s, run=run: along(name, run, s, x, weights))(0.3)
            for run in (jgd.implicit(solve), unrolled)
        )
        np.testing.assert_allclose(exact, loop, rtol=1e-6)


def test_ridge_has_its_closed_form_and_strengths_are_lanes():
    """`dp/ds = -(2 XᵀX/n + s)⁻¹ p`, and another such factor for the second."""
    x, y = (np.asarray(part) for part in problems.rows()[:2])
    strengths = np.array([0.1, 1.0])
    with x64():
        fitted = lambda s: jgd.implicit(solve)(  # noqa: E731
            jgd.objective(square, jgd.penalties.l2(s)), jnp.zeros(5), (jnp.asarray(x), jnp.asarray(y))
        )
        came = jax.jit(jax.vmap(jax.jacfwd(lambda s: fitted(s).params)))(jnp.asarray(strengths))
    for slope, strength in zip(came, strengths, strict=True):
        inverse = np.linalg.inv(2 * x.T @ x / 60 + strength * np.eye(5))
        np.testing.assert_allclose(slope, -inverse @ inverse @ (2 * x.T @ y / 60), rtol=1e-8)


@pytest.mark.exhaustive
def test_only_the_params_have_a_derivative_and_none_by_the_start():
    x, y = (jnp.asarray(part, jnp.float32) for part in problems.rows()[:2])
    objective = jgd.objective(square, jgd.penalties.l2(0.1))
    fitted = jgd.implicit(solve)
    by_start = jax.grad(lambda p: jnp.sum(fitted(objective, p, (x, y)).params))(jnp.ones(5))
    np.testing.assert_array_equal(by_start, 0)
    by_data = jax.grad(lambda x: jnp.sum(fitted(objective, jnp.ones(5), (x, y)).history.loss))(x)
    np.testing.assert_array_equal(by_data, 0)
    bare = jgd.implicit(lambda *args, weights: solve(*args, weights).params)
    np.testing.assert_allclose(
        bare(objective, jnp.ones(5), (x, y)), fitted(objective, jnp.ones(5), (x, y)).params
    )


@pytest.mark.exhaustive
def test_many_minima_have_no_derivative():
    """Two equal columns without a penalty: the system has no single solution where it matters."""
    with x64():
        x, y = (jnp.asarray(part) for part in problems.rows()[:2])
        double = jnp.concatenate([x, x[:, :1]], axis=1)

        def fitted(x):
            return jgd.implicit(solve)(jgd.objective(square), jnp.zeros(6), (x, y)).params[0]

        slope = jax.grad(fitted)(double)
        assert np.isnan(slope).any()
    with pytest.raises(ValueError, match=r"^fit_function is 3"):
        jgd.implicit(3)
    with pytest.raises(ValueError, match=r"^fit_function returns"):
        jgd.implicit(lambda *args, weights: 1.0)(jgd.objective(square), jnp.zeros(5), (x, y))
    with pytest.raises(ValueError, match=r"^objective is"):
        jgd.implicit(solve)(square, jnp.zeros(5), (x, y))

"""Gradient noise against NumPy, closed forms and laws."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from jgd.tuning.noise import GRADIENT_BYTES, _gradient_noise
from tests import problems


def distance(params, example):
    """Its gradient is `params - example`, so the noise is the variance of the examples."""
    return jnp.sum(jnp.square(params - example)) / 2


DISTANCE = jgd.objective(distance)


@pytest.mark.parametrize("block", [None, 1, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_least_squares_against_numpy(block, weighted):
    with problems.x64():
        problem = problems.least_squares(jnp.float64)
        x, y, params = (np.asarray(a) for a in (*problem.data.values(), problem.params))
        weights = np.random.default_rng(0).normal(size=len(y)) + 0.5
        weights[[0, 5, len(y) - 1]] = 0
        data, weights = problem.data, weights if weighted else np.ones(len(y))
        if weighted:
            data = {**data, "x": data["x"].at[5].set(jnp.nan)}
        objective = jgd.objective(problem.loss, jgd.penalties.l2(0.5))
        options = {"weights": weights if weighted else None, "block": block}
        found = jgd.gradient_noise(objective, problem.params, data, **options)
    gradients = (weights * 2 * (x @ params - y))[weights != 0, None] * x[weights != 0]
    variance = np.trace(np.cov(gradients.T, bias=True))
    length = np.linalg.norm(gradients.mean(axis=0) + 0.5 * params)
    np.testing.assert_allclose(found, [length, variance, variance / length**2], rtol=1e-12)


def test_with_kinks_the_norm_is_that_of_descent():
    problem = problems.logistic_regression()
    place = jgd.objective(problem.loss, jgd.penalties.l1(0.3)), problem.params, problem.data
    fit = jgd.batch_descent(*place, rule=jgd.sgd(0.1), epochs=1)
    found = jgd.gradient_noise(*place)
    np.testing.assert_allclose(found.gradient_norm, fit.history.gradient_norm[0], rtol=1e-5)


def test_small_noise_of_large_gradients_keeps_its_digits():
    """Sums of squares would leave no digit of a variance that is 1e-8 of them in float32."""
    rows = np.random.default_rng(0).normal(size=(4000, 2)).astype(np.float32) + 1e4
    variance = rows.astype(float).var(axis=0).sum()
    for block in (None, 100, 4000):
        found = jgd.gradient_noise(DISTANCE, jnp.zeros(2), jnp.asarray(rows), block=block)
        np.testing.assert_allclose(found.variance, variance, rtol=1e-4)
        np.testing.assert_allclose(found.noise_scale, variance / 2e8, rtol=1e-3)


def test_where_a_batch_of_the_noise_scale_has_as_much_noise_as_gradient():
    """`E |gradient of a batch|² = |G|² + tr(S) / B`, twice |G|² where B is the noise scale."""
    rows = np.random.default_rng(0).normal(size=(1000, 8)) + 0.25
    found = jgd.gradient_noise(DISTANCE, jnp.zeros(8), jnp.asarray(rows, jnp.float32))
    batch_size = round(float(found.noise_scale))
    drawn = np.random.default_rng(1).integers(1000, size=(20_000, batch_size))
    squares = np.sum(rows[drawn].mean(axis=1) ** 2, axis=1)
    np.testing.assert_allclose(squares.mean() / found.gradient_norm**2, 2, rtol=0.05)


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([[1.0, 2.0], [-1.0, -2.0]], (0, 5, np.inf)),
        ([[0.0, 0.0], [0.0, 0.0]], (0, 0, 0)),
        ([[3.0, 4.0], [3.0, 4.0]], (5, 0, 0)),
        ([[3e-15, 0.0], [1e-15, 0.0]], (2e-15, 1e-30, 0.25)),
        ([[np.nan, 0.0], [1.0, 0.0]], (np.nan,) * 3),
    ],
)
def test_limits(rows, wanted):
    found = jgd.gradient_noise(DISTANCE, jnp.zeros(2), jnp.array(rows))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_many_places_in_one_program():
    rows = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)

    @chex.assert_max_traces(n=1)
    def found(params):
        return jgd.gradient_noise(DISTANCE, params, rows)

    mapped = jax.jit(jax.vmap(found))
    for scale in (1.0, 3.0):
        places = scale * np.eye(3)
        length = np.linalg.norm(places - rows.mean(axis=0), axis=1)
        came = mapped(jnp.asarray(places, jnp.float32))
        np.testing.assert_allclose(came.gradient_norm, length, rtol=1e-5)
        np.testing.assert_allclose(came.variance, [rows.var(axis=0).sum()] * 3, rtol=1e-5)


@pytest.mark.cpu
def test_gradients_of_all_examples_are_never_held():
    """They would fill 320 MB."""
    rows = jax.ShapeDtypeStruct((20_000, 4000), jnp.float32)
    params = jax.ShapeDtypeStruct((4000,), jnp.float32)
    program = _gradient_noise.lower(DISTANCE, params, rows, None, block=None).compile()
    assert program.memory_analysis().temp_size_in_bytes < 5 * GRADIENT_BYTES


def test_short_floats_are_summed_in_32_bits():
    rows = jnp.asarray(np.random.default_rng(0).normal(size=(3000, 2)) + 1, jnp.bfloat16)
    found = jgd.gradient_noise(DISTANCE, jnp.zeros(2, jnp.bfloat16), rows, block=1)
    exact = np.asarray(rows, float)
    assert found.variance.dtype == jnp.float32
    np.testing.assert_allclose(found.variance, exact.var(axis=0).sum(), rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((distance, jnp.zeros(2), jnp.ones((3, 2))), "objective is <function"),
        ((DISTANCE, jnp.zeros(2, int), jnp.ones((3, 2))), "params has dtype int32"),
        ((DISTANCE, jnp.zeros(2), jnp.ones((0, 2))), "data has 0 examples"),
        ((jgd.objective(lambda p, e: p * e), jnp.zeros(2), jnp.ones((3, 2))), r"loss returns \(2,\)"),
    ],
)
def test_errors_name_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        jgd.gradient_noise(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"block": 0}, "block is 0"), ({"weights": jnp.ones(2)}, r"weights have shape \(2,\)")],
)
def test_errors_name_the_option(options, message):
    with pytest.raises(ValueError, match=message):
        jgd.gradient_noise(DISTANCE, jnp.zeros(2), jnp.ones((3, 2)), **options)

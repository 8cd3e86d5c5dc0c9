"""Standardisation against scikit-learn, and where numbers are awkward."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from jgd import features
from tests.problems import x64


def table(num_examples=50, num_features=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(num_examples, num_features)) * [1, 10, 0.1, 1e3] + [0, 5, -1, 1e4]


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 2e-5), ("float64", 1e-12)])
def test_standardize_is_that_of_scikit_learn(dtype, rtol):
    x, others = table(), table(7, seed=1)
    scaler = StandardScaler().fit(x)
    with x64(dtype == "float64"):
        transform, statistics = features.standardize(jnp.asarray(x, dtype))
        np.testing.assert_allclose(statistics.mean, scaler.mean_, rtol=rtol, atol=rtol)
        np.testing.assert_allclose(statistics.scale, scaler.scale_, rtol=10 * rtol)
        for rows in (x, others):
            came = transform(jnp.asarray(rows, dtype))
            assert came.dtype == dtype
            np.testing.assert_allclose(came, scaler.transform(rows), rtol=10 * rtol, atol=100 * rtol)


def test_a_column_comes_out_with_mean_0_and_deviation_1():
    transform, _ = features.standardize(table())
    came = np.asarray(transform(table()), float)
    np.testing.assert_allclose(came.mean(axis=0), 0, atol=2e-5)
    np.testing.assert_allclose(came.std(axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize("constant", [0.0, 5.0, 0.1, -1e-30, 1e6 + 0.3, 1e30, -3e38])
@pytest.mark.parametrize("num_examples", [1, 3, 7, 1000])
def test_a_constant_column_becomes_0(constant, num_examples):
    x = np.stack([np.full(num_examples, constant), np.arange(num_examples)], axis=1).astype(np.float32)
    transform, statistics = features.standardize(x)
    assert float(statistics.scale[0]) == 1.0
    assert transform(x)[:, 0].tolist() == [0.0] * num_examples
    # Another value in that column stays what it is, less the constant.
    if abs(constant) <= 5:
        np.testing.assert_allclose(transform(np.array([constant + 2, 0.0]))[0], 2.0, rtol=1e-6)


@pytest.mark.parametrize("size", [1e-30, 1e-18, 1e15, 1e30])
def test_columns_of_every_size_come_out_the_same(size):
    x = np.random.default_rng(2).normal(size=(40, 2))
    wanted = StandardScaler().fit_transform(x)
    scaled = jnp.asarray(x * [size, 1.0], jnp.float32)
    transform, statistics = features.standardize(scaled)
    assert jnp.isfinite(statistics.scale).all()
    np.testing.assert_allclose(transform(scaled), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int8", "bool"])
def test_whole_numbers_become_floats(dtype):
    x = np.random.default_rng(3).integers(0, 2 if dtype == "bool" else 100, size=(30, 3)).astype(dtype)
    transform, statistics = features.standardize(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scaler = StandardScaler().fit(x.astype(float))
    np.testing.assert_allclose(statistics.mean, scaler.mean_, rtol=1e-5)
    came = transform(x)
    assert came.dtype == jnp.float32
    np.testing.assert_allclose(came, scaler.transform(x.astype(float)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_short_floats_stay_short(dtype):
    x = jnp.asarray(table()[:, :3], dtype)
    transform, _ = features.standardize(x)
    assert transform(x).dtype == dtype
    wanted = StandardScaler().fit_transform(np.asarray(x, np.float64))
    np.testing.assert_allclose(np.asarray(transform(x), float), wanted, atol=0.05)


def test_the_transform_is_a_pure_function_of_one_example_or_many():
    x = jnp.asarray(table(), jnp.float32)
    transform, _ = features.standardize(x)
    wanted = StandardScaler().fit_transform(x)
    for came in (
        transform(x),
        jax.jit(transform)(x),
        jax.vmap(transform)(x),
        jnp.stack([transform(row) for row in x]),
        transform(x.reshape(10, 5, 4)).reshape(50, 4),
        jax.jit(lambda transform, x: transform(x))(transform, x),
    ):
        np.testing.assert_allclose(came, wanted, rtol=1e-3, atol=1e-3)


def test_the_statistics_are_leaves_of_the_transform():
    traces = []

    @jax.jit
    def apply(transform, x):
        traces.append(1)
        return transform(x)

    for seed in range(3):
        x = jnp.asarray(table(seed=seed), jnp.float32)
        transform, statistics = features.standardize(x)
        np.testing.assert_allclose(apply(transform, x).mean(axis=0), 0, atol=1e-3)
        assert len(jax.tree.leaves(transform)) == len(statistics)
    assert len(traces) == 1


@pytest.mark.parametrize("closed_over", [False, True])
def test_standardize_itself_under_jit_and_vmap(closed_over):
    x = jnp.asarray(table(), jnp.float32)
    wanted = StandardScaler().fit_transform(x)
    if closed_over:
        came = jax.jit(lambda y: features.standardize(x)[0](y))(x)
    else:
        came = jax.jit(lambda x: features.standardize(x)[0](x))(x)
    np.testing.assert_allclose(came, wanted, rtol=1e-3, atol=1e-3)
    lanes = jnp.stack([x, 2 * x + 1])
    came = jax.vmap(lambda x: features.standardize(x)[0](x))(lanes)
    np.testing.assert_allclose(came, np.stack([wanted, wanted]), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_an_error_that_names_the_columns(bad):
    x = table()
    x[3, 1] = x[7, 1] = x[0, 3] = bad
    with pytest.raises(ValueError, match=r"^x holds NaN or infinity in columns \[1, 3\].*median"):
        features.standardize(x)


def test_columns_near_the_largest_float_are_not_called_infinite():
    x = np.array([[1e38], [3e38], [2e38], [1e38]], np.float32)
    transform, _ = features.standardize(x)
    wanted = StandardScaler().fit_transform(x.astype(float))
    np.testing.assert_allclose(transform(x), wanted, rtol=1e-5)


@pytest.mark.parametrize("x", [np.ones(3), np.ones((2, 3, 4)), np.float32(1.0), np.ones((0, 3))])
def test_other_shapes_are_an_error(x):
    with pytest.raises(ValueError, match=r"^x has shape \(.*\), but \[N, D\].*x\[:, None\]"):
        features.standardize(x)

"""Whitening against scikit-learn, and where there are fewer directions than columns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from jgd import features
from tests.problems import x64

pytestmark = pytest.mark.exhaustive


def table(num_examples=50, num_features=4, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(num_features, num_features))
    return rng.normal(size=(num_examples, num_features)) @ mixing * 10.0 ** np.arange(num_features) + 3


def covariance(x):
    return np.atleast_2d(np.cov(np.asarray(x, float).T, bias=True))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-10)])
def test_whiten_is_pca_of_scikit_learn_turned_back(dtype, tolerance):
    x, others = table(), table(7, seed=1)
    scaler = StandardScaler().fit(x)
    pca = PCA(whiten=True).fit(scaler.transform(x))
    with x64(dtype == "float64"):
        transform, statistics = features.whiten(jnp.asarray(x, dtype))
        assert all(leaf.dtype == dtype for leaf in statistics)
        np.testing.assert_allclose(statistics.matrix, statistics.matrix.T, rtol=1e-4)
        for rows in (x, others):
            # scikit-learn divides the variance by N - 1.
            wanted = pca.transform(scaler.transform(rows)) @ pca.components_ * np.sqrt(50 / 49)
            came = transform(jnp.asarray(rows, dtype))
            np.testing.assert_allclose(came, wanted, rtol=tolerance, atol=tolerance)


def test_the_covariance_is_the_identity():
    came = features.whiten(table())[0](table())
    np.testing.assert_allclose(np.mean(came, axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(covariance(came), np.eye(4), atol=1e-4)


def test_little_variance_is_seen_beside_much():
    """Of correlations in float32 the eigenvalue 1e-9 would be lost; a deviation of 3e-5 is not."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 1)) * np.ones(4) + 3e-5 * rng.normal(size=(50, 4))
    came = features.whiten(x)[0](x)
    np.testing.assert_allclose(covariance(came), np.eye(4), atol=0.02)


def test_neither_units_nor_offsets_matter():
    x = table()
    wanted = features.whiten(x)[0](x)
    other = x * [1e3, 1e-6, -1.0, 1e20] + [0, 1e-5, 4, 0]
    came = features.whiten(other)[0](other) * np.array([1, 1, -1, 1])
    np.testing.assert_allclose(came, wanted, rtol=1e-3, atol=1e-4)


def dependent_columns():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(50, 3))
    total = x.sum(axis=1, keepdims=True)
    one_hot = np.eye(4)[rng.integers(0, 4, 50)]
    return {
        "constant": (np.hstack([x, np.full((50, 1), 0.1)]), 3),
        "huge constant": (np.hstack([x, np.full((50, 1), 1e30)]), 3),
        "twice": (np.hstack([x, x[:, :1]]), 3),
        "sum": (np.hstack([x, total]), 3),
        "sum far from 0": (np.hstack([x, total]).astype(np.float32) + 1e4, 3),
        "one-hot": (one_hot, 3),
        "one example fifty times": (np.ones((50, 1)) * [[1.0, 2.0, 3.0, 0.1]], 0),
        "three examples": (np.hstack([x, total])[np.arange(50) % 3], 2),
        "one example": (x[:1], 0),
        "fewer examples than features": (x[:2], 1),
    }


@pytest.mark.parametrize("name", dependent_columns())
def test_directions_without_variance_become_0(name):
    x, rank = dependent_columns()[name]
    transform, _ = features.whiten(x)
    came = transform(x)
    assert np.isfinite(came).all()
    dimensions = np.sort(np.linalg.eigvalsh(covariance(came)))
    wanted = np.repeat([0, 1], [x.shape[1] - rank, rank])
    np.testing.assert_allclose(dimensions, wanted, atol=5e-3)
    # Nor does anything come through of others that lie off the directions of the training part.
    others = transform(x + np.random.default_rng(3).normal(size=x.shape))
    np.testing.assert_allclose(others @ covariance(came), others, atol=0.05)


def test_a_constant_column_becomes_0():
    x = table()
    x[:, 2] = 0.1
    for ridge in (0.0, 0.1):
        assert (np.abs(features.whiten(x, ridge=ridge)[0](x))[:, 2] < 1e-6).all()


def test_the_ridge_is_added_to_the_variances():
    x = table()
    z = StandardScaler().fit_transform(x)
    values, vectors = np.linalg.eigh(covariance(z) + 0.3 * np.eye(4))
    wanted = z @ (vectors / np.sqrt(values)) @ vectors.T
    np.testing.assert_allclose(features.whiten(x, ridge=0.3)[0](x), wanted, rtol=1e-3, atol=1e-4)


def test_filled_in_means_are_part_of_the_covariance():
    x = table()
    x[np.random.default_rng(3).random(x.shape) < 0.2] = np.nan
    transform, statistics = features.whiten(x, missing="mean")
    np.testing.assert_allclose(statistics.mean, np.nanmean(x, axis=0), rtol=1e-4)
    np.testing.assert_allclose(covariance(transform(x)), np.eye(4), atol=1e-4)
    np.testing.assert_allclose(transform(np.full(4, np.nan)), 0, atol=1e-5)


def test_the_transform_is_a_pure_function_of_one_example_or_many():
    x = jnp.asarray(table(), jnp.float32)
    transform, statistics = features.whiten(x)
    wanted = transform(x)
    assert len(jax.tree.leaves(transform)) == len(statistics)
    for came in (
        jax.jit(lambda transform, x: transform(x))(transform, x),
        jax.vmap(transform)(x),
        transform(x.reshape(10, 5, 4)).reshape(50, 4),
        jax.jit(jax.vmap(lambda x, ridge: features.whiten(x, ridge=ridge)[0](x)))(
            jnp.stack([x, 2 * x]), jnp.array([0.3, 0.0])
        )[1],
    ):
        np.testing.assert_allclose(came, wanted, rtol=1e-3, atol=1e-3)


def test_short_floats_stay_short():
    x = jnp.asarray(table()[:, :3], jnp.bfloat16)
    transform, _ = features.whiten(x)
    assert transform(x).dtype == jnp.bfloat16
    np.testing.assert_allclose(covariance(transform(x)), np.eye(3), atol=0.1)


@pytest.mark.parametrize("ridge", [-1.0, np.nan, np.inf, "much", [0.1, 0.2]])
def test_a_ridge_that_is_none_is_an_error(ridge):
    with pytest.raises(ValueError, match=r"^ridge is .*, but a number >= 0"):
        features.whiten(table(), ridge=ridge)

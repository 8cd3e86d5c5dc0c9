"""Products of features against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import PolynomialFeatures

from jgd import features
from tests.problems import x64

pytestmark = pytest.mark.exhaustive


def table(num_examples=9, num_features=3, seed=0):
    return np.random.default_rng(seed).normal(size=(num_examples, num_features))


@pytest.mark.parametrize(
    ("num_features", "degree", "dtype", "rtol"),
    [
        (1, 1, "float32", 1e-5),
        (1, 6, "float32", 1e-5),
        (5, 2, "float32", 1e-5),
        (3, 4, "float32", 1e-5),
        (3, 4, "float64", 1e-13),
    ],
)
def test_polynomial_is_that_of_scikit_learn(num_features, degree, dtype, rtol):
    x = table(num_features=num_features)
    other = PolynomialFeatures(degree, include_bias=False).fit(x)
    with x64(dtype == "float64"):
        transform, statistics = features.polynomial(jnp.asarray(x, dtype), degree)
        assert statistics.exponents.tolist() == other.powers_.tolist()
        came = transform(jnp.asarray(x, dtype))
        assert came.dtype == dtype
        np.testing.assert_allclose(came, other.transform(x), rtol=10 * rtol, atol=rtol)


@pytest.mark.parametrize("num_features", [1, 3])
def test_interactions_are_those_of_scikit_learn(num_features):
    x = table(num_features=num_features)
    other = PolynomialFeatures(2, interaction_only=True, include_bias=False).fit(x)
    transform, statistics = features.interactions(x)
    assert statistics.exponents.tolist() == other.powers_.tolist()
    np.testing.assert_allclose(transform(x), other.transform(x), rtol=1e-5)


FITS = [features.polynomial, features.interactions]


def test_the_transform_is_a_pure_function_of_one_example_or_many():
    x = jnp.asarray(table(), jnp.float32)
    transform, statistics = features.polynomial(x)
    wanted = np.prod(np.asarray(x)[:, None, :] ** np.asarray(statistics.exponents), axis=-1)
    assert len(jax.tree.leaves(transform)) == len(statistics)
    for came in (
        transform(x),
        jax.jit(lambda transform, x: transform(x))(transform, x),
        jax.vmap(transform)(x),
        transform(x.reshape(3, 3, 3)).reshape(9, -1),
        jax.jit(lambda x: features.polynomial(x)[0](x))(x),
        jax.vmap(lambda x: features.polynomial(x)[0](x))(x[None])[0],
    ):
        np.testing.assert_allclose(came, wanted, rtol=1e-5)


def test_the_derivative_at_0_is_finite():
    transform, _ = features.polynomial(table(), 4)
    assert jax.jacobian(transform)(jnp.zeros(3)).sum() == 3


@pytest.mark.parametrize("fit", FITS)
def test_nan_stays_where_it_is_a_factor(fit):
    x = table()
    x[0, 1] = np.nan
    transform, statistics = fit(x)
    came = np.isnan(transform(x))
    assert came[0].tolist() == (np.asarray(statistics.exponents)[:, 1] > 0).tolist()
    assert not came[1:].any()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool"])
def test_whole_numbers_become_floats(fit, dtype):
    x = np.random.default_rng(1).integers(0, 2 if dtype == "bool" else 200, size=(9, 3)).astype(dtype)
    transform, _ = fit(x)
    came = transform(x)
    assert came.dtype == jnp.float32
    np.testing.assert_allclose(came, transform(x.astype(float)))


def test_a_product_beyond_all_floats_is_infinite():
    came = features.polynomial(table())[0](np.full((9, 3), [1e30, -1e30, 1.0]))
    assert came[0].tolist()[3:6] == [np.inf, -np.inf, np.float32(1e30)]


@pytest.mark.parametrize("degree", [0, -1, 2.0, 1.5, True, None, "2", np.array([1, 2])])
def test_a_degree_that_is_none_is_an_error(degree):
    with pytest.raises(ValueError, match=r"^degree is .*, but a whole number >= 1"):
        features.polynomial(table(), degree)


def test_a_whole_number_of_numpy_is_a_degree():
    assert features.polynomial(table(), np.int64(2))[1].exponents.shape == (9, 3)


@pytest.mark.parametrize(
    ("num_features", "degree", "number"),
    [(500, 2, "125,750"), (100, 10, "46,897,636,623,980"), (30, 10**6, r"about 10\^147")],
)
def test_too_many_columns_are_an_error_that_tells_how_many(num_features, degree, number):
    with pytest.raises(
        ValueError, match=rf"D={num_features} .*degree={degree} make {number} columns.*Low"
    ):
        features.polynomial(np.ones((2, num_features)), degree)


def test_too_many_interactions_are_an_error_that_tells_how_many():
    with pytest.raises(ValueError, match=r"D=447 features make 100,128 columns.*fewer features"):
        features.interactions(np.ones((2, 447)))
    assert features.interactions(np.ones((2, 300)))[1].exponents.shape == (45_150, 300)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("x", [np.ones(3), np.ones((2, 3, 4)), 1.0, np.ones((0, 3)), np.ones((3, 0))])
def test_other_shapes_are_an_error(fit, x):
    with pytest.raises(ValueError, match=r"^x has shape .*, but \[N, D\].*x\[:, None\]"):
        fit(x)


@pytest.mark.parametrize("fit", FITS)
def test_a_transform_wants_the_columns_of_the_training_part(fit):
    transform, _ = fit(table())
    for x in (np.ones((5, 2)), np.ones(4), 1.0):
        with pytest.raises(ValueError, match=r"^x has shape .* D=3 features"):
            transform(x)

"""Scaling of columns against scikit-learn, and where numbers are awkward.

Most tables are [50, 4], for each shape is compiled anew.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from jgd import features
from tests.problems import x64

FITS = [features.standardize, features.minmax, features.whiten]
SCALERS = [(features.standardize, StandardScaler()), (features.minmax, MinMaxScaler())]


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
    x = np.random.default_rng(2).normal(size=(50, 4))
    wanted = StandardScaler().fit_transform(x)
    scaled = jnp.asarray(x * [size, 1.0, 1.0, size], jnp.float32)
    transform, statistics = features.standardize(scaled)
    assert jnp.isfinite(statistics.scale).all()
    np.testing.assert_allclose(transform(scaled), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int8", "bool"])
def test_whole_numbers_become_floats(dtype):
    x = np.random.default_rng(3).integers(0, 2 if dtype == "bool" else 100, size=(50, 4)).astype(dtype)
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


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 2e-5), ("float64", 1e-12)])
def test_minmax_is_that_of_scikit_learn(dtype, rtol):
    x, others = table(), table(7, seed=1)
    scaler = MinMaxScaler().fit(x)
    with x64(dtype == "float64"):
        transform, statistics = features.minmax(jnp.asarray(x, dtype))
        np.testing.assert_allclose(statistics.minimum, scaler.data_min_, rtol=rtol)
        np.testing.assert_allclose(statistics.maximum, scaler.data_max_, rtol=rtol)
        assert len(jax.tree.leaves(transform)) == len(statistics)
        for rows in (x, others):
            came = jax.vmap(transform)(jnp.asarray(rows, dtype))
            assert came.dtype == dtype
            np.testing.assert_allclose(came, scaler.transform(rows), rtol=rtol, atol=10 * rtol)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30, 3e38])
def test_minmax_reaches_0_and_1_but_not_beyond(size):
    x = np.random.default_rng(5).uniform(-1, 1, size=(50, 4)).astype(np.float32) * np.float32(size)
    came = features.minmax(x)[0](x)
    assert came.min(axis=0).tolist() == [0.0] * 4
    assert (came <= 1).all()
    np.testing.assert_allclose(came.max(axis=0), 1, rtol=1.2e-7)


@pytest.mark.parametrize("constant", [0.0, 5.0, 0.1, -1e-30, 1e6 + 0.3, 1e30, -3e38])
@pytest.mark.parametrize("num_examples", [1, 3])
def test_minmax_makes_0_of_a_constant_column(constant, num_examples):
    x = np.full((num_examples, 2), constant, np.float32)
    transform, _ = features.minmax(x)
    assert transform(x).tolist() == [[0.0, 0.0]] * num_examples
    if abs(constant) <= 5:
        np.testing.assert_allclose(transform(np.array([constant + 2, constant])), [2, 0], rtol=1e-6)


@pytest.mark.parametrize(("fit", "scaler"), SCALERS)
def test_sums_and_differences_that_are_no_floats_do_no_harm(fit, scaler):
    x = np.random.default_rng(4).uniform(-3e38, 3e38, size=(50, 4)).astype(np.float32)
    x[:, 1] = np.where(np.arange(50) == 7, -3e38, 3e38)
    x[:, 2] = [1e-38, 1.1e-38] * 25  # differences this close to the smallest float may be flushed to 0
    wanted = scaler.fit_transform(x.astype(float))
    came = fit(x)[0](x)
    np.testing.assert_allclose(came[:, [0, 1, 3]], wanted[:, [0, 1, 3]], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(came[:, 2], 0, atol=1e-30)


def test_columns_near_the_largest_float_are_not_called_infinite():
    x = np.resize(np.array([1e38, 3e38, 2e38], np.float32), (50, 4))
    transform, _ = features.standardize(x)
    wanted = StandardScaler().fit_transform(x.astype(float))
    np.testing.assert_allclose(transform(x), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fit", FITS)
def test_whole_numbers_of_64_bits_are_rounded_not_wrapped_around(fit):
    x = np.random.default_rng(8).integers(-(2**62), 2**62, size=(50, 4))
    transform, statistics = fit(x)
    assert transform(x).dtype == statistics[0].dtype == jnp.float32
    wanted = fit(x.astype(float))[0](x.astype(float))
    np.testing.assert_allclose(transform(x), wanted, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("size", [1e-4, 1e4])
@pytest.mark.parametrize(("fit", "scaler"), SCALERS)
def test_short_floats_that_are_small_or_large(fit, scaler, size, dtype):
    x = jnp.asarray(np.random.default_rng(7).uniform(-5, 5, size=(50, 3)) * size, dtype)
    transform, _ = fit(x)
    assert transform(x).dtype == dtype
    wanted = scaler.fit_transform(np.asarray(x, float))
    np.testing.assert_allclose(np.asarray(transform(x), float), wanted, atol=0.03)


def with_holes(seed=0):
    x = table(seed=seed)
    x[np.random.default_rng(6).random(x.shape) < 0.2] = np.nan
    return x


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 2e-5), ("float64", 1e-12)])
@pytest.mark.parametrize(("fit", "scaler"), SCALERS)
def test_missing_numbers_are_the_training_mean(fit, scaler, dtype, rtol):
    """Scalers of scikit-learn pass over NaN, too, and leave it as it is."""
    x, others = with_holes(), with_holes(seed=1)
    scaler = scaler.fit(x)
    mean = np.nanmean(x, axis=0)
    with x64(dtype == "float64"):
        transform, statistics = fit(jnp.asarray(x, dtype), missing="mean")
        np.testing.assert_allclose(statistics.mean, mean, rtol=rtol, atol=rtol)
        for rows in (x, others):
            wanted = scaler.transform(np.where(np.isnan(rows), mean, rows))
            came = jax.jit(transform)(jnp.asarray(rows, dtype))
            np.testing.assert_allclose(came, wanted, rtol=10 * rtol, atol=100 * rtol)


@pytest.mark.parametrize(("fit", "scaler"), SCALERS)
def test_missing_numbers_under_jit_and_vmap(fit, scaler):
    x = with_holes()
    came = jax.jit(jax.vmap(lambda x: fit(x, missing="mean")[0](x)))(jnp.asarray([x, 2 * x]))
    wanted = scaler.fit(x).transform(np.where(np.isnan(x), np.nanmean(x, axis=0), x))
    np.testing.assert_allclose(came, [wanted, wanted], rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("fit", FITS)
def test_where_nothing_is_missing_nothing_changes(fit):
    x = table()
    (plain, statistics), (filling, same) = fit(x), fit(x, missing="mean")
    for one, other in zip(statistics, same, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(plain(x), filling(x), rtol=1e-5, atol=1e-5)
    x[0, 1] = np.nan
    assert np.isnan(plain(x))[0, 1]
    assert not np.isnan(filling(x)).any()


def test_a_column_with_one_number_left_is_constant():
    x = np.full((50, 4), np.nan)
    x[7, :], x[8, 1] = [7.0, 1.0, 0.1, -1e30], 2.0
    transform, statistics = features.standardize(x, missing="mean")
    np.testing.assert_allclose(statistics.mean, [7.0, 1.5, 0.1, -1e30])
    assert statistics.scale.tolist() == [1.0, 0.5, 1.0, 1.0]
    wanted = np.zeros((50, 4))
    wanted[7:9, 1] = -1, 1
    np.testing.assert_array_equal(transform(x), wanted)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_an_error_that_names_the_columns(fit, bad):
    x = table()
    x[3, 1] = x[7, 1] = x[0, 3] = bad
    wanted = r"^x holds NaN or infinity in columns \[1, 3\].*missing=\"mean\".*median"
    with pytest.raises(ValueError, match=wanted):
        fit(x)


@pytest.mark.parametrize("fit", FITS)
def test_what_the_mean_cannot_fill_is_an_error(fit):
    x = table()
    x[2, 0] = x[3, 1] = np.nan
    x[0, 2], x[1, 3] = -np.inf, np.inf
    with pytest.raises(ValueError, match=r"^x holds infinity, as float32, in columns \[2, 3\]"):
        fit(x, missing="mean")
    x[:, 2:] = np.nan
    with pytest.raises(ValueError, match=r"^x holds nothing but NaN in columns \[2, 3\].*Leave"):
        fit(x, missing="mean")


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("missing", ["median", "", 0, True, np.zeros(2)])
def test_another_word_for_missing_is_an_error(fit, missing):
    with pytest.raises(ValueError, match=r'^missing is .*, but None .* or "mean"'):
        fit(table(), missing=missing)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    "x", [np.ones(3), np.ones((2, 3, 4)), np.float32(1.0), np.ones((0, 3)), np.ones((3, 0)), []]
)
def test_other_shapes_are_an_error(fit, x):
    with pytest.raises(ValueError, match=r"^x has shape \(.*\), but \[N, D\].*x\[:, None\]"):
        fit(x)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("x", [[["a", "b"]], [[1.0, None]], [[1j, 2.0]], np.ones((2, 2), "M8[s]")])
def test_what_is_no_number_is_an_error(fit, x):
    transform, _ = fit(table())
    for function in (fit, transform):
        with pytest.raises(ValueError, match=r"^x has dtype .*, but real numbers are wanted.*one_hot"):
            function(x)


@pytest.mark.parametrize("fit", FITS)
def test_a_transform_wants_the_columns_of_the_training_part(fit):
    transform, _ = fit(table())
    for x in (np.ones((5, 1)), np.ones((5, 3)), np.ones(1), 1.0):
        with pytest.raises(ValueError, match=r"^x has shape .* D=4 features.*same order"):
            transform(x)


@pytest.mark.parametrize("function", [features.standardize, features.minmax, features.polynomial])
def test_a_column_whose_digits_float32_does_not_keep_is_an_error(function):
    """Moments of one minute, in seconds since 1970: a constant in float32."""
    x = np.column_stack([np.full(50, 3.0), 1.7e9 + np.linspace(0, 60, 50), np.linspace(0, 1, 50)])
    with pytest.raises(
        ValueError, match=r"^x varies in columns \[1\], but not in the digits of float32"
    ):
        function(x)
    function(x - x.mean(axis=0))

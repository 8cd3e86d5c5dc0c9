"""Curvature against eigenvalues of NumPy, closed forms and laws."""

import importlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from threadpoolctl import threadpool_limits

import jgd
from jgd.tuning.curvature import _hessian_vector_product
from jgd.tuning.hessian import checked_problem, checked_steps
from tests import problems

KEY = jax.random.key(0)


def bend(params, example):
    """Each example is a parabola, whose curvature along each param it holds."""
    return example @ jnp.square(params) / 2


def half_square(params, example):
    return jnp.square(example @ params) / 2


@pytest.fixture(autouse=True, scope="module")
def one_thread_for_lapack():
    """Its threads wait for each other: beside other work 500 eigenvalues took 4 s instead of 20 ms."""
    importlib.import_module("scipy.linalg")  # JAX has its LAPACK from there
    with threadpool_limits(1):
        yield


BEND, HALF_SQUARE = jgd.objective(bend), jgd.objective(half_square)


def ends(curvatures, dtype=jnp.float32, **options):
    """The extremes of the Hessian that has the mean of `curvatures` [N, P] on its diagonal."""
    rows = jnp.atleast_2d(jnp.asarray(curvatures, jnp.float32))
    params = jnp.zeros(rows.shape[1], dtype)
    return jgd.curvature.extreme_eigenvalues(BEND, params, rows, **{"key": KEY, **options})


def design(condition, dtype, num_params=500):
    """Rows [P, P] whose Gram matrix XᵀX/P has eigenvalues from 3 / condition to 3."""
    axis = np.random.default_rng(0).normal(size=num_params)
    reflection = np.eye(num_params) - 2 * np.outer(axis, axis) / (axis @ axis)
    lengths = np.sqrt(3 * num_params * np.logspace(0, -np.log10(condition), num_params))
    return (reflection * lengths @ reflection).astype(dtype)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("dtype", "condition"), [(np.float32, 1e4), (np.float64, 1e11)])
def test_sharpness_and_condition_number_of_500_params_against_numpy(dtype, condition):
    x = design(condition, dtype)
    values = np.linalg.eigvalsh(x.T.astype(float) @ x / len(x))
    with problems.x64(dtype == np.float64):
        problem = HALF_SQUARE, jnp.zeros(len(x), dtype), jnp.asarray(x)
        sharpness = jgd.curvature.sharpness(*problem, key=KEY)
        found = jgd.curvature.condition_number(*problem, key=KEY)
        assert sharpness.dtype == found.dtype == dtype
    np.testing.assert_allclose(sharpness, values[-1], rtol=1e-5)
    np.testing.assert_allclose(found, values[-1] / values[0], rtol=0.01)


def network_error(params, example):
    hidden = jnp.tanh(params["inner"] @ example["x"])
    return jgd.losses.squared_error(params["outer"] @ hidden, example["y"])


def network_hessian(inner, outer, x, y, penalty, step=1e-5):
    """[P, P], by differences of the gradient that is written out here."""

    def gradient(flat):
        inner_too, outer_too = flat[: inner.size].reshape(inner.shape), flat[inner.size :]
        hidden = np.tanh(x @ inner_too.T)
        residual = 2 * (hidden @ outer_too - y) / len(y)
        of_inner = (residual[:, None] * (1 - hidden**2) * outer_too).T @ x
        return np.r_[of_inner.ravel(), residual @ hidden] + penalty * flat

    flat = np.r_[inner.ravel(), outer]
    aside = step * np.eye(flat.size)
    return np.array([gradient(flat + a) - gradient(flat - a) for a in aside]) / (2 * step)


def test_a_network_against_numpy():
    """It is not convex; along the vector of the smallest eigenvalue it bends downwards."""
    rng = np.random.default_rng(0)
    inner, outer, x = rng.normal(size=(8, 3)), rng.normal(size=8), rng.normal(size=(30, 3))
    y = np.sin(x.sum(axis=1))
    matrix = network_hessian(inner, outer, x, y, penalty=0.01)
    params, data = ({"inner": inner, "outer": outer}, {"x": x, "y": y})
    params, data = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (params, data))
    place = jgd.objective(network_error, jgd.penalties.l2(0.01)), params, data
    found = jgd.curvature.extreme_eigenvalues(*place, key=KEY)
    trees = (
        found.vector,
        jgd.curvature.hessian_vector_product(*place, found.vector),
        jgd.curvature.feature_curvature(*place),
    )
    vector, product, diagonal = (np.r_[tree["inner"].ravel(), tree["outer"]] for tree in trees)
    values = np.linalg.eigvalsh(matrix)
    assert values[0] < -0.1
    assert jgd.curvature.condition_number(*place, key=KEY) == np.inf
    assert max(abs(found.largest - values[-1]), abs(found.smallest - values[0])) <= found.error
    assert found.error <= 1e-5 * values[-1]
    np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-5)
    tolerance = 1e-5 * values[-1]
    np.testing.assert_allclose(product, matrix @ vector, atol=tolerance)
    np.testing.assert_allclose(product, values[0] * vector, atol=tolerance)
    np.testing.assert_allclose(diagonal, np.diag(matrix), atol=tolerance)


@pytest.mark.parametrize("block", [None, 7])
def test_products_of_logistic_regression_in_closed_form(block):
    """Weights, a row of NaN that does not count, a penalty with a mask, and params of a pytree."""
    mask = {"linear": {"weights": True, "bias": False}}
    with problems.x64():
        problem = problems.logistic_regression(jnp.float64)
        x, params = np.array(problem.data["x"]), problem.params["linear"]
        weights = np.random.default_rng(0).uniform(0.5, 2, len(x))
        weights[[0, 3, len(x) - 1]] = 0
        slope = 1 / (1 + np.exp(-(x @ np.array(params["weights"]) + float(params["bias"]))))
        columns = np.c_[x, np.ones(len(x))]
        matrix = (columns.T * weights * slope * (1 - slope)) @ columns / np.count_nonzero(weights)
        matrix[:3, :3] += 0.3 * np.eye(3)
        data = {**problem.data, "x": jnp.asarray(x).at[3].set(jnp.nan)}
        objective = jgd.objective(problem.loss, jgd.penalties.l2(0.3, mask))
        vector = {"linear": {"weights": jnp.array([1.0, -2.0, 0.5]), "bias": jnp.array(3.0)}}
        came = jgd.curvature.hessian_vector_product(
            objective, problem.params, data, vector, weights, block=block
        )["linear"]
    wanted = matrix @ [1.0, -2.0, 0.5, 3.0]
    np.testing.assert_allclose(np.r_[came["weights"], came["bias"]], wanted, rtol=1e-12)


@pytest.mark.parametrize(
    "curvatures",
    [
        np.ones(12),
        np.zeros(12),
        np.r_[np.full(7, 2.0), np.full(5, -3.0)],
        np.r_[np.zeros(11), 5.0],
        1e-30 * np.arange(12),
        1e30 * np.arange(12),
    ],
    ids=["identity", "zero", "two values", "rank 1", "tiny", "huge"],
)
def test_lanczos_goes_on_where_it_breaks_down(curvatures):
    """With fewer different eigenvalues than params it finds an invariant subspace before its end."""
    found = ends(curvatures)
    largest, smallest = curvatures.max(), curvatures.min()
    assert abs(found.largest - largest) <= found.error
    assert abs(found.smallest - smallest) <= found.error <= 1e-5 * np.abs(curvatures).max()
    np.testing.assert_allclose(np.linalg.norm(found.vector), 1, rtol=1e-5)
    outside = np.abs(curvatures - smallest) > 1e-3 * np.abs(curvatures).max()
    assert np.all(np.abs(np.asarray(found.vector)[outside]) < 1e-3)


@pytest.mark.parametrize("curvatures", [np.ones(12), np.arange(1.0, 13.0)])
def test_condition_numbers_that_are_known(curvatures):
    rows = jnp.asarray(curvatures, jnp.float32)[None]
    found = jgd.curvature.condition_number(BEND, jnp.zeros(12), rows, key=KEY)
    np.testing.assert_allclose(found, curvatures.max() / curvatures.min(), rtol=1e-5)


@pytest.mark.parametrize("smallest", [0.0, -1.0, 1e-7])
def test_condition_number_is_infinite_where_float32_cannot_tell(smallest):
    rows = jnp.array([1.0, *np.arange(1, 11), smallest])[None]
    assert jgd.curvature.condition_number(BEND, jnp.zeros(12), rows, key=KEY) == jnp.inf


def test_fewer_steps_come_within_their_error():
    rng = np.random.default_rng(0)
    for seed in range(20):
        curvatures = rng.gamma(0.5, size=12)
        found = ends(curvatures, steps=4, key=jax.random.key(seed))
        assert curvatures.min() - 1e-5 <= found.smallest <= found.largest <= curvatures.max() + 1e-5
        for value in (found.largest, found.smallest):
            assert np.abs(curvatures - float(value)).min() <= found.error
    assert found.error > 1e-3 * curvatures.max()


def test_number_of_steps():
    assert checked_steps(None, {"a": jnp.zeros((32, 16))}) == 512
    assert checked_steps(None, {"a": jnp.zeros((32, 16)), "b": 0.0}) == 64
    assert checked_steps(7, jnp.zeros(3)) == 3


def test_bad_numbers_give_nan():
    rows = np.ones((1, 12))
    rows[0, 4] = np.nan
    found = ends(rows)
    assert np.isnan([found.largest, found.smallest, found.error]).all()
    assert np.isnan(jgd.curvature.condition_number(BEND, jnp.zeros(12), jnp.asarray(rows), key=KEY))


def test_a_sample_is_drawn_from_rows_that_count():
    """Of rows 1, 2, 4, ... the sum tells which were drawn; params of 16 bits lose none of its digits."""
    rows = 2.0 ** np.arange(10)[:, None]
    counts = [np.ones(10), np.ones(10), np.arange(10) % 2, np.isin(np.arange(10), [1, 5, 8])]
    found = [
        ends(
            np.where(count[:, None], rows, np.nan),
            jnp.bfloat16,
            sample=3,
            weights=count,
            key=jax.random.key(seed),
        )
        for seed, count in enumerate(counts)
    ]
    assert found[0].vector.dtype == jnp.bfloat16
    sums = [round(3 * float(came.largest)) for came in found]
    assert [bin(total).count("1") for total in sums] == [3] * 4
    assert sums[0] != sums[1]
    assert sums[2] & 0b0101010101 == 0
    assert sums[3] == 0b0100100010


def quartic(params, example):
    return example * jnp.sum(params**4)


@pytest.mark.exhaustive
def test_many_places_and_penalties_in_one_program():
    """Compiled once and mapped: the Hessian is 12 p² and the strength, on the diagonal."""
    data = jnp.array([0.5, 1.5])

    @chex.assert_max_traces(n=1)
    def found(params, strength, key):
        objective = jgd.objective(quartic, jgd.penalties.l2(strength))
        return jgd.curvature.extreme_eigenvalues(objective, params, data, key=key)

    places = np.array([[1.0, 2.0], [3.0, 0.5], [0.0, 1.0]])
    strengths = np.array([0.0, 10.0, 1.0])
    mapped = jax.jit(jax.vmap(found))
    for scale in (1.0, 2.0):
        came = mapped(jnp.asarray(scale * places), jnp.asarray(strengths), jax.random.split(KEY, 3))
        wanted = 12 * (scale * places) ** 2 + strengths[:, None]
        np.testing.assert_allclose(came.largest, wanted.max(axis=1), rtol=1e-5)
        np.testing.assert_allclose(came.smallest, wanted.min(axis=1), rtol=1e-4)


def test_a_penalty_with_kinks_is_left_out():
    params, vector = jnp.array([1.0, -2.0]), jnp.array([1.0, 0.5])
    came = [
        jgd.curvature.hessian_vector_product(jgd.objective(bend, penalty), params, jnp.eye(2), vector)
        for penalty in (jgd.penalties.elastic_net(3.0), jgd.penalties.l2(3.0))
    ]
    np.testing.assert_allclose(came, [[0.5, 0.25], [3.5, 1.75]], rtol=1e-6)


@pytest.mark.two_devices
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_rows_over_devices(kind):
    rows = np.random.default_rng(0).gamma(1.0, size=(12, 3)).astype(np.float32)
    mesh = jax.make_mesh((2,), ("rows",), (kind,))
    laid = jax.device_put(rows, NamedSharding(mesh, PartitionSpec("rows")))
    came = jgd.curvature.hessian_vector_product(BEND, jnp.zeros(3), laid, jnp.arange(3.0))
    np.testing.assert_allclose(came, rows.mean(axis=0) * np.arange(3), rtol=1e-5)


@pytest.mark.cpu
def test_memory_of_a_product_is_that_of_a_block():
    data = jnp.ones((20_000, 50))
    problem, rows = checked_problem(HALF_SQUARE, jnp.ones(50), data, None, block=100)
    program = _hessian_vector_product.lower(problem, jnp.ones(50), rows=rows).compile()
    assert program.memory_analysis().temp_size_in_bytes < data.nbytes / 20


def test_curvature_of_many_features_comes_within_its_standard_error():
    rows = np.random.default_rng(0).normal(size=(30, 600)).astype(np.float32)
    with pytest.raises(ValueError, match=r"key is None.* more than 512 params \(here 600\)"):
        jgd.curvature.feature_curvature(HALF_SQUARE, jnp.zeros(600), rows)
    came = jgd.curvature.feature_curvature(HALF_SQUARE, jnp.zeros(600), rows, key=KEY)
    matrix = rows.T.astype(float) @ rows / 30
    error = np.sqrt((np.sum(matrix**2, axis=1) - np.diag(matrix) ** 2) / 512)
    z = (np.asarray(came) - np.diag(matrix)) / error
    assert np.abs(z).max() < 5
    assert 0.8 < z.std() < 1.2


def density(curvatures):
    params = jnp.zeros(len(curvatures))
    rows = jnp.asarray(curvatures, jnp.float32)[None]
    at, density = jgd.curvature.spectral_density(BEND, params, rows, key=KEY, draws=32)
    return np.asarray(at), np.asarray(density)


@pytest.mark.exhaustive
def test_spectral_density_has_the_moments_of_the_spectrum():
    curvatures = np.r_[np.zeros(12), np.random.default_rng(0).uniform(1, 4, 12)]
    at, of_all = density(curvatures)
    np.testing.assert_allclose(np.trapezoid(of_all, at), 1, rtol=1e-5)
    assert at[0] < curvatures.min() < curvatures.max() < at[-1]
    # The share of an eigenvalue in a random direction is a beta variable of mean 1/P.
    for function in (lambda t: t, np.square, lambda t: t < 0.5):
        values = function(curvatures)
        error = np.sqrt(2 * np.var(values) / (24 + 2) / 32)
        assert abs(np.trapezoid(of_all * function(at), at) - values.mean()) < 4 * error
    assert of_all[(at > 0.2) & (at < 0.8)].max() < 1e-5


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan])
def test_spectral_density_of_one_eigenvalue(value):
    at, of_all = density(np.full(24, value))
    if np.isnan(value):
        assert np.isnan(of_all).all()
    else:
        np.testing.assert_allclose(np.trapezoid(of_all, at), 1, rtol=1e-5)
        np.testing.assert_allclose(at[of_all.argmax()], value, atol=0.02)


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        ("extreme_eigenvalues", {"steps": 0}, "steps is 0, but a whole number >= 1"),
        ("condition_number", {"steps": 2.5}, "steps is 2.5"),
        ("sharpness", {"sample": 3}, "sample is 3, but a number of examples from 1 to 2"),
        ("sharpness", {"block": 0}, "block is 0"),
        ("sharpness", {"key": 7}, "key is 7"),
        ("feature_curvature", {"sample": 1, "key": None}, "key is None"),
        ("feature_curvature", {"key": 7}, "key is 7"),
        ("spectral_density", {"draws": 0}, "draws is 0, but a whole number >= 1"),
        ("spectral_density", {"points": 31}, "points is 31, but a whole number >= 32"),
        ("spectral_density", {"steps": 0}, "steps is 0"),
        ("hessian_vector_product", {"vector": [jnp.ones(3)]}, r"vector has the structure .*\[\*\]"),
        ("hessian_vector_product", {"vector": jnp.ones(2)}, r"vector has shape \(2,\)"),
        (
            "hessian_vector_product",
            {"vector": jnp.ones(3), "weights": jnp.ones(3)},
            "weights have shape",
        ),
    ],
)
def test_errors_name_the_argument(function, options, message):
    options = options if function == "hessian_vector_product" else {"key": KEY, **options}
    with pytest.raises(ValueError, match=message):
        getattr(jgd.curvature, function)(BEND, jnp.zeros(3), jnp.ones((2, 3)), **options)

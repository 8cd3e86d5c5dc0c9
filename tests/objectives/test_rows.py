"""Rows taken in blocks and laid over devices give what all rows at once on one device give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jgd
from jgd.objectives.rows import BLOCK_BYTES, FEWEST_BLOCK_ROWS, row_layout, rows_per_block
from tests import cases
from tests.problems import x64

LARGE = 200_003  # examples; a prime, so that no block divides them
SQUARES = jgd.objective(
    lambda params, example: jgd.losses.squared_error(example["x"] @ params, example["y"])
)


@pytest.fixture(scope="module")
def large():
    """More bytes than are taken at once, and what float64 says of them."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(LARGE, 6)).astype(np.float32), rng.normal(size=LARGE).astype(np.float32)
    weights = rng.choice([0.0, 0.5, 1.0], LARGE)
    return {"x": jnp.asarray(x), "y": jnp.asarray(y)}, jnp.asarray(weights, jnp.float32)


def in_closed_form(data, weights, params):
    x, y, w = (np.asarray(a, np.float64) for a in (data["x"], data["y"], weights))
    residuals = x @ params - y
    return np.sum(w * residuals**2) / np.sum(w != 0), 2 * x.T @ (w * residuals) / np.sum(w != 0)


def mesh(kind=AxisType.Auto):
    return jax.make_mesh((2,), ("rows",), (kind,))


def over_devices(tree, kind=AxisType.Auto):
    return jax.device_put(tree, NamedSharding(mesh(kind), PartitionSpec("rows")))


@pytest.mark.cpu
def test_many_rows_are_taken_in_blocks_that_the_cache_holds(large):
    data, _ = large
    bytes_per_row = 7 * 4
    rows = rows_per_block(data)
    assert BLOCK_BYTES / 2 <= rows * bytes_per_row <= BLOCK_BYTES
    assert rows_per_block({name: x[:1000] for name, x in data.items()}) == 1000
    assert 196_608 % rows_per_block({name: x[:196_608] for name, x in data.items()}) == 0
    assert rows_per_block(jnp.zeros((419, 10_000))) == FEWEST_BLOCK_ROWS


@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_of_many_rows_against_the_closed_form(large, weighted):
    data, weights = large
    params = jnp.linspace(-1, 1, 6)
    value, gradient = jgd.value_and_gradient(SQUARES, params, data, weights if weighted else None)
    expected = in_closed_form(data, weights if weighted else np.ones(LARGE), np.linspace(-1, 1, 6))
    np.testing.assert_allclose(value, expected[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-5)


@jax.jit
@jax.grad
def slope_of_the_squared_gradient(params, data):
    return jnp.sum(jgd.value_and_gradient(SQUARES, params, data)[1] ** 2)


def test_derivatives_through_blocks_against_the_closed_form(large):
    """The second derivative of least squares is its Gram matrix."""
    data, _ = large
    gram = 2 * np.asarray(data["x"], np.float64).T @ np.asarray(data["x"], np.float64) / LARGE
    slope = in_closed_form(data, np.ones(LARGE), np.linspace(-1, 1, 6))[1]
    came = slope_of_the_squared_gradient(jnp.linspace(-1, 1, 6), data)
    np.testing.assert_allclose(came, 2 * gram @ slope, rtol=1e-3)


@pytest.mark.cpu
def test_derivatives_through_blocks_do_not_keep_them(large):
    """A copy of the data would be 6 MB."""
    program = slope_of_the_squared_gradient.lower(jnp.ones(6), large[0]).compile()
    assert program.memory_analysis().temp_size_in_bytes < LARGE * 7 * 4 / 2


@pytest.mark.two_devices
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_rows_over_devices_against_the_closed_form(large, weighted, kind):
    data, weights = jax.tree.map(lambda x: x[:-1], large)
    laid, laid_weights = over_devices(data, kind), over_devices(weights, kind)
    params = jnp.linspace(-1, 1, 6)
    for w in (laid_weights, weights) if weighted else (None,):
        value, gradient = jgd.value_and_gradient(SQUARES, params, laid, w)
        counts = weights if weighted else np.ones(LARGE - 1)
        expected = in_closed_form(data, counts, np.linspace(-1, 1, 6))
        np.testing.assert_allclose(value, expected[0], rtol=1e-5)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-5)


@pytest.mark.two_devices
def test_rows_over_devices_are_not_brought_together(large):
    data = over_devices({name: x[:-1] for name, x in large[0].items()})
    evaluate = jax.jit(lambda p: jgd.value_and_gradient(SQUARES, p, data))
    text = jgd.objectives.objective._value_and_gradient.lower(
        SQUARES, jnp.ones(6), data, None, block=None, layout=row_layout(data)
    ).compile()
    assert "all-gather" not in text.as_text()
    assert "all-reduce" in text.as_text()
    np.testing.assert_allclose(
        evaluate(jnp.ones(6))[0], jgd.value(SQUARES, jnp.ones(6), large[0]), rtol=1e-3
    )


@pytest.mark.two_devices
@pytest.mark.parametrize("weighted", [pytest.param(False, marks=pytest.mark.exhaustive), True])
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("variant", cases.EACH_VARIANT)
def test_descents_over_devices_are_those_on_one(variant, weighted, kind):
    with x64():
        rows = {name: x[:36] for name, x in cases.data(dtype=jnp.float64).items()}
        weights = jnp.arange(36) % 4 / 2 if weighted else None
        options = {"params": cases.params(jnp.float64), "stop": jgd.stop.gradient_norm(1e-9)}
        one, two = (
            cases.fit(jgd.adam(0.05), cases.VARIANTS[variant], data=d, weights=weights, **options)
            for d in (rows, over_devices(rows, kind))
        )
        numbers = [
            (f.params, f.history.loss, f.history.gradient_norm, f.state.rule_state) for f in (one, two)
        ]
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13), *numbers)


@pytest.mark.two_devices
def test_lanes_over_rows_over_devices(large):
    data = {name: x[:1000] for name, x in large[0].items()}
    train = lambda rate, rows: jgd.batch_descent(  # noqa: E731
        SQUARES, jnp.ones(6), rows, rule=jgd.sgd(rate), epochs=3
    )
    laid = over_devices(data)
    came = jax.vmap(lambda rate: train(rate, laid).params)(jnp.array([0.01, 0.1]))
    for lane, rate in enumerate((0.01, 0.1)):
        np.testing.assert_allclose(came[lane], train(rate, data).params, rtol=1e-5)


@pytest.mark.two_devices
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_statistics_and_validation_over_devices(large, kind):
    data, weights = jax.tree.map(lambda x: x[:1000], large)
    laid, laid_weights = over_devices(data, kind), over_devices(weights, kind)
    one, two = (
        jgd.sufficient_statistics(d["x"], d["y"], w)[1]
        for d, w in ((data, weights), (laid, laid_weights))
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), one, two)
    found = [
        jgd.batch_descent(
            SQUARES, jnp.zeros(6), data, rule=jgd.sgd(0.1), epochs=2, evaluate=squares, validation=d
        ).history.evaluation
        for d in (data, laid)
    ]
    np.testing.assert_allclose(*found, rtol=1e-5)


def squares(params, data):
    return jnp.mean((data["x"] @ params - data["y"]) ** 2)


@pytest.mark.two_devices
def test_what_is_laid_out_otherwise_has_no_layout():
    x = jnp.zeros((4, 6))
    assert row_layout(x) is None
    assert row_layout(over_devices(x)) == (mesh(), "rows")
    assert row_layout((over_devices(x), over_devices(x[:, 0]))) == (mesh(), "rows")
    assert row_layout((over_devices(x), x)) is None
    columns = jax.device_put(x, NamedSharding(mesh(), PartitionSpec(None, "rows")))
    assert row_layout(columns) is None
    assert row_layout(jax.device_put(x, NamedSharding(mesh(), PartitionSpec()))) is None
    value, _ = jgd.value_and_gradient(SQUARES, jnp.ones(6), {"x": columns, "y": jnp.ones(4)})
    assert value == 1

"""Sufficient statistics against the plain loop, closed forms in float64 and the laws of weights."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from jgd.objectives import sufficient
from tests import problems

NUM_EXAMPLES, FEATURES = 2 * sufficient.BLOCK + 57, 4  # the last block overlaps the one before


def squares(params, example):
    inputs, target = example
    weights = params if isinstance(params, jax.Array) else params["weights"]
    bias = 0.0 if isinstance(params, jax.Array) else params.get("bias", 0.0)
    return jgd.losses.squared_error(inputs @ weights + bias, target)


SQUARES = jgd.objective(squares)


def data(outputs=None, num_examples=NUM_EXAMPLES, seed=0):
    """Features of several scales, away from 0; targets with noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_examples, FEATURES)) * np.array([0.5, 1.0, 1.5, 2.0]) + 1.0
    shape = (FEATURES, *(() if outputs is None else (outputs,)))
    y = x @ rng.normal(size=shape) + rng.normal(size=(num_examples, *shape[1:])) + 2.0
    return x.astype(np.float32), y.astype(np.float32)


def some_weights(seed=1):
    weights = np.random.default_rng(seed).uniform(0.2, 3.0, size=NUM_EXAMPLES).astype(np.float32)
    weights[[0, 3, 8, NUM_EXAMPLES - 1]] = 0.0
    return weights


def params_of(form, outputs=None, seed=2):
    """Random params of the linear model; `weights` alone, or an array."""
    rng = np.random.default_rng(seed)
    outer = () if outputs is None else (outputs,)
    weights = jnp.asarray(rng.normal(size=(FEATURES, *outer)), jnp.float32)
    bias = jnp.asarray(rng.normal(size=outer), jnp.float32)
    return {"array": weights, "weights": {"weights": weights}}.get(
        form, {"weights": weights, "bias": bias}
    )


def solution(x, y, weights=None):
    """Weights and bias of the minimum, float64."""
    rows = np.append(x, np.ones((len(x), 1)), axis=1).astype(float)
    root = np.sqrt(np.ones(len(x)) if weights is None else weights)
    root = root.reshape(-1, *(1,) * (y.ndim - 1))
    found = np.linalg.lstsq(root.reshape(-1, 1) * rows, root * y, rcond=None)[0]
    return {"weights": found[:-1], "bias": found[-1]}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("form", "outputs"), [("bias", None), ("weights", None), ("array", None), ("bias", 2), ("array", 2)]
)
def test_value_and_gradient_are_those_of_the_plain_loss(form, outputs, weighted):
    x, y = data(outputs)
    weights = some_weights() if weighted else None
    params = params_of(form, outputs)
    penalty = jgd.penalties.l2(0.3)
    came = jgd.value_and_gradient(*_at(params, x, y, weights, penalty))
    wanted = jgd.value_and_gradient(jgd.objective(squares, penalty), params, (x, y), weights)
    chex.assert_trees_all_close(came, wanted, rtol=2e-6, atol=1e-5)


def _at(params, *args):
    objective, statistics = jgd.sufficient_statistics(*args)
    return objective, params, statistics


def test_float64_keeps_its_digits():
    """Weights of both signs, too, for which there is no minimum."""
    with problems.x64():
        x, y = (v.astype(float) for v in data(2))
        weights = np.random.default_rng(3).normal(size=NUM_EXAMPLES)
        params = jax.tree.map(lambda p: p.astype(float), params_of("bias", 2))
        came = jgd.value_and_gradient(*_at(params, x, y, weights))
        wanted = jgd.value_and_gradient(SQUARES, params, (x, y), weights)
        chex.assert_trees_all_close(came, wanted, rtol=1e-12)
        assert came[0].dtype == jnp.float64


def test_second_derivative_is_the_gram():
    x, y = data()
    objective, statistics = jgd.sufficient_statistics(x, y)
    one = jax.tree.map(lambda s: s[0], statistics)
    hessian = jax.jit(jax.hessian(objective.loss))(params_of("array"), one)
    np.testing.assert_allclose(hessian, 2 * x.T @ x / NUM_EXAMPLES, rtol=1e-5)


@pytest.mark.parametrize(
    ("form", "rule"),
    [("bias", jgd.sgd(0.02, momentum=0.9)), ("array", jgd.adam(0.1))],
    ids=["bias", "array"],
)
def test_descent_takes_the_steps_of_the_plain_loop(form, rule):
    x, y = data()
    params = params_of(form)
    penalty = jgd.penalties.l1(0.1)
    plain = jgd.objective(squares, penalty)
    wanted = jgd.batch_descent(plain, params, (x, y), rule=rule, epochs=200, weights=some_weights())
    came = jgd.batch_descent(*_at(params, x, y, some_weights(), penalty), rule=rule, epochs=200)
    chex.assert_trees_all_close(came.params, wanted.params, atol=2e-5)
    chex.assert_trees_all_close(came.history, wanted.history, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("outputs", "weighted"), [(None, False), (None, True), (2, True)])
def test_descent_ends_at_the_solution(outputs, weighted):
    x, y = data(outputs)
    weights = some_weights() if weighted else None
    start = jgd.models.linear.init(None, FEATURES, outputs)
    fit = jgd.batch_descent(*_at(start, x, y, weights), rule=jgd.sgd(0.03, momentum=0.9), epochs=1000)
    chex.assert_trees_all_close(
        jax.tree.map(np.asarray, fit.params), solution(x, y, weights), rtol=3e-6, atol=1e-6
    )


def test_a_large_sum_keeps_its_digits():
    """A plain sum of the blocks would be off by 4e-7, and one with the mean left in by far more."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1_000_000, 2), np.float32) + np.array([0.0, 1000.0], np.float32)
    _, statistics = jgd.sufficient_statistics(x, x[:, 0])
    centred = x - np.asarray(statistics.centre[0], float)
    gram = centred.T @ centred / len(x)
    np.testing.assert_allclose(statistics.gram[0, :2, :2], gram, rtol=2e-7, atol=1e-8)


def test_condition_of_a_hundred_costs_no_digits():
    """The float32 sums XᵀX and Xᵀy would be off by 1e-5 and more."""
    rng = np.random.default_rng(5)
    turn, _ = np.linalg.qr(rng.normal(size=(20, 20)))
    x = (rng.normal(size=(5000, 20)) * np.geomspace(1, 0.01, 20) @ turn).astype(np.float32)
    y = (x @ rng.normal(size=20) + 0.1 * rng.normal(size=len(x))).astype(np.float32)
    _, (gram, moment, _, centre, reference) = jgd.sufficient_statistics(x, y)
    gram, moment, centre, reference = (
        np.asarray(v[0], float) for v in (gram, moment, centre, reference)
    )
    step = np.linalg.solve(gram, moment)
    wanted = solution(x, y)
    error = reference[:-1] + step[:-1] - wanted["weights"]
    assert np.linalg.norm(error) < 2e-6 * np.linalg.norm(wanted["weights"])


def test_the_loss_of_a_perfect_fit_is_not_negative():
    x, _ = data()
    y = x @ np.ones(FEATURES, np.float32)
    params = {"weights": jnp.ones(FEATURES), "bias": jnp.zeros(())}
    value = jgd.value(*_at(params, x, y))
    assert abs(float(value)) < 1e-11


def test_rows_of_weight_zero_are_not_there():
    x, y = data()
    weights = some_weights()
    counts = weights != 0
    x[~counts], y[~counts] = np.nan, np.inf
    params = params_of("bias")
    came = jgd.value_and_gradient(*_at(params, x, y, weights))
    wanted = jgd.value_and_gradient(*_at(params, x[counts], y[counts], weights[counts]))
    chex.assert_trees_all_close(came, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("columns", ["doubled", "of ones", "of zeros", "more than rows"])
def test_columns_that_depend_on_each_other(columns):
    """There is no unique minimum; value and gradient are what they are."""
    x, y = data()
    if columns == "doubled":
        x[:, 1] = x[:, 0]
    if columns in ("of ones", "of zeros"):
        x[:, 1] = columns == "of ones"
    if columns == "more than rows":
        x, y = x[:3], y[:3]
    params = params_of("bias")
    came = jgd.value_and_gradient(*_at(params, x, y))
    wanted = jgd.value_and_gradient(SQUARES, params, (x, y))
    chex.assert_trees_all_close(came, wanted, rtol=1e-5, atol=1e-5)


def test_folds_are_lanes_of_one_program():
    x, y = data()
    folds = (np.arange(NUM_EXAMPLES) % 3 != np.arange(3)[:, None]).astype(np.float32)
    start = jgd.models.linear.init(None, FEATURES)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None, None))
    def train(weights, x, y):
        return jgd.batch_descent(
            *_at(start, x, y, weights), rule=jgd.sgd(0.03, momentum=0.9), epochs=1000
        )

    came = train(folds, x, y).params
    for number, weights in enumerate(folds):
        lane = jax.tree.map(lambda p, number=number: np.asarray(p[number]), came)
        chex.assert_trees_all_close(lane, solution(x, y, weights), rtol=1e-5, atol=1e-5)


def test_numbers_compile_nothing():
    x, y = data()
    start = jgd.models.linear.init(None, FEATURES)
    traces = 0

    @jax.jit
    def train(objective, params, statistics):
        nonlocal traces
        traces += 1
        return jgd.batch_descent(objective, params, statistics, rule=jgd.sgd(0.03), epochs=2)

    for seed, strength in ((1, 0.1), (2, 0.2)):
        x, y = data(seed=seed)
        train(*_at(start, x, y, some_weights(seed), jgd.penalties.l2(strength)))
        sizes = sufficient._statistics._cache_size()
        jgd.sufficient_statistics(*data(seed=seed + 7), some_weights())
        assert sufficient._statistics._cache_size() == sizes
    assert traces == 1


@pytest.mark.cpu
def test_data_are_not_copied():
    x, y = jnp.zeros((50_001, 30)), jnp.zeros(50_001)
    program = sufficient._statistics.lower(x, y, y).compile()
    assert program.memory_analysis().temp_size_in_bytes < x.nbytes / 4


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.bfloat16])
def test_other_numbers_are_taken_as_floats(dtype):
    rng = np.random.default_rng(6)
    x = jnp.asarray(rng.integers(0, 200, size=(NUM_EXAMPLES, FEATURES)), dtype)
    y = jnp.arange(NUM_EXAMPLES)
    _, came = jgd.sufficient_statistics(x, y)
    _, wanted = jgd.sufficient_statistics(x.astype(jnp.float32), y.astype(jnp.float32))
    assert came.gram.dtype == jnp.float32
    chex.assert_trees_all_equal(came, wanted)


def test_lists_are_taken():
    x, y = data()
    _, came = jgd.sufficient_statistics(x.tolist(), y.tolist())
    chex.assert_trees_all_equal(came, jgd.sufficient_statistics(x, y)[1])


X, Y = data()
HOLE = np.where(np.arange(FEATURES) == 2, np.nan, X)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((X[:, 0], Y), r"x has shape \(2105,\).*\[N, D\].*x\[:, None\]"),
        ((X, Y[:, None, None]), r"y has shape .*\[N\] or \[N, C\]"),
        ((X, Y[1:]), "x has 2105 examples and y has 2104.*transposed"),
        ((X[:0], Y[:0]), r"x has shape \(0, 4\).*at least one example"),
        ((X.astype(str), Y), "x has dtype.*real numbers.*Encode"),
        ((X, Y * 1j), "y has dtype complex.*real numbers"),
        ((X, Y, np.ones(3)), r"weights have shape \(3,\)"),
        ((X, Y, np.zeros(NUM_EXAMPLES)), "weights are all 0"),
        ((X, Y, np.full(NUM_EXAMPLES, np.nan)), "weights hold NaN"),
        ((HOLE, Y), r"columns \[2\] of x hold NaN or infinity.*weight 0"),
        ((1e30 * X, Y), r"columns \[0, 1, 2, 3\] of x.*overflow"),
        ((X, np.full_like(Y, np.inf)), "y holds NaN or infinity"),
        ((X, Y, None, 0.1), "penalty is 0.1, but a Penalty is wanted"),
    ],
)
def test_bad_input_is_named(args, message):
    with pytest.raises(ValueError, match=message):
        jgd.sufficient_statistics(*args)


@pytest.mark.parametrize(
    "params",
    [
        jnp.zeros(FEATURES + 1),
        jnp.zeros((FEATURES, 1)),
        {"w": jnp.zeros(FEATURES)},
        {"weights": jnp.zeros(FEATURES), "bias": jnp.zeros(1)},
        {"weights": jnp.zeros(FEATURES), "slope": jnp.zeros(())},
        (jnp.zeros(FEATURES), jnp.zeros(())),
    ],
    ids=str,
)
def test_params_that_do_not_fit_are_named(params):
    with pytest.raises(ValueError, match=r"params have the shapes .*\(4,\).*linear\.init"):
        jgd.value(*_at(params, X, Y))

"""The objective against closed forms, and its laws about weights and row blocks."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import jgd
from tests import problems

NUM_EXAMPLES = 23
BLOCKS = [None, 1, 7, NUM_EXAMPLES - 1, NUM_EXAMPLES, NUM_EXAMPLES + 17]
SQUARES = jgd.objective(problems.square)
evaluate = jax.jit(jgd.value_and_gradient, static_argnames="block")
value_alone = jax.jit(jgd.value)
PENALTIES = {
    "none": (None, lambda w: 0.0, lambda w: 0.0),
    "ridge": (jgd.penalties.l2(0.25), lambda w: 0.125 * w @ w, lambda w: 0.25 * w),
    "lasso": (jgd.penalties.l1(0.25), lambda w: 0.25 * np.abs(w).sum(), lambda w: 0.25 * np.sign(w)),
}


def closed_form(problem, weights=None, penalty="none"):
    """J and its gradient for least squares, in NumPy and float64."""
    x, y, params = (np.asarray(v, np.float64) for v in (*problem.data.values(), problem.params))
    weights = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)
    residual, count = x @ params - y, np.count_nonzero(weights)
    _, value, slope = PENALTIES[penalty]
    loss = (weights * residual**2).sum() / count
    return loss + value(params), 2 * x.T @ (weights * residual) / count + slope(params)


def some_weights(seed=4):
    """Positive, negative and zero ones; the first row and the last do not count."""
    weights = np.random.default_rng(seed).normal(size=NUM_EXAMPLES) + 0.5
    weights[[0, 3, 8, 9, NUM_EXAMPLES - 1]] = 0.0
    return weights


@pytest.mark.parametrize(
    ("penalty", "weighted", "block"),
    [
        *(("none", False, None), ("none", True, None), ("none", True, 7)),
        *(("ridge", True, None), ("ridge", False, 7), ("lasso", False, None), ("lasso", True, 7)),
    ],
)
def test_least_squares_in_closed_form(penalty, weighted, block):
    objective = jgd.objective(problems.square, PENALTIES[penalty][0])
    with problems.x64():
        problem = problems.least_squares(jnp.float64)
        weights = jnp.asarray(some_weights()) if weighted else None
        value, grads = evaluate(objective, problem.params, problem.data, weights, block=block)
        alone = jgd.value(objective, problem.params, problem.data, weights)
    wanted_value, wanted_grads = closed_form(problem, weights, penalty)
    np.testing.assert_allclose([value, alone], [wanted_value] * 2, rtol=1e-13)
    np.testing.assert_allclose(grads, wanted_grads, rtol=1e-12)


@pytest.mark.parametrize("make", [problems.least_squares, problems.quadratic])
def test_gradient_vanishes_at_the_minimiser(make):
    with problems.x64():
        problem = make(jnp.float64)
        _, grads = jgd.value_and_gradient(
            jgd.objective(problem.loss), jnp.asarray(problem.minimiser), problem.data
        )
        assert np.abs(grads).max() < 1e-13
        _, grads = jgd.value_and_gradient(jgd.objective(problem.loss), problem.params, problem.data)
        assert np.abs(grads).max() > 0.1


def test_gradient_of_ridge_vanishes_at_its_minimiser():
    """`(2/N) Xᵀ(Xw - y) + strength w = 0`."""
    with problems.x64():
        problem = problems.least_squares(jnp.float64)
        x, y = np.asarray(problem.data["x"]), np.asarray(problem.data["y"])
        minimiser = np.linalg.solve(2 / len(y) * x.T @ x + 0.3 * np.eye(4), 2 / len(y) * x.T @ y)
        objective = jgd.objective(problems.square, jgd.penalties.l2(0.3))
        _, grads = jgd.value_and_gradient(objective, jnp.asarray(minimiser), problem.data)
        assert np.abs(grads).max() < 1e-13


@pytest.mark.parametrize("make", [problems.logistic_regression, problems.network])
def test_value_and_gradient_are_those_of_a_plain_mean(make):
    problem = make(num_examples=5)

    def plain(params):
        rows = [jax.tree.map(lambda x, i=i: x[i], problem.data) for i in range(5)]
        squares = sum(jnp.sum(p**2) for p in jax.tree.leaves(params))
        return sum(problem.loss(params, row) for row in rows) / 5 + 0.05 * squares

    wanted = jax.jit(jax.value_and_grad(plain))(problem.params)
    objective = jgd.objective(problem.loss, jgd.penalties.l2(0.1))
    for block in (None, 2):
        came = evaluate(objective, problem.params, problem.data, block=block)
        chex.assert_trees_all_close(came, wanted, rtol=1e-5, atol=1e-6)
        assert jax.tree.structure(came[1]) == jax.tree.structure(problem.params)


@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_of_every_size_give_the_same(weighted):
    problem = problems.logistic_regression(num_examples=NUM_EXAMPLES)
    weights = jnp.asarray(some_weights(), jnp.float32) if weighted else None
    whole, *parts = (
        evaluate(jgd.objective(problem.loss), problem.params, problem.data, weights, block=block)
        for block in BLOCKS
    )
    size = 1 + max(float(jnp.abs(g).max()) for g in jax.tree.leaves(whole))
    for part in parts:
        chex.assert_trees_all_close(part, whole, rtol=1e-6, atol=1e-6 * size)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize("block", [None, 1, 7, 1000])
def test_blocks_of_short_floats_do_not_lose_the_sum(dtype, block):
    """Every example costs 4, with a slope of -4; the mean is these numbers, however many there are."""
    data = jnp.full(5000, 2.0, dtype)
    objective = jgd.objective(lambda params, example: (params - example) ** 2)
    value, grads = evaluate(objective, jnp.zeros((), dtype), data, block=block)
    assert (value.dtype, grads.dtype) == (dtype, dtype)
    np.testing.assert_allclose(np.array([value, grads], float), [4.0, -4.0], rtol=0.02)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("seed", range(3))
def test_weight_zero_is_the_same_as_dropping_the_row(block, seed):
    problem = problems.least_squares(seed=seed)
    weights = jnp.asarray(some_weights(seed), jnp.float32)
    kept = np.flatnonzero(weights)
    rest = jax.tree.map(lambda x: x[kept], problem.data)
    came = evaluate(SQUARES, problem.params, problem.data, weights, block=block)
    wanted = evaluate(SQUARES, problem.params, rest, weights[kept])
    chex.assert_trees_all_close(came, wanted, rtol=1e-5)


@pytest.mark.parametrize("block", [None, 1, 7, NUM_EXAMPLES - 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", ["x", "y"])
def test_faulty_rows_of_weight_zero_do_no_harm(block, bad, part):
    problem, weights = problems.least_squares(), jnp.asarray(some_weights(), jnp.float32)
    faulty = problem.data | {part: problem.data[part].at[np.flatnonzero(weights == 0)].set(bad)}
    value = value_alone(SQUARES, problem.params, faulty, weights)
    value_too, grads = evaluate(SQUARES, problem.params, faulty, weights, block=block)
    wanted_value, wanted_grads = closed_form(problem, weights)
    np.testing.assert_allclose([value, value_too], [wanted_value] * 2, rtol=1e-5)
    np.testing.assert_allclose(grads, wanted_grads, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("block", [None, 1, 7])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("row", [1, NUM_EXAMPLES - 2])
def test_faulty_rows_that_count_are_seen(block, weighted, row):
    problem, weights = problems.least_squares(), None
    faulty = problem.data | {"x": problem.data["x"].at[row, 2].set(jnp.nan)}
    if weighted:
        weights = jnp.asarray(some_weights(), jnp.float32)
        assert weights[row] != 0
    assert jnp.isnan(value_alone(SQUARES, problem.params, faulty, weights))
    value, grads = evaluate(SQUARES, problem.params, faulty, weights, block=block)
    assert jnp.isnan(value)
    assert jnp.isnan(grads).all()


@pytest.mark.parametrize("block", [None, 1])
@pytest.mark.parametrize(
    "loss",
    [
        lambda params, example: jnp.linalg.norm(params * example),
        lambda params, example: jnp.sum(jnp.log(params * example)),
        lambda params, example: jnp.sum(params / example),
    ],
    ids=["norm", "log", "quotient"],
)
def test_padding_does_no_harm_where_the_loss_has_no_derivative_at_zero(loss, block):
    """Rows of zeros, of weight 0: the data are finite, the derivative there is not."""
    params, rows = jnp.array([0.5, 2.0]), jnp.array([[1.0, 2.0], [3.0, 0.5]])
    padded = jnp.concatenate([rows, jnp.zeros((2, 2))])
    objective = jgd.objective(loss)
    came = jgd.value_and_gradient(
        objective, params, padded, jnp.array([1.0, 1.0, 0.0, 0.0]), block=block
    )
    chex.assert_trees_all_close(came, jgd.value_and_gradient(objective, params, rows), rtol=1e-6)


@pytest.mark.parametrize(
    "convert",
    [np.asarray, lambda w: w > 0, lambda w: w.astype(int), lambda w: jnp.asarray(w, "float16"), list],
    ids=["float", "bool", "int", "float16", "list"],
)
def test_weights_of_every_kind_are_taken(convert):
    problem = problems.least_squares()
    weights = (np.arange(NUM_EXAMPLES) % 3 == 0).astype(float)
    wanted, given = closed_form(problem, weights), convert(weights)
    value, grads = jgd.value_and_gradient(SQUARES, problem.params, problem.data, given)
    np.testing.assert_allclose(value, wanted[0], rtol=1e-5)
    np.testing.assert_allclose(grads, wanted[1], rtol=1e-4)
    alone = jgd.value(SQUARES, problem.params, problem.data, given)
    np.testing.assert_allclose(alone, wanted[0], rtol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("closed_over", [False, True])
@pytest.mark.parametrize("library", [np, jnp])
def test_jit(weighted, closed_over, library):
    problem = problems.least_squares()
    data = jax.tree.map(library.asarray, problem.data)
    weights = library.asarray(some_weights(), np.float32) if weighted else None
    wanted = closed_form(problem, weights)
    if closed_over:
        value, (again, grads) = jax.jit(
            lambda params: (
                jgd.value(SQUARES, params, data, weights),
                jgd.value_and_gradient(SQUARES, params, data, weights),
            )
        )(problem.params)
    else:
        value = jax.jit(jgd.value)(SQUARES, problem.params, data, weights)
        again, grads = jax.jit(jgd.value_and_gradient)(SQUARES, problem.params, data, weights)
    np.testing.assert_allclose([value, again], [wanted[0]] * 2, rtol=1e-5)
    np.testing.assert_allclose(grads, wanted[1], rtol=1e-4, atol=1e-5)


def test_data_of_numpy_may_be_closed_over_where_weights_are_traced():
    problem, weights = problems.least_squares(), jnp.asarray(some_weights(), jnp.float32)
    data = jax.tree.map(np.asarray, problem.data)
    came = jax.jit(lambda weights: jgd.value(SQUARES, problem.params, data, weights))(weights)
    np.testing.assert_allclose(came, closed_form(problem, weights)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("axis", "block"),
    [("params", None), ("data", 7), ("weights", None), ("weights", 7), ("strength", None)],
)
def test_vmap_is_a_loop(axis, block):
    problem = problems.least_squares()
    batch = {
        "params": problem.params,
        "data": problem.data,
        "weights": jnp.asarray(some_weights(), jnp.float32),
        "strength": jnp.array(0.3),
    }
    rows = jax.tree.map(lambda x: jnp.stack([x, 0.5 * x, x[::-1] if x.ndim else 2 * x]), batch[axis])
    if axis == "weights":
        # A lane in which nothing counts costs nothing and moves nothing.
        rows = rows.at[1].set(0.0)

    def apply(part):
        given = batch | {axis: part}
        objective = jgd.objective(problems.square, jgd.penalties.l2(given["strength"]))
        arguments = objective, given["params"], given["data"], given["weights"]
        return jgd.value(*arguments), jgd.value_and_gradient(*arguments, block=block)

    came = jax.jit(jax.vmap(apply))(rows)
    one = jax.jit(apply)
    for lane in range(3):
        if axis == "weights" and lane == 1:
            penalty = 0.15 * jnp.sum(problem.params**2)
            wanted = penalty, (penalty, 0.3 * problem.params)
        else:
            wanted = one(jax.tree.map(lambda x, lane=lane: x[lane], rows))
        chex.assert_trees_all_close(jax.tree.map(lambda x, lane=lane: x[lane], came), wanted, rtol=1e-5)


def test_value_is_differentiable():
    problem = problems.least_squares()
    slope = jax.grad(lambda params: jgd.value(SQUARES, params, problem.data))(problem.params)
    np.testing.assert_allclose(slope, closed_form(problem)[1], rtol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_one_example(weighted):
    problem = problems.least_squares(num_examples=1)
    weights = jnp.array([2.0]) if weighted else None
    value, grads = jgd.value_and_gradient(SQUARES, problem.params, problem.data, weights)
    wanted = closed_form(problem, weights)
    np.testing.assert_allclose(value, wanted[0], rtol=1e-5)
    np.testing.assert_allclose(grads, wanted[1], rtol=1e-5)


@pytest.mark.parametrize("num_examples", [1, 3])
def test_a_loss_that_is_a_constant(num_examples):
    data = jnp.arange(1.0, num_examples + 1)
    value, grads = jgd.value_and_gradient(jgd.objective(lambda params, example: 2.0), jnp.ones(2), data)
    assert float(value) == 2.0
    assert grads.tolist() == [0.0, 0.0]


def test_numbers_of_the_loss_are_leaves_of_the_objective():
    chex.clear_trace_counter()

    def scaled_error(scale, params, example):
        return scale * (params - example) ** 2

    value = jax.jit(chex.assert_max_traces(jgd.value, n=1))
    data = jnp.array([1.0, 3.0])
    for scale in (1.0, 2.5):
        objective = jgd.objective(Partial(scaled_error, jnp.array(scale)), jgd.penalties.l2(scale))
        assert float(value(objective, jnp.array(0.0), data)) == 5.0 * scale


@pytest.mark.cpu
def test_blocks_do_not_hold_all_examples():
    num_examples, block, sizes = 20_000, 128, (20, 64, None)
    problem = problems.network(num_examples=num_examples, sizes=sizes)
    num_params = sum(p.size for p in jax.tree.leaves(problem.params))

    def temporary_bytes(block):
        program = evaluate.lower(
            jgd.objective(problem.loss), problem.params, problem.data, block=block
        ).compile()
        return program.memory_analysis().temp_size_in_bytes

    whole, blocked = temporary_bytes(None), temporary_bytes(block)
    # The hidden layer of all examples, forward and backward; but not a gradient for each of them.
    assert 4 * num_examples * sizes[1] < whole < 4 * num_examples * num_params / 2
    assert blocked < whole / 50
    assert blocked < 4 * 8 * (num_params + block * sum(sizes[:2]))


DATA = {"x": jnp.ones((3, 2)), "y": jnp.ones(3)}
ERRORS = {
    "lengths": (
        {"data": {"x": jnp.ones((3, 2)), "y": jnp.ones(4)}},
        r"data\['x'\] has 3 examples and data\['y'\] has 4",
    ),
    "no examples": ({"data": {"x": jnp.ones((0, 2)), "y": jnp.ones(0)}}, "^data has 0 examples"),
    "no arrays": ({"data": {}}, "^data is {}, which holds no array"),
    "a number": ({"data": {"x": jnp.ones((3, 2)), "y": 1.0}}, r"^data\['y'\] is float of shape \(\)"),
    "a scalar array": (
        {"data": {"x": jnp.ones((3, 2)), "y": jnp.array(1.0)}},
        r"^data\['y'\] is .* of shape \(\)",
    ),
    "a list": ({"data": {"x": [1.0, 2.0], "y": jnp.ones(2)}}, r"^data\['x'\]\[0\] is float"),
    "text": (
        {"data": {"x": np.array(["a", "b", "c"]), "y": np.ones(3)}},
        r"^data\['x'\] has dtype <U1, but numbers are wanted",
    ),
    "objects": ({"data": np.array([None, 1, 2])}, "^data has dtype object, but numbers are wanted"),
    "vector loss": (
        {"objective": jgd.objective(lambda params, example: params * example["x"])},
        r"^loss returns \(2,\) for one example, but a scalar of shape \(\)",
    ),
    "loss [1]": (
        {"objective": jgd.objective(lambda params, example: jnp.sum(params)[None])},
        r"^loss returns \(1,\) for one example",
    ),
    "tuple loss": (
        {"objective": jgd.objective(lambda params, example: (jnp.sum(params), jnp.sum(params)))},
        r"^loss returns \[\(\), \(\)\] for one example",
    ),
    "integer loss": (
        {"objective": jgd.objective(lambda params, example: (example["y"] > 0).astype(int))},
        "^loss returns dtype int32, but a float is wanted",
    ),
    "integer params": ({"params": jnp.ones(2, int)}, "^params has dtype int32, but a float is wanted"),
    "empty params": ({"params": jnp.zeros(0)}, "^params hold 0 numbers"),
    "weights of text": ({"weights": np.array(["a"] * 3)}, "^weights have dtype <U1"),
    "no params": ({"params": {}}, "^params is {}, which holds no array"),
    "short weights": (
        {"weights": jnp.ones(2)},
        r"^weights have shape \(2,\) and data has 3 examples, but one weight for each example",
    ),
    "weights [N, 1]": ({"weights": jnp.ones((3, 1))}, r"^weights have shape \(3, 1\) and data has 3"),
    "one weight": ({"weights": jnp.array(1.0)}, r"^weights have shape \(\) and data has 3"),
    "zero weights": ({"weights": jnp.zeros(3)}, "^weights are all 0 for the 3 examples"),
}


@pytest.mark.parametrize("function", [jgd.value, jgd.value_and_gradient])
@pytest.mark.parametrize("case", ERRORS)
def test_bad_input_is_an_error(function, case):
    arguments, message = ERRORS[case]
    good = {"objective": SQUARES, "params": jnp.ones(2), "data": DATA, "weights": None}
    with pytest.raises(ValueError, match=message):
        function(**good | arguments)


@pytest.mark.parametrize("case", [case for case in ERRORS if case.endswith(("loss", "[1]", "params"))])
def test_bad_input_is_an_error_where_there_is_one_example(case):
    arguments, message = ERRORS[case]
    good = {"objective": SQUARES, "params": jnp.ones(2), "data": jax.tree.map(lambda x: x[:1], DATA)}
    with pytest.raises(ValueError, match=message):
        jgd.value_and_gradient(**good | arguments)


@pytest.mark.parametrize("block", [0, -1, 2.0, "all", jnp.array(2)])
def test_a_wrong_block_is_an_error(block):
    with pytest.raises(ValueError, match=r"^block is .*, but a whole number of rows >= 1, or None"):
        jgd.value_and_gradient(SQUARES, jnp.ones(2), DATA, block=block)


def test_a_block_of_numpy_is_a_whole_number():
    came = jgd.value_and_gradient(SQUARES, jnp.ones(2), DATA, block=np.int64(2))
    chex.assert_trees_all_close(came, jgd.value_and_gradient(SQUARES, jnp.ones(2), DATA))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0,), "^loss is 1.0, but a function"),
        (("squared_error",), "^loss is 'squared_error', but a function"),
        ((problems.square, 0.1), "^penalty is 0.1, but a Penalty is wanted"),
        ((problems.square, jgd.penalties.l2), "^penalty is <function l2 .*, but a Penalty is wanted"),
    ],
)
def test_a_wrong_objective_is_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        jgd.objective(*arguments)

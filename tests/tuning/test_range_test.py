"""The range test against closed forms, against single descents, and on losses that do not behave."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jgd
from jgd.tuning.range_test import _choice
from tests import problems


def linear(params, example):
    return params @ example


def constant(params, example):
    return 2.0 + 0 * jnp.sum(params) + 0 * jnp.sum(example)


def parabola(params, example):
    return jnp.sum(jnp.square(params - example)) / 2


ROWS = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32) + 1
BROKEN = np.where(np.arange(12)[:, None] == 5, np.nan, ROWS)
ZEROS = np.zeros(2, np.float32)
FEW = {"num": 8, "epochs": 3}


def found_of(loss, params=ZEROS, data=ROWS, **options):
    return jgd.range_test(jgd.objective(loss), params, data, **{**FEW, **options})


@pytest.fixture(scope="module")
def of_quadratic():
    problem = problems.quadratic()
    data = jax.tree.map(np.asarray, problem.data)
    options = {"lowest": 1e-4, "highest": 100.0, "num": 49, "epochs": 100}
    found = jgd.range_test(jgd.objective(problem.loss), problem.params, problem.data, **options)
    return problem, data["curvature"].mean(axis=0).max(), found


def test_limit_on_a_quadratic_is_two_by_the_sharpness(of_quadratic):
    _, sharpness, found = of_quadratic
    step = found.learning_rates[1] / found.learning_rates[0]
    last_stable = found.learning_rates[found.learning_rates < found.limit][-1]
    assert 1 / step < last_stable / (2 / sharpness) < step
    assert 2 / sharpness < found.limit < step**2 * 2 / sharpness
    assert (found.losses[found.learning_rates >= found.limit] < found.start).sum() == 0


def test_losses_are_those_of_the_closed_form(of_quadratic):
    """`p - centre` shrinks by `1 - rate * curvature` in each epoch, for each of the parameters."""
    problem, sharpness, found = of_quadratic
    data, params = jax.tree.map(lambda x: np.asarray(x, float), (problem.data, problem.params))
    curvature, minimiser = data["curvature"].mean(axis=0), np.asarray(problem.minimiser, float)

    def objective(params):
        return np.mean(np.sum(data["curvature"] * (params - data["centre"]) ** 2, axis=1)) / 2

    np.testing.assert_allclose(found.start, objective(params), rtol=1e-5)
    for rate, loss in zip(found.learning_rates, found.losses, strict=True):
        if rate < 2 / sharpness:
            end = minimiser + (params - minimiser) * (1 - float(rate) * curvature) ** 100
            np.testing.assert_allclose(loss, objective(end), rtol=1e-4)
    assert np.isnan(found.losses[-1])
    assert found.status[-1] == jgd.Status.DIVERGED


def test_suggestion_trains_well_for_longer():
    """At the edge of stability J falls deepest in few epochs; later it does not fall."""
    x = np.array([[1.0, 0.0], [0.0, 0.1]], np.float32)  # curvature 1 and 0.01, of which 1 hardly counts
    data, start = (x, x @ np.array([1e-4, 1.0], np.float32)), ZEROS

    def loss(params, example):
        return jnp.square(example[0] @ params - example[1])

    found = jgd.range_test(jgd.objective(loss), start, data, lowest=1e-2, num=40)
    deepest = found.learning_rates[np.nanargmin(found.losses)]
    assert found.suggestion < 2
    assert found.suggestion <= found.limit / 2
    assert deepest > 2
    ends = [
        jgd.batch_descent(jgd.objective(loss), start, data, rule=jgd.sgd(rate), epochs=300)
        for rate in (found.suggestion, deepest)
    ]
    assert jgd.value(jgd.objective(loss), ends[0].params, data) < 0.1 * found.start
    assert ends[1].status == jgd.Status.DIVERGED


@pytest.mark.exhaustive
def test_lanes_are_single_descents():
    objective, start = jgd.objective(parabola, jgd.penalties.l2(0.1)), ZEROS
    options = {"batch_size": 4, "epochs": 2, "key": jax.random.key(1), "weights": np.arange(12) % 3 / 2}
    found = jgd.range_test(objective, start, ROWS, rule=jgd.adam, num=4, lowest=1e-3, **options)
    np.testing.assert_allclose(found.learning_rates, 1e-3 * 10 ** (4 / 3 * np.arange(4)), rtol=1e-5)
    fit = jgd.descend(objective, start, ROWS, rule=jgd.adam(found.learning_rates[2]), **options)
    end = jgd.value(objective, fit.params, ROWS, options["weights"])
    np.testing.assert_allclose(found.losses[2], end, rtol=1e-5)
    assert found.start == jgd.value(objective, start, ROWS, options["weights"])
    np.testing.assert_allclose(found.gradient_norm, fit.history.gradient_norm[0], rtol=1e-5)
    assert found.status[2] == fit.status


BALANCED = np.array([[1.0, 0.0], [-1.0, 0.0]], np.float32)


@pytest.mark.parametrize(
    ("loss", "options", "words"),
    [
        (constant, {}, ["8 left it", "The gradient is 0 at the start", "does not depend on params"]),
        (parabola, {"data": BROKEN}, ["8 diverged", "J nan", "look for NaN"]),
        (
            parabola,
            {"data": BALANCED, "params": 1e-4 + ZEROS, "batch_size": 1, "key": jax.random.key(0)},
            ["left it", "raised it", "larger batches"],
        ),
    ],
)
def test_where_nothing_lowers_the_loss_it_says_why(loss, options, words):
    found = found_of(loss, **options)
    assert math.isnan(found.suggestion)
    assert found.limit == math.inf
    for word in words:
        assert word in found.explain()


def test_unbounded_loss_asks_for_a_wider_range():
    found = found_of(linear, rule=optax.sgd)
    assert found.suggestion == found.learning_rates[-1]
    assert found.limit == math.inf
    assert "try highest=1e+03" in found.explain()
    assert "no minimum" in found.explain()


def test_a_loss_that_falls_without_end_is_named():
    def upside_down(params, example):
        return -jnp.square(params - example)

    found = jgd.range_test(jgd.objective(upside_down), jnp.zeros(()), jnp.ones(8))
    assert "rarely has a minimum" in found.explain()


def test_explanation_gives_the_numbers(of_quadratic):
    found = of_quadratic[-1]
    lowered = int((found.learning_rates < found.limit).sum())
    text = found.explain()
    assert text.startswith("49 learning rates from 0.0001 to 100, J ")
    assert f"{lowered} lowered it" in text
    assert f"{np.isnan(found.losses).sum()} diverged" in text
    assert f"Take {found.suggestion:.3g}" in text
    assert f"too high is {found.limit:.3g}" in text


NAN = math.nan


@pytest.mark.parametrize(
    ("losses", "limit", "suggestion"),
    [
        ([1.9, 1.5, 1.0, 0.5, 0.2, 0.1, 9.0, NAN], 64, 32),
        ([1.9, 1.5, 1.0, 0.5, 1.0, 1.1, 9.0, NAN], 64, 8),  # the lowest is far from the limit
        ([1.9, 1.5, 1.0, 0.5, 0.5, 0.5, 0.5, 0.9], math.inf, 64),  # the highest of equals
        ([2.1, 1.5, 1.0, 0.5, 0.2, 0.4, 0.4, 0.9], math.inf, 16),  # noise at the low end is no limit
        ([1.9, 1.5, 2.5, 0.1, 9.0, 9.0, NAN, NAN], 4, 2),  # nothing beyond the limit is trusted
        ([1.0, NAN, NAN, NAN, NAN, NAN, NAN, NAN], 2, 1),
        ([2.0, 2.0, 2.5, NAN, NAN, NAN, NAN, NAN], math.inf, NAN),
    ],
)
def test_choice_keeps_away_from_the_edge_of_stability(losses, limit, suggestion):
    rates = 2.0 ** np.arange(8)
    found = _choice(rates, np.asarray(losses, np.float32), 2.0)
    np.testing.assert_array_equal([found["limit"], found["suggestion"]], [limit, suggestion])


def test_choice_within_one_step_of_the_limit_where_there_is_no_other():
    rates = 1.5 ** np.arange(4)
    assert _choice(rates, np.float32([1, 3, 3, NAN]), 2.0)["suggestion"] == 1


@pytest.mark.parametrize(
    ("losses", "gradient_norm", "words"),
    [
        ([1.5, 3.0, NAN, NAN], 1, "lower end of the range: try lowest=0.001"),
        ([3.0, 3.0, NAN, NAN], 1, "Even 1 is too high: try lowest=1e-06"),
        ([NAN, NAN, NAN, NAN], NAN, "J is finite at the start, but its gradient is not"),
        ([2.0, 2.0, 2.0, 2.0], 1e-9, "The gradient norm is 1e-09"),
        ([1.5, 1.0, 0.5, 2.5], 1, "The lowest, 0.5, came of 3.38"),
    ],
)
def test_explanation_of_what_is_wrong(losses, gradient_norm, words):
    rates, losses = 1.5 ** np.array([0, 1, 3, 4]), np.asarray(losses, np.float32)
    status = np.where(np.isnan(losses), jgd.Status.DIVERGED, jgd.Status.EPOCHS_DONE)
    found = jgd.RangeTest(rates, losses, 2.0, gradient_norm, status, **_choice(rates, losses, 2.0))
    assert words in found.explain()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lowest": 0}, "lowest is 0, but a learning rate above 0"),
        ({"lowest": "1"}, "lowest is '1'"),
        ({"highest": math.inf}, "highest is inf"),
        ({"lowest": 1.0, "highest": 1.0}, "lowest is 1.0 and highest is 1.0, but lowest < highest"),
        ({"lowest": 1e-60}, "different numbers of float32"),
        ({"num": 1}, "num is 1"),
        ({"num": 2.0}, "num is 2.0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"rule": jgd.sgd(0.1)}, "rule is a finished rule, but a function learning_rate -> rule"),
        ({"rule": 0.1}, "rule is 0.1"),
        ({"rule": lambda rate: rate}, "rule returns"),
        ({"rule": lambda rate: jgd.sgd(float(rate))}, "rule wants the value of the learning rate"),
        ({"batch_size": 4}, "key is None"),
        ({"batch_size": 13, "key": jax.random.key(0)}, "batch_size is 13"),
        ({"weights": np.ones(3)}, r"weights have shape \(3,\)"),
        ({"data": ROWS[:0]}, "data has 0 examples"),
        ({"params": np.zeros(2, int)}, "params has dtype"),
    ],
)
def test_errors_name_the_argument(options, message):
    with pytest.raises(ValueError, match=message):
        found_of(parabola, **options)


def test_a_plain_function_is_no_objective():
    with pytest.raises(ValueError, match="objective is <function"):
        jgd.range_test(parabola, ZEROS, ROWS)

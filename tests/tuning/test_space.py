"""Spaces against itertools and NumPy, distributions against those of SciPy, and what is no space."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jgd

KEY = jax.random.key(0)


def plain(space):
    return [
        tuple(np.asarray(x).item() if isinstance(x, jax.Array) else x for x in space.config(i).values())
        for i in range(len(space))
    ]


def test_a_grid_is_the_product_of_its_axes():
    axes = {"a": [1, 2, 3], "b": jgd.static(["x", None]), "c": [True, False]}
    space = jgd.grid(**axes)
    assert len(space) == 12
    assert plain(space) == list(itertools.product([1, 2, 3], ["x", None], [True, False]))


def test_axes_may_be_arrays_of_arrays_and_keys():
    keys, starts = jax.random.split(KEY, 3), np.arange(8.0).reshape(2, 4)
    space = jgd.grid(key=keys, start=starts)
    for i, (key, start) in enumerate(itertools.product(range(3), starts)):
        config = space.config(i)
        assert (jax.random.key_data(config["key"]) == jax.random.key_data(keys[key])).all()
        np.testing.assert_array_equal(config["start"], start)


def test_groups_are_the_static_values_and_cover_the_space():
    space = jgd.grid(a=[1, 2], width=jgd.static([8, 16]), b=[3, 4], depth=jgd.static([1]))
    groups = list(space.groups())
    assert [static for static, _ in groups] == [{"width": 8, "depth": 1}, {"width": 16, "depth": 1}]
    assert sorted(np.concatenate([places for _, places in groups])) == list(range(8))
    for static, places in groups:
        assert all(space.config(i)["width"] == static["width"] for i in places)


@pytest.mark.parametrize(
    ("distribution", "law"),
    [
        (jgd.uniform(-2, 3), stats.uniform(-2, 5)),
        (jgd.log_uniform(1e-4, 10), stats.loguniform(1e-4, 10)),
    ],
)
def test_draws_follow_their_law(distribution, law):
    drawn = jgd.sample(KEY, 2000, x=distribution).axes["x"]
    assert stats.kstest(np.asarray(drawn), law.cdf).pvalue > 0.01


@pytest.mark.parametrize(
    "distribution", [jgd.integers(3, 6), jgd.choice([3, 4, 5, 6]), jgd.static([3, 4, 5, 6])]
)
def test_whole_numbers_and_choices_are_drawn_alike(distribution):
    drawn = [x for (x,) in plain(jgd.sample(KEY, 2000, x=distribution))]
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [3, 4, 5, 6]
    assert stats.chisquare(counts).pvalue > 0.01


def test_axes_are_drawn_on_their_own_and_by_the_key():
    space = jgd.sample(KEY, 500, a=jgd.uniform(0, 1), b=jgd.uniform(0, 1))
    assert abs(np.corrcoef(space.axes["a"], space.axes["b"])[0, 1]) < 0.15
    again = jgd.sample(KEY, 500, a=jgd.uniform(0, 1), b=jgd.uniform(0, 1))
    np.testing.assert_array_equal(space.axes["a"], again.axes["a"])
    other = jgd.sample(jax.random.key(1), 500, a=jgd.uniform(0, 1))
    assert not np.allclose(space.axes["a"], other.axes["a"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jgd.grid(), "no axis"),
        (lambda: jgd.grid(a=[]), "at least one value"),
        (lambda: jgd.grid(a=0.1), "at least one value"),
        (lambda: jgd.grid(a=["x"]), "jgd.static"),
        (lambda: jgd.grid(a=[0.1, "x"]), "jgd.static"),
        (lambda: jgd.grid(a=[[1, 2], [3]]), "numbers of one kind"),
        (lambda: jgd.grid(a=[None]), "numbers of one kind"),
        (lambda: jgd.grid(a=jgd.uniform(0, 1)), "jgd.sample"),
        (lambda: jgd.static([]), "at least one value"),
        (lambda: jgd.static([[8, 16]]), "hashable"),
        (lambda: jgd.sample(KEY, 0, a=jgd.uniform(0, 1)), "num is 0"),
        (lambda: jgd.sample(KEY, 2.0, a=jgd.uniform(0, 1)), "num is 2.0"),
        (lambda: jgd.sample(KEY, 3), "no axis"),
        (lambda: jgd.sample(KEY, 3, a=[1, 2]), "jgd.grid"),
        (lambda: jgd.uniform(1, 1), "low < high"),
        (lambda: jgd.uniform("a", 1), "low < high"),
        (lambda: jgd.uniform(0, np.inf), "low < high"),
        (lambda: jgd.log_uniform(0, 1), "above 0"),
        (lambda: jgd.integers(0.5, 3), "whole numbers"),
        (lambda: jgd.choice([]), "at least one value"),
        (lambda: jgd.choice(["a"]), "jgd.static"),
    ],
)
def test_what_is_no_space_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_key_of_the_old_kind_is_a_key():
    assert len(jgd.sample(jax.random.PRNGKey(0), 3, a=jgd.choice(jnp.arange(4)))) == 3

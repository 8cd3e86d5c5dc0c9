"""The order of examples: a bijection, and as random as it claims."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jgd.descent.order import example_at, order, plan

KEY = jax.random.key(0)


@pytest.mark.exhaustive
def test_order_is_a_permutation_for_every_length_to_5000():
    longest = 5000
    positions = jnp.arange(longest)

    def visits_each_once(num_examples):
        examples = example_at(KEY, 0, jnp.minimum(positions, num_examples - 1), num_examples)
        visits = jnp.zeros(longest, jnp.int32).at[examples].add(positions < num_examples)
        return jnp.all(visits == (positions < num_examples))

    right = jax.jit(lambda ns: jax.lax.map(visits_each_once, ns))(jnp.arange(1, longest + 1))
    assert np.flatnonzero(~np.asarray(right)).tolist() == []


def test_order_is_a_function_of_key_and_epoch():
    assert order(KEY, 3, 100).tolist() == order(KEY, 3, 100).tolist()
    assert order(KEY, 3, 100).tolist() != order(KEY, 4, 100).tolist()
    assert order(KEY, 3, 100).tolist() != order(jax.random.key(1), 3, 100).tolist()


def test_order_compiles_once_for_all_epochs_and_lengths():
    traced = jax.jit(example_at)
    traced(KEY, 0, jnp.arange(10), 10)
    traced(jax.random.key(5), 7, jnp.arange(10), 9)
    assert traced._cache_size() == 1


def test_no_examples_is_an_error():
    with pytest.raises(ValueError, match="num_examples is 0"):
        order(KEY, 0, 0)


def _chi_square(counts, dof):
    expected = counts.sum() / counts.size
    return stats.chi2.sf(np.sum((counts - expected) ** 2) / expected, dof)


@pytest.mark.parametrize("by", ["key", "epoch"])
@pytest.mark.parametrize("num_examples", [5, 20, 50])
def test_200_orders_look_random(num_examples, by):
    if by == "key":
        orders = jax.vmap(lambda key: order(key, 0, num_examples))(jax.random.split(KEY, 200))
    else:
        orders = jax.vmap(lambda epoch: order(KEY, epoch, num_examples))(jnp.arange(200))
    orders = np.asarray(orders)

    places = np.zeros((num_examples, num_examples))
    np.add.at(places, (np.broadcast_to(np.arange(num_examples), orders.shape), orders), 1)
    assert _chi_square(places, (num_examples - 1) ** 2) > 1e-3

    neighbours = np.zeros((num_examples, num_examples))
    np.add.at(neighbours, (orders[:, :-1], orders[:, 1:]), 1)
    pairs = neighbours[~np.eye(num_examples, dtype=bool)]
    assert _chi_square(pairs, pairs.size - 1) > 1e-3


@pytest.mark.parametrize("num_examples", [1, 2, 37, 4096, 99_991, 100_000, 10_000_000])
@pytest.mark.parametrize("batch_size", [1, 2, 32, 1000])
@pytest.mark.parametrize("bytes_per_example", [1, 80, 3136, 10_000_000])
def test_plan_covers_every_example_once(num_examples, batch_size, bytes_per_example):
    batch_size = min(batch_size, num_examples)
    cut = plan(num_examples, batch_size, bytes_per_example)
    pieces = [(0, cut.chunks * cut.steps, batch_size), *cut.rests]
    ends = [first + steps * size for first, steps, size in pieces]
    assert [first for first, _, _ in pieces[1:]] == ends[:-1]
    assert ends[-1] == num_examples
    rows = cut.rows
    assert rows == batch_size or rows * bytes_per_example <= 2**20

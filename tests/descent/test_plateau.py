"""The plateau: without noise as it is defined, with noise not fooled by one lucky epoch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jgd
from jgd.descent.epoch import Record


def epochs_until_stalled(losses, patience, tolerance=1e-4):
    """Of each row of `losses` [K, E], the epoch that ends it; E + 1 where none does."""

    @jax.jit
    @jax.vmap
    def run(losses, patience):
        test = jgd.stop.plateau(patience, tolerance)

        def epoch(memory, loss):
            return test.update(memory, Record(loss, jnp.ones(()), None, jnp.array(True)), None)

        verdicts = lax.scan(epoch, test.init(None), losses)[1]
        ended = verdicts == jgd.Status.STALLED
        return jnp.where(jnp.any(ended), jnp.argmax(ended), len(losses)) + 1

    return np.asarray(run(jnp.asarray(losses, jnp.float32), jnp.broadcast_to(patience, len(losses))))


def as_defined(losses, patience, tolerance=1e-4):
    """The epoch at which the loss has not fallen below the lowest so far for `patience` epochs."""
    lowest, stale = np.float32(np.inf), 0
    for epoch, loss in enumerate(np.asarray(losses, np.float32), start=1):
        fell = np.isinf(lowest) or loss < lowest - np.float32(tolerance) * abs(lowest)
        lowest, stale = (loss, 0) if fell else (lowest, stale + 1)
        if stale >= patience:
            return epoch
    return len(losses) + 1


def falling(rng, num, epochs):
    """Losses that never rise: at every scale, with rests between falls of every size."""
    falls = rng.exponential(size=(num, epochs)) * 10 ** rng.uniform(-7, -1, size=(num, epochs))
    falls *= rng.uniform(size=(num, epochs)) < rng.uniform(size=(num, 1))
    return 10 ** rng.uniform(-3, 3, size=(num, 1)) * np.exp(-np.cumsum(falls, axis=1))


def test_a_loss_that_never_rises_is_judged_as_defined():
    rng = np.random.default_rng(0)
    losses, patience = falling(rng, 300, 100), rng.integers(1, 15, size=300)
    losses[::2] -= 2 * losses[::2, :1]  # below 0 as well
    expected = [as_defined(*row) for row in zip(losses, patience, strict=True)]
    assert 50 < np.sum(np.array(expected) <= 100) < 300
    np.testing.assert_array_equal(epochs_until_stalled(losses, patience), expected)


@pytest.mark.parametrize("patience", [10, 30])
def test_a_slow_fall_is_seen_through_noise_and_one_lucky_epoch(patience):
    """Over `patience` epochs the loss falls by 2.5 standard deviations of an epoch."""
    rng = np.random.default_rng(1)
    fall = 2.5 * np.arange(200) / patience
    losses = 1000 + rng.normal(size=(100, 200)) - fall
    losses[:, 5] -= 8
    assert np.mean([as_defined(row, patience, 1e-6) <= 200 for row in losses]) == 1
    assert np.mean(epochs_until_stalled(losses, patience, 1e-6) <= 200) < 0.05


@pytest.mark.parametrize("patience", [1, 2, 10])
def test_noise_about_a_constant_loss_goes_on_for_few_windows(patience):
    rng = np.random.default_rng(2)
    losses = 1 + 0.01 * rng.normal(size=(200, 600))
    ended = epochs_until_stalled(losses, patience)
    assert ended.min() > patience
    assert np.median(ended) <= 4 * patience + 4
    assert ended.max() <= 15 * patience + 30


def test_a_loss_that_rises_for_good_has_stalled():
    losses = np.linspace(1, 2, 50)[None]
    assert epochs_until_stalled(losses, 5) == [11]  # the first sets the mark; two windows above it


def test_minibatches_at_their_floor_stall_and_a_small_rate_that_still_learns_goes_on():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 3))
    data = jnp.asarray(x), jnp.asarray(x @ [1.0, -2.0, 0.5] + rng.normal(size=200))

    def loss(params, example):
        return jgd.losses.squared_error(example[0] @ params, example[1])

    fits = jax.vmap(
        lambda rate: jgd.stochastic_descent(
            jgd.objective(loss),
            jnp.zeros(3),
            data,
            rule=jgd.sgd(rate),
            epochs=60,
            key=jax.random.key(0),
            stop=jgd.stop.plateau(),
        )
    )(jnp.array([0.05, 1e-5]))
    assert fits.status.tolist() == [jgd.Status.STALLED, jgd.Status.EPOCHS_DONE]

"""A descent with a bound on the wall clock."""

import itertools

import jax
import numpy as np
import pytest

import jgd
from jgd.runtime import clock
from tests import cases


def descend(seconds, **options):
    defaults = {"rule": jgd.sgd(0.1, momentum=0.5), "batch_size": 8, "key": jax.random.key(0)}
    arguments = defaults | {"epochs": 12} | options
    return jgd.descend_within(seconds, cases.objective, cases.params(), cases.data(), **arguments)


def ticking(monkeypatch, tick):
    """A clock that is `tick` seconds later whenever somebody looks."""
    times = itertools.count(0.0, tick)
    monkeypatch.setattr(clock.time, "monotonic", lambda: next(times))


def assert_same(came, wanted):
    parts = (
        jax.tree.leaves((fit.params, fit.status, fit.epochs, fit.history)) for fit in (came, wanted)
    )
    for a, b in zip(*parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_with_time_enough_it_is_the_descent_in_one_go():
    assert_same(descend(1e6), cases.fit(jgd.sgd(0.1, momentum=0.5), 8, epochs=12))


def test_time_ends_it_and_the_state_goes_on(monkeypatch):
    ticking(monkeypatch, 1.0)
    fit = descend(4.5)
    assert fit.status == jgd.Status.EPOCHS_DONE
    assert 1 < fit.epochs < 12
    assert fit.history.loss.shape == (12,)
    done = int(fit.epochs)
    assert np.isfinite(fit.history.loss[:done]).all()
    assert np.isnan(fit.history.loss[done:]).all()
    rest = cases.fit(jgd.sgd(0.1, momentum=0.5), 8, epochs=12 - done, state=fit.state)
    whole = cases.fit(jgd.sgd(0.1, momentum=0.5), 8, epochs=12)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), rest.params, whole.params)


def test_a_stop_test_ends_it_before_the_clock():
    options = {"rule": jgd.sgd(1.0), "batch_size": None, "stop": jgd.stop.gradient_norm(0.2)}
    fit = descend(1e6, epochs=200, **options)
    assert fit.status == jgd.Status.CONVERGED
    assert_same(fit, cases.fit(jgd.sgd(1.0), None, epochs=200, stop=jgd.stop.gradient_norm(0.2)))


def test_it_is_interrupted_without_loss(monkeypatch):
    calls = itertools.count()

    def interrupted(*args, **options):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return jgd.descend(*args, **options)

    monkeypatch.setattr(clock, "descend", interrupted)
    fit = descend(1e6)
    assert fit.epochs == 2
    assert np.isfinite(fit.history.loss[:2]).all()


@pytest.mark.parametrize(("epochs", "spent"), [(1, 0.1), (2, 0.1), (3, 1e-9), (101, 1e-4), (500, 3.0)])
def test_chunks_hold_every_epoch_in_at_most_two_lengths(epochs, spent):
    lengths = list(clock._lengths(epochs, lambda: spent))
    assert sum(lengths) == epochs
    assert len({*lengths, 1}) <= 2
    assert spent * max(lengths) <= max(2 / clock.LOOKS, spent)


def test_it_is_for_the_host():
    with pytest.raises(ValueError, match="outside of jit"):
        jax.jit(lambda rate: descend(5, rule=jgd.sgd(rate)))(0.1)


@pytest.mark.parametrize(
    ("seconds", "options", "message"),
    [
        (0, {}, "seconds is 0, but a number > 0"),
        (float("nan"), {}, "seconds is nan"),
        ("5", {}, "seconds is '5'"),
        (True, {}, "seconds is True"),
        (5, {"epochs": 0}, "epochs is 0, but an int >= 1"),
        (5, {"epochs": 2.5}, "epochs is 2.5"),
        (5, {"rule": None}, "rule is None"),
    ],
)
def test_wrong_arguments_are_named(seconds, options, message):
    with pytest.raises(ValueError, match=message):
        descend(seconds, **options)

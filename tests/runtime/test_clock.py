"""A descent within a time: the epochs that fit into it, equal to those of a descent in one go."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from jgd.runtime import chunks, clock
from tests import problems

PROBLEM = problems.least_squares()
OBJECTIVE = jgd.objective(PROBLEM.loss)
RULE = jgd.sgd(0.01, momentum=0.5)
COMPILING, CALLING = 0.5, 0.002  # seconds, of the clock below


def evaluate(params, validation):
    return {"size": jnp.sum(jnp.square(params)), "steps": jnp.array(3)}


def descend(epochs, **options):
    return jgd.descend(OBJECTIVE, PROBLEM.params, PROBLEM.data, rule=RULE, epochs=epochs, **options)


def within(seconds, epochs, **options):
    options = {"rule": RULE, **options}
    return jgd.descend_within(seconds, OBJECTIVE, PROBLEM.params, PROBLEM.data, epochs=epochs, **options)


@pytest.fixture
def a_clock(monkeypatch):
    """A clock that knows what an epoch takes, and what compiling; it notes the lengths of the chunks."""

    def tick(seconds_of_an_epoch):
        now, lengths = [100.0], []

        def timed(*arguments, epochs, **options):
            now[0] += epochs * seconds_of_an_epoch + CALLING + (0 if epochs in lengths else COMPILING)
            lengths.append(epochs)
            return jgd.descend(*arguments, epochs=epochs, **options)

        monkeypatch.setattr(clock, "perf_counter", lambda: now[0])
        monkeypatch.setattr(clock, "descend", timed)
        return lengths, lambda: now[0] - 100.0

    return tick


def assert_same(came, expected, epochs):
    """Params, state and the record of the first `epochs`; the rest of it is blank."""
    close = functools.partial(np.testing.assert_allclose, rtol=2e-5, atol=1e-6)
    assert came.epochs == expected.epochs == epochs
    jax.tree.map(close, (came.params, came.state), (expected.params, expected.state))
    jax.tree.map(lambda c, e: close(c[:epochs], e[:epochs]), came.history, expected.history)
    assert np.isnan(came.history.loss[epochs:]).all()
    assert np.isnan(came.history.gradient_norm[epochs:]).all()


@pytest.mark.parametrize(
    ("epoch_seconds", "epochs_there_is_time_for"),
    [(10.0, 1), (1.0, 10), (0.01, 883)],  # 1 epoch at least; 10.5 s with compiling; two programs
)
def test_the_epochs_that_fit_are_run_and_few_programs_compiled(
    a_clock, epoch_seconds, epochs_there_is_time_for
):
    lengths, seconds = a_clock(epoch_seconds)
    fit = within(9.95, 1000, evaluate=evaluate)
    done = sum(lengths)
    assert fit.status == jgd.Status.EPOCHS_DONE
    assert done == pytest.approx(epochs_there_is_time_for, abs=1)
    assert seconds() <= max(9.95, COMPILING) + 1.01 * epoch_seconds
    assert len(set(lengths)) <= 2
    assert set(lengths) <= {1, 64}
    assert fit.history.evaluation["steps"].shape == (1000,)
    if epoch_seconds != 1.0:
        assert_same(fit, descend(done, evaluate=evaluate), done)


@pytest.mark.parametrize("slow", [(), (1,), (2, 3)])
def test_chunks_of_short_epochs_grow_until_the_host_costs_little(monkeypatch, slow):
    """Whichever of the first calls the machine was busy in."""
    now, lengths = 0.0, []
    monkeypatch.setattr(clock, "perf_counter", lambda: now)
    for call, length in enumerate(clock._lengths(10.0, 10**9)):
        busy = 0.2 if call in slow else 0.0
        now += length * 1e-6 + CALLING + busy + (0 if length in lengths else COMPILING)
        lengths.append(length)
    assert now < 10.0 + 0.5
    programs = len(set(lengths))
    assert programs <= 5
    assert sum(lengths) * 1e-6 > 0.8 * (10.0 - programs * COMPILING - sum(0.2 for _ in slow))


def test_what_is_left_at_the_end_is_not_run_one_by_one(monkeypatch):
    now, lengths = 0.0, []
    monkeypatch.setattr(clock, "perf_counter", lambda: now)
    for length in clock._lengths(60.0, 10**6):
        now += length * 1e-6 + CALLING + (0 if length in lengths else COMPILING)
        lengths.append(length)
    assert sum(lengths) == 10**6
    # One by one the epochs that no long chunk fits would take 30 seconds of the host's time.
    assert now < 1.0 + 8 * COMPILING


def test_with_time_enough_it_is_the_descent_and_stops_as_it(a_clock):
    lengths, _ = a_clock(0.001)
    stop = jgd.stop.relative_gradient_norm(0.05)
    whole = descend(400, stop=stop)
    assert whole.status == jgd.Status.CONVERGED
    fit = within(1000.0, 400, stop=stop)
    assert fit.status == jgd.Status.CONVERGED
    assert_same(fit, whole, int(whole.epochs))
    assert sum(lengths) < 400
    again = within(1000.0, 30, stop=stop, state=fit.state)
    assert (again.epochs, again.status) == (0, jgd.Status.CONVERGED)


def test_it_goes_on_from_a_state_to_the_end(a_clock):
    a_clock(1.0)
    first = within(5.0, 20)
    rest = within(1e9, 20 - int(first.epochs), state=first.state)
    whole = descend(20)
    np.testing.assert_allclose(rest.params, whole.params, rtol=1e-5)
    together = jnp.concatenate([first.history.loss[: first.epochs], rest.history.loss])
    np.testing.assert_allclose(together, whole.history.loss, rtol=1e-5)
    assert within(1.0, 0).epochs == 0


def test_what_is_done_survives_an_interruption(a_clock, monkeypatch):
    a_clock(1.0)
    looks = itertools.count()

    def any_runs(fits):
        if next(looks) == 3:
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr(chunks, "any_runs", any_runs)
    with pytest.warns(UserWarning, match="the fit ran 4 of 9 epochs"):
        fit = within(1e9, 9)
    assert_same(fit, descend(4), 4)


def test_the_clock_of_the_wall_ends_it():
    fit = within(1e-9, 10**6)
    assert fit.epochs == 1
    assert fit.history.loss.shape == (10**6,)
    assert "The time was up" in jgd.explain(fit)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: within(0, 5), "seconds is 0, but a number > 0"),
        (lambda: within(-1.0, 5), "seconds is -1.0"),
        (lambda: within(float("nan"), 5), "seconds is nan"),
        (lambda: within("10", 5), "seconds is '10'"),
        (lambda: within([1.0, 2.0], 5), "one number > 0"),
        (lambda: within(None, 5), "seconds is None"),
        (lambda: within(1.0, -1), "epochs is -1"),
        (lambda: within(1.0, 2.5), "epochs is 2.5"),
        (lambda: within(1.0, 5, state=3), "state is 3"),
        (lambda: jax.jit(lambda rate: within(1.0, 5, rule=jgd.sgd(rate)))(0.1), "use jgd.descend there"),
    ],
)
def test_bad_input_is_said(run, message):
    with pytest.raises(ValueError, match=message):
        run()

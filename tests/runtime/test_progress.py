"""A sweep in chunks is the sweep in one go; what is interrupted is not lost."""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from jgd.runtime import chunks, progress
from tests import cases

ROWS = cases.data()
SPACE = jgd.grid(learning_rate=[np.inf, 0.01, 0.1], batch_size=[1, 8])


def train(config, epochs, state):
    rule = jgd.sgd(config["learning_rate"], momentum=0.5)
    return cases.fit(rule, config["batch_size"], data=ROWS, epochs=epochs, state=state)


def until_done(config, epochs, state):
    rule, stop = jgd.sgd(config["learning_rate"]), jgd.stop.gradient_norm(0.2)
    return cases.fit(rule, None, data=ROWS, epochs=epochs, state=state, stop=stop)


def swept(train=train, space=SPACE, **options):
    return jgd.sweep_with_progress(train, space, **({"epochs": 7, "show": False} | options))


def assert_same(found, expected):
    assert len(found.configs) == len(expected.configs)
    for place in range(len(found.configs)):
        came, wanted = (
            (fit.params, fit.status, fit.epochs, fit.history)
            for fit in (found.fit(place), expected.fit(place))
        )
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), came, wanted)


@pytest.mark.parametrize(
    "chunk", [3, *(pytest.param(c, marks=pytest.mark.exhaustive) for c in (1, 7, 100, None))]
)
def test_chunks_give_the_same_as_one_go(chunk):
    assert_same(swept(chunk=chunk), jgd.sweep(lambda config: train(config, 7, None), SPACE))


@pytest.mark.exhaustive
def test_static_axes_and_lanes_that_end_early():
    space = jgd.grid(learning_rate=[0.5, 1.0], batch_size=jgd.static([1, 37]))
    assert_same(swept(space=space, chunk=2), jgd.sweep(lambda config: train(config, 7, None), space))
    rates = jgd.grid(learning_rate=[0.5, 1.0])
    found = swept(until_done, rates, epochs=60, chunk=5)
    assert (np.asarray(found.fits.epochs) < 55).all()
    assert_same(found, jgd.sweep(lambda config: until_done(config, 60, None), rates))


def interrupted_at(monkeypatch, call):
    """Ctrl-C at one of the calls that tell how far it is."""
    calls = []

    def any_runs(fits):
        calls.append(fits)
        if len(calls) == call:
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr(chunks, "any_runs", any_runs)


def test_what_is_done_survives_an_interruption(monkeypatch):
    interrupted_at(monkeypatch, 3)
    with pytest.warns(UserWarning, match="6 of 6 configurations are here; the last of them ran 3 of 7"):
        found = swept(chunk=1)
    expected = jgd.sweep(lambda config: train(config, 3, None), SPACE)
    for place in range(2, 6):
        came, wanted = found.fit(place), expected.fit(place)
        assert came.epochs == 3
        np.testing.assert_allclose(came.history.loss[:3], wanted.history.loss, rtol=1e-6)
        assert np.isnan(came.history.loss[3:]).all()
        # It goes on from there as if nothing had happened.
        further = train(SPACE.config(place), 4, came.state)
        whole = train(SPACE.config(place), 7, None)
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-5), further.params, whole.params
        )


@pytest.mark.exhaustive
def test_configurations_of_programs_that_were_not_begun_are_left_out(monkeypatch):
    space = jgd.grid(batch_size=jgd.static([1, 8, 37]), learning_rate=[0.01, 0.1])
    interrupted_at(monkeypatch, 7)  # the first program looks six times, between its seven chunks
    with pytest.warns(UserWarning, match="4 of 6 configurations"):
        found = swept(space=space, chunk=1)
    assert [row["batch_size"] for row in found.records()] == [1, 1, 8, 8]
    assert found.fit(1).epochs == 7
    assert found.fit(3).epochs == 1


@pytest.mark.exhaustive
def test_the_bar_tells_lanes_best_and_epochs(capsys):
    found = swept(show=True, chunk=3)
    told = capsys.readouterr().out
    assert "7/7 epochs" in told
    assert "4 of 6 lanes run (2 diverged)" in told
    assert f"best {found.best().score:.4g}" in told


def test_told_without_any_score():
    status = jnp.array([3, 3])
    assert progress._told(status, jnp.full(2, -jnp.inf)) == (
        " · 0 of 2 lanes run (2 diverged) · no score yet"
    )


def test_missing_rich_is_said_with_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(ImportError, match=r"pip install 'jgd\[cli\]', or pass show=False"):
        swept(show=True)


def forgets(config, epochs, state):
    return train(config, epochs, None)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: swept(epochs=0), "epochs is 0"),
        (lambda: swept(epochs=2.0), "epochs is 2.0"),
        (lambda: swept(chunk=0), "chunk is 0"),
        (lambda: swept(space=[]), "jgd.grid"),
        (lambda: swept(score=1), "score is 1"),
        (lambda: swept(forgets, chunk=1), "does not use its state"),
        (lambda: swept(lanes=0), "lanes is 0"),
    ],
)
def test_bad_input_is_said(run, message):
    with pytest.raises(ValueError, match=message):
        run()

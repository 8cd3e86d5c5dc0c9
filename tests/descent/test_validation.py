"""Patience on a validation score: the best parameters are kept, and the descent can go on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from tests import problems

STATUS = jgd.Status
PROBLEM = problems.least_squares()
HELD_OUT = problems.least_squares(seed=7).data  # other noise: the fit to the data goes past its minimum


def mean_loss(params, validation):
    return jnp.mean(jax.vmap(PROBLEM.loss, (None, 0))(params, validation))


def descend(rate=0.05, epochs=90, stop=None, batch_size=5, evaluate=mean_loss, **options):
    return jgd.descend(
        jgd.objective(PROBLEM.loss),
        PROBLEM.params,
        PROBLEM.data,
        rule=jgd.sgd(rate),
        batch_size=batch_size,
        epochs=epochs,
        key=jax.random.key(3),
        stop=stop,
        evaluate=evaluate,
        validation=HELD_OUT,
        **options,
    )


def lowest(patience=10, tolerance=0.0):
    return jgd.stop.validation(patience, tolerance, jnp.negative)


def as_defined(scores, patience, tolerance):
    """The epochs run, and the number of the best."""
    best, mark, stale = 0, -np.inf, 0
    for epoch, score in enumerate(scores):
        best = epoch if score > scores[best] or np.isnan(scores[best]) else best
        mark, stale = (score, 0) if score > mark + np.float32(tolerance) else (mark, stale + 1)
        if stale >= patience:
            return epoch + 1, best
    return len(scores), best


@functools.cache
def whole():
    """The losses on held out data and the params after each epoch of descents that are not stopped."""
    rates = jnp.array([0.05, 0.01, 1e-4])

    def params_too(params, validation):
        return mean_loss(params, validation), params

    return rates, jax.vmap(lambda rate: descend(rate, evaluate=params_too).history.evaluation)(rates)


@pytest.mark.exhaustive
def test_each_lane_keeps_its_best_epoch_and_ends_with_its_patience():
    rates, (losses, params) = whole()
    patience, tolerance = jnp.array([6, 9, 4]), jnp.array([0.0, 0.05, 0.0])
    fits = jax.vmap(lambda r, p, t: descend(r, stop=lowest(p, t)))(rates, patience, tolerance)
    assert fits.status.tolist() == [STATUS.STALLED, STATUS.STALLED, STATUS.EPOCHS_DONE]
    for lane in range(3):
        epochs, best = as_defined(-np.asarray(losses[lane]), int(patience[lane]), tolerance[lane])
        assert fits.epochs[lane] == epochs
        assert fits.status[lane] == (STATUS.STALLED if epochs < 90 else STATUS.EPOCHS_DONE)
        np.testing.assert_allclose(fits.params[lane], params[lane, best], rtol=1e-5)
        np.testing.assert_allclose(fits.state.params[lane], params[lane, epochs - 1], rtol=1e-5)


def test_all_epochs_done_the_best_params_are_kept_and_the_descent_goes_on_exactly():
    _, (losses, params) = whole()
    best = [np.argmin(losses[0, :epochs]) for epochs in (45, 90)]
    assert 0 < best[0] < 44 < best[1] < 89
    half = descend(epochs=45, stop=lowest(1000))
    assert half.status == STATUS.EPOCHS_DONE
    np.testing.assert_allclose(half.params, params[0, best[0]], rtol=1e-5, atol=1e-6)
    rest = descend(epochs=45, stop=lowest(1000), state=half.state)
    np.testing.assert_allclose(rest.state.params, params[0, 89], rtol=1e-5)
    np.testing.assert_allclose(rest.params, params[0, best[1]], rtol=1e-5)


def at_epoch(params, validation):
    """What a descent with a gradient of 1 and a rate of 1 has as its score in each epoch."""
    return jnp.take(validation, jnp.round(-params).astype(int) - 1, mode="clip")


def linear(params, example):
    return params * example


def told(scores, patience=3, stop=(), rate=1.0):
    return jgd.batch_descent(
        jgd.objective(linear),
        jnp.array(0.0),
        jnp.ones(2),
        rule=jgd.sgd(rate),
        epochs=10,
        stop=(jgd.stop.validation(patience), *stop),
        evaluate=at_epoch,
        validation=jnp.asarray(scores, jnp.float32),
    )


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("scores", "epochs", "best", "status"),
    [
        ([1, 2, 5, 4, 3, NAN, 9, 9, 9, 9], 6, 3, STATUS.STALLED),
        ([NAN, NAN, 1, NAN, 2, 0, 0, 0, 0, 0], 8, 5, STATUS.STALLED),
        ([NAN] * 10, 3, 3, STATUS.STALLED),  # no best: the last
        ([7, 7, 7, 7, 7, 7, 7, 7, 7, 7], 4, 1, STATUS.STALLED),
        ([-INF, -5, 1, 2, 3, 4, 5, 6, 8, 7], 10, 9, STATUS.EPOCHS_DONE),
    ],
)
def test_nan_is_never_the_best_and_the_first_of_equals_is(scores, epochs, best, status):
    fit = told(scores)
    assert (fit.epochs, fit.status) == (epochs, status)
    assert fit.params == -best
    assert fit.state.params == -epochs


def until_the_fifth(count):
    return jnp.where(count < 5, 1.0, jnp.inf)


def test_a_diverged_fit_returns_its_best_params():
    fit = told([1, 2, 3, 2, 1, 1, 1, 1, 1, 1], 100, rate=until_the_fifth)
    assert (fit.status, fit.epochs) == (STATUS.DIVERGED, 6)
    assert fit.params == -3
    assert fit.state.params == -5
    assert "fit.params are those with the best score" in jgd.explain(fit)


def test_params_that_converged_are_those_returned():
    fit = told(-np.arange(10), stop=(jgd.stop.gradient_norm(2.0),))
    assert (fit.status, fit.epochs) == (STATUS.CONVERGED, 1)
    assert fit.params == fit.state.params == 0


def several(params, validation):
    return {"loss": jnp.sum(params**2), "steps": jnp.array(3), "hits": jnp.array([True, False])}


def test_a_number_is_picked_out_of_several():
    stop = jgd.stop.validation(2, score=lambda e: e["steps"])
    fit = descend(stop=stop, evaluate=several)
    assert (fit.epochs, fit.status) == (3, STATUS.STALLED)
    text = jgd.explain(fit)
    assert "those of its best epoch" in text
    assert "score=jnp.negative" in text


def wants_a_float(evaluation):
    return float(evaluation)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: descend(stop=lowest(), evaluate=None), "evaluate is None, but stop.validation"),
        (lambda: descend(stop=(lowest(), lowest())), "several tests that keep the best params"),
        (lambda: descend(stop=jgd.stop.validation(), evaluate=several), "evaluate returns numbers of"),
        (
            lambda: descend(stop=jgd.stop.validation(score=lambda e: e["hits"]), evaluate=several),
            r"score returns numbers of shape \(2,\)",
        ),
        (lambda: descend(stop=jgd.stop.validation(score=wants_a_float)), "jax.numpy and jnp.where"),
        (lambda: jgd.stop.validation(0), "stop.validation: patience is 0"),
        (lambda: jgd.stop.validation(tolerance=-1), "stop.validation: tolerance is -1"),
        (lambda: jgd.stop.validation(score="accuracy"), "score is 'accuracy'"),
        (lambda: descend(stop=lowest(), state=descend(epochs=1).state), "state.stop_state"),
    ],
)
def test_bad_input_is_said(run, message):
    with pytest.raises(ValueError, match=message):
        run()

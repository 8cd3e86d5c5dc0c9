"""Many starts on functions whose minima are known."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd

KEY = jax.random.key(0)


def himmelblau(params, example):
    # Himmelblau (1972): four minima, all of height 0.
    x, y = params
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


MINIMA = np.array([[3.0, 2.0], [-2.805118, 3.131312], [-3.779310, -3.283186], [3.584428, -1.848126]])


def train(params):
    objective, stop = jgd.objective(himmelblau), jgd.stop.gradient_norm(1e-3)
    rule = jgd.sgd(0.01)
    return jgd.batch_descent(objective, params, jnp.zeros(1), rule=rule, epochs=500, stop=stop)


def init(key):
    return jax.random.uniform(key, (2,), float, -4, 4)


@pytest.mark.exhaustive
def test_the_four_minima_of_himmelblau_are_found():
    found = jgd.multistart(train, init, KEY, 40)
    assert len(found.counts) == 4
    assert found.counts.sum() == 40
    for place, end in enumerate(np.asarray(found.fits.params)):
        nearest = np.argmin(np.linalg.norm(MINIMA - end, axis=1))
        np.testing.assert_allclose(end, MINIMA[nearest], atol=1e-3)
        same = found.minima == found.minima[place]
        assert (
            np.linalg.norm(np.asarray(found.fits.params)[same] - MINIMA[nearest], axis=1) < 1e-2
        ).all()


def test_each_lane_is_the_fit_from_its_start():
    found = jgd.multistart(train, init, KEY, 5)
    for place, key in enumerate(jax.random.split(KEY, 5)):
        np.testing.assert_allclose(found.starts[place], init(key))
        alone = train(init(key))
        np.testing.assert_allclose(found.fits.params[place], alone.params, rtol=1e-5)
        assert found.fits.epochs[place] == alone.epochs


def two_valleys(params, example):
    return (params["x"] ** 2 - 1) ** 2 + 0.3 * params["x"]


def descend(params):
    return jgd.batch_descent(
        jgd.objective(two_valleys), params, jnp.zeros(1), rule=jgd.sgd(0.05), epochs=200
    )


@pytest.mark.exhaustive
def test_the_best_is_the_deeper_valley_and_what_diverged_is_in_none():
    def start(key):
        return {"x": jnp.where(jax.random.bernoulli(key, 0.2), 1e20, jax.random.normal(key))}

    found = jgd.multistart(descend, start, KEY, 30)
    diverged = np.asarray(found.fits.status) == jgd.Status.DIVERGED
    assert 0 < diverged.sum() < 30
    assert (found.minima[diverged] == -1).all()
    assert np.isneginf(found.scores[diverged]).all()
    # The roots of the derivative 4 x³ - 4 x + 0.3.
    roots = np.sort(np.roots([4, 0, -4, 0.3]).real)
    assert float(found.best.fit.params["x"]) == pytest.approx(roots[0], abs=1e-4)
    assert found.minima[found.best.place] == 0
    assert len(found.counts) == 2
    assert float(found.best.config["start"]["x"]) == float(found.starts["x"][found.best.place])
    text = found.explain()
    assert "ended in 2 minima" in text
    assert "DIVERGED" in text


@pytest.mark.exhaustive
def test_ends_that_do_not_come_together_are_said():
    def barely(params):
        return jgd.batch_descent(
            jgd.objective(two_valleys), params, jnp.zeros(1), rule=jgd.sgd(1e-6), epochs=1
        )

    found = jgd.multistart(barely, lambda key: {"x": jax.random.normal(key)}, KEY, 10, tolerance=0)
    assert len(found.counts) == 10
    assert "Nearly every start has an end of its own" in found.explain()


@pytest.mark.exhaustive
def test_one_trace_serves_all_starts():
    chex.clear_trace_counter()
    jgd.multistart(chex.assert_max_traces(train, n=1), init, KEY, 7)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: jgd.multistart(train, init, KEY, 0), "num is 0"),
        (lambda: jgd.multistart(train, init, None, 3), "key is None"),
        (lambda: jgd.multistart(train, jnp.zeros(2), KEY, 3), "init is"),
        (lambda: jgd.multistart(None, init, KEY, 3), "train is None"),
        (
            lambda: jgd.multistart(train, lambda key: jnp.ones(2), KEY, 3),
            "the same params for every",
        ),
        (lambda: jgd.multistart(train, init, KEY, 3, tolerance=-1.0), "tolerance is -1.0"),
        (lambda: jgd.multistart(lambda params: params, init, KEY, 3), "a Fit is wanted"),
        (lambda: jgd.multistart(train, init, KEY, 3, score=2), "score is 2"),
        (lambda: jgd.multistart(train, init, KEY, 3, score=lambda fit: jnp.nan).best, "no fit has one"),
        (lambda: jgd.multistart(train, init, KEY, 3, lanes=0), "lanes is 0"),
    ],
)
def test_bad_input_is_said(run, message):
    with pytest.raises(ValueError, match=message):
        run()

"""What stands on the picture of a successive halving."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from jgd import plots
from tests.plots.helpers import curve, legend

pytestmark = pytest.mark.exhaustive

RATES = np.append(np.logspace(-2.5, -0.5, 8), 1e30)
RUNGS = 2, 4, 20


def loss(params, example):
    return (params - example) ** 2


def train(config, epochs, state):
    rule = jgd.sgd(config["learning_rate"])
    data = jnp.array([1.0, 3.0])
    return jgd.batch_descent(
        jgd.objective(loss), jnp.array(0.0), data, rule=rule, epochs=epochs, state=state
    )


@pytest.fixture(scope="module")
def halving():
    return jgd.successive_halving(train, jgd.grid(learning_rate=RATES), rungs=RUNGS, keep=1 / 2)


@pytest.fixture(scope="module")
def scored(halving):
    """The same with the score -|params - 2| at the rungs, by which the order is the same."""
    scores = -2 * (1 - 2 * np.minimum(RATES, 1)[:, None]) ** np.asarray(RUNGS)
    return dataclasses.replace(
        halving, scores=np.where(np.isfinite(halving.scores), scores, halving.scores)
    )


def lines(ax):
    return [line for line in ax.lines if line.get_marker() == "."]


def test_lines_are_losses_that_end_where_each_was_dropped(halving):
    # Of rates below 1/2 the larger is the better: J after e - 1 steps is 4 (1 - 2r)^(2(e - 1)) + 1.
    ends = [2, 2, 2, 2, 4, 4, 20, 20]
    wanted = [
        4 * (1 - 2 * rate) ** (2 * np.arange(end)) + 1 for rate, end in zip(RATES, ends, strict=False)
    ]
    ax = plots.halving_brackets(halving)
    drawn = {
        tuple(line.get_ydata().round(4)) for line in lines(ax) if np.isfinite(line.get_ydata()).all()
    }
    assert drawn == {tuple(np.asarray(values, np.float32).astype(float).round(4)) for values in wanted}
    best = curve(ax, "best")
    np.testing.assert_allclose(best.get_ydata(), wanted[7], rtol=1e-5)
    assert best.get_linewidth() == max(line.get_linewidth() for line in lines(ax))
    assert legend(ax) == ["dropped", "kept to the end", "best", "diverged"]
    np.testing.assert_array_equal(curve(ax, "diverged").get_xydata(), [[2, 1]])
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_ylabel()) == ("log", "log", "loss")


def test_rungs_are_dotted_and_say_how_many_reached_them(halving):
    ax = plots.halving_brackets(halving)
    dotted = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"]
    assert dotted == list(RUNGS)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2", "4", "20"]
    (above,) = ax.child_axes
    assert [text.get_text() for text in above.get_xticklabels()] == ["9", "4", "2"]


def test_scores_are_drawn_where_the_halving_had_a_score(scored):
    ax = plots.halving_brackets(scored)
    assert ax.get_ylabel() == "score"
    best = curve(ax, "best")
    np.testing.assert_array_equal(best.get_xdata(), RUNGS)
    wanted = -2 * (1 - 2 * RATES[7]) ** np.asarray(RUNGS)
    np.testing.assert_allclose(best.get_ydata(), wanted, atol=1e-6)
    assert curve(ax, "diverged").get_ydata() == 0


def all_diverged(halving):
    fits = halving.fits
    history = fits.history._replace(loss=fits.history.loss * jnp.nan)
    fits = fits._replace(status=jnp.full_like(fits.status, jgd.Status.DIVERGED), history=history)
    scores = np.where(np.isnan(halving.scores), np.nan, -np.inf)
    return dataclasses.replace(halving, fits=fits, scores=scores)


def all_equal(halving):
    fits = halving.fits
    history = fits.history._replace(loss=jnp.where(jnp.isfinite(fits.history.loss), 0.5, jnp.nan))
    scores = np.where(np.isfinite(halving.scores), -0.5, halving.scores)
    return dataclasses.replace(halving, fits=fits._replace(history=history), scores=scores)


@pytest.mark.parametrize("change", [all_diverged, all_equal])
@pytest.mark.filterwarnings("error")
def test_degenerate_halvings_are_drawn(halving, scored, change):
    for found in (halving, scored):
        ax = plots.halving_brackets(change(found))
        ax.figure.canvas.draw()


@pytest.mark.filterwarnings("error")
def test_one_configuration_and_one_rung_are_drawn_on_given_axes(halving):
    alone = jgd.successive_halving(train, jgd.grid(learning_rate=[0.1]), rungs=(5,))
    given = plots.halving_brackets(halving).figure.add_subplot(3, 3, 9)
    ax = plots.halving_brackets(alone, ax=given)
    assert ax is given
    np.testing.assert_allclose(
        curve(ax, "best").get_ydata(), 4 * 0.8 ** (2 * np.arange(5)) + 1, rtol=1e-6
    )
    ax.figure.canvas.draw()


def test_errors_say_what_to_pass(halving):
    band = jgd.Hyperband((halving, halving))
    with pytest.raises(ValueError, match=r"Hyperband of 2 brackets.*brackets\[0\]"):
        plots.halving_brackets(band)
    with pytest.raises(ValueError, match=r"halving is Sweep.*final_loss"):
        plots.halving_brackets(halving.sweep)
    with pytest.raises(ValueError, match=r"successive_halving.*Take halving.sweep"):
        plots.heat_map(halving, "learning_rate", "momentum")

"""Pictures are judged by what stands on the axes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot as plt

import jgd
from jgd import plots
from tests.plots.helpers import curve, legend


def loss(params, example):
    return (params - example) ** 2


OBJECTIVE = jgd.objective(loss)
DATA = jnp.array([1.0, 3.0])
NOT_A_FIT: Any = 1.0


def descent(learning_rate, **options):
    return jgd.batch_descent(OBJECTIVE, jnp.array(0.0), DATA, rule=jgd.sgd(learning_rate), **options)


def names(ax):
    return [text.get_text() for text in ax.texts]


def test_curve_is_the_loss_in_closed_form():
    # J(p) = (p - 2)² + 1; each step of rate 0.1 shrinks p - 2 by 0.8.
    ax = plots.learning_curves({"batch": descent(0.1, epochs=5)})
    np.testing.assert_array_equal(curve(ax, "batch").get_xdata(), [1, 2, 3, 4, 5])
    np.testing.assert_allclose(
        curve(ax, "batch").get_ydata(), 4 * 0.8 ** (2 * np.arange(5)) + 1, rtol=1e-6
    )


def test_curves_go_on_the_given_axes_with_a_legend_and_labels():
    _, given = plt.subplots()
    ax = plots.learning_curves({"slow": descent(0.01, epochs=3), "fast": descent(0.1, epochs=3)}, given)
    assert ax is given
    assert legend(ax) == ["slow", "fast"]
    assert ax.get_xlabel() == "epoch"
    assert "loss" in ax.get_ylabel()
    assert ax.get_title()


def test_epochs_that_were_not_run_are_not_drawn():
    fit = descent(0.1, epochs=50, stop=jgd.stop.gradient_norm(1.0))
    # The gradient at the start of epoch e is 2 * 2 * 0.8^(e - 1); at or below 1 first in epoch 8.
    assert int(fit.epochs) == 8
    ax = plots.learning_curves({"batch": fit})
    assert len(curve(ax, "batch").get_xdata()) == 8
    assert names(ax) == []


def test_stalled_fit_is_marked_at_its_last_epoch():
    fit = descent(0.5, epochs=50, stop=jgd.stop.plateau(patience=3))
    ax = plots.learning_curves({"batch": fit})
    assert names(ax) == ["STALLED"]
    # At its minimum from epoch 2 on, where J is the variance of the data.
    assert ax.texts[0].xy == (5, pytest.approx(np.var(DATA)))


def test_diverged_fit_is_marked_at_its_last_epoch_where_the_loss_is_drawn():
    fit = descent(10.0, epochs=100)
    epochs = int(fit.epochs)
    assert 1 < epochs < 100
    ax = plots.learning_curves({"good": descent(0.1, epochs=5), "bad": fit})
    assert names(ax) == ["DIVERGED"]
    at_epoch, height = ax.texts[0].xy
    assert at_epoch == epochs
    assert np.isfinite(height)
    assert ax.get_xlim()[1] > epochs


def test_fit_without_any_finite_loss_is_marked_too():
    data = jnp.array([jnp.nan, 1.0])
    fit = jgd.batch_descent(OBJECTIVE, jnp.array(0.0), data, rule=jgd.sgd(0.1), epochs=3)
    ax = plots.learning_curves({"nan": fit})
    assert names(ax) == ["DIVERGED"]
    ax.figure.canvas.draw()


def signed_loss(params, example):
    return params * example


def test_scale_is_logarithmic_only_where_all_losses_are_above_zero():
    assert plots.learning_curves({"squares": descent(0.1, epochs=3)}).get_yscale() == "log"
    fit = jgd.batch_descent(
        jgd.objective(signed_loss), jnp.array(0.0), DATA, rule=jgd.sgd(0.1), epochs=3
    )
    assert plots.learning_curves({"signed": fit}).get_yscale() == "linear"


RATES = jnp.array([0.1, 0.2, 0.3, 0.5, 10.0])


@pytest.fixture(scope="module")
def batch():
    """Five fits: the first four stop when they have converged, the last diverges."""

    def train(rate):
        return descent(rate, epochs=30, stop=jgd.stop.gradient_norm(1e-3))

    return jax.vmap(train)(RATES)


@pytest.mark.filterwarnings("error")
def test_batch_is_a_median_and_a_band_of_what_was_run(batch):
    ax = plots.learning_curves({"rates": batch})
    assert batch.status[4] == jgd.Status.DIVERGED
    assert len(set(batch.epochs.tolist())) > 3
    # J after e - 1 steps of rate r is 4 (1 - 2r)^(2(e - 1)) + 1, as long as the fit runs.
    epochs = np.arange(30)
    losses = 4 * (1 - 2 * np.asarray(RATES, float)[:, None]) ** (2 * epochs) + 1
    losses[epochs >= np.asarray(batch.epochs)[:, None]] = np.nan
    losses[losses > np.finfo(np.float32).max] = np.nan
    last = np.nonzero(np.isfinite(losses).any(axis=0))[0][-1]
    wanted = np.nanquantile(losses[:, : last + 1], [0.1, 0.5, 0.9], axis=0)
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, last + 2))
    np.testing.assert_allclose(line.get_ydata(), wanted[1], rtol=1e-4)
    corners = ax.collections[0].get_paths()[0].vertices
    for epoch in (1, 3, last + 1):
        heights = corners[corners[:, 0] == epoch, 1]
        np.testing.assert_allclose([heights.min(), heights.max()], wanted[[0, 2], epoch - 1], rtol=1e-4)
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    ("status", "label"),
    [
        ([0, 1, 1, 1, 1], "r"),
        ([1, 1, 1, 2, 2], "r (2 of 5 stalled)"),
        ([1, 1, 1, 1, 3], "r (1 of 5 diverged)"),
        ([3, 2, 3, 1, 1], "r (2 of 5 diverged, 1 stalled)"),
    ],
)
def test_legend_tells_how_many_of_a_batch_did_not_end_well(batch, status, label):
    ax = plots.learning_curves({"r": batch._replace(status=jnp.array(status))})
    assert legend(ax) == [label]


@pytest.mark.filterwarnings("error")
def test_batch_without_any_finite_loss_is_told_in_the_legend():
    data = jnp.array([jnp.nan, 1.0])
    fits = jax.vmap(
        lambda rate: jgd.batch_descent(OBJECTIVE, jnp.array(0.0), data, rule=jgd.sgd(rate), epochs=3)
    )(RATES)
    ax = plots.learning_curves({"nan": fits, "one": descent(0.1, epochs=3)})
    assert legend(ax) == ["nan (5 of 5 diverged)", "one"]
    ax.figure.canvas.draw()


def fits_on_two_axes():
    rates = jnp.full((3, 2), 0.1)
    return jax.vmap(jax.vmap(lambda rate: descent(rate, epochs=2)))(rates)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plots.learning_curves({}), "fits is empty"),
        (lambda: plots.learning_curves(descent(0.1, epochs=1)), "fits is Fit"),
        (lambda: plots.learning_curves({"a": NOT_A_FIT}), r"fits\['a'\] is float"),
        (lambda: plots.learning_curves({"a": fits_on_two_axes()}), r"shape \(3, 2\).*reshape"),
    ],
)
def test_errors_name_what_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_axes_of_a_batch_are_made_one_as_the_error_says():
    fits = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), fits_on_two_axes())
    ax = plots.learning_curves({"six": fits})
    np.testing.assert_allclose(curve(ax, "six").get_ydata(), [5, 4 * 0.64 + 1], rtol=1e-6)

"""Pictures are judged by what stands on the axes."""

import importlib
import sys
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest

import jgd

mpl.use("Agg")

from matplotlib import pyplot as plt  # the backend comes first

from jgd import plots


def loss(params, example):
    return (params - example) ** 2


OBJECTIVE = jgd.objective(loss)
DATA = jnp.array([1.0, 3.0])
NOT_A_FIT: Any = 1.0


def descent(learning_rate, **options):
    return jgd.batch_descent(OBJECTIVE, jnp.array(0.0), DATA, rule=jgd.sgd(learning_rate), **options)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def names(ax):
    return [text.get_text() for text in ax.texts]


def curve(ax, name):
    return next(line for line in ax.lines if line.get_label() == name)


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


def test_path_is_drawn_with_start_end_and_optimum():
    path = [[2.0, 1.0], [1.0, 0.5], [0.5, 0.25]]
    ax = plots.path_on_contours(lambda p: jnp.sum(p**2), path, optimum=[0, 0])
    drawn = {line.get_label(): np.squeeze(line.get_xydata()) for line in ax.lines}
    np.testing.assert_array_equal(drawn["path"], path)
    np.testing.assert_array_equal(drawn["start"], path[0])
    np.testing.assert_array_equal(drawn["end"], path[-1])
    np.testing.assert_array_equal(drawn["optimum"], [0, 0])
    assert set(legend(ax)) == set(drawn)
    (low_x, high_x), (low_y, high_y) = ax.get_xlim(), ax.get_ylim()
    assert low_x < 0 < 2 < high_x
    assert low_y < 0 < 1 < high_y
    assert high_x - low_x == pytest.approx(high_y - low_y)


def test_contours_of_a_distance_are_circles():
    ax = plots.path_on_contours(jnp.linalg.norm, [[2.0, 1.0], [0.1, 0.1]], optimum=[0.0, 0.0])
    lines = ax.collections[-1]
    checked = 0
    for level, contour in zip(lines.levels, lines.get_paths(), strict=True):
        radii = np.linalg.norm(contour.vertices, axis=1)
        np.testing.assert_allclose(radii, level, atol=0.02)
        checked += len(radii)
    assert checked > 100


def test_new_axes_are_made_where_none_are_given_and_given_ones_are_used():
    _, given = plt.subplots()
    path = jnp.array([[1.0, 1.0], [0.0, 0.0]])
    assert plots.path_on_contours(lambda p: p @ p, path) is not given
    assert plots.path_on_contours(lambda p: p @ p, path, given) is given


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (lambda p: jnp.zeros(()), [[0.0, 0.0], [1.0, 1.0]]),
        (lambda p: p @ p, [[1.0, 1.0]]),
        (lambda p: p @ p, [[1.0, 1.0], [0.5, 0.5], [np.nan, np.inf]]),
        (lambda p: jnp.log(p[0]), [[1.0, 1.0], [0.1, 0.1]]),
        (lambda p: jnp.exp(p[0]), [[0.0, 0.0], [1e3, 1.0]]),
    ],
    ids=[
        "level",
        "one point",
        "path that diverges",
        "value that is NaN in places",
        "value that overflows in places",
    ],
)
@pytest.mark.filterwarnings("error")
def test_degenerate_pictures_are_drawn(value, path):
    ax = plots.path_on_contours(value, path)
    ax.figure.canvas.draw()
    assert np.isfinite(curve(ax, "path").get_xydata()).all()


def fits_of_two_lanes():
    return jax.vmap(lambda rate: descent(rate, epochs=2))(jnp.array([0.1, 0.2]))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plots.learning_curves({}), "fits is empty"),
        (lambda: plots.learning_curves(descent(0.1, epochs=1)), "fits is Fit"),
        (lambda: plots.learning_curves({"a": NOT_A_FIT}), r"fits\['a'\] is float"),
        (lambda: plots.learning_curves({"a": fits_of_two_lanes()}), "batch of fits of shape"),
        (lambda: plots.path_on_contours(jnp.sum, jnp.zeros((3, 3))), r"path has shape \(3, 3\)"),
        (lambda: plots.path_on_contours(jnp.sum, jnp.full((3, 2), jnp.nan)), "no finite row"),
        (lambda: plots.path_on_contours(jnp.sum, jnp.ones((3, 2)), optimum=1.0), "optimum has shape"),
    ],
)
def test_errors_name_what_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_lane_of_a_batch_of_fits_is_drawn_as_the_error_says():
    fits = fits_of_two_lanes()
    ax = plots.learning_curves({"lane": jax.tree.map(lambda x: x[1], fits)})
    np.testing.assert_array_equal(curve(ax, "lane").get_ydata(), fits.history.loss[1])


def test_missing_matplotlib_is_said_with_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "jgd.plots")
    with pytest.raises(ImportError, match=r"pip install 'jgd\[plot\]'"):
        importlib.import_module("jgd.plots")

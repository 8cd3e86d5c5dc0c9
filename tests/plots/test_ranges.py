"""What stands on the picture of a range test."""

import math

import numpy as np
import pytest

import jgd
from jgd import plots
from jgd.tuning.range_test import RangeTest
from tests.plots.helpers import curve, legend

RATES = np.logspace(-3, 1, 5)
NAN = math.nan


def found_with(losses, start=2.0, suggestion=0.1):
    losses = np.asarray(losses, np.float32)
    status = np.where(np.isnan(losses), jgd.Status.DIVERGED, jgd.Status.EPOCHS_DONE)
    return RangeTest(RATES, losses, start, 1.0, status, 1.0, suggestion)


def height(ax, name):
    return curve(ax, name).get_ydata()


def test_losses_the_start_the_suggestion_and_what_diverged():
    ax = plots.range_test(found_with([1.5, 1.0, 0.25, 0.125, NAN]))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    np.testing.assert_array_equal(curve(ax, "at the end").get_xdata(), RATES)
    np.testing.assert_array_equal(height(ax, "at the end"), [1.5, 1.0, 0.25, 0.125, NAN])
    assert set(height(ax, "at the start")) == {2.0}
    assert set(curve(ax, "suggestion 0.1").get_xdata()) == {0.1}
    assert curve(ax, "diverged").get_xdata() == [10.0]
    assert height(ax, "diverged") == [1.0]
    low, high = ax.get_ylim()
    assert low < 0.125
    assert high > 2


def test_far_above_the_start_is_an_arrow_so_that_the_fall_is_seen():
    ax = plots.range_test(found_with([1.5, 1.0, 0.25, 30.0, 1e20]))
    assert 2 < ax.get_ylim()[1] < 2 * 2 / 0.25 * 1.3
    np.testing.assert_array_equal(curve(ax, "above the frame").get_xdata(), RATES[3:])


@pytest.mark.parametrize("losses", [[-1, -2, -3, -40, NAN], [1.9, 1.8, 1.7, 1.6, 50], [0, 0, 1, 0, 1]])
def test_linear_where_a_logarithm_shows_nothing(losses):
    ax = plots.range_test(found_with(losses))
    assert ax.get_yscale() == "linear"
    low, high = ax.get_ylim()
    assert low < np.nanmin(losses)
    assert 2 < high < 50


@pytest.mark.parametrize("start", [2.0, NAN])
def test_where_all_diverged_there_is_a_picture_still(start):
    ax = plots.range_test(found_with([NAN] * 5, start, NAN))
    ax.figure.canvas.draw()
    assert legend(ax) == ["at the start", "diverged"][math.isnan(start) :]
    assert ax.get_xlim()[0] < RATES[0] < RATES[-1] < ax.get_xlim()[1]


def test_draws_on_the_axes_given():
    found = found_with([1.5, 1.0, 0.25, 0.125, NAN])
    ax = plots.range_test(found)
    ax.clear()
    assert plots.range_test(found, ax) is ax
    assert legend(ax) == ["at the end", "at the start", "suggestion 0.1", "diverged"]


def test_what_is_no_range_test_is_refused():
    with pytest.raises(ValueError, match="found is float, but what jgd"):
        plots.range_test(1.0)

"""The parts of the experiments on challenges and step sizes, on numbers that are known."""

import jax
import matplotlib as mpl
import numpy as np
import pytest

import jgd
from tests import scripts

mpl.use("Agg")


@pytest.fixture(scope="module")
def challenges():
    return scripts.load("challenges")


@pytest.fixture(scope="module")
def step_sizes():
    return scripts.load("step_sizes")


@pytest.mark.exhaustive
def test_a_challenge_shows_the_trouble_and_the_cure(challenges):
    found = challenges.local_minima(16, 60)
    # A tilted double well in each of two directions has its minima where 2 (x² - 1) x + 0.4 = 0.
    roots = np.roots([1.0, 0.0, -1.0, 0.2])
    roots = roots[np.abs(roots) > 0.5].real
    wells = (roots**2 - 1) ** 2 / 4 + 0.2 * roots
    sums = {f"ends at {a + b:.2f}" for a in wells for b in wells}
    assert set(found.curves) <= sums
    assert f"ends at {2 * wells.min():.2f}" in found.curves
    assert "of 16 starts" in found.verdict
    rates = challenges.learning_rates(10)
    last = {name: curve[-1] for name, curve in rates.curves.items()}
    assert last["auto_rule"] < last["rate 0.1"] < last["rate 0.001"] < last["rate 100"]
    challenges.draw([found, rates] * 3).canvas.draw()


def test_epochs_until_a_target(step_sizes):
    assert step_sizes.epochs_until(np.array([3.0, 2.0, np.nan, 1.0, 2.0]), 1.5) == 4
    assert step_sizes.epochs_until(np.array([3.0, np.nan]), 1.5) == np.inf


@pytest.mark.exhaustive
def test_a_race_on_a_bowl_is_won_in_the_steps_that_it_takes(step_sizes):
    """Of curvature 2 and condition 1, the rate of the grid nearest to 1/2 leaves (1 - 2 rate)^2."""
    name = "least squares, condition 1"
    race = step_sizes.race(name, "batch", jax.random.key(0))
    nearest = step_sizes.RATES[np.argmin(np.abs(step_sizes.RATES - 0.5))]
    assert (1 - 2 * nearest) ** 2 < 0.1
    assert race.best["90%"] == 1
    assert race.auto["90%"] <= 2
    assert race.worst < 1
    assert race.status == jgd.Status.STALLED  # at the floor of the floats
    slow = race._replace(auto={gap: 7 * epochs for gap, epochs in race.best.items()})
    text = step_sizes.table([race, slow])
    assert text.count(name) == 2
    assert "7.00" in text
    assert "1 of 2 within 3 times" in step_sizes.summary([race, slow])
    assert "at worst 7.00 times (least squares, condition 1, batch)" in step_sizes.summary([race, slow])
    step_sizes.draw([race]).canvas.draw()

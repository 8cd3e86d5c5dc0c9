"""The parts of the experiment on the critical batch size, on numbers that are known."""

import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest

from tests import scripts

mpl.use("Agg")


@pytest.fixture(scope="module")
def script():
    return scripts.load("critical_batch_size")


def test_a_law_is_found_in_its_own_steps(script):
    law = script.Law(20.0, 30.0)
    best = {size: script.Best(float(law.steps(size)), 1.0) for size in script.BATCH_SIZES}
    found = script.fitted(best)
    np.testing.assert_allclose(found, law, rtol=1e-4)
    gains = script.gains(best)
    assert gains[1] > 1.9
    assert gains[256] < 1.06
    answers = script.Answers(best, found, {4: np.full((2, 5), 15.0), 64: np.full((2, 3), 60.0)})
    text = script.table(answers)
    assert "Law: 20.0 * (1 + 30.0 / B) steps" in text
    assert "batch size   4:  15.0, 0.50 of" in text
    assert "batch size  64:  60.0, 2.00 of" in text
    script.draw(answers).canvas.draw()


def test_steps_until_the_target(script):
    assert script.steps_until(np.array([2.3, 0.5, 0.2, 0.6, 0.1]), 4) == pytest.approx(4 * (1 + 2 / 3))
    assert script.steps_until(np.array([2.3, 0.5]), 4) == np.inf


@pytest.mark.exhaustive
def test_descents_start_alike_and_go_their_ways(script):
    options = {"batch_size": 8, "places": 2, "between": 3, "watch": script.total_loss}
    losses = np.asarray(script.follow(script.load(), jnp.array([0.0, 0.1]), **options))
    assert losses.shape == (script.NUM_SEEDS, 2, 2)
    np.testing.assert_allclose(losses[:, :, 0], np.log(10), rtol=1e-6)
    np.testing.assert_allclose(losses[:, 0, 1], np.log(10), rtol=1e-6)
    assert (losses[:, 1, 1] < np.log(10)).all()
    assert len(np.unique(losses[:, 1, 1])) == script.NUM_SEEDS

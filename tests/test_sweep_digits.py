"""The search over digits, with fewer draws and seeds."""

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests import scripts

mpl.use("Agg")


@pytest.fixture(scope="module")
def script():
    return scripts.load("sweep_digits")


def test_the_parts_hold_every_image_once(script):
    digits = script.load()
    images, classes = load_digits(return_X_y=True)
    assert [len(y) for _, y in digits] == [798, 400, 599]
    came = np.concatenate([np.c_[16 * np.asarray(x), y] for x, y in digits])
    np.testing.assert_array_equal(*(rows[np.lexsort(rows.T)] for rows in (came, np.c_[images, classes])))


@pytest.mark.exhaustive
def test_the_search_finds_what_classifies_digits(script, monkeypatch):
    monkeypatch.setattr(script, "RUNGS", (1, 3))
    digits = script.load()
    rates = script.rates_and_batch_sizes(digits, epochs=3)
    strengths = script.penalties(digits, epochs=3)
    found = script.halving(digits, num=27)
    seeds = script.best_with_seeds(digits, found, num_seeds=3, most=1)
    accuracies = script.test_accuracies(digits, seeds)
    assert accuracies.shape == (1, 3)
    assert (accuracies > 0.85).all()
    answers = script.Answers(rates, strengths, found, seeds, (1.0, 1.0, 1.0, 1.0))
    text = script.table(digits, answers)
    assert "27 reached 1 epoch, 9 reached 3 epochs." in text
    assert f"{accuracies.mean():.4f}" in text
    script.draw(answers).canvas.draw()

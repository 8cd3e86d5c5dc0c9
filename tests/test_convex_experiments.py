"""The experiments on convex problems, small."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

from tests import scripts

mpl.use("Agg")


@pytest.mark.exhaustive
def test_lasso_path_of_diabetes_is_that_of_scikit_learn():
    script = scripts.load("lasso_path")
    problem = script.diabetes()
    answer = script.solve(problem, num=10)
    assert answer.difference < 5e-3
    assert answer.path.num_nonzero[0] == 0
    assert answer.path.num_nonzero[-1] >= 9
    assert "10 strengths" in script.report("diabetes", problem, answer)
    figure = script.draw([problem], [answer])
    names = {text.get_text() for text in figure.axes[0].texts}
    assert {"bmi", "s5", "bp"} <= names
    plt.close(figure)


@pytest.mark.exhaustive
def test_strengths_of_groups_are_tuned(monkeypatch):
    """Of 24 useless features among 26, most of whose groups shrink to nothing."""
    script = scripts.load("hypergradients")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6))
    y = x[:, 0] - 0.5 * x[:, 1] + 0.3 * rng.normal(size=300)
    table = script.data.Table(x, y / y.std(), (y > 0).astype(float))
    monkeypatch.setattr(script.data, "diamonds", lambda: table)
    monkeypatch.setattr(script, "SIZES", (40, 100, 160))
    monkeypatch.setattr(script, "NUM_GROUPS", 13)
    split, groups = script.load(0)
    assert split.training[0].shape == (40, 27)
    assert set(np.asarray(groups).tolist()) <= set(range(13))
    tuned = script.tune(0, steps=30)
    assert tuned.gradient[-1] < tuned.gradient[0]
    assert tuned.gradient[-1] < tuned.single
    assert tuned.gradient_test[-1] < tuned.single_test
    assert "by gradient" in script.table([tuned])
    plt.close(script.draw([tuned]))

"""The page about the estimators: its code runs, and finds what it says."""

import pytest

from tests import scripts


@pytest.mark.exhaustive
def test_the_page_runs():
    names = scripts.run_page("scikit_learn.md")
    assert names["model"].score(names["x_test"], names["y_test"]) == pytest.approx(0.96, abs=0.01)
    assert names["search"].best_score_ > 0.9

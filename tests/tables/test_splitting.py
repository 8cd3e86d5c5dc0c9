"""Rows held out, against scikit-learn."""

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from jgd.tables import TableError, split_rows

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("num", "share", "held_out"), [(100, 0.2, 20), (7, 0.5, 4), (3, 0.01, 1), (2, 0.9, 1)]
)
@pytest.mark.parametrize("classes", [False, True])
def test_the_parts_are_all_rows(num, share, held_out, classes):
    train, held = split_rows(num, share, 0, np.arange(num) % 2 if classes else None)
    assert len(held) == min(held_out, num - 2) if classes and num > 2 else held_out
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held])), np.arange(num))


def test_a_share_of_nothing_holds_out_nothing():
    train, held = split_rows(5, 0, 0)
    assert train.tolist() == [0, 1, 2, 3, 4]
    assert held.shape == (0,)
    assert held.dtype == train.dtype


def test_the_seed_decides():
    first, again, other = (split_rows(100, 0.3, seed)[1] for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


def test_classes_have_the_shares_that_scikit_learn_gives():
    classes = RNG.choice(5, 500, p=[0.5, 0.3, 0.1, 0.06, 0.04])
    _, held = split_rows(500, 0.2, 0, classes)
    _, wanted = train_test_split(np.arange(500), test_size=0.2, stratify=classes, random_state=0)
    came, wanted = np.bincount(classes[held]), np.bincount(classes[wanted])
    assert came.sum() == wanted.sum()
    assert np.abs(came - wanted).max() <= 1


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_every_class_is_trained_on(share):
    classes = np.array(["a"] * 60 + ["b"] * 3 + ["c"] * 2 + ["d"])
    train, held = split_rows(len(classes), share, 0, classes)
    assert set(classes[train]) == {"a", "b", "c", "d"}
    assert "d" not in classes[held]
    assert len(held) == round(share * 66)


def test_where_each_row_has_a_class_of_its_own_rows_are_drawn_all_the_same():
    assert len(split_rows(10, 0.2, 0, np.arange(10))[1]) == 2


@pytest.mark.parametrize(("num", "share"), [(0, 0), (0, 0.2), (1, 0.2)])
def test_too_few_rows(num, share):
    with pytest.raises(TableError, match="or more are wanted"):
        split_rows(num, share, 0)


@pytest.mark.parametrize("share", [-0.1, 1, 20, float("nan")])
def test_a_share_out_of_range(share):
    with pytest.raises(TableError, match=r"e.g. 0\.2"):
        split_rows(10, share, 0)

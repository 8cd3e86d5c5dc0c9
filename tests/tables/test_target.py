"""What the target is taken for, and its arrays, against scikit-learn."""

import datetime

import numpy as np
import polars as pl
import pytest
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.multiclass import type_of_target

from jgd.tables import TableError, decode, encode_target, has_target, infer_target

RNG = np.random.default_rng(0)
ROWS = 200
WORDS = pl.Series([f"word {number}" for number in range(ROWS)])
DAYS = pl.Series([datetime.date(2020, 1, 1 + row % 3) for row in range(ROWS)])


def taken(values, task=None):
    return infer_target(pl.DataFrame({"y": values}), "y", task)


def complaint(values, task=None):
    with pytest.raises(TableError) as caught:
        taken(values, task)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["no", "yes"] * 100, "binary"),
        ([True, False] * 100, "binary"),
        (["a", "b", "c", "d"] * 50, "multiclass"),
        (pl.Series(["a", "b"] * 100, dtype=pl.Categorical), "binary"),
        (pl.Series(["a", "b"] * 100, dtype=pl.Enum(["b", "a", "c"])), "binary"),
        ([3, 7] * 100, "binary"),
        ([0.0, 1.0] * 100, "binary"),
        ([0.5, 1.5] * 100, "regression"),
        (list(range(10)) * 20, "multiclass"),
        ([3, 4, 5, 6, 8] * 40, "multiclass"),
        ([1, 10, 100] * 60, "regression"),
        (list(range(11)) * 20, "regression"),
        (list(range(8)), "regression"),
        (RNG.normal(size=ROWS), "regression"),
        ([datetime.timedelta(hours=row) for row in range(ROWS)], "regression"),
    ],
)
def test_the_guess(values, task):
    assert taken(values).task == task


@pytest.mark.parametrize(
    "values", [[0, 1] * 9, ["a", "b", "c"] * 9, [0, 1, 2] * 9, [0.5, 1.5, 2.5], [True, False]]
)
def test_the_guess_is_that_of_scikit_learn(values):
    task = type_of_target(values)
    assert taken(values).task == {"continuous": "regression"}.get(task, task)


@pytest.mark.parametrize(
    ("values", "asked", "task"),
    [
        ([0, 1] * 9, "regression", "regression"),
        ([0, 1] * 9, "classification", "binary"),
        ([0, 1] * 9, "multiclass", "multiclass"),
        ([0, 1, 2] * 9, "classification", "multiclass"),
        ([0.5, 1.5] * 9, "binary", "binary"),
        (DAYS, "classification", "multiclass"),
    ],
)
def test_the_task_that_is_asked_for(values, asked, task):
    assert taken(values, asked).task == task


def test_missing_values_are_counted_and_told_apart():
    frame = pl.DataFrame({"y": [1.5, None, float("nan"), 2.5]})
    target = infer_target(frame, "y")
    assert target.missing == 2
    assert has_target(frame, target).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("values", "task", "words"),
    [
        (["a", None, "a"], None, ["'a'", "nothing to learn"]),
        ([2, 2], "regression", ["2", "nothing to learn"]),
        ([None, None], None, ["missing in all 2 rows"]),
        ([float("nan")] * 2, None, ["missing in all 2 rows"]),
        ([1.5, None, float("inf")], None, ["inf in row 3", "Leave that row out"]),
        ([[1], [2]], None, ["List(Int64)", "Name another column"]),
        (DAYS, None, ["dates", "--task classification"]),
        (WORDS, None, ["200 different values", "'word 0' in row 1", "At most 100"]),
        (["1", "2", "x"] * 9, "regression", ["'x' in row 3", "--task classification"]),
        (["a", "b", "c"], "binary", ["3 different values", "--task multiclass"]),
        (RNG.normal(size=ROWS), "classification", ["200 different values", "--task regression"]),
        ([0, 1], "clasification", ["Did you mean classification?"]),
    ],
)
def test_a_target_that_cannot_be_learned(values, task, words):
    message = complaint(values, task)
    assert all(word in message for word in words), message


def test_the_example_is_what_is_no_number():
    values = [str(number) for number in range(ROWS)]
    values[7] = "n.a."
    assert "'n.a.' in row 8" in complaint(values)


def test_a_target_that_is_not_there():
    with pytest.raises(TableError, match=r"no column Pirce to predict. Did you mean price\?"):
        infer_target(pl.DataFrame({"price": [1, 2], "cut": [1, 2]}), "Pirce")


@pytest.mark.parametrize(
    "values",
    [
        RNG.choice(["b", "a", "ä", "c"], ROWS),
        RNG.integers(3, 7, ROWS),
        RNG.random(ROWS) < 0.5,
        RNG.choice([0.0, 1.0], ROWS),
    ],
)
def test_classes_are_numbered_as_in_scikit_learn(values):
    encoder = LabelEncoder().fit(values)
    frame = pl.DataFrame({"y": values})
    target = infer_target(frame, "y")
    came = encode_target(target, frame)
    assert came.dtype == np.int32
    np.testing.assert_array_equal(came, encoder.transform(values))
    assert list(target.classes) == encoder.classes_.tolist()
    back = decode(target, came)
    assert back.dtype == frame["y"].dtype
    assert back.to_list() == frame["y"].to_list()


def test_dates_as_classes_come_back():
    frame = pl.DataFrame({"y": DAYS})
    target = infer_target(frame, "y", "classification")
    assert decode(target, encode_target(target, frame)).to_list() == DAYS.to_list()


def test_numbers_of_regression_are_float32():
    values = RNG.normal(size=ROWS)
    frame = pl.DataFrame({"y": values})
    target = infer_target(frame, "y")
    came = encode_target(target, frame)
    assert came.dtype == np.float32
    np.testing.assert_array_equal(came, values.astype(np.float32))
    np.testing.assert_array_equal(decode(target, values).to_numpy(), values)


@pytest.mark.parametrize("values", [[1.0, 0.0], pl.Series([1, 0], dtype=pl.UInt8)])
def test_whole_numbers_of_another_type_are_the_same_classes(values):
    target = taken([0, 1, 0, 1])
    assert encode_target(target, pl.DataFrame({"y": values})).tolist() == [1, 0]


@pytest.mark.parametrize("value", ["q", 3, 0.5, DAYS[0]])
def test_an_unseen_class(value):
    frame = pl.DataFrame({"y": pl.Series([value])})
    for values in (["a", "b"], [0, 1], [True, False]):
        with pytest.raises(TableError, match="in row 1, which is none of the classes"):
            encode_target(taken(values), frame)


@pytest.mark.parametrize(
    ("value", "words"), [("q", "'q' in row 1"), (1e300, "too large"), (None, "missing in 1 of 1 rows")]
)
def test_what_is_no_number_of_regression(value, words):
    with pytest.raises(TableError, match=words):
        encode_target(taken([0.5, 1.5, 2.5]), pl.DataFrame({"y": [value]}))


@pytest.mark.parametrize("number", [-1, 2])
def test_a_number_of_no_class(number):
    with pytest.raises(TableError, match="classes 0 to 1"):
        decode(taken(["a", "b"]), [number])

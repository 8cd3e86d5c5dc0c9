"""Tables as arrays, against scikit-learn and pandas."""

import datetime

import numpy as np
import polars as pl
import pytest
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from jgd.tables import TableError, encode, feature_names, infer_columns

RNG = np.random.default_rng(0)
ROWS = 9000  # more than two blocks of rows
START = datetime.datetime(2020, 1, 1)


def drawn(rng):
    return pl.DataFrame(
        {
            "carat": rng.normal(3, 2, ROWS),
            "cut": rng.choice(["Ideal", "Fair", "äöü"], ROWS),
            "rooms": rng.integers(0, 9, ROWS),
            "sold": rng.random(ROWS) < 0.5,
            "color": pl.Series(rng.choice(["D", "E"], ROWS), dtype=pl.Categorical),
            "y": rng.normal(size=ROWS),
        }
    )


TRAIN, OTHER = drawn(RNG), drawn(RNG)
SCHEMA, _ = infer_columns(TRAIN, "y")


def small(values, others=None):
    """The array and the notes of one column x."""
    frame = pl.DataFrame({"x": values, "y": range(len(values))})
    schema, _ = infer_columns(frame, "y")
    array, notes = encode(schema, frame if others is None else pl.DataFrame({"x": others}))
    return array.tolist(), notes


def complaint(frame, schema=SCHEMA):
    with pytest.raises(TableError) as caught:
        encode(schema, frame)
    return str(caught.value)


@pytest.mark.parametrize("frame", [TRAIN, OTHER])
def test_features_are_those_of_scikit_learn(frame):
    numbers, words = ["carat", "rooms", "sold"], ["cut", "color"]
    scaler = StandardScaler().fit(TRAIN.select(numbers).to_numpy().astype(float))
    encoder = OneHotEncoder(sparse_output=False).fit(TRAIN.select(words).cast(pl.String).to_numpy())
    wanted = dict(
        zip(numbers, scaler.transform(frame.select(numbers).to_numpy().astype(float)).T, strict=True)
    )
    names = [name.replace("_", "=", 1) for name in encoder.get_feature_names_out(words)]
    hot = encoder.transform(frame.select(words).cast(pl.String).to_numpy())
    wanted |= dict(zip(names, hot.T, strict=True))
    came, notes = encode(SCHEMA, frame)
    assert came.dtype == np.float32
    assert came.flags.c_contiguous
    assert notes == []
    assert set(feature_names(SCHEMA)) == set(wanted)
    for name, column in zip(feature_names(SCHEMA), came.T, strict=True):
        np.testing.assert_allclose(column, wanted[name], rtol=1e-6, atol=1e-7, err_msg=name)


def test_dates_are_days_as_pandas_reckons():
    pandas = pytest.importorskip("pandas")
    times = [START + datetime.timedelta(hours=int(hours)) for hours in RNG.integers(0, 9999, 50)]
    days = (pandas.Series(times) - pandas.Timestamp(0)) / pandas.Timedelta(days=1)
    wanted = (days - days.mean()) / days.std(ddof=0)
    for values in (
        times,
        pl.Series(times).dt.replace_time_zone("UTC"),
        pl.Series(times).cast(pl.Datetime("ns")),
    ):
        np.testing.assert_allclose(np.ravel(small(values)[0]), wanted, rtol=1e-5)


def test_days_and_times_of_day_are_the_same_dates():
    days = [START.date(), datetime.date(2020, 1, 3)]
    assert small(days, ["2020-01-01", "2020-01-03"])[0] == small(days)[0] == [[-1], [1]]
    assert small(days, [START, datetime.datetime(2020, 1, 2)])[0] == [[-1], [0]]


def test_missing_numbers_are_the_mean_and_told():
    assert small([1.0, None, 3.0, float("nan")]) == ([[-1, 0], [0, 1], [1, 0], [0, 1]], [])


def test_missing_text_is_a_category():
    assert small(["a", None, "b"]) == ([[1, 0, 0], [0, 0, 1], [0, 1, 0]], [])


def test_missing_values_that_training_had_not():
    note = ["Missing values where training had none: x 1 (50%)."]
    assert small([1.0, 3.0], [3.0, None]) == ([[1], [0]], note)
    assert small(["a", "b"], ["b", None]) == ([[0, 1], [0, 0]], note)


@pytest.mark.parametrize("values", [[1.0, 3.0], ["a", "b"], [START, datetime.datetime(2020, 1, 2)]])
@pytest.mark.parametrize("dtype", [pl.Null, pl.String, pl.Int64])
def test_a_column_that_is_missing_throughout_may_be_of_any_type(values, dtype):
    array, _ = small(values, pl.Series([None, None], dtype=dtype))
    np.testing.assert_array_equal(array, np.zeros_like(array))


def test_unseen_categories_are_zero_and_counted():
    array, notes = small(["a", "b"], ["Q", "a", "Q", "r", "s", "t"])
    assert array == [[0, 0], [1, 0], [0, 0], [0, 0], [0, 0], [0, 0]]
    assert notes == [
        "Unseen in training: x 'Q' in 2 rows, 'r' in 1 row, 's' in 1 row and 1 other value."
    ]


def test_the_order_of_columns_is_that_of_training_and_others_are_ignored():
    shuffled = OTHER.select(*reversed(OTHER.columns), pl.lit("more").alias("more"))
    np.testing.assert_array_equal(encode(SCHEMA, shuffled)[0], encode(SCHEMA, OTHER)[0])


def test_a_single_row():
    np.testing.assert_array_equal(encode(SCHEMA, OTHER[3])[0], encode(SCHEMA, OTHER)[0][3:4])


def test_no_row():
    assert encode(SCHEMA, OTHER.clear())[0].shape == (0, 8)


@pytest.mark.parametrize("others", [["1", "3"], [True, 3], pl.Series(["1", "3"]).cast(pl.Decimal(9, 2))])
def test_numbers_may_come_as_other_types(others):
    others = pl.Series(others, strict=False) if isinstance(others, list) else others
    assert small([1, 3], others)[0] == [[-1], [1]]


def test_text_may_come_as_numbers():
    assert small(["1", "1b"], [1, 2])[0] == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"carat": pl.lit("much")}, ["carat is 'much' in row 1", "numbers in training", "Convert it"]),
        ({"carat": pl.lit(START)}, ["carat is '2020-01-01", "numbers in training"]),
        ({"cut": pl.concat_list("carat")}, ["cut is '[", "text in training"]),
        ({"carat": pl.lit(float("inf"))}, ["carat is inf in row 1"]),
        ({"carat": pl.lit(1e300)}, ["carat is 1e+300 in row 1", "about 3", "another unit"]),
    ],
)
def test_values_that_are_not_as_in_training(change, words):
    message = complaint(OTHER.with_columns(**change))
    assert all(word in message for word in words), message


def test_the_row_of_a_wrong_value_is_named():
    texts = ["2.5"] * 7 + [None, "n.a."] + ["1"] * 3
    assert "carat is 'n.a.' in row 9" in complaint(OTHER[:12].with_columns(carat=pl.Series(texts)))


@pytest.mark.parametrize("value", [3, "tomorrow"])
def test_what_is_no_date(value):
    schema, _ = infer_columns(
        pl.DataFrame({"x": [START, datetime.datetime(2020, 1, 2)], "y": [1, 2]}), "y"
    )
    assert f"x is '{value}' in row 1, but dates" in complaint(pl.DataFrame({"x": [value]}), schema)


def test_columns_that_are_not_there():
    message = complaint(OTHER.rename({"carat": "Carats"}).drop("sold"))
    assert "lacks the columns carat, sold of training. Did you mean Carats?" in message


def test_an_array_beyond_all_memory():
    frame = pl.DataFrame({"x": pl.repeat("a", 30_000, eager=True)})
    many = [str(number) for number in range(90_000)]
    column = SCHEMA.columns[1]._replace(name="x", values=tuple(many))
    schema = SCHEMA._replace(columns=tuple(column._replace(name="x") for _ in range(90)))
    assert "GB of memory" in complaint(frame, schema)

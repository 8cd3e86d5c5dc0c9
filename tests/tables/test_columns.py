"""What columns are taken for, what is left out, and the notes on it."""

import datetime
import re

import numpy as np
import polars as pl
import pytest
from sklearn.preprocessing import StandardScaler

from jgd.tables import TableError, feature_names, infer_columns, text_columns

RNG = np.random.default_rng(0)
ROWS = 40
Y = pl.Series("y", RNG.normal(size=ROWS))


def inferred(drop=(), most_categories=1000, **columns):
    frame = pl.DataFrame(columns | {"y": Y[: len(next(iter(columns.values())))]})
    return infer_columns(frame, "y", drop, most_categories)


def complaint(**columns):
    with pytest.raises(TableError) as caught:
        inferred(**columns)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (RNG.normal(size=ROWS), "number"),
        (RNG.integers(0, 3, ROWS), "number"),
        (RNG.random(ROWS) < 0.5, "number"),
        (pl.Series(range(ROWS)).cast(pl.Decimal(10, 2)), "number"),
        ([datetime.timedelta(hours=row) for row in range(ROWS)], "number"),
        ([datetime.time(row % 24) for row in range(ROWS)], "number"),
        ([datetime.date(2020, 1, 1 + row % 9) for row in range(ROWS)], "date"),
        ([datetime.datetime(2020, 1, 1, row % 9) for row in range(ROWS)], "date"),
        (RNG.choice(["a", "b"], ROWS), "category"),
        (pl.Series(["a", "b"] * (ROWS // 2), dtype=pl.Categorical), "category"),
    ],
)
def test_the_kind_of_a_column(values, kind):
    schema, notes = inferred(x=values)
    assert [column.kind for column in schema.columns] == [kind]
    assert notes == []


@pytest.mark.parametrize(
    "values", [RNG.normal(3, 9, ROWS), 1e9 + RNG.random(ROWS), RNG.integers(0, 9, ROWS)]
)
def test_statistics_are_those_of_scikit_learn(values):
    scaler = StandardScaler().fit(np.asarray(values, float)[:, None])
    ((column,),), _ = inferred(x=values)
    np.testing.assert_allclose(
        [column.mean, column.scale], [scaler.mean_[0], scaler.scale_[0]], rtol=1e-9
    )


@pytest.mark.parametrize("size", [1e-200, 1e200, 1e307])
def test_numbers_whose_squares_no_float_holds(size):
    ((column,),), _ = inferred(x=np.array([-1.0, 0, 1]) * size)
    np.testing.assert_allclose(column.scale, np.sqrt(2 / 3) * size)


def test_names_of_features():
    schema, _ = inferred(carat=[0.5, None, 1.5], cut=["b", "a", None], rooms=[1, 2, 4])
    assert feature_names(schema) == [
        *("carat", "carat is missing", "cut=a", "cut=b", "cut is missing", "rooms"),
    ]
    assert text_columns(schema) == ["cut"]


def test_missing_values_are_noted_most_of_them_first():
    _, notes = inferred(a=[None, 1.0, 2, 3], b=[float("nan"), None, 2, 4], c=["u", None, "v", "u"])
    assert notes == ["Missing values: b 2 (50%), a 1 (25%), c 1 (25%)."]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([3] * ROWS, "same value: x."),
        (["a"] * ROWS, "same value: x."),
        ([None] * ROWS, "no row has a value: x."),
        ([float("nan")] * ROWS, "no row has a value: x."),
        ([[1]] * ROWS, "neither numbers nor text: x (List(Int64))."),
        ([b"1"] * ROWS, "neither numbers nor text: x (Binary)."),
        (
            [f"name {row}" for row in range(ROWS)],
            "nearly every row says nothing about new rows: x (40 in 40",
        ),
        (
            [f"name {row // 3}" for row in range(ROWS)],
            "12 different values at most (group them into fewer): x",
        ),
    ],
)
def test_what_is_left_out_is_said(values, words):
    schema, notes = inferred(x=values, z=range(5, 5 + ROWS), most_categories=12)
    assert [column.name for column in schema.columns] == ["z"]
    assert words in notes[0], notes


@pytest.mark.parametrize(
    ("name", "step", "left_out"), [("id", 1, True), ("Id", 3, True), ("week", 1, False)]
)
def test_a_number_of_the_row_is_left_out_under_its_name(name, step, left_out):
    numbers = RNG.permutation(ROWS) * step
    schema, notes = inferred(**{name: numbers, "z": RNG.normal(size=ROWS)})
    assert len(schema.columns) == 2 - left_out
    assert (
        notes == [f"Left out, for it numbers the rows (rename it if it means more): {name}."] * left_out
    )


def test_numbers_that_occur_twice_number_no_rows():
    assert len(inferred(id=[1, 1, 2], z=[3, 4, 6])[0].columns) == 2


def test_where_one_number_is_all_there_is_what_is_missing_remains():
    schema, _ = inferred(x=[1.0, None] * (ROWS // 2))
    assert feature_names(schema) == ["x is missing"]


def test_few_rows_may_have_a_text_each():
    schema, notes = inferred(x=["a", "b", "c"])
    assert feature_names(schema) == ["x=a", "x=b", "x=c"]
    assert notes == []


def test_many_categories_are_quick_and_said():
    frame = pl.DataFrame({"x": [str(row % 100_000) for row in range(300_000)], "y": range(300_000)})
    with pytest.raises(TableError, match=r"group them into fewer\): x \(100,000\)"):
        infer_columns(frame, "y")
    with pytest.raises(TableError, match=r"(?s)100,001 features, but 100,000.*--drop x"):
        infer_columns(frame.with_columns(z="y"), "y", most_categories=10**6)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["1.5"] * 38 + ["unknown"] * 2, "2 fields of it are no numbers, e.g. 'unknown' in row 39"),
        (["$1,000", "7%"] * 20, "'$1,000' in row 1 is no number"),
    ],
)
def test_text_that_may_be_meant_as_numbers_is_said(values, words):
    _, notes = inferred(x=values)
    assert words in notes[0]


def test_it_is_said_also_where_that_text_is_left_out():
    _, notes = inferred(x=[str(row / 7) for row in range(ROWS - 1)] + ["n.a."], z=range(ROWS))
    assert re.search("nearly every row .* x", notes[0])
    assert "1 field of it is no number, e.g. 'n.a.' in row 40" in notes[1]


def test_columns_that_are_dropped_are_not_looked_at():
    schema, notes = inferred(x=[float("inf")] * ROWS, z=range(ROWS), drop=["x"])
    assert [column.name for column in schema.columns] == ["z"]
    assert notes == []


@pytest.mark.parametrize(
    ("name", "drop", "words"),
    [
        ("Price", [], "no column Price to predict. Did you mean price?"),
        ("price", ["carrat"], "no column carrat to drop. Did you mean carat?"),
        ("price", ["price"], "cannot be dropped"),
        ("price", ["carat"], "No column is left to predict price from. Take a table with more columns."),
    ],
)
def test_names_that_do_not_serve(name, drop, words):
    with pytest.raises(TableError, match=re.escape(words)):
        infer_columns(pl.DataFrame({"carat": [1, 2], "price": [3, 4]}), name, drop)


def test_where_nothing_is_left_the_reasons_are_told():
    assert "No column is left to predict y from. Left out, for all rows have" in complaint(x=[1, 1])


def test_an_infinite_number_is_named():
    message = complaint(x=[1.0, None, float("-inf")])
    assert all(word in message for word in ("x is -inf in row 3", "--drop x"))


def test_a_table_without_rows():
    with pytest.raises(TableError, match="no rows"):
        infer_columns(pl.DataFrame({"x": [1], "y": [2]}).clear(), "y")

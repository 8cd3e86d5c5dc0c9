"""Tables from files, against polars, numpy and the csv module."""

import csv
import datetime
import gzip
import io

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from jgd.tables import nearest, read_table

RNG = np.random.default_rng(0)
ROWS = 60
FRAME = pl.DataFrame(
    {
        "carat": RNG.normal(size=ROWS),
        "rooms": RNG.integers(0, 9, ROWS),
        "cut": RNG.choice(["Ideal", "very good", "a,b", 'say "x"', "äöü", "two\nlines"], ROWS),
        "sold": RNG.random(ROWS) < 0.5,
        "when": pl.date_range(datetime.date(2020, 1, 1), datetime.date(2020, 2, 29), eager=True),
        "at": pl.datetime_range(
            datetime.datetime(2020, 1, 1, 5), datetime.datetime(2020, 2, 29, 5), eager=True
        ),
    }
).with_columns(pl.when(pl.col("rooms") < 2).then(None).otherwise(pl.col("carat")).alias("carat"))


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("t.csv", lambda path: FRAME.write_csv(path)),
        ("t.tsv", lambda path: FRAME.write_csv(path, separator="\t")),
        ("t.txt", lambda path: FRAME.write_csv(path, separator="|")),
        ("T.CSV", lambda path: FRAME.write_csv(path, null_value="NA")),
        ("semicolons.csv", lambda path: FRAME.write_csv(path, separator=";")),
        ("t.csv.gz", lambda path: path.write_bytes(gzip.compress(FRAME.write_csv().encode()))),
        ("t.parquet", lambda path: FRAME.write_parquet(path)),
        ("t.feather", lambda path: FRAME.write_ipc(path)),
        ("t.arrow", lambda path: FRAME.write_ipc_stream(path)),
        ("t.jsonl", lambda path: FRAME.write_ndjson(path)),
        ("a[1]*.csv", lambda path: FRAME.write_csv(path)),
        ("a[1]*.parquet", lambda path: FRAME.write_parquet(path)),
    ],
)
def test_a_table_comes_back_as_it_was_written(tmp_path, name, write):
    path = tmp_path / name
    write(path)
    assert_frame_equal(read_table(path), FRAME)


def test_zstandard_is_unpacked(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    with arrow.output_stream(tmp_path / "t.csv.zst", compression="zstd") as file:
        file.write(FRAME.write_csv().encode())
    assert_frame_equal(read_table(tmp_path / "t.csv.zst"), FRAME)


def test_fields_are_those_of_the_csv_module(tmp_path):
    text = FRAME.write_csv()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    frame = read_table(written(tmp_path, "t.csv", text), text=FRAME.columns)
    assert frame.columns == rows[0]
    assert [[field or "" for field in row] for row in frame.rows()] == rows[1:]


def test_markers_of_missing_values(tmp_path):
    markers = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"]
    lines = [f"{marker}, {marker} ,1" for marker in markers]
    path = written(tmp_path, "t.csv", "\n".join(["x,y,z", *lines, "2, b,1"]))
    frame = read_table(path)
    assert frame["x"].to_list() == [None] * len(markers) + [2]
    assert frame["y"].to_list() == [None] * len(markers) + ["b"]


@pytest.mark.parametrize(("late", "wanted"), [("1.5", pl.Float64), ("x", pl.String)])
def test_a_late_row_decides_what_a_column_is(tmp_path, late, wanted):
    path = written(tmp_path, "t.csv", "a,b\n" + "1,2\n" * 5000 + f"{late},2\n")
    frame = read_table(path)
    assert frame.schema == {"a": wanted, "b": pl.Int64}
    assert frame["a"].cast(pl.String)[-1] == late


def test_a_late_row_of_json_decides_too(tmp_path):
    path = written(tmp_path, "t.jsonl", '{"a": 1}\n' * 500 + '{"a": "x", "b": 2}\n')
    frame = read_table(path)
    assert frame.schema == {"a": pl.String, "b": pl.Int64}


@pytest.mark.parametrize("late", ["", "x;2\n"])
def test_decimal_commas(tmp_path, late):
    path = written(tmp_path, "t.csv", "a;b\n1;2,5\n" + "3;4,25\n" * 2000 + late)
    frame = read_table(path)
    assert frame["b"].head(2).to_list() == [2.5, 4.25]
    assert frame["a"].dtype == (pl.String if late else pl.Int64)


def test_thousands_are_not_taken_for_decimals(tmp_path):
    assert read_table(written(tmp_path, "t.tsv", "a\tb\n1\t1,234\n"))["b"].to_list() == ["1,234"]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffa,b\r\n1,x\r\n",
        "a,b\r1,x\r",
        "a, b\n 1, x\n",
        '"a","b"\n"1","x"\n',
        "\n\na,b\n1,x\n\n\n,\n",
        "a\tb\n1\tx\n",
    ],
)
def test_other_ways_to_write_the_same(tmp_path, text):
    assert read_table(written(tmp_path, "t.csv", text)).to_dicts() == [{"a": 1, "b": "x"}]


def test_an_empty_line_between_rows_keeps_its_place(tmp_path):
    assert read_table(written(tmp_path, "t.csv", "a\n1\n\n3\n\n"))["a"].to_list() == [1, None, 3]


def test_columns_without_a_name_are_numbered(tmp_path):
    assert read_table(written(tmp_path, "t.csv", ",a,\n1,2,3\n")).columns == [
        "column_1",
        "a",
        "column_3",
    ]


def test_text_that_looks_like_numbers_is_left(tmp_path):
    path = written(tmp_path, "t.csv", "zip, town\n00123,2\n00456,3\n")
    frame = read_table(path, text=["zip", "not there"])
    assert frame.rows() == [("00123", 2), ("00456", 3)]


def test_the_separator_that_is_named_is_taken(tmp_path):
    path = written(tmp_path, "t.csv", "a;b,c\n1;2,3\n")
    assert read_table(path, separator=";").columns == ["a", "b,c"]


def test_arrays_of_npz_are_columns(tmp_path):
    pixels, labels = RNG.normal(size=(5, 3)).astype(np.float32), np.arange(5)
    np.savez(tmp_path / "t.npz", pixel=pixels, label=labels, word=np.array(list("abcde")))
    frame = read_table(tmp_path / "t.npz")
    assert frame.columns == ["pixel_0", "pixel_1", "pixel_2", "label", "word"]
    np.testing.assert_array_equal(frame.select("^pixel_.*$").to_numpy(), pixels)
    np.testing.assert_array_equal(frame["label"].to_numpy(), labels)
    assert frame["word"].to_list() == list("abcde")


def test_nearest_does_not_mind_capitals():
    assert nearest("PRICES", ["carat", "Price"]) == "Did you mean Price?"


def test_nearest_lists_what_there_is_where_nothing_is_alike():
    assert nearest("xyz", ["carat", "cut"]) == "There are: carat, cut."
    assert nearest("xyz", []) == "There are none."

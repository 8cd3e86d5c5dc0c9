"""What people are told about files that are no tables, and the way out."""

import gzip
import os

import numpy as np
import pytest

from jgd.tables import TableError, read_table
from tests.tables.test_reading import written

MANY = "a,b\n" + "1,Z\n" * 40_000


def complaint(path, **options):
    with pytest.raises(TableError) as caught:
        read_table(path, **options)
    message = str(caught.value)
    assert message.count("\n") <= 2
    return message


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.csv", "", ["t.csv is empty"]),
        ("t.csv", " \n\n", ["t.csv is empty"]),
        ("t.csv", "a,b\n", ["no rows"]),
        ("t.csv", "a,b\n,\n", ["no rows"]),
        ("t.csv", "b,a,a,b\n1,2,3,4\n", ["twice: b, a.", "Rename"]),
        ("t.csv", "a, a\n1,2\n", ["twice: a.", "Rename"]),
        ("t.csv", "a,b\n1,2\n1,2,3\n", ["3 fields in line 3", "2 columns", "Mend that line"]),
        ("t.csv", "a,b\n1,2\n\n1\n3,4\n", ["1 field in line 4", "Mend that line"]),
        ("t.csv", "a,b\n" + "1,2\n" * 3000 + "1\n", ["1 field in line 3,002"]),
        ("t.csv", 'a,b\n"x,1\n2,3\n', ["quotation mark", "Close it"]),
        ("t.csv", "a;b\n1;2;3\n", ["semicolons", "--separator ';'"]),
        ("t.csv", "5.1,3.5,setosa\n4.9,3.0,setosa\n", ["5.1, 3.5", "a,b,c"]),
        ("t.txt", "a b\n1 2\n", ["blanks", "tr -s"]),
        ("t.csv", "a,b\n1,Zürich\n".encode("latin1"), ["line 2", "0xfc", "iconv -f WINDOWS-1252"]),
        ("t.csv", "ä,b\n1,2\n".encode("latin1"), ["line 1", "0xe4", "iconv"]),
        ("t.csv", (MANY + "1,ü\n").encode("latin1"), ["line 40,002", "0xfc", "iconv"]),
        ("t.csv", "a,b\n1,2\n".encode("utf-16"), ["UTF-16", "iconv -f UTF-16"]),
        ("t.csv.gz", gzip.compress("a\nü\n".encode("latin1")), ["line 2", "gzip -dc"]),
        ("t.csv.gz", gzip.compress(MANY.encode())[:-50], ["t.csv.gz"]),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n")[:-9], ["cannot be unpacked", "written to the end"]),
        ("t.csv.gz", gzip.compress(b"a,b\n")[:10] + b"xxxxxxxx", ["cannot be unpacked"]),
        ("t.parquet", "PAR1 no parquet PAR1", ["cannot be read as .parquet", "written to the end"]),
        ("t.feather", "no feather", ["cannot be read as .feather", "written to the end"]),
        ("t.npz", "no arrays", ["t.npz is not what numpy.savez writes"]),
        ("t.jsonl", '{"a": 1}\n{"a":\n', ["cannot be read as .jsonl", "JSON object"]),
        ("t.jsonl", '[{"a": 1}]', ["JSON object"]),
        ("t.json", "[]", ["jq -c"]),
        ("t.xlsx", "x", ["Save it as CSV"]),
        ("t.dat", "a,b\n1,2\n", ["ends in .dat", ".parquet"]),
        ("table", "a,b\n1,2\n", ["has no ending", ".csv"]),
        ("t.parquet.gz", "x", ["ends in .parquet.gz"]),
    ],
)
def test_a_file_that_is_no_table(tmp_path, name, text, words):
    message = complaint(written(tmp_path, name, text))
    assert all(word in message for word in words), message


def test_a_parquet_file_that_was_cut(tmp_path):
    pl = pytest.importorskip("polars")
    pl.DataFrame({"a": np.arange(1000)}).write_parquet(tmp_path / "t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    assert "cannot be read" in complaint(written(tmp_path, "t.parquet", whole[: len(whole) // 2]))


def test_a_file_that_does_not_exist_is_looked_for(tmp_path):
    written(tmp_path, "flights.csv", "a,b\n1,2\n")
    written(tmp_path, "notes.md", "")
    assert "Did you mean flights.csv?" in complaint(tmp_path / "flihgts.csv")
    assert "There are: flights.csv." in complaint(tmp_path / "x.parquet")
    assert "There is no folder" in complaint(tmp_path / "no" / "flights.csv")


def test_a_folder_shows_the_tables_in_it(tmp_path):
    assert "There are no tables" in complaint(tmp_path)
    written(tmp_path, "flights.csv", "a,b\n1,2\n")
    assert "There are: flights.csv." in complaint(tmp_path)


def test_an_address_is_to_be_fetched():
    assert "curl -LO https://example.org/t.csv" in complaint("https://example.org/t.csv")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_must_not_be_read(tmp_path):
    path = written(tmp_path, "t.csv", "a,b\n1,2\n")
    path.chmod(0)
    assert "Permission denied" in complaint(path)


@pytest.mark.parametrize("separator", ["", ";;", '"', "\n", "§"])
def test_the_separator_is_one_character(tmp_path, separator):
    assert "one character" in complaint(written(tmp_path, "t.csv", "a,b\n1,2\n"), separator=separator)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.ones((3, 2)), "y": np.ones(4)}, ["different lengths: x 3, y 4"]),
        ({"x": np.ones((3, 2, 2))}, ["(3, 2, 2)", "reshape"]),
        ({"x": np.float64(1)}, ["shape ()"]),
        ({"x": np.ones(3, complex)}, ["complex128", "astype"]),
        ({"x": np.array([1, "a", None], object)}, ["objects", "astype(str)"]),
        ({"x": np.ones((3, 2)), "x_0": np.ones(3)}, ["twice: x_0"]),
        ({"x": np.ones((0, 2))}, ["no rows"]),
        ({}, ["no columns"]),
    ],
)
def test_arrays_that_are_no_columns(tmp_path, arrays, words):
    np.savez(tmp_path / "t.npz", **arrays)
    message = complaint(tmp_path / "t.npz")
    assert all(word in message for word in words), message

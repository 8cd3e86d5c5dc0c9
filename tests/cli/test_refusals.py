"""What does not fit is said in a line or two, with exit code 2, before any work, and nothing is lost."""

import os
import stat

import polars as pl
import pytest

from jgd.cli import directory
from tests.cli.helpers import QUICK, refused, run, small_frame, written

CSV = small_frame().write_csv()
MIXED = "x,y\n1,a\n2,1.5\n3,b\n" + "".join(f"5,{number}.25\n" for number in range(200))
MANY = "x,y\n" + "".join(f"k{row % 1200},{row % 7}.5\n" for row in range(4800))


def table(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["is empty"]),
        ("a,b\n", ["no rows"]),
        ("y,y,x\n1,2,3\n4,5,6\n", ["twice: y"]),
        ("x,y\n1,2\n3\n4,5,6\n", ["1 field in line 3"]),
        ("x,y\ncaf\xe9,1\n".encode("latin-1"), ["UTF-8"]),
        ("x,y\n1,2\n", ["The target y is 2 in all rows"]),
        ("x,y\n1,5\n2,5\n3,5\n", ["y", "nothing to learn"]),
        ("x,y\n1,\n2,\n3,\n", ["y is missing in all"]),
        ("x,y\n,1\n,2\n,3\n", ["No column is left"]),
        ("x,y\n7,1\n7,2\n7,3\n", ["No column is left"]),
        (MIXED, ["The target y is text with 203 different values", "'a' in row 1"]),
        (MANY, ["No column is left", "1,000 different values at most"]),
    ],
)
def test_tables_that_cannot_be_learned(tmp_path, content, words):
    path = table(tmp_path, content)
    said = refused("fit", path, "--target", "y", "--out", tmp_path / "out")
    assert all(word in said for word in words)
    assert not (tmp_path / "out").exists()


def test_the_wrong_separator(tmp_path):
    path = table(tmp_path, "x;y\n1;2\n3;4\n")
    assert "x;y" in refused("fit", path, "--target", "y", "--separator", ",")


def test_a_table_that_is_not_there(tmp_path):
    table(tmp_path, CSV, "stones.csv")
    said = refused("fit", tmp_path / "stone.csv", "--target", "y", "--out", tmp_path / "out")
    assert "Did you mean stones.csv?" in said


def test_a_target_that_is_not_there(tmp_path):
    frame = pl.DataFrame({"price": [1.0, 2.0], "x": [1, 2]})
    path = written(frame, tmp_path / "t.csv")
    assert "Did you mean price?" in refused("fit", path, "--target", "pirce", "--out", tmp_path / "out")
    assert "--target COLUMN" in refused("fit", path)
    assert "jgd fit TABLE" in refused("fit", "--target", "price")


@pytest.mark.usefixtures("without_figures")
def test_columns_of_no_use_are_left_out_and_told(tmp_path):
    frame = small_frame().with_columns(
        same=pl.lit(3), none=pl.lit(None, pl.Int64), mixed=pl.Series(["1", "x"] * 30)
    )
    names = pl.Series("name", [f"n{row}" for row in range(60)])
    path = written(frame.with_columns(names), tmp_path / "t.csv")
    result = run("fit", path, "--target", "y", "--out", tmp_path / "out", *QUICK)
    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    assert "Left out, for no row has a value: none." in said
    assert "Left out, for all rows have the same value: same." in said
    assert "Left out, for text with another value in nearly every row" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--penalty", "l3=1"), "one of none, l1"),
        (("--penalty", "l1"), "--penalty l1=0.01"),
        (("--penalty", "l1=-1"), ">= 0"),
        (("--penalty", "nonnegative=1"), "takes no number"),
        (("--hidden", "ten"), "--hidden 64,32"),
        (("--hidden", "0"), "--hidden"),
        (("--hidden", "8", "--model", "linear"), "--model mlp"),
        (("--model", "lineal"), "Did you mean linear?"),
        (("--learning-rate", "fast"), "auto"),
        (("--learning-rate", "0"), "> 0"),
        (("--validation", "1"), "0.2"),
        (("--epochs", "0"), ">= 1"),
        (("--epochs", "many"), "--epochs"),
        (("--batch-size", "0"), ">= 1"),
        (("--variant", "batch", "--batch-size", "3"), "Leave one"),
        (("--variant", "stochastic", "--batch-size", "3"), "--variant minibatch"),
        (("--rule", "accelerated", "--batch-size", "3"), "--variant batch"),
        (("--rule", "polyak", "--learning-rate", "0.1"), "Leave it out"),
        (("--rule", "adma"), "'adam'"),
        (("--momentum", "0.9"), "--rule sgd --learning-rate"),
        (("--loss", "log_loss"), "squared_error"),
        (("--loss", "log_los"), "Did you mean log_loss?"),
        (("--task", "ranking"), "regression"),
        (("--task", "binary"), "multiclass"),
        (("--drop", "z"), "no column z"),
        (("--drop", "y"), "y is to be predicted"),
        (("--separator", ";;"), "one character"),
        (("--config", "nowhere.toml"), "cannot be read"),
        (("--bogus",), "--help"),
    ],
)
def test_options_that_do_not_fit(small, tmp_path, options, words):
    out = tmp_path / "out"
    assert words in refused("fit", small / "small.csv", "--target", "y", "--out", out, *options)
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs = ", "no TOML"),
        ("epoch = 3", "Did you mean epochs?"),
        ('epochs = "3"', "a whole number"),
        ("drop = 'x'", "a list"),
    ],
)
def test_configs_that_are_none(small, tmp_path, text, words):
    path = table(tmp_path, text, "config.toml")
    assert words in refused("fit", small / "small.csv", "-t", "y", "--config", path)


def test_nothing_is_overwritten(small):
    before = {path: path.stat().st_mtime_ns for path in sorted(small.rglob("*"))}
    said = refused("fit", small / "small.csv", "--target", "y", "--out", small / "fit", *QUICK)
    assert "--force" in said
    assert "--out" in said
    assert {path: path.stat().st_mtime_ns for path in sorted(small.rglob("*"))} == before


def test_force_replaces_nothing_that_is_not_of_jgd(small, tmp_path):
    table(tmp_path, "mine", "config.toml")
    said = refused("fit", small / "small.csv", "-t", "y", "--out", tmp_path, "--force")
    assert "no run of jgd" in said
    assert (tmp_path / "config.toml").read_text() == "mine"


def test_a_file_in_the_place_of_the_directory(small, tmp_path):
    out = table(tmp_path, "mine", "out")
    assert "is a file" in refused("fit", small / "small.csv", "-t", "y", "--out", out, "--force")
    assert out.read_text() == "mine"


def test_a_directory_in_none(small, tmp_path):
    assert "mkdir" in refused("fit", small / "small.csv", "-t", "y", "--out", tmp_path / "a" / "b")


def test_a_directory_that_cannot_be_written(small, tmp_path, monkeypatch):
    def full(path, **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(directory.Path, "touch", full)
    said = refused("fit", small / "small.csv", "-t", "y", "--out", tmp_path)
    assert "Read-only file system" in said
    assert "--out DIR" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_leave(small, tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert "cannot be written" in refused("fit", small / "small.csv", "-t", "y", "--out", tmp_path)


def test_an_error_that_nobody_expected_ends_with_1(small, tmp_path, monkeypatch):
    def broken(*arguments, **options):
        return 1 / 0

    monkeypatch.setattr("jgd.tables.read_table", broken)
    arguments = ("fit", small / "small.csv", "-t", "y", "--out", tmp_path / "out")
    result = run(*arguments)
    assert result.exit_code == 1
    assert "unexpected ZeroDivisionError" in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 2
    assert "Traceback" in run("--debug", *arguments).stderr
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_is_named(small, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tomli_w", None)
    said = refused("fit", small / "small.csv", "-t", "y", "--out", small / "other", "--force")
    assert "pip install 'jgd[cli]'" in said

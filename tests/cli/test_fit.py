"""jgd fit and jgd predict, judged by scikit-learn."""

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

import jgd
from jgd.tables import split_rows
from tests.cli.helpers import QUICK, done, small_frame, summary_of, written

FILES = (
    "model.safetensors",
    "model.json",
    "history.jsonl",
    "config.toml",
    "summary.json",
    "report.html",
)
SAME = ("model.safetensors", "history.jsonl")


def held_out(frame, target):
    """The rows that a fit holds out."""
    known = frame.filter(pl.col(target).is_not_null())
    classes = None if known[target].dtype.is_numeric() else known[target].rank("dense").to_numpy()
    return known[split_rows(len(known), 0.2, 0, classes)[1]]


def predicted(fits, name, frame, kind=".csv"):
    """What `jgd predict` says of the rows, and the metrics of the fit on rows held out."""
    table, out = fits / f"{name}_new{kind}", fits / f"{name}_predicted{kind}"
    done("predict", fits / f"{name}_fit", written(frame, table), "--out", out, "--force")
    found = pl.read_csv(out) if kind == ".csv" else pl.read_parquet(out)
    return found, summary_of(fits / f"{name}_fit")["metrics"]["held out"]


@pytest.mark.parametrize("name", ["diamonds", "flights", "cancer"])
def test_a_fit_leaves_what_it_says(request, name):
    out = request.getfixturevalue(f"{name}_fit") / f"{name}_fit"
    assert all((out / file).is_file() for file in FILES)
    assert (out / "figures" / "learning_curve.svg").is_file()
    assert len(jgd.logs.read_jsonl(out / "history.jsonl")) == summary_of(out)["epochs"] == 6


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_regression_by_scikit_learn(diamonds_fit, diamonds, kind):
    held = held_out(diamonds, "price")
    found, told = predicted(diamonds_fit, "diamonds", held, kind)
    y, said = held["price"].to_numpy(), found["price_predicted"].to_numpy()
    assert told["R²"] == pytest.approx(metrics.r2_score(y, said), rel=1e-5)
    assert told["RMSE"] == pytest.approx(metrics.mean_squared_error(y, said) ** 0.5, rel=1e-5)
    assert told["mean absolute error"] == pytest.approx(metrics.mean_absolute_error(y, said), rel=1e-5)
    assert told["R²"] > 0.85


@pytest.mark.parametrize(("name", "target"), [("flights", "arrived"), ("cancer", "kind")])
def test_two_classes_by_scikit_learn(request, name, target):
    held = held_out(request.getfixturevalue(name), target)
    found, told = predicted(request.getfixturevalue(f"{name}_fit"), name, held)
    first, second = sorted(held[target].unique())
    y, shares = held[target].to_numpy(), found[f"{target}_probability_{second}"].to_numpy()
    assert told["accuracy"] == pytest.approx(metrics.accuracy_score(y, found[f"{target}_predicted"]))
    assert told["log loss"] == pytest.approx(metrics.log_loss(y == second, shares), rel=1e-5)
    assert told["AUC"] == pytest.approx(metrics.roc_auc_score(y == second, shares), rel=1e-5)
    assert told["accuracy"] > 0.75
    np.testing.assert_allclose(found[f"{target}_probability_{first}"] + shares, 1)


def test_missing_targets_and_values_are_told(flights_fit, flights):
    said = " ".join(summary_of(flights_fit / "flights_fit")["notes"])
    assert f"Left out {flights['arrived'].null_count()} rows without a value of arrived." in said
    assert "tailnum" in said


def test_many_classes_by_scikit_learn(tmp_path, diamonds):
    table = written(diamonds, tmp_path / "stones.csv")
    done("fit", table, "--target", "cut", "--out", tmp_path / "stones_fit", *QUICK, "--model", "mlp")
    held = held_out(diamonds, "cut")
    found, told = predicted(tmp_path, "stones", held)
    classes = sorted(held["cut"].unique())
    shares = found.select(f"cut_probability_{name}" for name in classes).to_numpy()
    assert told["accuracy"] == pytest.approx(metrics.accuracy_score(held["cut"], found["cut_predicted"]))
    assert told["log loss"] == pytest.approx(metrics.log_loss(held["cut"], shares), rel=1e-5)


def test_csv_and_parquet_give_the_same_model(cancer_fit, tmp_path, cancer):
    table = written(cancer, tmp_path / "cancer.parquet")
    done("fit", table, "-t", "kind", "--out", tmp_path / "out", *QUICK, "--quiet")
    for name in SAME:
        assert (tmp_path / "out" / name).read_bytes() == (cancer_fit / "cancer_fit" / name).read_bytes()


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("target", "choices"),
    [
        ("y", ("--loss", "absolute_error", "--variant", "batch")),
        ("y", ("--loss", "huber", "--model", "mlp", "--hidden", "8,4", "--activation", "tanh")),
        ("y", ("--loss", "quantile", "--penalty", "l1=0.01", "--variant", "stochastic")),
        ("y", ("--loss", "poisson", "--penalty", "elastic_net=0.01,0.3", "--validation", "0")),
        ("y", ("--rule", "accelerated", "--penalty", "nonnegative")),
        ("y", ("--rule", "svrg")),
        ("y", ("--rule", "adam", "--learning-rate", "0.1", "--batch-size", "7")),
        ("y", ("--rule", "sgd", "--learning-rate", "0.01", "--momentum", "0.9")),
        ("w", ("--loss", "hinge", "--penalty", "nuclear=0.01")),
        ("w", ("--loss", "squared_hinge", "--penalty", "group_l1=0.01")),
        ("z", ("--loss", "squared_hinge", "--batch-size", "1000")),
    ],
)
def test_every_choice_trains_and_predicts(tmp_path, target, choices):
    frame = small_frame().with_columns(z=pl.col("x") > 5)
    table = written(frame, tmp_path / "t.csv")
    out = tmp_path / "out"
    done("fit", table, "--target", target, "--epochs", "30", "--out", out, *choices)
    found = pl.read_csv(done("predict", out, table, "-q").stdout.encode())
    assert found.columns[0] == f"{target}_predicted"
    assert len(found) == len(frame)
    told = summary_of(out)["metrics"]
    assert all(np.isfinite(list(part.values())).all() for part in told.values())
    main = "R²" if target == "y" else "accuracy"
    assert told["training"][main] > list(told.values())[-1][main]

"""jgd fit and jgd predict, judged by scikit-learn; the same again, and after an interrupt."""

import json
import signal

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

import jgd
from jgd.tables import split_rows
from tests.cli.helpers import QUICK, done, run, small_frame, summary_of, written

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


def test_config_repeats_a_fit_bit_for_bit(small, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    done("fit", small / "small.csv", "-t", "y", "--epochs", "3", "--seed", "5", "--out", first)
    done("fit", "--config", first / "config.toml", "--out", second)
    for name in (*SAME, "config.toml", "model.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_what_is_given_counts_more_than_the_config(small, tmp_path):
    config = small / "fit" / "config.toml"
    done("fit", "--config", config, "--epochs", "2", "--penalty", "l2=0.1", "--out", tmp_path / "out")
    told = (tmp_path / "out" / "config.toml").read_text()
    assert "epochs = 2\n" in told
    assert 'penalty = "l2=0.1"' in told
    assert "learning_rate = 0.05" in told


@pytest.fixture
def interrupted(monkeypatch):
    """Run a command that hears a signal in an epoch."""

    def run_until(epoch, *arguments, number=signal.SIGINT):
        jsonl = jgd.logs.jsonl

        def interrupting(path):
            write = jsonl(path)

            def log(place, record):
                write(place, record)
                if place == epoch:
                    signal.raise_signal(number)

            return log

        with monkeypatch.context() as patch:
            patch.setattr(jgd.logs, "jsonl", interrupting)
            return run(*arguments)

    return run_until


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_resume_after_a_signal_is_as_if_there_had_been_none(small, tmp_path, interrupted, number, code):
    out = tmp_path / "out"
    arguments = ("fit", small / "small.csv", "--target", "y", "--out", out, *QUICK)
    result = interrupted(2, *arguments, number=number)
    assert result.exit_code == code
    assert f"jgd resume {out}" in result.stderr
    assert "3 of 6 epochs" in result.stderr
    assert "Traceback" not in result.output
    done("resume", out)
    for name in SAME:
        assert (out / name).read_bytes() == (small / "fit" / name).read_bytes()


def test_resume_trains_for_longer(small, tmp_path):
    done("fit", "--config", small / "fit" / "config.toml", "--epochs", "4", "--out", tmp_path / "out")
    assert run("resume", tmp_path / "out").exit_code == 2  # it is done
    done("resume", tmp_path / "out", "--epochs", "6")
    for name in (*SAME, "config.toml"):
        assert (tmp_path / "out" / name).read_bytes() == (small / "fit" / name).read_bytes()


def test_resume_of_a_fit_that_was_made_longer_and_interrupted(small, tmp_path, interrupted):
    out = tmp_path / "out"
    done("fit", "--config", small / "fit" / "config.toml", "--epochs", "2", "--out", out)
    assert interrupted(3, "resume", out, "--epochs", "6").exit_code == 130
    done("resume", out)
    for name in SAME:
        assert (out / name).read_bytes() == (small / "fit" / name).read_bytes()


def test_json_is_all_that_stdout_holds(small, tmp_path):
    config = small / "fit" / "config.toml"
    found = json.loads(done("fit", "--config", config, "--out", tmp_path / "out", "--json").stdout)
    assert found["metrics"] == summary_of(small / "fit")["metrics"]
    assert found["out"] == str(tmp_path / "out")
    assert found == summary_of(tmp_path / "out")


def test_quiet_says_nothing(small, tmp_path):
    result = done("fit", "--config", small / "fit" / "config.toml", "--out", tmp_path / "out", "-q")
    assert (result.stdout, result.stderr) == ("", "")


def test_a_fit_that_diverges_is_told_and_ends_with_1(small, tmp_path):
    config, out = small / "fit" / "config.toml", tmp_path / "out"
    result = run("fit", "--config", config, "--learning-rate", "1e6", "--out", out)
    assert result.exit_code == 1
    assert "Diverged" in result.stdout
    assert "--learning-rate 100000" in " ".join(result.stdout.split())
    assert summary_of(out)["status"] == "DIVERGED"


def test_without_a_name_the_directory_is_called_as_the_table(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("small_fit", "small_fit_2"):
        result = done("fit", "--config", small / "fit" / "config.toml")
        assert name in result.stdout
        assert (tmp_path / name / "report.html").is_file()


def test_force_replaces_a_run_and_nothing_else(small, tmp_path):
    out = tmp_path / "out"
    config = small / "fit" / "config.toml"
    done("fit", "--config", config, "--out", out)
    (out / "mine.txt").write_text("mine")
    done("fit", "--config", config, "--out", out, "--force", "--epochs", "2")
    assert (out / "mine.txt").read_text() == "mine"
    assert summary_of(out)["epochs"] == 2


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

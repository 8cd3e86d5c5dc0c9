"""jgd sweep, judged by jgd.sweep itself, by jgd fit, and by a loop of scikit-learn."""

import json
import shlex

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

import jgd
from jgd.cli.asked import asked, merged
from jgd.cli.axes import axis_of, penalty_axis, space_of
from jgd.cli.options import options_of
from jgd.cli.problem import problem_of, training_options
from tests.cli.helpers import done, refused, run, small_frame, summary_of, written

EPOCHS = ("--epochs", "6", "--patience", "0")
RATES = (0.01, 0.1, 1.0)


@pytest.fixture(scope="module")
def table(tmp_path_factory, cancer):
    return written(cancer, tmp_path_factory.mktemp("table") / "cancer.csv")


@pytest.fixture(scope="module")
def few(table, diamonds):
    return written(diamonds.head(300), table.parent / "few.parquet")


@pytest.fixture(scope="module")
def two(table):
    """A sweep of two axes."""
    out, axes = table.parent / "two", ("--learning-rate", "0.01..1:3", "--penalty", "l2=1e-3,1")
    said = done("sweep", table, "-t", "kind", "--out", out, *axes, *EPOCHS, "--json")
    (table.parent / "two.json").write_text(said.stdout, encoding="utf-8")
    return out


@pytest.fixture(scope="module")
def halved(few):
    """Random draws of three axes, halved."""
    axes = ("--learning-rate", "0.001..1", "--momentum", "0..0.9", "--batch-size", "16,64")
    out = few.parent / "halved"
    done("sweep", few, "-t", "price", "--out", out, *axes, "--draws", 9, "--halving", *EPOCHS)
    return out


@pytest.fixture(scope="module")
def problem(table):
    options = {"table": str(table), "target": "kind", "epochs": 6, "patience": 0, "learning_rate": 0.1}
    return problem_of(options_of(options))


def test_the_best_is_that_of_jgd_sweep(two, problem):
    def train(config):
        penalty = jgd.penalties.l2(config["l2"], mask={"weights": True, "bias": False})
        return jgd.descend(
            jgd.objective(problem.objective.loss, penalty),
            problem.params,
            problem.train,
            rule=jgd.sgd(config["learning_rate"]),
            epochs=6,
            **training_options(problem),
        )

    found = jgd.sweep(train, jgd.grid(learning_rate=RATES, l2=(1e-3, 1.0)))
    losses = np.asarray(found.fits.history.evaluation["held_out_loss"][:, -1])
    results = pl.read_parquet(two / "results.parquet")
    np.testing.assert_allclose(results["learning_rate"], np.repeat(RATES, 2))
    np.testing.assert_allclose(results["held_out_loss"], losses, rtol=1e-5)
    best = summary_of(two)["best"]
    assert best["held_out_loss"] == pytest.approx(losses.min(), rel=1e-5)
    assert best["learning_rate"] == RATES[int(losses.argmin()) // 2]


def test_the_command_trains_the_best(two, tmp_path):
    summary, out = summary_of(two), tmp_path / "fit"
    words = shlex.split(summary["fit"])
    assert words[:2] == ["jgd", "fit"]
    done(*words[1:], "--out", out, "-q")
    history = jgd.logs.read_jsonl(out / "history.jsonl")
    assert history[-1]["held_out_loss"] == pytest.approx(summary["best"]["held_out_loss"], rel=1e-4)
    shown, accuracy = summary["tables"][0], summary_of(out)["metrics"]["held out"]["accuracy"]
    assert shown["rows"][0][shown["columns"].index("accuracy")] == pytest.approx(accuracy, abs=1e-9)


def test_a_config_does_the_same_again(two, tmp_path):
    done("sweep", "--config", two / "config.toml", "--out", tmp_path / "again", "-q")
    again, before = (pl.read_csv(path / "results.csv") for path in (tmp_path / "again", two))
    assert again.equals(before)


def test_a_directory_has_all_and_is_told(two):
    assert {path.name for path in two.iterdir()} == {
        *("config.toml", "summary.json", "report.html", "results.csv", "results.parquet", "figures")
    }
    assert (two / "figures" / "over.svg").is_file()
    said = json.loads((two.parent / "two.json").read_text(encoding="utf-8"))
    assert said["configurations"] == 6
    assert said["best"]["status"] == "EPOCHS_DONE"


def test_nothing_is_overwritten(two, table):
    before = (two / "results.csv").read_bytes()
    assert "--force" in refused("sweep", table, "-t", "kind", "--out", two, *EPOCHS)
    config = table.parent / "fit.toml"
    config.write_text('command = "fit"\ntable = "t.csv"\ntarget = "y"\n', encoding="utf-8")
    assert "is of no sweep" in refused("sweep", "--config", config)
    assert (two / "results.csv").read_bytes() == before


def test_the_best_penalty_is_that_of_scikit_learn(tmp_path, table, problem):
    strengths, out = (1e-3, 0.03, 3.0), tmp_path / "out"
    options = ("--penalty", "l2=0.001,0.03,3", "--rule", "accelerated", "--tolerance", "1e-5")
    done("sweep", table, "-t", "kind", "--out", out, *options, "--epochs", 300, "-q")
    x, y, num = *(np.asarray(problem.train[name]) for name in "xy"), len(problem.y_train)
    held = {name: np.asarray(part) for name, part in problem.held.items()}
    wanted = []
    for strength in strengths:
        model = LogisticRegression(C=1 / (num * strength), tol=1e-8, max_iter=5000).fit(x, y)
        margins = model.decision_function(held["x"]) * (2 * held["y"] - 1)
        wanted.append(np.logaddexp(0, -margins).mean())
    found = pl.read_csv(out / "results.csv")["held_out_loss"]
    np.testing.assert_allclose(found, wanted, rtol=2e-2)
    assert summary_of(out)["best"]["l2"] == strengths[int(np.argmin(wanted))]


def test_halving_drops_most_at_a_rung(halved, tmp_path):
    results = pl.read_csv(halved / "results.csv")
    assert results["rung"].to_list().count(0) == 6
    assert results["momentum"].is_between(0, 0.9).all()
    assert results["learning_rate"].is_between(0.001, 1).all()
    assert set(results["batch_size"]) <= {16, 64}
    assert (halved / "figures" / "halving.svg").is_file()
    assert (halved / "figures" / "all_axes.svg").is_file()
    summary = summary_of(halved)
    done(*shlex.split(summary["fit"])[1:], "--out", tmp_path / "fit", "-q")
    history = jgd.logs.read_jsonl(tmp_path / "fit" / "history.jsonl")
    assert history[-1]["held_out_loss"] == pytest.approx(summary["best"]["held_out_loss"], rel=1e-3)


def test_folds_judge_each_row_once(few, tmp_path):
    out, axes = tmp_path / "folds", ("--learning-rate", "1e-5,0.05", "--folds", 3)
    done("sweep", few, "-t", "price", "--out", out, *axes, *EPOCHS)
    results = pl.read_csv(out / "results.csv")
    of_folds = results.select("score_0", "score_1", "score_2").to_numpy()
    np.testing.assert_allclose(results["held_out_loss"], -of_folds.mean(axis=1), rtol=1e-6)
    summary = summary_of(out)
    assert summary["best"]["learning_rate"] == 0.05
    assert "3 folds" in str(summary["facts"])
    assert summary["tables"][0]["rows"][0][-1] > 0.5


def test_models_are_programs_of_their_own(few, tmp_path):
    out, axes = tmp_path / "models", ("--model", "linear,mlp", "--hidden", "4", "--learning-rate", 0.02)
    done("sweep", few, "-t", "price", "--out", out, *axes, *EPOCHS)
    assert pl.read_csv(out / "results.csv")["model"].to_list() == ["linear", "mlp 4"]
    assert (out / "figures" / "along.svg").is_file()


def test_what_diverges_is_counted(tmp_path):
    table = written(small_frame(), tmp_path / "t.csv")
    rates = ("--learning-rate", "0.1,1e20,1e30")
    result = done("sweep", table, "-t", "y", "--out", tmp_path / "out", *rates, *EPOCHS)
    assert "2 of 3 configurations diverged" in " ".join(result.stdout.split())
    rates = ("--learning-rate", "1e25,1e30")
    lost = run("sweep", table, "-t", "y", "--out", tmp_path / "lost", *rates, *EPOCHS, "-q")
    assert lost.exit_code == 1
    assert summary_of(tmp_path / "lost")["best"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--learning-rate", "1..0.1"), "from a lower to a higher"),
        (("--learning-rate", "0..1"), "above 0"),
        (("--learning-rate", "0.1..1:1"), "2 values"),
        (("--learning-rate", "0.1..1:x"), "a range"),
        (("--learning-rate", "fast"), "a list or a range"),
        (("--learning-rate", "-1,0.1"), "> 0"),
        (("--learning-rate", "0.1"), "Nothing varies"),
        (("--penalty", "l2=-1..1"), "above 0"),
        (("--penalty", "l2=a,b"), "--penalty l2="),
        (("--penalty", "l3=0.1,1"), "one of none"),
        (("--momentum", "0,1"), "below 1"),
        (("--momentum", "0,0.9", "--rule", "adam", "--learning-rate", "0.1"), "sgd"),
        (("--batch-size", "1.5,2"), "a list or a range"),
        (("--batch-size", "0,2"), ">= 1"),
        (("--rule", "sgd,adma"), "adam"),
        (("--model", "linear,mpl"), "Did you mean mlp?"),
        (("--hidden", "a"), "--hidden 64,32"),
        (("--model", "linear", "--hidden", "3"), "linear,mlp"),
        (("--model", "linear,mlp", "--halving"), "one program"),
        (("--folds", "1"), "2 folds"),
        (("--folds", "999"), "60"),
        (("--folds", "3", "--halving"), "Leave out one"),
        (("--folds", "3", "--validation", "0.5"), "Leave out one"),
        (("--draws", "0", "--learning-rate", "0.1..1"), "--draws"),
        (("--learning-rate", "0.1..1:1000", "--penalty", "l2=0.1..1:1000"), "--draws 200"),
        (("--target", "z"), "z"),
        (("--config", "nowhere.toml"), "cannot be read"),
    ],
)
def test_options_that_do_not_fit(small, tmp_path, options, words):
    out = tmp_path / "out"
    said = refused("sweep", small / "small.csv", "-t", "y", "--out", out, *options, *EPOCHS)
    assert words in said
    assert not out.exists()


def test_ranges_and_lists():
    assert axis_of("momentum", "0..0.9:4", is_log=False).values == (0.0, 0.3, 0.6, 0.9)
    assert axis_of("batch_size", "8..128:5", is_whole=True).values == (8, 16, 32, 64, 128)
    assert len(axis_of("learning_rate", "1e-4..1").values) == 8
    penalty, axis = penalty_axis("elastic_net=1e-3..1:4,0.7")
    assert (penalty, axis.name, axis.values) == (
        "elastic_net=0.001,0.7",
        "elastic_net",
        (0.001, 0.01, 0.1, 1.0),
    )
    options, axes = asked(merged({"table": "t.csv", "target": "y"}, None))
    assert [axis.name for axis in axes] == ["learning_rate"]
    assert options.learning_rate == 0.001
    drawn = space_of([axis], 50, 3).axes["elastic_net"]
    assert isinstance(drawn, jax.Array)
    assert bool(jnp.all((drawn >= 0.001) & (drawn <= 1)))

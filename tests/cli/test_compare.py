"""jgd compare, judged by jgd fit; jgd report and jgd info."""

import json
import sys

import pytest

import jgd
from jgd.cli import info
from tests.cli.helpers import done, refused, run, small_frame, summary_of, written

EPOCHS = ("--epochs", "4", "--patience", "0")
VARIANTS = {"batch": "batch", "stochastic": "stochastic", "mini-batch": "minibatch"}


@pytest.fixture(scope="module")
def compared(tmp_path_factory, flights):
    folder = tmp_path_factory.mktemp("compared")
    table = written(flights.head(300), folder / "flights.parquet")
    options = ("--learning-rate", "0.02", "--batch-size", 16, "--drop", "tailnum", *EPOCHS)
    said = done("compare", table, "-t", "arrived", "--out", folder / "out", *options, "--json")
    return folder, table, options, json.loads(said.stdout)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_each_is_what_jgd_fit_does(compared, tmp_path, name):
    _, table, options, said = compared
    options = [*options, "--variant", VARIANTS[name]]
    if name != "mini-batch":
        at = options.index("--batch-size")
        del options[at : at + 2]
    done("fit", table, "-t", "arrived", "--out", tmp_path / "fit", *options, "-q")
    fit, of_variant = summary_of(tmp_path / "fit"), said["variants"][name]
    assert of_variant["metrics"] == fit["metrics"]["held out"]
    assert (of_variant["epochs"], of_variant["status"]) == (fit["epochs"], fit["status"])


def test_updates_are_counted(compared):
    _, _, _, said = compared
    rows = int(dict(said["facts"])["rows"].split()[0])
    wanted = {"batch": 4, "stochastic": 4 * rows, "mini-batch": 4 * -(-rows // 16)}
    assert {name: numbers["updates"] for name, numbers in said["variants"].items()} == wanted


def test_the_directory_holds_a_page(compared):
    folder, _, _, said = compared
    assert {path.name for path in (folder / "out").iterdir()} == {
        *("config.toml", "summary.json", "report.html", "figures")
    }
    assert (folder / "out" / "figures" / "learning_curves.svg").is_file()
    assert said["variants"] == summary_of(folder / "out")["variants"]
    assert "--variant" in str(said["advice"])


def test_it_is_shown_as_tables(tmp_path):
    table = written(small_frame(), tmp_path / "t.csv")
    out = done("compare", table, "-t", "y", "--out", tmp_path / "out", "--learning-rate", 0.1, *EPOCHS)
    for word in ("batch", "stochastic", "mini-batch", "updates", "R²", "Side by side"):
        assert word in out.stdout


def test_all_that_diverge_end_with_1(tmp_path):
    table = written(small_frame(), tmp_path / "t.csv")
    rate = ("--learning-rate", "1e30")
    result = run("compare", table, "-t", "y", "--out", tmp_path / "out", *rate, *EPOCHS, "-q")
    assert result.exit_code == 1
    assert summary_of(tmp_path / "out")["status"] == "DIVERGED"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--rule", "accelerated"), "nothing to compare"),
        (("--rule", "adma"), "'adam'"),
        (("--batch-size", "0"), ">= 1"),
        (("--target", "z"), "z"),
        (("--learning-rate", "fast"), "auto"),
        (("--variant", "batch"), "--help"),
    ],
)
def test_options_that_do_not_fit(small, tmp_path, options, words):
    out = tmp_path / "out"
    assert words in refused("compare", small / "small.csv", "-t", "y", "--out", out, *options)
    assert not out.exists()


def test_nothing_is_overwritten(compared):
    folder, table, options, _ = compared
    assert "--force" in refused("compare", table, "-t", "arrived", "--out", folder / "out", *options)


def test_a_page_is_written_anew(compared, tmp_path):
    folder, *_ = compared
    (folder / "out" / "report.html").unlink()
    assert done("report", folder / "out").stdout.strip() == str(folder / "out" / "report.html")
    page = tmp_path / "page.html"
    said = json.loads(done("report", folder / "out", "--out", page, "--json").stdout)
    assert said["out"] == str(page)
    assert page.read_bytes() == (folder / "out" / "report.html").read_bytes()
    assert "--force" in refused("report", folder / "out", "--out", page)
    assert done("report", folder / "out", "--out", page, "--force", "-q").stdout == ""
    assert "which is not there" in refused("report", tmp_path / "nowhere")
    assert ".html" in refused("report", folder / "out", "--out", tmp_path / "page.pdf")
    assert "mkdir" in refused("report", folder / "out", "--out", tmp_path / "a" / "page.html")


def test_info_tells_versions_devices_and_extras():
    found = json.loads(done("info", "--json").stdout)
    assert found["jgd"] == jgd.__version__
    assert found["python"] == sys.version.split()[0]
    assert found["versions"]["jax"]
    assert found["devices"]
    assert found["extras"]["cli"]["installed"]
    text = done("info").stdout
    assert "devices" in text
    assert "checkpoint" in text
    assert done("info", "-q").stdout == ""


def test_info_says_how_to_install_what_is_missing(monkeypatch):
    version = info.version
    monkeypatch.setattr(info, "version", lambda name: None if name == "pyarrow" else version(name))
    found = info.gathered()
    assert found["extras"]["stream"] == {"installed": False, "missing": ["pyarrow"]}
    assert "pip install 'jgd[stream]'" in "\n".join(info.lines(found))


def test_extras_take_in_others():
    assert {"orbax-checkpoint", "matplotlib", "typer", "polars"} <= set(info.packages_of("cli"))
    assert info.packages_of("plot") == ["matplotlib"]

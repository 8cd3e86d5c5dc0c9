"""The command line: what it writes, what it says where it cannot, and its exit codes."""

import os
import sys
from pathlib import Path

import matplotlib as mpl
import pytest
from typer.testing import CliRunner

import jgd
from jgd import cli

mpl.use("Agg")


def run(*arguments):
    return CliRunner().invoke(cli.app(), arguments)


def assert_refused(result, *words):
    """Exit code 2, and one or two lines that say the words."""
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) <= 2
    for word in words:
        assert word in result.stderr


def test_alone_it_shows_help():
    result = run()
    assert result.exit_code == 0
    assert "demo" in result.stdout
    assert "--version" in result.stdout


def test_version_is_that_of_the_package():
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"{jgd.__version__}\n")


@pytest.mark.exhaustive
def test_demo_writes_a_picture_and_prints_the_table(tmp_path):
    out = tmp_path / "curves.png"
    result = run("demo", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert out.read_bytes().startswith(b"\x89PNG\r\n")
    for word in ("stochastic", "mini-batch", "CONVERGED", "STALLED", "Learning curves: "):
        assert word in result.stdout


@pytest.mark.parametrize("arguments", [("nothing",), ("demo", "--nothing")])
def test_unknown_words_are_usage_errors(arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "nothing" in result.output
    assert "--help" in result.output


def test_folder_that_does_not_exist(tmp_path):
    assert_refused(run("demo", "--out", str(tmp_path / "none" / "a.png")), "no folder", "mkdir")


@pytest.mark.parametrize("name", ["a.pdf", "a", ".png"])
def test_other_suffix(tmp_path, name):
    assert_refused(run("demo", "--out", str(tmp_path / name)), ".png")


def test_folder_in_the_place_of_the_file(tmp_path):
    (tmp_path / "a.png").mkdir()
    assert_refused(run("demo", "--out", str(tmp_path / "a.png")), "cannot be written", "--out")


def test_folder_without_leave_to_write(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    assert_refused(run("demo", "--out", str(tmp_path / "a.png")), "cannot be written", "--out")


@pytest.mark.exhaustive
def test_write_that_fails_after_the_run(tmp_path, monkeypatch):
    def is_full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", is_full)
    assert_refused(run("demo", "--out", str(tmp_path / "a.png")), "No space left", "--out")


@pytest.mark.parametrize("module", ["rich", "matplotlib", "sklearn.datasets"])
def test_missing_extra_is_named_with_the_way_out(tmp_path, monkeypatch, module):
    for imported in ("jgd.demo", "jgd.plots"):
        monkeypatch.delitem(sys.modules, imported, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    result = run("demo", "--out", str(tmp_path / "a.png"))
    assert_refused(result, module, "pip install 'jgd[cli,plot,sklearn]'")


def test_missing_typer(monkeypatch, capsys):
    monkeypatch.setattr(cli, "typer", None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "pip install 'jgd[cli,plot,sklearn]'" in capsys.readouterr().err


def test_main_runs_the_command_of_the_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["jgd", "--version"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{jgd.__version__}\n"

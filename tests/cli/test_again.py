"""A fit that is made again, interrupted, resumed, made longer, replaced; and how it ends."""

import json
import signal

import pytest

import jgd
from tests.cli.helpers import QUICK, done, run, summary_of

pytestmark = pytest.mark.usefixtures("without_figures")

SAME = ("model.safetensors", "history.jsonl")


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

"""What a terminal shows, and how soon; what completes a word; numbers as people read them."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jgd.cli.metrics import auc
from jgd.cli.options import penalty_of
from tests.cli.helpers import done, refused

LATE = ("polars", "matplotlib", "orbax", "jinja2", "safetensors", "tomli_w")


def in_a_process(code, **environment):
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("width", [50, 80])
def test_a_summary_keeps_to_the_width(small, tmp_path, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    config = small / "fit" / "config.toml"
    monkeypatch.chdir(tmp_path)
    result = done("fit", "--config", config, "--epochs", "2", "--out", "out")
    shown = result.stdout
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= width
    assert "…" not in shown
    for word in ("All epochs done", "Metrics", "held out", "always the mean", "What to do next"):
        assert word in shown
    assert "\x1b" not in shown


def test_help_says_the_exit_codes():
    shown = " ".join(done("--help").stdout.split())
    for words in ("0 done", "1 the training diverged", "2 an option", "130 interrupted"):
        assert words in shown


def test_the_command_loads_nothing_that_it_does_not_need():
    """The application is made without the extras, but for rich, which typer brings."""
    result = in_a_process("import sys, jgd.cli; jgd.cli.app(); print(*sys.modules)")
    assert result.returncode == 0, result.stderr
    assert not set(LATE) & set(result.stdout.split())


def test_words_are_completed():
    code = "import sys; sys.argv = ['jgd']; from jgd.cli import main; main()"
    result = in_a_process(
        code, _JGD_COMPLETE="complete_bash", COMP_WORDS="jgd fit --rule a", COMP_CWORD="3"
    )
    assert set(result.stdout.split()) == {"adam", "adagrad", "armijo", "accelerated"}, result.stderr


def test_a_terminal_without_letters(small, tmp_path):
    """JSON is whole, whatever the terminal can show."""
    code = (
        "import sys; from jgd.cli import main; sys.argv = ['jgd', 'predict', "
        f"{str(small / 'fit')!r}, {str(small / 'small.csv')!r}, '--json']; main()"
    )
    result = in_a_process(code, PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert '"rows": 60' in result.stdout


@pytest.mark.parametrize("ties", [False, True])
def test_auc_by_scikit_learn(ties):
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 500)
    scores = generator.normal(size=500) + y
    scores = scores.round() if ties else scores
    assert auc(scores, y) == pytest.approx(roc_auc_score(y, scores), abs=1e-12)
    assert auc(scores, np.ones(500, int)) is None


def test_penalties_are_written_as_one_word():
    assert penalty_of("l1=0.01") == ("l1", 0.01, 0.5)
    assert penalty_of("elastic-net=1,0.25") == ("elastic_net", 1.0, 0.25)
    assert penalty_of("none")[0] is None


def test_a_command_alone_says_what_it_wants():
    assert "jgd predict --help" in refused("predict")

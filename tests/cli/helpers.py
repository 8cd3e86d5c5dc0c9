"""The command line, called in this process, and tables to call it with."""

import json

import polars as pl
from typer.testing import CliRunner

from jgd import cli

QUICK = ("--rule", "sgd", "--learning-rate", "0.05", "--epochs", "6", "--patience", "0")


def run(*arguments):
    return CliRunner().invoke(cli.app(), [str(argument) for argument in arguments])


def done(*arguments):
    """The result of a command that ends well."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments, lines=2):
    """What is said on stderr where the command ends with exit code 2, and nothing else is done."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert not result.stdout
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) <= lines, result.stderr
    return result.stderr


def summary_of(directory):
    return json.loads((directory / "summary.json").read_text(encoding="utf-8"))


def written(frame, path):
    """The table as CSV or Parquet."""
    (frame.write_parquet if path.suffix == ".parquet" else frame.write_csv)(path)
    return path


def small_frame(rows=60):
    """A few rows of a number, a word and what follows from both."""
    numbers = [float(7 * row % 11) for row in range(rows)]
    words = ["abc"[row % 3] for row in range(rows)]
    target = [2 * x + ("abc".index(w)) for x, w in zip(numbers, words, strict=True)]
    return pl.DataFrame({"x": numbers, "w": words, "y": target})

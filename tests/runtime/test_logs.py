"""Logs of trainings: read back by others, gone on with after a kill, refused where they cannot be."""

import builtins
import json
import math
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import jgd
from tests import scripts, train_cases
from tests.train_cases import EPOCHS

ROOT = Path(__file__).parents[2]
KILLED = """
import os, signal, sys
import jgd
import train_cases

train_cases.loss.__module__ = "tests.train_cases"  # by which the training is known

def kill(epoch, record):
    if epoch == 7:
        os.kill(os.getpid(), signal.SIGKILL)

log = jgd.logs.jsonl(sys.argv[1]), jgd.logs.tensorboard(sys.argv[2]), kill
train_cases.train("memory", sys.argv[3], log=log)
"""


def evaluate(params, data):
    return {"w": params["w"], "norm": params["w"] @ params["w"]}


def lines(path):
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


def events(directory):
    """The events of all files, by the format of TFRecord: length, its sum, the record, its sum."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = []
    for path in sorted(directory.iterdir()):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            found.append(event_pb2.Event.FromString(content[12 : 12 + length]))
            content = content[16 + length :]
    return found


def points(directory):
    """Tag -> step -> number, as TensorBoard has it: a START takes away what is from its step on."""
    found = {}
    for event in events(directory):
        if event.session_log.status == 1:
            found = {tag: {s: x for s, x in of.items() if s < event.step} for tag, of in found.items()}
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


@pytest.mark.parametrize("kind", ["memory", "stream"])
def test_a_training_is_written_down(kind, tmp_path):
    path, board = tmp_path / "log.jsonl", tmp_path / "new" / "board"
    pytest.importorskip("tensorboardX")
    options = {"evaluate": evaluate} if kind == "memory" else {}
    log = jgd.logs.jsonl(path), jgd.logs.tensorboard(board)
    fit = train_cases.train(kind, None, log=log, **options)

    found = lines(path)
    assert [line["epoch"] for line in found] == list(range(EPOCHS))
    np.testing.assert_array_equal([line["loss"] for line in found], np.asarray(fit.history.loss, float))
    drawn = points(board)
    np.testing.assert_array_equal(list(drawn["loss"].values()), fit.history.loss)
    assert list(drawn["gradient_norm"]) == list(range(EPOCHS))
    if kind == "memory":
        np.testing.assert_array_equal([line["w"] for line in found], fit.history.evaluation["w"])
        assert {"w/0", "w/1", "w/2", "w/3", "norm"} < set(drawn)
        np.testing.assert_array_equal(list(drawn["w/3"].values()), fit.history.evaluation["w"][:, 3])


def test_polars_reads_it(tmp_path):
    polars = pytest.importorskip("polars")
    path = tmp_path / "log.jsonl"
    log = jgd.logs.jsonl(path)
    for epoch, number in enumerate([math.inf, 0.5, math.nan, -math.inf]):
        log(epoch, {"loss": number, "scores": [number, 1.0], "é\n": 1e300})
    table = polars.read_ndjson(path)
    assert table["loss"].to_list() == [None, 0.5, None, None]
    assert table["scores"].to_list() == [[None, 1.0], [0.5, 1.0], [None, 1.0], [None, 1.0]]
    assert table["é\n"].to_list() == [1e300] * 4
    table = polars.DataFrame(jgd.logs.read_jsonl(path))
    assert table["loss"].is_nan().to_list() == [True, False, True, True]


def test_a_training_that_was_killed_goes_on_in_its_file(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    pytest.importorskip("tensorboardX")
    path, board, run = tmp_path / "log.jsonl", tmp_path / "board", tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, "-c", KILLED, path, board, run]
    ended = subprocess.run(command, env=environment, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    assert [line["epoch"] for line in lines(path)] == list(range(8))
    assert list(points(board)["loss"]) == list(range(8))
    with path.open("a") as file:
        file.write('{"epoch": 8, "loss": 0.')

    told = []
    log = jgd.logs.jsonl(path), jgd.logs.tensorboard(board), lambda epoch, record: told.append(epoch)
    fit = train_cases.train("memory", run, log=log)
    assert 0 < told[0] <= 7
    assert [line["epoch"] for line in lines(path)] == list(range(EPOCHS))
    expected = train_cases.train("memory", None).history.loss
    np.testing.assert_array_equal(fit.history.loss, expected)
    np.testing.assert_array_equal(np.array([line["loss"] for line in lines(path)], "f"), expected)
    np.testing.assert_array_equal(list(points(board)["loss"].values()), expected)


@pytest.mark.parametrize(
    ("before", "first", "kept"),
    [
        ("", 0, []),
        ('{"epoch": 0, "loss": 1}\n', 0, []),
        ('{"epoch": 0, "loss": 1}\n', 1, [0]),
        ('{"epoch": 0, "loss": 1}\n', 7, [0]),
        ('{"epoch": 0}\n{"epoch": 1}\n{"epoch": 2}\n', 1, [0]),
        ('{"epoch": 0}\n{"epoch": 1}\n{"epo', 2, [0, 1]),
        ('{"epoch": 0}\n{"epoch": 1, "loss": [0.1,', 1, [0]),
        ('{"epoch": 0}\n{"epoch": 1}', 2, [0, 1]),
        ('{"epoch": 0}\r\n{"epoch": 1}\r\n', 2, [0, 1]),
        ("{", 0, []),
    ],
)
def test_the_file_has_each_epoch_once(before, first, kept, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(before.encode())
    log = jgd.logs.jsonl(str(path))
    assert path.read_bytes() == before.encode()
    log(first, {"loss": 0.5})
    log(first + 1, {"loss": 0.25})
    assert [line["epoch"] for line in lines(path)] == [*kept, first, first + 1]
    assert path.read_bytes().endswith(b'"loss": 0.25}\n')


def test_one_log_of_two_trainings_one_after_the_other(tmp_path):
    pytest.importorskip("tensorboardX")
    path, board = tmp_path / "log.jsonl", tmp_path / "board"
    for log in (jgd.logs.jsonl(path), jgd.logs.tensorboard(board)):
        for epoch in (0, 1, 2, 1):
            log(epoch, {"loss": epoch})
    assert [line["epoch"] for line in lines(path)] == [0, 1]
    assert points(board) == {"loss": {0: 0.0, 1: 1.0}}
    path.unlink()
    jgd.logs.jsonl(path)(2, {"loss": 2})
    assert jgd.logs.read_jsonl(path) == [{"epoch": 2, "loss": 2}]


def test_a_full_disk_leaves_a_line_that_is_mended(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    log = jgd.logs.jsonl(path)
    log(0, {"loss": 1.0})
    opened = Path.open

    def full(self, mode="r", **options):
        if mode == "a":
            with opened(self, mode, **options) as file:
                file.write('{"epoch": 1, "lo')
            raise OSError(28, "No space left on device")
        return opened(self, mode, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(OSError, match="No space"):
            log(1, {"loss": 0.5})
    assert jgd.logs.read_jsonl(path) == [{"epoch": 0, "loss": 1.0}]
    log(2, {"loss": 0.25})
    assert [line["epoch"] for line in lines(path)] == [0, 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n", r"line 1 is none of a log: b'a,b"),
        ("hello", "line 1 is none of a log"),
        ('{"epoch": 0}\n{"epoch": 1.5}\n', "line 2 is none of a log"),
        ('{"epoch": 0}\n[1]\n{"epoch": 1}\n', "line 2 is none"),
        ('{"epoch": true}\n', "file of its own"),
        (b"\xff\xfe\x00\n", "line 1"),
    ],
)
def test_a_file_of_something_else_is_left_alone(content, said, tmp_path):
    path = tmp_path / "log.jsonl"
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(content)
    for function in (jgd.logs.jsonl, jgd.logs.read_jsonl):
        with pytest.raises(ValueError, match=said):
            function(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("path", ["missing/log.jsonl", "file/log.jsonl", "."])
def test_a_file_that_cannot_be_written_is_told_of_at_once(path, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"path is .*cannot be written .* Make its folder, "):
        jgd.logs.jsonl(tmp_path / path)
    with pytest.raises(ValueError, match=r"path is .*cannot be read"):
        jgd.logs.read_jsonl(tmp_path / path)


@pytest.mark.parametrize("path", [None, 3, "", b"log"])
def test_what_is_no_path(path):
    pytest.importorskip("tensorboardX")
    for function in (jgd.logs.jsonl, jgd.logs.read_jsonl, jgd.logs.tensorboard):
        with pytest.raises(ValueError, match=r"(path|directory) is .*, but a path, as a string"):
            function(path)


def test_a_directory_that_cannot_be_made_is_told_of_at_once(tmp_path):
    pytest.importorskip("tensorboardX")
    (tmp_path / "file").write_text("")
    for path in ("file", "file/board"):
        with pytest.raises(ValueError, match=r"directory is .*cannot be made or written"):
            jgd.logs.tensorboard(tmp_path / path)


def test_without_tensorboardx(monkeypatch, tmp_path):
    imported = builtins.__import__

    def without(name, *args, **options):
        if name.startswith("tensorboardX"):
            raise ImportError("No module named 'tensorboardX'", name="tensorboardX")
        return imported(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'jgd\[tensorboard\]', or take jgd.logs.jsonl"):
        jgd.logs.tensorboard(tmp_path)


def test_an_epoch_in_the_record_is_refused(tmp_path):
    log = jgd.logs.jsonl(tmp_path / "log.jsonl")
    with pytest.raises(ValueError, match="Let evaluate give it another name"):
        log(0, {"epoch": 3.0})


def test_the_first_of_several_processes_writes(monkeypatch, tmp_path):
    pytest.importorskip("tensorboardX")
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    for log in (jgd.logs.jsonl(tmp_path / "log.jsonl"), jgd.logs.tensorboard(tmp_path / "board")):
        log(0, {"loss": 1.0})
    assert not list(tmp_path.iterdir())


def test_the_page_runs(capsys):
    pytest.importorskip("orbax.checkpoint")
    pytest.importorskip("tensorboardX")
    with pytest.warns(UserWarning, match="interrupted: the fit ran"):
        names = scripts.run_page(
            "logging.md", "A function", "A file of lines", "TensorBoard", "Ending it early"
        )
    assert "epoch 20: loss " in capsys.readouterr().out
    assert [record["epoch"] for record in names["records"]] == list(range(20))
    assert set(points(names["folder"] / "tensorboard")) == {"loss", "gradient_norm", "rmse"}
    assert 0 < names["fit"].epochs < 20
    reached = np.asarray(names["fit"].history.evaluation["rmse"])[: int(names["fit"].epochs)]
    assert (reached < 0.3).tolist() == [False] * (len(reached) - 1) + [True]

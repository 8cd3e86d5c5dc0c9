"""Long trainings: what is interrupted goes on bit for bit; clock, log, signals, and what is refused."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from tests import train_cases
from tests.train_cases import EPOCHS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "train_cases.py"
SECONDS = 120
KINDS = ("memory", "stream")


def start(kind, directory, out, *options):
    command = [sys.executable, str(SCRIPT), kind, str(directory), str(out), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_checkpoints(directory, process):
    """Until there are two, and a third is on its way."""
    began = time.monotonic()
    while len([path for path in directory.glob("*") if path.name[0].isdigit()]) < 3:
        assert time.monotonic() - began < SECONDS
        assert process.poll() is None
        time.sleep(0.01)


def assert_same(came, expected):
    jax.tree.map(np.testing.assert_array_equal, came.params, expected.params)
    jax.tree.map(np.testing.assert_array_equal, came.history, expected.history)
    assert came.epochs == expected.epochs
    assert came.status == expected.status


@pytest.mark.parametrize("kind", KINDS)
def test_it_descends(kind):
    came = train_cases.train(kind, None)
    options = {"rule": jgd.adam(0.05), "batch_size": 8, "epochs": EPOCHS, "key": jax.random.key(1)}
    objective = jgd.objective(train_cases.loss, jgd.penalties.l1(0.01))
    params = {"w": jnp.zeros(4)}
    if kind == "memory":
        expected = jgd.descend(objective, params, train_cases.data(), **options)
    else:
        blocks = jgd.blocks.arrays(train_cases.data(), rows=16)
        expected = jgd.descend_stream(objective, params, blocks, **options)
    np.testing.assert_allclose(came.history.loss, expected.history.loss, rtol=1e-5)
    np.testing.assert_allclose(came.params["w"], expected.params["w"], rtol=1e-5)
    assert came.epochs == EPOCHS


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_call_goes_on_bit_for_bit(kind, tmp_path):
    expected = train_cases.train(kind, None)
    part = train_cases.train(kind, tmp_path, epochs=5)
    assert part.epochs == 5
    assert_same(train_cases.train(kind, tmp_path), expected)
    told = []
    done = train_cases.train(kind, tmp_path, log=lambda epoch, record: told.append(epoch))
    assert_same(done, expected)
    assert told == []
    assert len(train_cases.train(kind, tmp_path, epochs=3).history.loss) == EPOCHS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_running_part(kind, number, tmp_path, capsys):
    expected = train_cases.train(kind, None)
    before = signal.getsignal(number)

    def ask(epoch, record):
        if epoch == 4:
            os.kill(os.getpid(), number)

    if number == signal.SIGINT:
        with pytest.warns(UserWarning, match=r"ran 5 of 12 epochs. The same call goes on from"):
            fit = train_cases.train(kind, tmp_path, log=ask, save_every=100)
        assert fit.epochs == 5
        assert np.isnan(fit.history.loss[5:]).all()
    else:
        with pytest.raises(SystemExit) as ended:
            train_cases.train(kind, tmp_path, log=ask, save_every=100)
        assert ended.value.code == 143
        assert "ran 5 of 12 epochs" in capsys.readouterr().err
    assert signal.getsignal(number) == before
    assert_same(train_cases.train(kind, tmp_path), expected)


def test_a_second_interrupt_ends_it_at_once(tmp_path):
    def ask(epoch, record):
        if epoch == 4:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_cases.train("memory", tmp_path, log=ask)
    assert_same(train_cases.train("memory", tmp_path), train_cases.train("memory", None))


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
def test_it_survives_being_killed(kind, tmp_path):
    """`python experiments/faults.py` does it fifty times."""
    process = start(kind, tmp_path / "run", tmp_path / "out.npz")
    wait_for_checkpoints(tmp_path / "run", process)
    process.kill()
    process.communicate()
    last = start(kind, tmp_path / "run", tmp_path / "out.npz")
    _, said = last.communicate(timeout=SECONDS)
    assert last.returncode == 0, said
    came = np.load(tmp_path / "out.npz")
    with jax.default_device(jax.devices("cpu")[0]):  # as the script has it
        expected = train_cases.train(kind, None)
    np.testing.assert_array_equal(came["w"], expected.params["w"])
    np.testing.assert_array_equal(came["loss"], expected.history.loss)


@pytest.mark.exhaustive
def test_when_a_worker_dies_the_other_ends_and_all_go_on_from_the_checkpoint(tmp_path):
    def run(epochs):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        options = ("--processes", "2", "--port", port, "--epochs", str(epochs))
        out = tmp_path / "out.npz"
        return [start("memory", tmp_path / "run", out, *options, "--process", str(i)) for i in (0, 1)]

    first, second = run(10**6)
    wait_for_checkpoints(tmp_path / "run", second)
    second.kill()
    second.communicate()
    _, said = first.communicate(timeout=60)
    assert first.returncode != 0
    assert "another process has ended" in said or "another task died" in said, said
    done = max(int(folder.name) for folder in (tmp_path / "run").glob("[0-9]*"))
    epochs = done + 3
    for process in run(epochs):
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, said
    with jax.default_device(jax.devices("cpu")[0]):
        expected = train_cases.train("memory", None, epochs=epochs)
    came = np.load(tmp_path / "out.npz")
    np.testing.assert_allclose(came["loss"], expected.history.loss, rtol=1e-5)


def test_it_ends_when_its_time_is_up(tmp_path):
    fit = train_cases.train("memory", tmp_path, seconds=1e-9)
    assert fit.epochs == 1
    assert fit.status == jgd.Status.EPOCHS_DONE
    assert_same(train_cases.train("memory", tmp_path), train_cases.train("memory", None))


def mean_error(params, validation):
    return {"error": jnp.mean(jnp.abs(validation["x"] @ params["w"] - validation["y"]))}


def test_the_log_is_told_of_every_epoch_once(tmp_path):
    options = {"evaluate": mean_error, "validation": train_cases.data()}
    told, again = [], []

    def first(epoch, record):
        told.append((epoch, record))

    def second(epoch, record):
        again.append(epoch)

    train_cases.train("memory", tmp_path, epochs=5, log=first, **options)
    fit = train_cases.train("memory", tmp_path, log=(first, second), **options)
    assert [epoch for epoch, _ in told] == list(range(EPOCHS))
    assert again == list(range(5, EPOCHS))
    for name, values in (("loss", fit.history.loss), ("error", fit.history.evaluation["error"])):
        assert [record[name] for _, record in told] == np.asarray(values, float).tolist()
    assert told[0][1].keys() == {"loss", "gradient_norm", "error"}


def test_what_was_done_before_a_log_failed_is_saved(tmp_path):
    def fail(epoch, record):
        if epoch == 4:
            raise RuntimeError("the log is full")

    with pytest.raises(RuntimeError, match="the log is full"):
        train_cases.train("memory", tmp_path, log=fail, save_every=100)
    told = []
    came = train_cases.train("memory", tmp_path, log=lambda epoch, record: told.append(epoch))
    assert told == list(range(5, EPOCHS))
    assert_same(came, train_cases.train("memory", None))


def test_a_fit_that_has_ended_stays_ended(tmp_path):
    options = {"stop": jgd.stop.plateau(patience=2, tolerance=10.0), "epochs": 50}
    fit = train_cases.train("memory", tmp_path, **options)
    assert fit.status == jgd.Status.STALLED
    assert fit.epochs < 50
    with pytest.warns(UserWarning, match="has ended after .* as STALLED"):
        again = train_cases.train("memory", tmp_path, **options)
    assert_same(again, fit)


def params_themselves(params, validation):
    return params


def test_an_evaluation_may_be_an_array():
    told = []
    options = {"evaluate": params_themselves, "validation": train_cases.data(), "epochs": 2}
    fit = train_cases.train("memory", None, log=lambda epoch, record: told.append(record), **options)
    assert told[1]["w"] == np.asarray(fit.history.evaluation["w"][1], float).tolist()


def test_a_bad_row_is_named_what_was_done_is_saved_and_it_goes_on_when_mended(tmp_path):
    x = train_cases.data()["x"]
    bad = x.copy()
    bad[50] = np.inf

    def train(x):
        np.save(tmp_path / "x.npy", x)
        blocks = jgd.blocks.npy(tmp_path / "x.npy", rows=16)
        objective = jgd.objective(lambda p, row: jnp.sum(jnp.square(p - row)))
        return jgd.train(
            objective, jnp.zeros(4), blocks, rule=jgd.sgd(0.01), batch_size=4, epochs=3,
            key=jax.random.key(0), directory=tmp_path / "run", save_every=0, show=False,
        )  # fmt: skip

    with pytest.raises(jgd.StreamError, match=r"x\.npy.*row 50 holds NaN or infinity") as caught:
        train(bad)
    assert np.isfinite(caught.value.fit.params).all()
    fit = train(x)
    assert fit.epochs == 3
    assert np.isfinite(fit.history.loss).all()


def test_a_directory_in_use_and_one_of_something_else_are_refused(tmp_path):
    refused = []

    def again(epoch, record):
        with pytest.raises(ValueError, match="another training is at work there") as caught:
            train_cases.train("memory", tmp_path)
        refused.append(caught)

    train_cases.train("memory", tmp_path, epochs=1, log=again)
    assert len(refused) == 1
    (tmp_path / "2024").mkdir()
    (tmp_path / "2024" / "photo.jpg").write_bytes(b"mine")
    with pytest.raises(ValueError, match="it holds 2024, which is no checkpoint"):
        train_cases.train("memory", tmp_path)
    assert (tmp_path / "2024" / "photo.jpg").read_bytes() == b"mine"


def test_another_training_is_refused(tmp_path):
    train_cases.train("memory", tmp_path, epochs=2)
    for options, part in (
        ({"batch_size": 4}, "batch_size"),
        ({"rule": jgd.sgd(0.1)}, "rule"),
        ({"key": jax.random.key(7)}, "key"),
        ({"weights": np.ones(train_cases.NUM_EXAMPLES)}, "weights"),
        ({"stop": jgd.stop.plateau(3)}, "stop"),
    ):
        with pytest.raises(ValueError, match=f"{part} is .* in the checkpoint"):
            train_cases.train("memory", tmp_path, **options)
    with pytest.raises(ValueError, match="is of another training"):
        train_cases.train("stream", tmp_path)
    assert train_cases.train("memory", tmp_path, rule=jgd.adam(0.01), epochs=3).epochs == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"save_every": -1}, "save_every is -1"),
        ({"save_every": "often"}, "save_every is 'often'"),
        ({"seconds": 0}, "seconds is 0"),
        ({"chunk": 0}, "chunk is 0"),
        ({"keep": 0, "directory": "here"}, "keep is 0"),
        ({"directory": __file__}, "directory is .*test_trainer.py"),
        ({"state": 3}, "state is given"),
        ({"directory": ""}, "directory is ''"),
        ({"save_every": [1, 2]}, "save_every is"),
        ({"log": 3}, "log is 3"),
    ],
)
def test_bad_input_is_said(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"directory": None, **options}
    with pytest.raises(ValueError, match=message):
        train_cases.train("memory", **options)

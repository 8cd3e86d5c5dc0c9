"""Does a training survive whatever kills it? `kill -9` at random moments of training and of saving.

A training that saves after every part is killed again and again, a stream and one in memory; each start
goes on from the newest whole checkpoint. In the end the params are those of a training that nobody
interrupted, bit for bit. Half of the moments lie within a save.

    python experiments/faults.py [KILLS]     # 50 of each, some ten minutes
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 1)

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import train_cases  # noqa: E402

SCRIPT = Path(train_cases.__file__)
EPOCHS = {"memory": 60, "stream": 15}
LATEST = 2.0  # seconds after the first save of a start, of a kill that waits for no other


def main(kills: int = 50) -> None:
    print(f"{'':10}{'killed':>8}{'while saving':>14}{'trainings':>11}{'parts of each':>15}{'equal':>8}")
    for kind in ("memory", "stream"):
        with tempfile.TemporaryDirectory() as folder:
            report(kind, Path(folder), kills)


def report(kind: str, folder: Path, kills: int) -> None:
    rng = np.random.default_rng(0)
    done, saving, trainings = 0, 0, 0
    while done < kills:
        run, ended = folder / f"run{trainings}", False
        trainings += 1
        while not ended and done < kills:
            before = newest(run)
            ended, was_saving = start_and_kill(kind, run, folder / "out.npz", rng)
            assert newest(run) >= before, "a checkpoint was lost"
            done, saving = done + (not ended), saving + was_saving
        check(kind, run, folder / "out.npz")
    print(f"{kind:10}{done:>8}{saving:>14}{trainings:>11}{newest(run):>15}{'yes':>8}", flush=True)


def start_and_kill(kind: str, run: Path, out: Path, rng) -> tuple[bool, bool]:
    """Whether the training came to its end before it was killed, and whether it was saving then."""
    process = subprocess.Popen(command(kind, run, out), stdout=subprocess.DEVNULL)
    wait_for_a_save(process, run)
    time.sleep(rng.uniform(0, LATEST))
    if rng.random() < 0.5:
        wait_for_a_save(process, run)
        time.sleep(rng.uniform(0, 0.02))
    ended = process.poll() is not None
    process.kill()
    process.wait()
    return ended, bool(list(run.glob("*tmp*")))


def command(kind: str, run: Path, out: Path) -> list[str]:
    return [sys.executable, str(SCRIPT), kind, str(run), str(out), "--epochs", str(EPOCHS[kind])]


def wait_for_a_save(process: subprocess.Popen, run: Path) -> None:
    there = set(run.glob("*tmp*"))  # those of a save that was killed
    while process.poll() is None and not set(run.glob("*tmp*")) - there:
        time.sleep(0.0005)


def newest(run: Path) -> int:
    return max((int(folder.name) for folder in run.glob("[0-9]*") if folder.name.isdigit()), default=0)


def check(kind: str, run: Path, out: Path) -> None:
    """The end of the training, once nobody kills it any more, against one without interruption."""
    subprocess.run(command(kind, run, out), check=True, capture_output=True)
    came, expected = np.load(out), train_cases.train(kind, None, epochs=EPOCHS[kind])
    np.testing.assert_array_equal(came["w"], expected.params["w"])
    np.testing.assert_array_equal(came["loss"], expected.history.loss)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

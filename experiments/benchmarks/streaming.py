"""Is a descent over files as fast as one over memory, in little memory, and linear in the rows?

Files of 4 GB, as `.npy` and as Parquet, are streamed by processes that may hold 1 GB (RLIMIT_DATA: what
they allocate; pages of files that the system caches do not count). The same epochs over the same rows in
memory, and reading the blocks without training on them, run in turns with them: an epoch can be no
faster than the slower of the two. Reading is from the system's cache where that holds the file.

    python experiments/benchmarks/streaming.py [FOLDER]     # 9 GB of room there, or in the default for
                                                            # temporary files; some 25 minutes
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FEATURES, BATCH_SIZE = 31, 128
ROWS = 34_000_000  # of 31 features and a label in float32: 4.35 GB
FEW_FEATURES, LENGTHS = 7, [10**5, 10**6, 10**7, 10**8]
LIMIT = 2**30  # bytes
TURNS = 2
ROWS_AT_ONCE = 2**17  # a row group of 16 MB
AIM = 1 / 0.8


def main() -> None:
    """The parent measures nothing by itself: it makes files, and asks processes of its own."""
    from harness import Figure, Row, save

    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        folder = Path(name)
        rows, figures = [], []
        for kind, write in (("npy", write_npy), ("parquet", write_parquet)):
            write(folder, ROWS, FEATURES)
            asked: dict[str, list] = {way: [] for way in ("streamed", "in memory", "reading alone")}
            for _ in range(TURNS):
                for way, answers in asked.items():
                    answers.append(ask(way, kind, folder))
            seconds = {
                w: statistics.median(a["seconds"] for a in answers) for w, answers in asked.items()
            }
            slower = max(seconds["in memory"], seconds["reading alone"])
            times = {"streamed": seconds["streamed"], **seconds, "the slower of these": slower}
            rows.append(Row(f"an epoch over 4.35 GB of {kind}", times, {"the slower of these": 0.8}))
            print(rows[-1])
            for what, aim in (("resident", None), ("allocated", LIMIT / 2**20)):
                most = max(answer[what] for answer in asked["streamed"])
                figures.append(Figure(f"{kind}: most memory, {what}", most / 2**20, "MiB", aim))
                print(figures[-1])
            remove(folder)
        for length in LENGTHS:
            write_npy(folder, length, FEW_FEATURES)
            answer = ask("streamed", "npy", folder)
            figures.append(
                Figure(f"an epoch of {length:,} x 8, per row", answer["seconds"] / length * 1e9, "ns")
            )
            print(figures[-1])
            remove(folder)
    save("Is streaming as fast as memory?", "epoch", rows, figures=figures)


def ask(way: str, kind: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", way, kind, str(folder)]
    return json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1]
    )


def write_npy(folder: Path, num_rows: int, num_features: int) -> None:
    import numpy as np

    inputs = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (num_rows, num_features))
    labels = np.lib.format.open_memmap(folder / "y.npy", "w+", np.float32, (num_rows,))
    for first in range(0, num_rows, ROWS_AT_ONCE):
        rows = slice(first, min(first + ROWS_AT_ONCE, num_rows))
        inputs[rows], labels[rows] = some_rows(first, rows.stop - first, num_features)


def write_parquet(folder: Path, num_rows: int, num_features: int) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    names = [f"x{i}" for i in range(num_features)]
    schema = pa.schema([(name, pa.float32()) for name in [*names, "y"]])
    options = {"compression": "none", "use_dictionary": False}
    with parquet.ParquetWriter(folder / "table.parquet", schema, **options) as writer:
        for first in range(0, num_rows, ROWS_AT_ONCE):
            inputs, labels = some_rows(first, min(ROWS_AT_ONCE, num_rows - first), num_features)
            columns = [*(inputs[:, i] for i in range(num_features)), labels]
            writer.write_table(pa.table([pa.array(column) for column in columns], schema=schema))


def some_rows(seed: int, num_rows: int, num_features: int):
    """Gaussian features and labels 0/1 of a noisy plane."""
    import numpy as np

    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((num_rows, num_features), dtype=np.float32)
    noise = rng.standard_normal(num_rows, dtype=np.float32)
    return inputs, (inputs @ np.ones(num_features, np.float32) + noise > 0).astype(np.float32)


def remove(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def child(way: str, kind: str, folder: Path) -> dict[str, Any]:
    """Seconds of an epoch that compiles nothing, and the most memory that it took."""
    # The pool that Arrow takes by default reserves a GiB at once.
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    if way == "streamed":
        resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    import jax
    import jax.numpy as jnp

    import jgd

    jgd.tune_xla()

    def loss(params, example):
        return jgd.losses.logistic(jgd.models.linear.predict(params, example["x"]), example["y"])

    blocks = the_blocks(jgd, kind, folder)
    if way == "reading alone":
        begun = time.perf_counter()
        for first in range(0, blocks.num_rows, blocks.rows):
            jax.tree.map(jnp.asarray, blocks.read(first, min(first + blocks.rows, blocks.num_rows)))
        return {"seconds": time.perf_counter() - begun}
    width = blocks.read(0, 1)["x"].shape[1]
    params, objective = jgd.models.linear.init(jax.random.key(0), width), jgd.objective(loss)
    options = {"rule": jgd.sgd(0.01), "batch_size": BATCH_SIZE, "key": jax.random.key(1)}
    if way == "in memory":
        data, make = jax.tree.map(jnp.asarray, blocks.read(0, blocks.num_rows)), jgd.descend
    else:
        data, make = blocks, jgd.descend_stream
    fit = jax.block_until_ready(make(objective, params, data, epochs=1, **options))
    begun = time.perf_counter()
    fit = jax.block_until_ready(make(objective, params, data, epochs=1, state=fit.state, **options))
    seconds = time.perf_counter() - begun
    print(jgd.explain(fit).splitlines()[0], file=sys.stderr)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peaks = {"resident": "VmHWM", "allocated": "VmData"}
    return {"seconds": seconds} | {k: 1024 * int(status[v].split()[0]) for k, v in peaks.items()}


def the_blocks(jgd, kind: str, folder: Path):
    if kind == "npy":
        return jgd.blocks.npy({"x": folder / "x.npy", "y": folder / "y.npy"})
    names = [f"x{i}" for i in range(FEATURES)]
    return jgd.blocks.table(folder / "table.parquet", {"x": names, "y": "y"})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(sys.argv[2], sys.argv[3], Path(sys.argv[4]))))
    else:
        main()

"""Trainings that are killed and started again: a script of the tests and of experiments/faults.py.

    python tests/train_cases.py memory DIRECTORY OUT.npz
    python tests/train_cases.py stream DIRECTORY OUT.npz --processes 2 --process 0 --port 12345

It goes on from what is in the directory. Each part takes a while, so that there is time to be killed.
"""

import argparse
import time

import jax
import numpy as np

EPOCHS, NUM_EXAMPLES = 12, 96
PAUSE = 0.02  # seconds of each epoch in memory, and of each block


def data():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(NUM_EXAMPLES, 4)).astype(np.float32)
    return {
        "x": x,
        "y": (x @ np.array([1.0, -2.0, 0.5, 3.0]) + rng.normal(size=NUM_EXAMPLES)).astype("f"),
    }


def loss(params, example):
    return (example["x"] @ params["w"] - example["y"]) ** 2


def train(kind, directory, pause=0.0, mesh=None, **options):
    import jgd

    rows = data()
    if kind == "stream":
        blocks = jgd.blocks.arrays(rows, rows=16)

        def slowly(first, last):
            time.sleep(pause)
            return blocks.read(first, last)

        rows = blocks._replace(read=slowly)
        options["mesh"] = mesh
    elif mesh is not None:
        share = NUM_EXAMPLES // jax.process_count()
        own = slice(jax.process_index() * share, (jax.process_index() + 1) * share)
        rows, _ = jgd.shard_rows(jax.tree.map(lambda x: x[own], rows), mesh)
    return jgd.train(
        jgd.objective(loss, jgd.penalties.l1(0.01)),
        {"w": np.zeros(4, np.float32)},
        rows,
        **{
            "key": jax.random.key(1),
            "rule": jgd.adam(0.05),
            "batch_size": 8,
            **({} if kind == "stream" else {"chunk": 1}),
            "directory": directory,
            "epochs": EPOCHS,
            "save_every": 0,
            "show": False,
            "log": lambda epoch, record: time.sleep(pause),
            **options,
        },
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("memory", "stream"))
    parser.add_argument("directory")
    parser.add_argument("out")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 1)
    mesh = None
    if given.processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        address = f"127.0.0.1:{given.port}"
        jax.distributed.initialize(address, given.processes, given.process, heartbeat_timeout_seconds=10)
        mesh = jax.make_mesh((given.processes,), ("rows",))
    print("begun", flush=True)
    fit = train(given.kind, given.directory, PAUSE, mesh, epochs=given.epochs)
    if given.process == 0:
        np.savez(given.out, w=fit.params["w"], loss=fit.history.loss)


if __name__ == "__main__":
    main()

"""Losses of descents on rows laid over devices of one process or several: run as a script by the tests.

    python tests/laid_cases.py OUT.npz --devices 8
    python tests/laid_cases.py OUT.npz --processes 2 --process 0 --port 12345

Every process takes its own part of the rows. `--all`: each rule with each variant, `--few`: two pairs.
"""

import argparse
import importlib

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

NUM_EXAMPLES, EPOCHS = 32, 20
FEW = ("sgd",)
FEWEST = (("adam", "batch"), ("momentum", "minibatch"))


def cases():
    """Imported late, for it makes arrays, and the number of devices must stand before."""
    return importlib.import_module("tests.cases" if __package__ else "cases")


def data():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(NUM_EXAMPLES, 6)).astype(np.float32)
    weights = rng.choice([0.0, 1.0, 2.0], size=NUM_EXAMPLES).astype(np.float32)
    return {"x": x, "y": rng.normal(size=NUM_EXAMPLES) > 0}, weights


def names(every: bool):
    """Pairs of a rule and a variant: all, or each variant once and each rule once."""
    pairs = [(rule, variant) for rule in cases().RULES for variant in cases().VARIANTS]
    return [(r, v) for r, v in pairs if every or r in FEW or v == "minibatch"]


def losses(rule, variant, data, weights=None, columns=None):
    """[E], of one descent; the params may be cut, `columns` is a sharding."""
    import jgd

    params = {"weights": np.zeros(6, np.float32), "bias": np.zeros((), np.float32)}
    if columns is not None:
        params["weights"] = jax.device_put(params["weights"], columns)
    fit = jgd.descend(
        jgd.objective(cases().loss, jgd.penalties.l1(0.01)),
        params,
        data,
        rule=cases().RULES[rule](0.1),
        batch_size=cases().VARIANTS[variant],
        epochs=EPOCHS,
        key=jax.random.key(3),
        weights=weights,
    )
    return np.asarray(fit.history.loss)


def swept(data, mesh=None):
    """[K, E], of a sweep."""
    import jgd

    def train(config):
        return jgd.minibatch_descent(
            jgd.objective(cases().loss),
            {"weights": np.zeros(6, np.float32), "bias": np.zeros((), np.float32)},
            data,
            rule=jgd.sgd(config["learning_rate"]),
            batch_size=8,
            epochs=EPOCHS,
            key=jax.random.key(3),
        )

    space = jgd.grid(learning_rate=np.logspace(-2, 0, 6))
    return np.asarray(jgd.sweep(train, space, mesh=mesh).fits.history.loss)


def with_other_axes(rows):
    """Rows by columns of a wide model, and lanes by rows, on eight devices."""
    import jgd

    mesh = jax.make_mesh((4, 2), ("rows", "columns"))
    laid, _ = jgd.shard_rows(rows, mesh)
    wide = losses("adam", "minibatch", laid, columns=NamedSharding(mesh, PartitionSpec("columns")))
    mesh = jax.make_mesh((2, 4), ("lanes", "rows"))
    return {"wide": wide, "lanes": swept(jgd.shard_rows(rows, mesh)[0], mesh)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--devices", type=int, default=1, help="of each process")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--few", action="store_true")
    given = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", given.devices)
    if given.processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{given.port}", given.processes, given.process)
    import jgd

    rows, weights = data()
    share = NUM_EXAMPLES // given.processes
    own = slice(given.process * share, (given.process + 1) * share)
    rows, weights = jax.tree.map(lambda x: x[own], (rows, weights))
    laid, laid_weights = jgd.shard_rows(rows, weights=weights)
    pairs = FEWEST if given.few else names(given.all)
    found = {f"{rule} {variant}": losses(rule, variant, laid) for rule, variant in pairs}
    found["weighted"] = losses("sgd", "minibatch", laid, laid_weights)
    if given.devices == 8:
        found |= with_other_axes(rows)
    if given.process == 0:
        np.savez(given.out, **found)


if __name__ == "__main__":
    main()

"""What can this machine do at best, and where does the time of a step go?

The floors that the other tables are to be read with: bytes and operations a second, and the parts of a
step of stochastic descent. Whatever the loop does, it cannot be faster than its parts.
"""

import functools
from collections.abc import Callable

import jax

jax.config.update("jax_num_cpu_devices", 2)

import jax.numpy as jnp  # noqa: E402
import network  # noqa: E402
import numpy as np  # noqa: E402
import problems  # noqa: E402
from harness import Competitor, Figure, compare, save  # noqa: E402
from jax import lax  # noqa: E402

import jgd  # noqa: E402

NUM_STEPS, CHUNK = 200_000, 4_000
ROWS = {20: 100_000, 100: 100_000, 784: 20_000}


def main() -> None:
    rows = [
        compare(f"a stochastic step with {num_features} features", _parts(num_rows, num_features))
        for num_features, num_rows in ROWS.items()
    ]
    orders = [
        _order("jgd.order", jgd.order, 100_000),
        _order("jax.random.permutation", _permutation, 100_000),
    ]
    rows.append(compare("an order of 100,000 examples", orders))
    figures = [_bandwidth(), _arithmetic(), _network_products(), _exponentials()]
    save("What can this machine do, and where does the time go?", "example", rows, figures=figures)


def _parts(num_rows: int, num_features: int) -> list[Competitor]:
    data = problems.classification(num_rows, num_features)
    order = np.random.default_rng(0).permutation(num_rows)[: num_rows // CHUNK * CHUNK]
    epochs = NUM_STEPS // num_rows
    return [
        Competitor("all of it", _descent(data, epochs, True), units=epochs * num_rows),
        Competitor(
            "rows in turn, without an order", _descent(data, epochs, False), units=epochs * num_rows
        ),
        Competitor(
            "gathering the rows in random order",
            functools.partial(_gather, data[0], jnp.asarray(order).reshape(-1, CHUNK)),
            units=len(order),
        ),
        _order("the order alone", jgd.order, num_rows),
    ]


def _order(name: str, order: Callable, num_rows: int) -> Competitor:
    drawn = jax.jit(order, static_argnums=2)
    return Competitor(name, lambda: drawn(jax.random.key(0), 0, num_rows), units=num_rows)


def _permutation(key, epoch, num_rows: int):
    return jax.random.permutation(jax.random.fold_in(key, epoch), num_rows)


def _descent(data, epochs: int, shuffle: bool) -> Callable:
    params = jgd.models.linear.init(None, data[0].shape[1])
    key = jax.random.key(0)

    def run():
        return jgd.stochastic_descent(
            problems.LOGISTIC, params, data, rule=jgd.sgd(0.01), epochs=epochs, key=key, shuffle=shuffle
        )

    return run


@jax.jit
def _gather(x, chunks):
    """The sum over all rows, which are gathered a chunk at a time, as an epoch does."""

    def add(total, index):
        return total + x.at[index].get(mode="promise_in_bounds").sum(axis=0), None

    return lax.scan(add, jnp.zeros_like(x[0]), chunks)[0]


def _bandwidth() -> Figure:
    x = problems.over_devices(jnp.ones((1_000_000, 100)))
    row = compare("summing 400 MB", [Competitor("two cores", functools.partial(_sum_of, x))])
    return Figure("memory read by two cores", x.nbytes / row.seconds["two cores"] / 1e9, "GB/s")


_sum_of = jax.jit(jnp.sum)


def _arithmetic() -> Figure:
    size = 2048
    x = jnp.ones((size, size))
    row = compare("a product of matrices", [Competitor("two cores", lambda: _product(x, x))])
    return Figure(
        "products of matrices, float32", 2 * size**3 / row.seconds["two cores"] / 1e9, "GFLOP/s"
    )


_product = jax.jit(jnp.matmul)


def _network_products() -> Figure:
    """The five products of the network of network.py alone, over one epoch of its batches."""
    images, _ = network.images()
    size = network.TRAINING.batch_size
    batches = images[: len(images) // size * size].reshape(-1, size, images.shape[1])
    params = jgd.models.mlp.init(jax.random.key(0), network.SIZES)
    weights = tuple(params[layer]["weights"] for layer in ("layer_1", "layer_2"))
    row = compare(
        "the products of the network", [Competitor("alone", lambda: _products(weights, batches))]
    )
    return Figure("the products of an epoch of the network, alone", row.seconds["alone"] * 1e3, "ms")


@jax.jit
def _products(weights, batches):
    def step(weights, inputs):
        first, second = weights
        hidden = inputs @ first
        scores = hidden @ second
        slopes = inputs.T @ (scores @ second.T), hidden.T @ scores
        return jax.tree.map(lambda w, slope: w - 1e-9 * slope, weights, slopes), None

    return lax.scan(step, weights, batches)[0]


def _exponentials() -> Figure:
    """Each waits for the one before, as the steps of stochastic descent do."""
    row = compare("exponentials in a chain", [Competitor("chain", _chain, units=NUM_STEPS)])
    return Figure("one exponential after the other", row.seconds["chain"] * 1e9, "ns")


@jax.jit
def _chain():
    return lax.scan(lambda x, _: (jnp.exp(-x), None), jnp.float32(1), length=NUM_STEPS)[0]


if __name__ == "__main__":
    main()

"""How fast is a full gradient against numpy, `jax.grad`, and the least that it can take?

The objective of logistic regression and its gradient, over all rows at once. Nothing can be faster than
reading the data once: `sum of X` adds up the inputs alone, half of the rows on each core. Where ours
takes at most 1.5 times as long as that, its ratio is 0.67 or more.
"""

from collections.abc import Callable
from typing import Any

import jax

jax.config.update("jax_num_cpu_devices", 2)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
import problems  # noqa: E402
from harness import Competitor, compare, save  # noqa: E402

import jgd  # noqa: E402

SIZES = [(1_000_000, 100), (65_536, 784)]
AIMS = {"numpy": 2, "jax.grad": 2, "sum of X": 0.67}
REPEATS = 5


def main() -> None:
    rows = []
    for num_examples, num_features in SIZES:
        data = problems.classification(num_examples, num_features)
        sharded = problems.over_devices(data)
        params = _small_params(num_features)
        competitors = [
            _repeated("jgd", _jgd_gradient, params, sharded),
            _repeated("jgd, one device", _jgd_gradient, params, data),
            _repeated("numpy", numpy_gradient, *map(_as_numpy, (params, data))),
            _repeated("jax.grad", jax_gradient, params, *data),
            _repeated("jax.grad, data over both devices", jax_gradient, params, *sharded),
            _repeated("sum of X", jax.jit(jnp.sum), sharded[0]),
        ]
        rows.append(compare(f"J and its gradient, {num_examples:,} x {num_features}", competitors, AIMS))
    save("How fast is a full gradient?", "gradient", rows)


def _small_params(num_features: int):
    """Not 0, where all examples would be alike."""
    weights = np.random.default_rng(1).normal(scale=0.1, size=num_features)
    return {"weights": jnp.asarray(weights, jnp.float32), "bias": jnp.float32(0.1)}


def _as_numpy(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


def _repeated(name: str, gradient: Callable, *args: Any) -> Competitor:
    """Several times in a run, each waited for: a run shall outlast what another leaves behind."""

    def run():
        for _ in range(REPEATS):
            jax.block_until_ready(gradient(*args))

    return Competitor(name, run, units=REPEATS)


def _jgd_gradient(params, data):
    return jgd.value_and_gradient(problems.LOGISTIC, params, data)


def numpy_gradient(params, data):
    inputs, labels = data
    logits = inputs @ params["weights"] + params["bias"]
    small = np.exp(-np.abs(logits))
    loss = np.mean(np.maximum(logits, 0) - labels * logits + np.log1p(small))
    residual = (np.where(logits > 0, 1, small) / (1 + small) - labels) / np.float32(len(labels))
    return loss, {"weights": residual @ inputs, "bias": np.sum(residual)}


@jax.jit
@jax.value_and_grad
def jax_gradient(params, inputs, labels):
    """Of the mean loss, batched by hand."""
    logits = inputs @ params["weights"] + params["bias"]
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, labels))


if __name__ == "__main__":
    main()

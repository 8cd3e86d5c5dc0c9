"""Fits whose first call is timed. As a script: the seconds of the first call in a new process."""

import time
from collections.abc import Callable

import jax
import numpy as np

import jgd

NUM_EXAMPLES, NUM_FEATURES, CLASSES = 10_000, 20, 10


def make_fit(loss: Callable, outputs: int | None, batch_size: int | None) -> Callable:
    """A fit of a linear model, as a function without arguments. Its loss is new, and so its structure.

    Args:
      loss: `(prediction, target) -> scalar`.
      outputs: of the model; None predicts a scalar.
      batch_size: as `descend` takes it.

    Returns:
      A function of the learning rate that does the fit and waits for it.
    """

    def loss_of_example(params, example):
        inputs, target = example
        return loss(jgd.models.linear.predict(params, inputs), target)

    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((NUM_EXAMPLES, NUM_FEATURES), dtype=np.float32)
    targets = rng.integers(CLASSES if outputs else 2, size=NUM_EXAMPLES)
    data = jax.device_put((inputs, targets.astype(np.int32 if outputs else np.float32)))
    params = jgd.models.linear.init(None, NUM_FEATURES, outputs)
    objective, key = jgd.objective(loss_of_example), jax.random.key(0)

    def fit(learning_rate):
        rule = jgd.sgd(learning_rate)
        jax.block_until_ready(
            jgd.descend(objective, params, data, rule=rule, batch_size=batch_size, epochs=1, key=key)
        )

    return fit


def seconds(fit: Callable, learning_rate: float) -> float:
    start = time.perf_counter()
    fit(learning_rate)
    return time.perf_counter() - start


if __name__ == "__main__":
    print(seconds(make_fit(jgd.losses.logistic, None, 1), 0.01))

"""Does stochastic descent cost the same per example at any size, in time and in memory?

Logistic regression with 20 features on 10,000 to 10,000,000 examples, shuffled. Memory is read twice:
what the compiled program asks for, and what a process of its own has resident at its peak.
"""

import functools
import resource
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import problems
from harness import Competitor, Figure, Row, compare, save

import jgd

NUM_FEATURES, LARGEST = 20, 10_000_000
EPOCHS = {10_000: 300, 100_000: 30, 1_000_000: 5, LARGEST: 1}
FLAT, MEMORY = 1.25, 1.2
DATA_BYTES = LARGEST * (NUM_FEATURES + 1) * 4


def main() -> None:
    in_process = _process_memory()  # first, for a process inherits the peak of the one that starts it
    row = compare(
        f"stochastic, {NUM_FEATURES} features", [_descent(num, epochs) for num, epochs in EPOCHS.items()]
    )
    save(
        "Does an example cost the same at any size, in time and in memory?",
        "example and epoch",
        [row],
        figures=[_flatness(row), _program_memory(), in_process],
    )


def fit(params, data, rule, key, epochs):
    return jgd.stochastic_descent(problems.LOGISTIC, params, data, rule=rule, epochs=epochs, key=key)


def _start():
    return jgd.models.linear.init(None, NUM_FEATURES), jgd.sgd(0.01), jax.random.key(0)


def _descent(num_examples: int, epochs: int) -> Competitor:
    data, (params, rule, key) = problems.classification(num_examples, NUM_FEATURES), _start()
    return Competitor(
        f"{num_examples:,} examples",
        lambda: fit(params, data, rule, key, epochs),
        units=num_examples * epochs,
    )


def _flatness(row: Row) -> Figure:
    fastest, *_, slowest = sorted(row.seconds.values())
    return Figure("time per example, the slowest size by the fastest", slowest / fastest, "times", FLAT)


def _program_memory() -> Figure:
    params, rule, key = _start()
    data = (
        jax.ShapeDtypeStruct((LARGEST, NUM_FEATURES), jnp.float32),
        jax.ShapeDtypeStruct((LARGEST,), jnp.float32),
    )
    program = jax.jit(functools.partial(fit, epochs=1)).lower(params, data, rule, key).compile()
    sizes = program.memory_analysis()
    total = sizes.argument_size_in_bytes + sizes.temp_size_in_bytes + sizes.output_size_in_bytes
    return Figure(
        f"arguments, temporaries and results of the program at {LARGEST:,}",
        total / DATA_BYTES,
        "times the data",
        MEMORY,
    )


def _process_memory() -> Figure:
    """Measured in a process of its own, for a peak is never forgotten."""
    done = subprocess.run(
        [sys.executable, "-c", "import scaling; scaling.print_peak()"],
        cwd=Path(__file__).parent,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Figure(
        f"peak of resident memory over a fit of {LARGEST:,}, less that of a small fit",
        float(done.stdout) / DATA_BYTES,
        "times the data",
        MEMORY,
    )


def print_peak() -> None:
    """Bytes by which the peak of this process grows over a fit of `LARGEST` examples, data included."""
    params, rule, key = _start()
    jax.block_until_ready(fit(params, _waves(1000), rule, key, 1))
    before = _peak()
    jax.block_until_ready(fit(params, _waves(LARGEST), rule, key, 1))
    print(_peak() - before)


@functools.partial(jax.jit, static_argnums=0)
def _waves(num_examples: int):
    """Data that are made without any memory beside their own."""
    position = jnp.arange(num_examples * NUM_FEATURES, dtype=jnp.float32)
    labels = jnp.arange(num_examples) % 2
    return jnp.sin(position).reshape(num_examples, NUM_FEATURES), labels.astype(jnp.float32)


def _peak() -> int:
    kilobytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobytes


if __name__ == "__main__":
    main()

"""What does an example cost where the batch size is a traced number, swept in one program?

Logistic regression on 100,000 x 100, shuffled: batch sizes 1 to 128 are 128 lanes of one compiled
program. The time per example and lane stands against that of an example in scikit-learn's
`SGDClassifier`, which knows no batches and fits one configuration at a time.
"""

import functools

import jax

jax.config.update("jax_num_cpu_devices", 2)

import jax.numpy as jnp  # noqa: E402
import problems  # noqa: E402
from harness import Competitor, compare, save  # noqa: E402

import jgd  # noqa: E402

NUM_EXAMPLES, NUM_FEATURES, EPOCHS, LARGEST, AIM = 100_000, 100, 2, 128, 20


def main() -> None:
    data = problems.classification(NUM_EXAMPLES, NUM_FEATURES)
    peer = problems.sgd_classifier(*data)
    peer = peer._replace(units=peer.units * NUM_EXAMPLES, idle_units=peer.idle_units * NUM_EXAMPLES)
    work = f"batch sizes 1 to {LARGEST} in one program, {NUM_EXAMPLES:,} x {NUM_FEATURES}"
    ours = _sweep(problems.on_all_devices(data))
    row = compare(work, [ours, peer], {peer.name: AIM})
    save("What does an example cost where batch sizes are swept?", "example and configuration", [row])


def _sweep(data) -> Competitor:
    params, rule, key = jgd.models.linear.init(None, NUM_FEATURES), jgd.sgd(0.01), jax.random.key(0)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None, None, None, None))
    def fits(batch_size, params, data, rule, key):
        return jgd.descend(
            problems.LOGISTIC,
            params,
            data,
            rule=rule,
            batch_size=batch_size,
            epochs=EPOCHS,
            key=key,
        )

    batch_sizes = problems.over_devices(jnp.arange(1, LARGEST + 1))
    return Competitor(
        "jgd",
        lambda: fits(batch_sizes, params, data, rule, key),
        units=EPOCHS * LARGEST * NUM_EXAMPLES,
    )


if __name__ == "__main__":
    main()

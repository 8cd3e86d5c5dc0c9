"""How much of a full sweep does successive halving save, and what does it lose?

243 configurations, learning rate x momentum x l2 penalty, of a network 784-128-10 in batches of 128 on
4,000 images, for 27 epochs; the score is the accuracy on 1,000 others. Both are timed with all tracing
and compiling of the call.
"""

import jax

jax.config.update("jax_num_cpu_devices", 2)

import jax.numpy as jnp  # noqa: E402
import network  # noqa: E402
import numpy as np  # noqa: E402
from harness import Competitor, Figure, compare, save  # noqa: E402

import jgd  # noqa: E402

RUNGS = (1, 3, 9, 27)
SPACE = jgd.grid(
    learning_rate=np.logspace(-3, 0, 9), momentum=np.linspace(0, 0.96, 9), strength=[0.0, 1e-4, 1e-2]
)
HELD_OUT = 1_000
AIM, MOST_LOST = 3, 0.01


def main() -> None:
    data = network.images()
    halve, sweep = _searches(data)
    best, full = halve().best, sweep().best(lambda fit: fit.history.evaluation[-1])
    row = compare(
        f"{len(SPACE)} configurations of an MLP, {RUNGS[-1]} epochs",
        [
            Competitor(f"halving, rungs {RUNGS}", lambda: halve().fits),
            Competitor("the full sweep", lambda: sweep().fits),
        ],
        {"the full sweep": AIM},
        rounds=2,
    )
    figures = [
        Figure("best accuracy of the full sweep", full.score, ""),
        Figure("accuracy that halving lost, of that", 1 - best.score / full.score, "", MOST_LOST),
    ]
    notes = ["The median of two runs after a warm-up."]
    save("What does halving save, and lose?", "search", [row], notes, figures)


def accuracy(params, validation):
    inputs, labels = validation
    scores = jax.vmap(jgd.models.mlp.predict, (None, 0))(params, inputs)
    return jnp.mean(jnp.argmax(scores, axis=1) == labels)


def _searches(data):
    held_out, seen = (
        jax.tree.map(lambda x, p=p: x[p], data) for p in (np.s_[:HELD_OUT], np.s_[HELD_OUT:])
    )
    params = jgd.models.mlp.init(jax.random.key(0), network.SIZES)

    def train(config, epochs, state):
        return jgd.minibatch_descent(
            jgd.objective(network.loss, jgd.penalties.l2(config["strength"])),
            params,
            seen,
            rule=jgd.sgd(config["learning_rate"], config["momentum"]),
            batch_size=network.TRAINING.batch_size,
            epochs=epochs,
            state=state,
            key=jax.random.key(0),
            evaluate=accuracy,
            validation=held_out,
        )

    def halve():
        return jgd.successive_halving(
            train, SPACE, rungs=RUNGS, score=lambda fit: fit.history.evaluation[-1]
        )

    return halve, lambda: jgd.sweep(lambda config: train(config, RUNGS[-1], None), SPACE)


if __name__ == "__main__":
    main()

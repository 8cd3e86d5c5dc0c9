"""How fast is a small network trained, against scikit-learn, torch and the loop that optax users write?

A multi-layer perceptron 784-128-10 with softmax on 5,000 images, batches of 128, momentum 0.9,
shuffled, the mean loss of every epoch recorded by all. The time of `MLPClassifier` is that of its
marginal epoch (a fit of many less a fit of one).
"""

import functools
import warnings

import jax

jax.config.update("jax_num_cpu_devices", 2)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
import problems  # noqa: E402
from harness import Competitor, compare, save  # noqa: E402
from problems import PEER_EPOCHS, Training  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402

import jgd  # noqa: E402

NUM_IMAGES, SIZES = 5_000, (784, 128, 10)
TRAINING = Training(batch_size=128, epochs=5, learning_rate=0.01, momentum=0.9)
AIMS = {"optax scan": 1.2, "MLPClassifier": 2, "torch loop": 1.5, "torch loop, one thread": 1.5}


def main() -> None:
    data = images()
    params = jgd.models.mlp.init(jax.random.key(0), SIZES)
    peers = [problems.optax_scan(mean_loss, params, data, TRAINING), _mlp_classifier(data)]
    peers += problems.torch_loops(_torch_model, _with_long_labels(data), TRAINING, fused=True)
    aims = {peer.name: AIMS[peer.name] for peer in peers}
    work = f"MLP {'-'.join(map(str, SIZES))}, batch {TRAINING.batch_size}, {NUM_IMAGES:,} images"
    row = compare(work, [_jgd(params, data), *peers], aims)
    notes = [] if "torch loop" in row.seconds else [problems.NO_TORCH]
    save("How fast is a small network trained?", "epoch", [row], notes)


def images(seed: int = 0) -> tuple[jax.Array, jax.Array]:
    """Ten prototypes and noise, in [0, 1]; a tenth of the labels is drawn anew: no loss ends at 0."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(SIZES[-1], size=NUM_IMAGES)
    prototypes = rng.random((SIZES[-1], SIZES[0]), dtype=np.float32)
    noise = rng.normal(scale=0.3, size=(NUM_IMAGES, SIZES[0]))
    inputs = np.clip(prototypes[classes] + noise, 0, 1).astype(np.float32)
    drawn = rng.integers(SIZES[-1], size=NUM_IMAGES)
    labels = np.where(rng.random(NUM_IMAGES) < 0.1, drawn, classes)
    return jnp.asarray(inputs), jnp.asarray(labels, jnp.int32)


def loss(params, example):
    inputs, label = example
    return jgd.losses.softmax(jgd.models.mlp.predict(params, inputs), label)


OBJECTIVE = jgd.objective(loss)


def mean_loss(params, inputs, labels):
    """Of a batch, batched by hand."""
    first, second = params["layer_1"], params["layer_2"]
    hidden = jax.nn.relu(inputs @ first["weights"] + first["bias"])
    scores = hidden @ second["weights"] + second["bias"]
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, labels))


def _jgd(params, data) -> Competitor:
    rule, key = jgd.sgd(TRAINING.learning_rate, TRAINING.momentum), jax.random.key(0)

    def run():
        return jgd.minibatch_descent(
            OBJECTIVE,
            params,
            data,
            rule=rule,
            batch_size=TRAINING.batch_size,
            epochs=TRAINING.epochs,
            key=key,
        )

    return Competitor("jgd", run, units=TRAINING.epochs)


def _mlp_classifier(data) -> Competitor:
    inputs, labels = map(np.asarray, data)

    def fit(epochs: int):
        model = MLPClassifier(
            SIZES[1:-1], activation="relu", solver="sgd", alpha=0, batch_size=TRAINING.batch_size,
            learning_rate_init=TRAINING.learning_rate, momentum=TRAINING.momentum,
            nesterovs_momentum=False, max_iter=epochs, tol=0, n_iter_no_change=epochs + 1,
            shuffle=True, random_state=0,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(inputs, labels)
        return model.loss_curve_

    return Competitor(
        "MLPClassifier",
        functools.partial(fit, PEER_EPOCHS),
        units=PEER_EPOCHS,
        idle=functools.partial(fit, 1),
        idle_units=1,
    )


def _with_long_labels(data):
    """torch takes classes as int64 only."""
    inputs, labels = data
    return inputs, np.asarray(labels, np.int64)


def _torch_model(torch):
    inputs, hidden, outputs = SIZES
    layers = torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs)
    return torch.nn.Sequential(*layers), torch.nn.CrossEntropyLoss()


if __name__ == "__main__":
    main()

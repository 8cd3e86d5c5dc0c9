"""A search over handwritten digits: batch sizes, learning rates, a network's numbers, and seeds.

Four questions to the 1,797 images of scikit-learn, a third of which is held out for the very end:

1. Which batch sizes and learning rates go together? Softmax regression, 8 x 13 of them in one program.
2. How strong a penalty? 16 strengths x 5 folds.
3. Which learning rate, momentum and penalty suit a network 64-64-10? 243 draws, successively halved.
4. Is the best of them better than the next, or lucky? The best four with 16 seeds each.

    python experiments/sweep_digits.py
"""

import time
from pathlib import Path
from typing import Any, NamedTuple

import jax

jax.config.update("jax_num_cpu_devices", 2)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402

import jgd  # noqa: E402

KEY = jax.random.key(0)
SIZES = (64, 64, 10)
RUNGS = (1, 3, 9, 27)
PICTURE = Path(__file__).parent / "output" / "sweep_digits.png"


class Digits(NamedTuple):
    """Images [n, 64] from 0 to 1, and classes [n]: to train on, to choose by, and for the end."""

    train: tuple[jax.Array, jax.Array]
    validation: tuple[jax.Array, jax.Array]
    test: tuple[jax.Array, jax.Array]


class Answers(NamedTuple):
    """What came of the four questions, and the seconds that each took."""

    rates: jgd.Sweep
    strengths: jgd.CrossValidation
    halving: jgd.Halving
    seeds: jgd.Sweep
    seconds: tuple[float, ...]


def linear_loss(params, example):
    return jgd.losses.softmax(jgd.models.linear.predict(params, example[0]), example[1])


def network_loss(params, example):
    return jgd.losses.softmax(jgd.models.mlp.predict(params, example[0]), example[1])


def linear_accuracy(params, rows):
    scores = jax.vmap(jgd.models.linear.predict, (None, 0))(params, rows[0])
    return jnp.mean(jnp.argmax(scores, axis=1) == rows[1])


def network_accuracy(params, rows):
    scores = jax.vmap(jgd.models.mlp.predict, (None, 0))(params, rows[0])
    return jnp.mean(jnp.argmax(scores, axis=1) == rows[1])


def last_evaluation(fit):
    return fit.history.evaluation[jnp.maximum(fit.epochs, 1) - 1]


def load() -> Digits:
    images, classes = load_digits(return_X_y=True)
    rest, test, rest_classes, test_classes = train_test_split(
        images / 16, classes, test_size=1 / 3, random_state=0, stratify=classes
    )
    seen, held, seen_classes, held_classes = train_test_split(
        rest, rest_classes, test_size=1 / 3, random_state=0, stratify=rest_classes
    )
    pairs = ((seen, seen_classes), (held, held_classes), (test, test_classes))
    return Digits(*((jnp.asarray(x, float), jnp.asarray(y, int)) for x, y in pairs))


def rates_and_batch_sizes(digits: Digits, epochs: int = 10) -> jgd.Sweep:
    """Question 1: the batch size is a number like any other, so all of it is one program."""
    start = jgd.models.linear.init(None, SIZES[0], SIZES[-1])

    def train(config):
        return jgd.minibatch_descent(
            jgd.objective(linear_loss),
            start,
            digits.train,
            rule=jgd.sgd(config["learning_rate"]),
            batch_size=config["batch_size"],
            epochs=epochs,
            key=KEY,
        )

    space = jgd.grid(learning_rate=np.logspace(-3, 1, 13), batch_size=2 ** np.arange(8))
    return jgd.sweep(train, space)


def penalties(digits: Digits, epochs: int = 30) -> jgd.CrossValidation:
    """Question 2, on all that is not held out for the end."""
    data = jax.tree.map(lambda *parts: jnp.concatenate(parts), digits.train, digits.validation)
    start = jgd.models.linear.init(None, SIZES[0], SIZES[-1])

    def train(config, weights):
        return jgd.minibatch_descent(
            jgd.objective(linear_loss, jgd.penalties.l2(config["strength"])),
            start,
            data,
            rule=jgd.sgd(0.3),
            batch_size=16,
            epochs=epochs,
            key=KEY,
            weights=weights,
        )

    space = jgd.grid(strength=np.logspace(-6, -1, 16))
    return jgd.cross_validate(train, space, data, folds=5, key=KEY, score=linear_accuracy)


def _train_network(digits: Digits, config: dict[str, Any], epochs: int, state: Any, key: jax.Array):
    return jgd.minibatch_descent(
        jgd.objective(network_loss, jgd.penalties.l2(config["strength"])),
        jgd.models.mlp.init(key, SIZES),
        digits.train,
        rule=jgd.sgd(config["learning_rate"], config["momentum"]),
        batch_size=16,
        epochs=epochs,
        key=key,
        state=state,
        evaluate=network_accuracy,
        validation=digits.validation,
    )


def halving(digits: Digits, num: int = 243) -> jgd.Halving:
    """Question 3: judged by the accuracy on the validation part."""
    space = jgd.sample(
        KEY,
        num,
        learning_rate=jgd.log_uniform(1e-3, 1.0),
        momentum=jgd.uniform(0.0, 0.98),
        strength=jgd.log_uniform(1e-6, 1e-1),
    )

    def train(config, epochs, state):
        return _train_network(digits, config, epochs, state, KEY)

    return jgd.successive_halving(train, space, rungs=RUNGS, score=last_evaluation)


def best_with_seeds(digits: Digits, found: jgd.Halving, num_seeds: int = 16, most: int = 4) -> jgd.Sweep:
    """Question 4: start and order of examples drawn anew for each seed."""
    places = np.argsort(-np.where(np.isnan(found.scores[:, -1]), -np.inf, found.scores[:, -1]))[:most]
    numbers = {name: axis[places] for name, axis in found.configs.numbers().items()}

    def train(config):
        of_place = {name: axis[config["candidate"]] for name, axis in numbers.items()}
        return _train_network(digits, of_place, RUNGS[-1], None, jax.random.key(config["seed"]))

    return jgd.sweep(train, jgd.grid(candidate=np.arange(most), seed=np.arange(num_seeds)))


def search(digits: Digits) -> Answers:
    seconds, answers = [], []
    for question in (rates_and_batch_sizes, penalties, halving):
        start = time.perf_counter()
        answers.append(jax.block_until_ready(question(digits)))
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    answers.append(best_with_seeds(digits, answers[-1]))
    return Answers(*answers, (*seconds, time.perf_counter() - start))


def test_accuracies(digits: Digits, seeds: jgd.Sweep) -> np.ndarray:
    """[candidates, seeds], on the part that nothing was chosen by."""
    scores = seeds.scores(lambda fit: network_accuracy(fit.params, digits.test))
    return scores.reshape(len(np.unique(seeds.configs.axes["candidate"])), -1)


def table(digits: Digits, answers: Answers) -> str:
    rates, strengths, found = answers.rates, answers.strengths, answers.halving
    lines = ["1. Softmax regression, 10 epochs: the best learning rate of each batch size"]
    rows = rates.records()
    for size in sorted({row["batch_size"] for row in rows}):
        best = max((row for row in rows if row["batch_size"] == size), key=lambda row: row["score"])
        lines.append(f"   batch size {size:3d}: {best['learning_rate']:8.3g}   loss {best['loss']:.4f}")
    place = int(np.argmax(strengths.mean))
    strength = float(strengths.configs.config(place)["strength"])
    error = strengths.standard_error[place]
    lines.append(
        f"2. Penalty {strength:.2g}: accuracy {strengths.mean[place]:.4f} with a standard error of "
        f"{error:.4f} over {strengths.scores.shape[1]} folds"
    )
    lines.append("3. " + found.explain().splitlines()[0])
    accuracies = test_accuracies(digits, answers.seeds)
    lines.append(f"4. The best {len(accuracies)} with {accuracies.shape[1]} seeds, on the test part:")
    order = np.argsort(-np.where(np.isnan(found.scores[:, -1]), -np.inf, found.scores[:, -1]))
    for candidate, of_seeds in enumerate(accuracies):
        config = found.configs.config(int(order[candidate]))
        numbers = ", ".join(f"{name} {float(value):.3g}" for name, value in config.items())
        lines.append(f"   {of_seeds.mean():.4f} ± {of_seeds.std(ddof=1):.4f}   {numbers}")
    times = ", ".join(f"{seconds:.1f}" for seconds in answers.seconds)
    lines.append(f"Seconds, with compiling: {times}")
    return "\n".join(lines)


def draw(answers: Answers) -> Any:
    from matplotlib import pyplot as plt

    from jgd import plots

    figure, axes = plt.subplots(2, 2, figsize=(12, 9), layout="constrained")
    plots.heat_map(answers.rates, "learning_rate", "batch_size", axes[0, 0])
    plots.parallel_coordinates(answers.halving.sweep, axes[0, 1], score=last_evaluation)
    plots.halving_brackets(answers.halving, axes[1, 0])
    seeds = answers.seeds
    candidates = np.asarray(seeds.configs.axes["candidate"])
    curves = {
        f"candidate {c + 1}": jax.tree.map(lambda x, c=c: x[candidates == c], seeds.fits)
        for c in np.unique(candidates)
    }
    plots.learning_curves(curves, axes[1, 1])
    axes[0, 0].set_title("Softmax regression: final loss")
    axes[0, 1].set_title("Network: 243 draws")
    axes[1, 0].set_title("Successive halving: validation accuracy")
    axes[1, 1].set_title("The best four, 16 seeds each: training loss")
    return figure


def main() -> None:
    digits = load()
    answers = search(digits)
    print(table(digits, answers))
    PICTURE.parent.mkdir(exist_ok=True)
    draw(answers).savefig(PICTURE, dpi=90)
    print(
        f"written: {PICTURE.relative_to(Path.cwd()) if PICTURE.is_relative_to(Path.cwd()) else PICTURE}"
    )


if __name__ == "__main__":
    main()

"""Vision: which digit, which garment is it? Dense and convolutional networks, with and without noise.

Images of digits, 8 x 8 and 28 x 28, and of clothes. Noise comes by a random objective: at every visit an
image is shifted by up to a pixel, and hidden units drop out. Beside it scikit-learn's network, which is
like our dense one and trained as long, and logistic regression.

    python experiments/applications/vision.py [--quick]
"""

import functools
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

import jgd

sys.path.append(str(Path(__file__).parents[1]))
import data
import page

DENSE, CHANNELS, UNITS = 128, (8, 16), 64  # sizes of the networks
DROPOUT = 0.2
REMARKS = (
    "MNIST is learned with noise: a shift by up to a pixel in each direction, and dropout. The digits "
    "of 8 x 8 are learned without, for a pixel is an eighth of them; clothes too, in so few epochs.",
    "MLPClassifier keeps the learning rate that ours starts with, and runs on one core, where it is "
    "faster than on two. Logistic regression is the better of two penalties. For clothes both have "
    "one seed.",
)
DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt", "trousers", "pullover", "dress", "coat")
CLOTHES += ("sandal", "shirt", "sneaker", "bag", "boot")
COLOURS = {"MLP": "#0072B2", "CNN": "#D55E00"}
REFERENCES = {"MLPClassifier": "--", "logistic regression": ":"}
MISTAKES = (2, 5)  # rows and columns of them in the figure


class Task(NamedTuple):
    """Images, and how they are learned; `aims` are test accuracies of the MLP and of the CNN."""

    name: str
    load: Callable
    classes: tuple[str, ...]
    noisy: tuple[str, ...]  # networks that learn with noise
    epochs: int
    batch_size: int
    learning_rate: float
    aims: dict[str, float]
    num_references: int = page.SEEDS  # seeds of the references
    channels: tuple[int, ...] = CHANNELS


class Run(NamedTuple):
    """One training: test accuracy after each epoch, seconds of an epoch, and what was learned."""

    accuracies: np.ndarray
    seconds: float
    params: Any = None


TASKS = (
    Task("digits 8 x 8", data.digit_images, DIGITS, (), 30, 32, 5e-3, {"MLP": 0.97, "CNN": 0.97}),
    Task("MNIST, 5,000", data.mnist_5k, DIGITS, (*COLOURS,), 15, 32, 3e-3, {"MLP": 0.93, "CNN": 0.97}),
    Task("Fashion-MNIST", data.fashion_mnist, CLOTHES, (), 5, 64, 3e-3, {"MLP": 0.87, "CNN": 0.9}, 1),
)


def dense(params, image, key=None):
    return jgd.models.mlp.predict(params, image.ravel(), dropout=DROPOUT, key=key)


def convolutional(params, image, key=None):
    return jgd.models.cnn.predict(params, image, dropout=DROPOUT, key=key)


def loss(predict, params, example):
    return jgd.losses.softmax(predict(params, example.images), example.classes)


def noisy_loss(predict, params, example, key):
    """Of the image as it comes this time: shifted, and with hidden units left out."""
    shift, drop = jax.random.split(key)
    return jgd.losses.softmax(predict(params, shifted(shift, example.images), drop), example.classes)


def shifted(key, image):
    """By a pixel at most in each direction; what comes in is black."""
    return jax.lax.dynamic_slice(jnp.pad(image, 1), jax.random.randint(key, (2,), 0, 3), image.shape)


def scores(predict, params, images):
    return jax.lax.map(functools.partial(predict, params), images, batch_size=500)


def accuracy(predict, params, held):
    return jgd.metrics.accuracy(scores(predict, params, held.images), held.classes)


@functools.cache  # functions are known by their identity: made once, they compile once
def of_network(function: Callable, name: str) -> Callable:
    return functools.partial(function, {"MLP": dense, "CNN": convolutional}[name])


def start(task: Task, name: str, key, shape: tuple[int, int]):
    if name == "MLP":
        return jgd.models.mlp.init(key, (shape[0] * shape[1], DENSE, 10))
    return jgd.models.cnn.init(key, shape, 10, channels=task.channels, units=(UNITS,))


def train(task: Task, name: str, is_noisy: bool, seen: data.Images, held: data.Images, seed: int) -> Run:
    objective = jgd.objective(of_network(noisy_loss if is_noisy else loss, name), random=is_noisy)
    steps = task.epochs * -(-len(seen.classes) // task.batch_size)
    key, began = jax.random.key(seed), time.perf_counter()
    fit = jgd.minibatch_descent(
        objective,
        start(task, name, key, seen.images.shape[1:]),
        seen,
        rule=jgd.adam(page.falling(task.learning_rate, steps)),
        batch_size=task.batch_size,
        epochs=task.epochs,
        key=key,
        evaluate=of_network(accuracy, name),
        validation=held,
    )
    accuracies = np.asarray(fit.history.evaluation)
    return Run(accuracies, (time.perf_counter() - began) / task.epochs, fit.params)


def references(task: Task, seen: data.Images, held: data.Images, seed: int) -> dict[str, Run]:
    """Of scikit-learn: a network like our MLP, trained as long; the better of two linear models."""
    same = {"batch_size": task.batch_size, "learning_rate_init": task.learning_rate, "alpha": 0.0}
    epochs = {"max_iter": task.epochs, "n_iter_no_change": task.epochs}
    models = {"MLPClassifier": [MLPClassifier(DENSE, random_state=seed, **same, **epochs)]}
    models["logistic regression"] = [LogisticRegression(C=c, max_iter=100) for c in (0.1, 1.0)]
    flat, flat_held = (part.images.reshape(len(part.images), -1) for part in (seen, held))
    runs = {}
    for name, candidates in models.items():
        began = time.perf_counter()
        # On one core it is several times as fast: its threads wait for each other.
        with threadpool_limits(1), warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            fits = [model.fit(flat, seen.classes) for model in candidates]
        seconds = (time.perf_counter() - began) / sum(np.max(model.n_iter_) for model in fits)
        shares = [model.score(flat_held, held.classes) for model in fits]
        runs[name] = Run(np.array([max(shares)]), seconds)
    return runs


def learn(task: Task, seed: int, quick: bool) -> tuple[data.Images, dict[str, Run]]:
    """What is held out, and every network, with noise and without, and the references by name."""
    found = task.load()
    if isinstance(found, data.Images):
        parts = page.split(400 if quick else len(found.classes), seed)
        found = tuple(data.Images(*(x[rows] for x in found)) for rows in parts)
    runs = {name: train(task, name, name in task.noisy, *found, seed) for name in COLOURS}
    if not quick:
        runs |= {f"{name} without noise": train(task, name, False, *found, seed) for name in task.noisy}
    return found[1], runs | (references(task, *found, seed) if seed < task.num_references else {})


def rows_of(task: Task, runs: list[dict[str, Run]], quick: bool) -> list[page.Row]:
    """Each network beside what it is compared with; its first seed, which compiles, is not timed."""
    last = {name: [run[name].accuracies[-1] for run in runs if name in run] for name in runs[0]}
    seconds = {name: [run[name].seconds for run in runs if name in run] for name in runs[0]}
    rows = []
    for name, other in zip(COLOURS, REFERENCES, strict=True):
        row = functools.partial(page.Row, f"{task.name}, {name}")
        reached = None if quick else bool(np.mean(last[name]) >= task.aims[name])
        aim = f">= {task.aims[name]:.0%}"
        rows.append(row("test accuracy", last[name], other, last[other], aim, reached))
        if (plain := f"{name} without noise") in last:
            rows.append(row("test accuracy", last[name], plain, last[plain]))
        other = "MLPClassifier" if name == "MLP" else ""
        rows.append(row("seconds an epoch", seconds[name][1:], other, seconds.get(other, ())))
    return rows


def draw(found: list, path: Path) -> None:
    """Test accuracy by epochs, and below what the CNN of the first seed took for something else."""
    figure = plt.figure(figsize=(4.2 * len(found), 6.2), layout="constrained")
    columns = figure.subfigures(1, len(found), squeeze=False)[0]
    for column, (task, held, runs) in zip(columns, found, strict=True):
        above, below = column.subfigures(2, 1, height_ratios=(5, 4))
        draw_curves(above.subplots(), task, runs)
        draw_mistakes(below.subplots(*MISTAKES), task, held, runs[0]["CNN"].params)
        below.suptitle("Mistakes: the CNN's guess above, the truth below", fontsize="medium")
    handles = max((ax.get_legend_handles_labels() for ax in figure.axes), key=lambda both: len(both[0]))
    figure.legend(*handles, loc="outside lower center", ncols=6, frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_curves(ax, task: Task, runs: list[dict[str, Run]]) -> None:
    for name in runs[0]:
        shares = np.array([run[name].accuracies for run in runs if name in run])
        if name in REFERENCES:
            ax.axhline(100 * shares.mean(), color="0.3", linestyle=REFERENCES[name], lw=1, label=name)
            continue
        style = {"color": COLOURS[name[:3]], "linestyle": "-" if name in COLOURS else "--"}
        ax.plot(np.arange(1, task.epochs + 1), 100 * shares.mean(axis=0), label=name, **style)
    ends = [100 * run[name].accuracies[-1] for run in runs for name in run]
    ax.set(title=task.name, xlabel="epoch", ylim=(min(ends) - 3, max(ends) + 1))
    ax.set_ylabel("test accuracy (%)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))


def draw_mistakes(axes, task: Task, held: data.Images, params) -> None:
    """Those that the CNN is surest of."""
    found = np.asarray(scores(convolutional, params, held.images))
    guesses = found.argmax(axis=1)
    margin = found.max(axis=1) - found[np.arange(len(found)), held.classes]
    for ax, place in zip(axes.flat, np.argsort(-margin), strict=False):
        ax.set(xticks=[], yticks=[])
        if margin[place] > 0:
            ax.imshow(held.images[place], cmap="gray_r")
            ax.set_title(task.classes[guesses[place]], fontsize="small", color=COLOURS["CNN"], pad=2)
            ax.set_xlabel(task.classes[held.classes[place]], fontsize="small", labelpad=2)
        else:
            ax.set_axis_off()


def run(quick: bool) -> page.Page:
    tasks, remarks = list(TASKS[: 3 if data.has_fashion_mnist() else 2]), []
    if quick:
        tasks = [TASKS[0]._replace(epochs=3, noisy=("MLP",), channels=(4,))]
    elif not data.has_fashion_mnist():
        remarks = ["Fashion-MNIST is not installed: " + data.INSTALL["dataset-fashion-mnist"]]
    found = []
    for task in tasks:
        learned = [learn(task, seed, quick) for seed in range(1 if quick else page.SEEDS)]
        found.append((task, learned[0][0], [runs for _, runs in learned]))
    return page.Page(
        title="Vision",
        about=(
            f"An MLP with {DENSE} hidden units and a CNN with {' and '.join(map(str, CHANNELS))} "
            f"channels and {UNITS} hidden units, by Adam over mini-batches, the learning rate falling "
            "to 0. A fifth is held out, anew for each seed; Fashion-MNIST has a test part of its own."
        ),
        rows=[row for task, _, runs in found for row in rows_of(task, runs, quick)],
        remarks=[*remarks, *REMARKS],
        draw=functools.partial(draw, found),
        caption=(
            "Above: test accuracy after each epoch, mean over the seeds. Below: of the mistakes of the "
            "first seed's CNN those that it is surest of."
        ),
    )


if __name__ == "__main__":
    page.main(__file__, run)

"""Language from the spelling alone: is it spam, a woman's name, how many syllables has the word?

Character n-grams are hashed into buckets, each bucket has an embedding, and the mean embedding of a text
is what a linear layer sees (models.text). Beside it, on the very same n-grams: naive Bayes with the best
of three smoothings by test accuracy, and logistic regression on tf-idf.

    python experiments/applications/language.py [--quick]
"""

import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from matplotlib import pyplot as plt
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import MultinomialNB

import jgd

sys.path.append(str(Path(__file__).parents[1]))
import data
import page

BUCKETS = 2**13
SMOOTHINGS = (0.1, 0.5, 1.0)
MOST_TEXTS = 30_000  # to train on


class Task(NamedTuple):
    """Texts, their classes, and how a model of them is trained."""

    name: str
    load: Callable[[], tuple[list[str], np.ndarray]]
    classes: tuple[str, ...]
    ngrams: tuple[int, int]
    length: int
    width: int
    strength: float
    epochs: int
    batch_size: int
    aim: float | None  # test accuracy


class Run(NamedTuple):
    """One seed: test accuracies by name, test accuracy after each epoch, and seconds."""

    scores: dict[str, float]
    curve: np.ndarray
    seconds: float


TASKS = (
    Task("spam mails", data.mails, ("mail", "spam"), (3, 4), 3000, 8, 0.0, 10, 32, 0.98),
    Task("first names", data.first_names, ("male", "female"), (1, 5), 60, 16, 1e-4, 10, 64, 0.80),
    Task(
        "syllables of words",
        data.words,
        ("1", "2", "3", "4", "5+"),
        (1, 4),
        100,
        16,
        1e-6,
        6,
        128,
        None,
    ),
)


def loss(params, example):
    return jgd.losses.softmax(jgd.models.text.predict(params, example[0]), example[1])


def accuracy(params, held):
    scores = jax.lax.map(functools.partial(jgd.models.text.predict, params), held[0], batch_size=256)
    return jgd.metrics.accuracy(scores, held[1])


def learn(task: Task, seed: int, num: int) -> Run:
    """Train on four fifths of the texts, at most `num`; ask jgd and the references about the rest."""
    texts, labels = task.load()
    train, test = page.split(len(texts), seed)
    train = np.random.default_rng(seed).permutation(train)[:num]
    hashed, _ = jgd.features.hashing(
        [texts[i] for i in train], buckets=BUCKETS, ngrams=task.ngrams, length=task.length
    )
    seen, held = ((hashed([texts[i] for i in part]), labels[part]) for part in (train, test))
    start = time.perf_counter()
    fit = descend(task, seen, held, seed)
    seconds = time.perf_counter() - start
    curve = np.asarray(fit.history.evaluation)
    return Run({"jgd": curve[-1]} | references(seen, held), curve, seconds)


def descend(task: Task, seen, held, seed: int) -> jgd.Fit:
    steps = task.epochs * len(seen[0]) // task.batch_size
    start = jgd.models.text.init(jax.random.key(seed), BUCKETS, len(task.classes), width=task.width)
    fit = jgd.minibatch_descent(
        jgd.objective(loss, jgd.penalties.l2(task.strength)),
        {**start, "embedding": 0.1 * start["embedding"]},
        seen,
        rule=jgd.adam(page.falling(0.01, steps)),
        batch_size=task.batch_size,
        epochs=task.epochs,
        key=jax.random.key(seed),
        evaluate=accuracy,
        validation=held,
    )
    return jax.block_until_ready(fit)


def references(seen, held) -> dict[str, float]:
    """Test accuracies of scikit-learn on the same n-grams."""
    rows = [counts(np.asarray(part[0])) for part in (seen, held)]
    bayes = [MultinomialNB(alpha=alpha).fit(rows[0], seen[1]) for alpha in SMOOTHINGS]
    weigh = TfidfTransformer(sublinear_tf=True).fit(rows[0])
    logistic = OneVsRestClassifier(LogisticRegression(C=10.0, solver="liblinear"))
    logistic.fit(weigh.transform(rows[0]), seen[1])
    return {
        "naive Bayes": max(model.score(rows[1], held[1]) for model in bayes),
        "logistic regression on tf-idf": logistic.score(weigh.transform(rows[1]), held[1]),
    }


def counts(ids: np.ndarray) -> csr_matrix:
    """How often each bucket occurs in each text."""
    row, column = np.nonzero(ids >= 0)
    return csr_matrix((np.ones(len(row)), (row, ids[row, column])), (len(ids), BUCKETS))


def rows_of(task: Task, runs: list[Run], quick: bool) -> list[page.Row]:
    """The rows of the table for one task: one beside each reference."""
    score = {name: [run.scores[name] for run in runs] for name in runs[0].scores}
    ours, bayes, logistic = score.values()
    names = list(score)[1:]
    judge = task.aim is not None and not quick
    aim = f">= {task.aim:.0%}, above naive Bayes" if task.aim else ""
    reached = bool(np.mean(ours) >= task.aim and np.mean(ours) > np.mean(bayes)) if judge else None
    return [
        page.Row(task.name, "test accuracy", ours, names[0], bayes, aim, reached),
        page.Row(task.name, "test accuracy", ours, names[1], logistic),
        page.Row(task.name, "seconds, compiled", [run.seconds for run in runs[1:] or runs]),
    ]


def draw(found: list[tuple[Task, list[Run]]], path: Path) -> None:
    """Test accuracy by epochs, with the references."""
    figure, axes = plt.subplots(
        1, len(found), figsize=(4 * len(found), 3.4), layout="constrained", squeeze=False
    )
    for ax, (task, runs) in zip(axes[0], found, strict=True):
        epochs = np.arange(1, task.epochs + 1)
        curves = 100 * np.array([run.curve for run in runs])
        ax.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), color="C0", alpha=0.25, lw=0)
        ax.plot(
            epochs, curves.mean(axis=0), color="C0", marker="o", markersize=3, label="jgd, models.text"
        )
        for name, style in (("naive Bayes", "--"), ("logistic regression on tf-idf", ":")):
            mean = 100 * np.mean([run.scores[name] for run in runs])
            ax.axhline(mean, color="black", linestyle=style, lw=1.2, label=name)
        ax.set(title=task.name, xlabel="epochs", ylabel="test accuracy (%)")
    axes[0, 0].legend(frameon=False, fontsize=8, loc="center right")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def run(quick: bool) -> page.Page:
    tasks = [task for task in TASKS if task.load is not data.mails or data.has_mails()]
    remarks = [] if data.has_mails() else ["The mails are not installed: " + data.INSTALL["mails"]]
    if quick:
        tasks = [task._replace(epochs=2) for task in tasks if task.load is data.first_names]
    seeds, num = range(1 if quick else page.SEEDS), 1000 if quick else MOST_TEXTS
    found = [(task, [learn(task, seed, num) for seed in seeds]) for task in tasks]
    return page.Page(
        title="Language",
        about=(
            f"Character n-grams, hashed into {BUCKETS:,} buckets; the mean of their embeddings, then a "
            "linear layer (`models.text`), by Adam over mini-batches. A fifth of the texts is held out, "
            f"anew for each seed; at most {MOST_TEXTS:,} of the others are learned from. Mails are read "
            "without their headers, spam or not; first names are of women or men; words have 1, 2, 3, 4 "
            "or more syllables."
        ),
        rows=[row for task, runs in found for row in rows_of(task, runs, quick)],
        remarks=remarks,
        draw=functools.partial(draw, found),
        caption="Test accuracy after each epoch, mean and range over the seeds, and the references.",
    )


if __name__ == "__main__":
    page.main(__file__, run)

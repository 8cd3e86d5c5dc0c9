"""Batch, stochastic and mini-batch descent on every application: J by epochs, by updates, by seconds.

People say: batch descent is stable and slow, stochastic descent fast and noisy, mini-batch the balance
of both. Each variant runs plain gradient descent at the best of 13 constant learning rates (lowest mean
J over the last third of its epochs), all rates as lanes of one program; the seconds are those of that
rate alone, compiled before.

    python experiments/variants.py [--quick]
"""

import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.append(str(Path(__file__).parent / "applications"))

import data
import jax
import jax.numpy as jnp
import numpy as np
import page
from matplotlib import pyplot as plt

import jgd

RATES = np.logspace(-4, 2, 13)
MINIBATCH = 32
MOST_ROWS = 10_000
GOAL = 0.9  # of the way from the start to the lowest loss that any variant found
COLOURS = {"batch": "black", "mini-batch": "#D55E00", "stochastic": "#0072B2"}
KEY = jax.random.key(0)


class Problem(NamedTuple):
    """An application: its objective, where it starts, its data."""

    name: str
    objective: jgd.Objective
    params: Any
    data: Any


class Variant(NamedTuple):
    """How many examples a step takes, and for how many epochs."""

    name: str
    batch_size: int | None
    epochs: int


class Course(NamedTuple):
    """J at the start and after each epoch at the best rate, and what an epoch takes.

    `ends` are the mean J over the last third of the epochs at each of the rates.
    """

    rate: float
    losses: np.ndarray
    ends: np.ndarray
    updates: int
    seconds: float


VARIANTS = (
    Variant("batch", None, 300),
    Variant("mini-batch", MINIBATCH, 30),
    Variant("stochastic", 1, 10),
)


def of_model(loss: Callable, predict: Callable, params, example):
    return loss(predict(params, example[0]), example[1])


def margins(params, example):
    """Squared hinge, one class against the rest."""
    scores = jgd.models.linear.predict(params, example[0])
    return jgd.losses.squared_hinge(scores, jnp.arange(len(scores)) == example[1])


def loss_of(loss: Callable, model: jgd.models.Model) -> jax.tree_util.Partial:
    return jax.tree_util.Partial(functools.partial(of_model, loss, model.predict))


def standardized(x, target) -> tuple[np.ndarray, Any]:
    rows = np.sort(np.random.default_rng(0).permutation(len(x))[:MOST_ROWS])
    transform, _ = jgd.features.standardize(x[rows])
    return transform(x[rows]), jnp.asarray(target[rows])


def problems() -> list[Problem]:
    models, losses = jgd.models, jgd.losses
    linear = models.linear
    table = data.diamonds()
    meats, cancer, digits = data.meats(), data.breast_cancer(), data.digit_images()
    pairs, marks = data.ratings()
    names, sexes = data.first_names()
    few = np.random.default_rng(0).permutation(len(marks))[:MOST_ROWS]
    hashed, _ = jgd.features.hashing(names, buckets=2**11, ngrams=(1, 4))
    flat = digits.images.reshape(len(digits.images), -1)
    price = (meats.target - meats.target.mean()) / meats.target.std()
    factors = models.factorization.init(KEY, int(pairs[:, 0].max()) + 1, int(pairs[:, 1].max()) + 1, 4)
    l2, squared = jgd.penalties.l2, loss_of(losses.squared_error, linear)
    return [
        Problem(
            "least squares,\ndiamonds",
            jgd.objective(squared),
            linear.init(KEY, table.x.shape[1]),
            standardized(table.x, table.y),
        ),
        Problem(
            "ridge,\nmeats",
            jgd.objective(squared, l2(1e-3)),
            linear.init(KEY, 100),
            standardized(meats.numbers, price),
        ),
        Problem(
            "logistic,\nbreast cancer",
            jgd.objective(loss_of(losses.logistic, linear), l2(1e-3)),
            linear.init(KEY, 30),
            standardized(cancer.numbers, cancer.target),
        ),
        Problem(
            "SVM,\ndigits",
            jgd.objective(jax.tree_util.Partial(margins), l2(1e-3)),
            linear.init(KEY, 64, 10),
            (flat, digits.classes),
        ),
        Problem(
            "factorization,\nInstEval",
            jgd.objective(loss_of(losses.squared_error, models.factorization), l2(1e-5)),
            {**factors, "mean": jnp.asarray(marks.mean())},
            (pairs[few], marks[few]),
        ),
        Problem(
            "network,\ndigits",
            jgd.objective(loss_of(losses.softmax, models.mlp)),
            models.mlp.init(KEY, (64, 64, 10)),
            (flat, digits.classes),
        ),
        Problem(
            "text,\nfirst names",
            jgd.objective(loss_of(losses.logistic, models.text)),
            models.text.init(KEY, 2**11, width=8),
            (hashed(names), sexes),
        ),
    ]


def quick_problems() -> list[Problem]:
    cancer = data.breast_cancer()
    objective = jgd.objective(loss_of(jgd.losses.logistic, jgd.models.linear))
    start = jgd.models.linear.init(KEY, 30)
    return [
        Problem(
            "logistic,\nbreast cancer", objective, start, standardized(cancer.numbers, cancer.target)
        )
    ]


def descend(problem: Problem, variant: Variant, rate: Any, evaluate: Callable | None = None) -> jgd.Fit:
    return jgd.descend(
        problem.objective,
        problem.params,
        problem.data,
        rule=jgd.sgd(rate),
        batch_size=variant.batch_size,
        epochs=variant.epochs,
        key=KEY,
        evaluate=evaluate,
    )


def course(problem: Problem, variant: Variant) -> Course:
    """The best of all rates, and its time."""
    whole = lambda params, rows: jgd.value(problem.objective, params, rows)  # noqa: E731
    train = lambda config: descend(problem, variant, config["rate"], whole)  # noqa: E731
    fits = jgd.sweep(train, jgd.grid(rate=RATES)).fits
    losses = np.asarray(fits.history.evaluation)
    losses = np.where((np.asarray(fits.status) == jgd.Status.DIVERGED)[:, None], np.inf, losses)
    ends = np.nan_to_num(losses[:, 2 * variant.epochs // 3 :].mean(axis=1), nan=np.inf)
    best = int(np.argmin(ends))
    alone = lambda: jax.block_until_ready(descend(problem, variant, RATES[best]).params)  # noqa: E731
    alone()
    start = time.perf_counter()
    alone()
    seconds = (time.perf_counter() - start) / variant.epochs
    num = jax.tree.leaves(problem.data)[0].shape[0]
    first = float(jgd.value(problem.objective, problem.params, problem.data))
    updates = -(-num // (variant.batch_size or num))
    return Course(float(RATES[best]), np.array([first, *losses[best]]), ends, updates, seconds)


def epochs_to(course: Course, goal: float) -> float:
    """Epochs until J is at the goal for the first time; NaN where it never is."""
    there = np.flatnonzero(course.losses <= goal)
    return float(there[0]) if there.size else np.nan


def goal_of(courses: dict[str, Course]) -> float:
    start = next(iter(courses.values())).losses[0]
    lowest = min(np.min(c.losses[np.isfinite(c.losses)]) for c in courses.values())
    return start - GOAL * (start - lowest)


def rises(course: Course) -> float:
    """Share of the epochs in which J rose, by more than float32 resolves."""
    before, after = course.losses[:-1], course.losses[1:]
    return float(np.mean(after > before * (1 + 1e-5)))


def ends_higher(course: Course, other: Course) -> bool:
    """Whether J ends higher than that of another variant at the rate that is best for the other."""
    return bool(course.ends[np.argmin(other.ends)] > other.ends.min())


def table_of(found: dict[str, dict[str, Course]]) -> list[list[str]]:
    rows = []
    for name, courses in found.items():
        goal = goal_of(courses)
        for variant, made in courses.items():
            epochs = epochs_to(made, goal)
            reached = [
                f"{epochs:.0f}",
                f"{epochs * made.updates:,.0f}",
                f"{1e3 * epochs * made.seconds:.3g}",
            ]
            reached = reached if np.isfinite(epochs) else ["never"] * 3
            end = f"{made.losses[-1]:.4g}"
            which = name.replace("\n", " "), variant, f"{made.rate:.2g}"
            rows.append([*which, *reached, end, f"{rises(made):.0%}"])
    return rows


def verdicts(found: dict[str, dict[str, Course]]) -> list[str]:
    """What the tutorials say, and where it holds."""
    num = len(found)
    spent = {}
    for name, courses in found.items():
        epochs = {variant: epochs_to(made, goal_of(courses)) for variant, made in courses.items()}
        seconds = {variant: epochs[variant] * made.seconds for variant, made in courses.items()}
        spent[name] = {v: np.inf if np.isnan(s) else s for v, s in seconds.items()}
    first = {name: min(s, key=s.get) for name, s in spent.items()}
    steady = [n for n, c in found.items() if rises(c["batch"]) == min(map(rises, c.values()))]
    noisy = [n for n, c in found.items() if ends_higher(c["stochastic"], c["mini-batch"])]
    slow = [n for n, s in spent.items() if s["batch"] == max(s.values())]
    by = {variant: [n for n, winner in first.items() if winner == variant] for variant in COLOURS}
    return [
        f"*Batch is stable*: J rose in no more of its epochs than with the others in {len(steady)} of "
        f"{num}{_but(found, steady)}.",
        f"*Batch is slow*: it took the most seconds, or did not get there, in {len(slow)} of {num}"
        f"{_but(found, slow)}.",
        "*Stochastic is noisy*: at the learning rate that is best for mini-batches it ends higher than "
        f"they do, by the mean J of the last third, or diverges, in {len(noisy)} of {num}"
        f"{_but(found, noisy)}.",
        "*Stochastic is fast, mini-batch the balance*: the first to be there, by seconds, was "
        f"stochastic descent in {len(by['stochastic'])} of {num}, mini-batch in "
        f"{len(by['mini-batch'])}, batch in {len(by['batch'])}.",
    ]


def _but(found: dict[str, Any], held: list[str]) -> str:
    """The applications where a claim does not hold."""
    others = [name.replace("\n", " ") for name in found if name not in held]
    return f" (not: {'; '.join(others)})" if others else ""


def draw(found: dict[str, dict[str, Course]], path: Path) -> None:
    figure, axes = plt.subplots(
        len(found),
        3,
        figsize=(10, 1 + 1.75 * len(found)),
        layout="constrained",
        squeeze=False,
        sharey="row",
    )
    for row, (name, courses) in zip(axes, found.items(), strict=True):
        for variant, made in courses.items():
            epochs = np.arange(len(made.losses))
            for ax, unit in zip(row, (1, made.updates, made.seconds), strict=True):
                ax.plot(
                    epochs[1:] * unit, made.losses[1:], color=COLOURS[variant], label=variant, lw=1.4
                )
        for ax in row:
            ax.axhline(goal_of(courses), color="0.6", lw=0.8, ls=":")
            ax.set(xscale="log", yscale="log")
        row[0].set_ylabel(f"{name}\nJ", fontsize=8)
    for ax, label in zip(axes[-1], ("epochs", "updates", "seconds"), strict=True):
        ax.set_xlabel(label)
    axes[0, 0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def run(quick: bool) -> page.Page:
    variants = [v._replace(epochs=max(v.epochs // 10, 2)) for v in VARIANTS] if quick else VARIANTS
    found = {
        problem.name: {variant.name: course(problem, variant) for variant in variants}
        for problem in (quick_problems() if quick else problems())
    }
    return page.Page(
        title="The three variants",
        about=(
            f"Plain gradient descent, each variant at the best of {len(RATES)} constant learning rates, "
            f"on at most {MOST_ROWS:,} rows: batch for {variants[0].epochs} epochs, mini-batches of "
            f"{MINIBATCH} for {variants[1].epochs}, single examples for {variants[2].epochs}. The goal "
            f"is J {GOAL:.0%} of the way from the start to the lowest value that any variant found; J "
            "is looked at after every epoch, so that one epoch is the least."
        ),
        header=(
            "application",
            "variant",
            "rate",
            "epochs to the goal",
            "updates",
            "ms",
            "J at the end",
            "epochs in which J rose",
        ),
        rows=table_of(found),
        remarks=verdicts(found),
        draw=functools.partial(draw, found),
        caption="J against epochs, updates and seconds; the dotted line is the goal.",
    )


if __name__ == "__main__":
    page.main(__file__, run)

"""Logistic regression: is a tumour benign, will a flight be late, and can the probabilities be believed?

569 tumours, with the strength of the penalty chosen by cross-validation on the training part, and all
flights in mini-batches. Beside them scikit-learn's logistic regression: at the best of several C, as the
test part tells it, and for the tumours at the C that the same cross-validation chooses.

    python experiments/applications/logistic_regression.py [--quick]
"""

import functools
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import optax
from matplotlib import pyplot as plt
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import PredefinedSplit

import jgd
from jgd.plots.axes import plain_ticks

sys.path.append(str(Path(__file__).parents[1]))
import data
import page
from linear_regression import encoded

STRENGTHS, FOLDS = np.logspace(-4, 0, 17), 10  # of tumours
BATCH_SIZE, LEARNING_RATE, EPOCHS, WEAK = 128, 0.3, 15, 1e-6  # of flights
CS = {"tumours": (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0), "flights": (0.01, 0.1, 1.0)}
AIM = 0.005  # of what scikit-learn reaches
MEASURES = {"accuracy": jgd.metrics.accuracy, "log loss": jgd.metrics.log_loss}
OURS = "#0072B2"


class Run(NamedTuple):
    """One split.

    Attributes:
      labels: of the test part.
      scores: of the test part: by jgd, by scikit-learn at its best C, and at the C that folds choose.
      losses: of the test part by scikit-learn, at each C; `at` tells C as a strength of ours.
      at: `1 / (C N)`.
      strength: of the penalty of jgd.
      curve: what was seen on the way: test log loss by epochs, or cross-validated one by strengths.
    """

    labels: np.ndarray
    scores: dict[str, np.ndarray]
    losses: np.ndarray
    at: np.ndarray
    strength: float
    curve: np.ndarray


def loss(params, example):
    return jgd.losses.logistic(jgd.models.linear.predict(params, example["x"]), example["y"])


def objective(strength) -> jgd.Objective:
    return jgd.objective(loss, jgd.penalties.l2(strength, {"weights": True, "bias": False}))


def log_loss(params, part):
    return jgd.metrics.log_loss(part["x"] @ params["weights"] + params["bias"], part["y"])


def parts(x, y, seed: int) -> list[dict[str, np.ndarray]]:
    return [{"x": np.float32(x[rows]), "y": np.float32(y[rows])} for rows in page.split(len(y), seed)]


def tumours(seed: int, folds: int) -> Run:
    """Batch descent with momentum, all strengths and folds as lanes of one program."""
    columns = data.breast_cancer()
    scale, _ = jgd.features.standardize(columns.numbers[page.split(len(columns.target), seed)[0]])
    training, test = parts(scale(columns.numbers), columns.target, seed)
    start, rule = jgd.models.linear.init(None, training["x"].shape[1]), jgd.sgd(0.3, momentum=0.9)

    def train(config, weights):
        penalised = objective(config["strength"])
        return jgd.batch_descent(penalised, start, training, rule=rule, epochs=500, weights=weights)

    found = jgd.cross_validate(
        train,
        jgd.grid(strength=STRENGTHS),
        training,
        folds=folds,
        key=jax.random.key(seed),
        score=lambda params, held_out: -log_loss(params, held_out),
    )
    best = found.best
    strength = float(best.config["strength"])
    return compared("tumours", best.fit.params, strength, -found.mean, training, test, found.folds)


def flights(columns: data.Columns, rule, epochs: int, seed: int) -> Run:
    """Mini-batch descent with a weak penalty: one program for all splits."""
    x = encoded(columns, page.split(len(columns.target), seed)[0])
    training, test = parts(x, columns.target > data.DELAYED, seed)
    fit = jgd.minibatch_descent(
        objective(WEAK),
        jgd.models.linear.init(None, x.shape[1]),
        training,
        rule=rule,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        key=jax.random.key(seed),
        evaluate=log_loss,
        validation=test,
    )
    return compared("flights", fit.params, WEAK, fit.history.evaluation, training, test)


def compared(name: str, params, strength: float, curve, training, test, folds=None) -> Run:
    """What scikit-learn makes of the split, and of the folds, beside what we made of them."""
    num = len(training["y"])
    models = [LogisticRegression(C=c, max_iter=1000) for c in CS[name]]
    if folds is not None:
        options = {"cv": PredefinedSplit(folds), "scoring": "neg_log_loss", "max_iter": 1000}
        models.append(LogisticRegressionCV(Cs=1 / (num * STRENGTHS), **options))
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        fits = [model.fit(training["x"], training["y"]) for model in models]
    theirs = [fit.decision_function(test["x"]) for fit in fits]
    losses = np.array([float(jgd.metrics.log_loss(z, test["y"])) for z in theirs])[: len(CS[name])]
    ours = test["x"] @ np.asarray(params["weights"]) + np.asarray(params["bias"])
    scores = {"jgd": ours, "best": theirs[np.argmin(losses)], "chosen": theirs[-1]}
    return Run(test["y"], scores, losses, 1 / (num * np.array(CS[name])), strength, np.asarray(curve))


def measured(measure: str, which: str, runs: list[Run]) -> list[float]:
    return [float(MEASURES[measure](run.scores[which], run.labels)) for run in runs]


def rows_of(name: str, which: str, runs: list[Run], quick: bool) -> list[page.Row]:
    """Beside scikit-learn at its best C, or at the one that the folds choose."""
    by = {"chosen": "C by the same folds", "best": f"best of {len(CS[name])} C by test log loss"}
    rows = []
    for measure, word, sign in (("accuracy", "below", -1), ("log loss", "above", 1)):
        ours, theirs = (measured(measure, whose, runs) for whose in ("jgd", which))
        reached = None if quick else bool(sign * (np.mean(ours) / np.mean(theirs) - 1) <= AIM)
        aim, reference = f"at most {AIM:.1%} {word}", f"scikit-learn, {by[which]}"
        rows.append(page.Row(name, f"test {measure}", ours, reference, theirs, aim, reached))
    return rows


def draw(of_tumours: list[Run], of_flights: list[Run], path: Path) -> None:
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    curves = np.array([100 * (run.curve / run.losses.min() - 1) for run in of_flights])
    epochs = np.arange(1, curves.shape[1] + 1)
    left.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), color=OURS, alpha=0.25, lw=0)
    left.plot(epochs, np.median(curves, axis=0), color=OURS, label="jgd, mini-batches")
    left.axhline(0, color="black", ls="--", label="scikit-learn, best C")
    left.axhline(100 * AIM, color="black", ls=":", lw=1, label="aim")
    left.set(xlabel="epochs", ylabel="test log loss above the best (%)", title="Flights: descent")
    labels = np.concatenate([run.labels for run in of_flights])
    rings = {"ms": 9, "mfc": "none", "ls": "none", "color": "black", "label": "scikit-learn, best C"}
    for which, style in (("jgd", {"ms": 4, "color": OURS, "label": "jgd"}), ("best", rings)):
        chances = expit(np.concatenate([run.scores[which] for run in of_flights]))
        share, foretold = calibration_curve(labels, chances, n_bins=15, strategy="quantile")
        middle.plot(foretold, share, marker="o", **style)
    middle.axline((0, 0), slope=1, color="0.6", lw=1, zorder=0)
    middle.set(xlabel="foretold probability to be late", ylabel="share that was late")
    middle.set_title("Flights: calibration")
    curves, losses = (np.array([run[i] for run in of_tumours]) for i in (-1, 2))
    right.plot(STRENGTHS, curves.T, color=OURS, lw=1)[0].set_label("jgd, cross-validated")
    chosen = [run.strength for run in of_tumours]
    right.plot(chosen, curves.min(axis=1), "o", color=OURS, ms=5, label="chosen")
    right.plot(of_tumours[0].at, losses.T, ".:", color="black", lw=1)[0].set_label(
        "scikit-learn, test part"
    )
    right.set(xscale="log", yscale="log", ylim=(0.006, 0.4), xlabel="strength of the penalty")
    right.set(ylabel="log loss", title="Tumours: which penalty?")
    plain_ticks(right.yaxis)
    for ax, place in ((left, "center right"), (middle, "upper left"), (right, "lower center")):
        ax.legend(loc=place, frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def run(quick: bool) -> page.Page:
    seeds, epochs = range(1 if quick else page.SEEDS), 2 if quick else EPOCHS
    columns = data.flights_columns(2000 if quick else None)
    codes = [np.unique(column, return_inverse=True)[1] for column in columns.categories.T]
    columns = columns._replace(categories=np.column_stack(codes))  # numbers are encoded faster than text
    steps = epochs * -(-len(page.split(len(columns.target), 0)[0]) // BATCH_SIZE)
    rule = jgd.sgd(optax.cosine_decay_schedule(LEARNING_RATE, steps))
    of_tumours = [tumours(seed, 2 if quick else FOLDS) for seed in seeds]
    of_flights = [flights(columns, rule, epochs, seed) for seed in seeds]
    ours, best = (measured("log loss", which, of_tumours) for which in ("jgd", "best"))
    return page.Page(
        title="Logistic regression",
        about=(
            f"569 tumours, benign or not, by 30 numbers: the best of {len(STRENGTHS)} l2 strengths in "
            f"{FOLDS}-fold cross-validation on the training part (`jgd.cross_validate`), by batch "
            f"descent with momentum. And {len(columns.target):,} flights, more than {data.DELAYED} "
            f"minutes late or not, by when, who, from and to where: mini-batches of {BATCH_SIZE}, a "
            f"learning rate of {LEARNING_RATE} that falls to 0 over {epochs} epochs, an l2 strength of "
            f"{WEAK:g}."
        ),
        rows=[
            *rows_of("tumours", "chosen", of_tumours, quick),
            *rows_of("tumours", "best", of_tumours, quick),
            *rows_of("flights", "best", of_flights, quick),
        ],
        remarks=[
            "Tumours: the C that is best for the very test part, split by split, lowers the log loss to "
            f"{np.mean(best):.3f}; cross-validation on the training part cannot know it. A "
            f"test part has {len(of_tumours[0].labels)} tumours, and from one to another the log loss "
            f"changes {max(ours) / min(ours):.1f} times."
        ],
        draw=functools.partial(draw, of_tumours, of_flights),
        caption=(
            "Flights: test log loss by epochs, median and range over the splits; of flights of like "
            "foretold probability, the share that was late. Tumours: log loss by strength, five splits."
        ),
    )


if __name__ == "__main__":
    page.main(__file__, run)

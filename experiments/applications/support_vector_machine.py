"""Support vector machines: which digit is it, told by ten hyperplanes with margins?

One digit against the rest, by hinge and by squared hinge. All splits, strengths of the penalty and folds
of the cross-validation that chooses it are lanes of one program: what a lane must not see weighs 0.

    python experiments/applications/support_vector_machine.py [--quick]
"""

import functools
import sys
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

import jgd

sys.path.append(str(Path(__file__).parents[1]))
import data
import page

STRENGTHS, FOLDS, EPOCHS = np.logspace(-4.5, -2, 6), 4, 25
CS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
AIM = 0.003  # of accuracy below LinearSVC
PAIR, PAIR_STRENGTH = (3, 8), 0.03  # of the figure
COLOURS = "#0072B2", "#D55E00"


def loss_of(function):
    def loss(params, example):
        scores = jgd.models.linear.predict(params, example["x"])
        return function(scores, jnp.arange(len(scores)) == example["y"])  # summed over the scores

    return loss


LOSSES = {name: loss_of(getattr(jgd.losses, name)) for name in ("hinge", "squared_hinge")}
METHODS = {"hinge": jgd.primal_dual(steps=50), "squared_hinge": jgd.accelerated(steps=20)}


def descend(name: str, rows, num_classes: int, strength, weights=None, epochs: int = EPOCHS) -> jgd.Fit:
    penalty = jgd.penalties.l2(strength, {"weights": True, "bias": False})
    start = jgd.models.linear.init(None, rows["x"].shape[1], num_classes)
    objective = jgd.objective(LOSSES[name], penalty)
    return jgd.batch_descent(objective, start, rows, rule=METHODS[name], epochs=epochs, weights=weights)


def learn(name: str, rows, num_seeds: int, epochs: int) -> list[float]:
    """Test accuracy of each split, at the strength that cross-validation in its training part chose."""
    num = len(rows["y"])
    is_training, fold = np.zeros((2, num_seeds, num), int)
    for seed in range(num_seeds):
        is_training[seed, page.split(num, seed)[0]] = 1
        fold[seed] = np.random.default_rng(seed).permutation(num) % FOLDS
    is_training, fold = jnp.asarray(is_training), jnp.asarray(fold)

    def train(config):
        seen = is_training[config["seed"]] * (fold[config["seed"]] != config["held_out"])
        return descend(name, rows, 10, config["strength"], seen.astype(float), epochs)

    def accuracy(config, params):
        training, is_held = is_training[config["seed"]], fold[config["seed"]] == config["held_out"]
        judged = jnp.where(config["held_out"] < FOLDS, training * is_held, 1 - training)
        scores = rows["x"] @ params["weights"] + params["bias"]
        return jgd.metrics.accuracy(scores, rows["y"], judged.astype(float))

    # No fold has the number FOLDS: those lanes train on the whole training part.
    space = jgd.grid(seed=np.arange(num_seeds), strength=STRENGTHS, held_out=np.arange(FOLDS + 1))
    fits = jgd.sweep(train, space).fits
    found = np.asarray(jax.jit(jax.vmap(accuracy))(space.numbers(), fits.params))
    found = found.reshape(num_seeds, len(STRENGTHS), FOLDS + 1)
    return [float(of[of[:, :FOLDS].mean(axis=1).argmax(), FOLDS]) for of in found]


def reference(name: str, rows, num_seeds: int) -> list[float]:
    """Test accuracy of LinearSVC in each split, at the C that is best for its test part."""
    x, y = (np.asarray(rows[key]) for key in ("x", "y"))
    best = []
    for train, test in (page.split(len(y), seed) for seed in range(num_seeds)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            models = [LinearSVC(C=c, loss=name, max_iter=20_000, random_state=0) for c in CS]
            best.append(max(model.fit(x[train], y[train]).score(x[test], y[test]) for model in models))
    return best


def plane(images: data.Images) -> dict[str, Any]:
    """The images of two digits, in the plane of their principal components, each of deviation 1."""
    rows = np.flatnonzero(np.isin(images.classes, PAIR))
    x = images.images[rows].reshape(len(rows), -1)
    left, _, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    x = np.sqrt(len(rows)) * left[:, :2]
    return {"x": jnp.asarray(x), "y": jnp.asarray((images.classes[rows] == PAIR[1]).astype(int))}


def draw(points: dict[str, Any], found: dict[str, Any], path: Path) -> None:
    x, y = np.asarray(points["x"]), np.asarray(points["y"])
    low, high = x.min(axis=0) - 0.3, x.max(axis=0) + 0.3
    grid = np.stack(np.meshgrid(*np.linspace(low, high, 200).T), axis=-1)
    figure, axes = plt.subplots(1, len(LOSSES), figsize=(9, 4.6), layout="constrained", sharey=True)
    for ax, (name, params) in zip(axes, found.items(), strict=False):
        weights, bias = np.asarray(params["weights"][:, 1]), float(params["bias"][1])
        levels, heights = (-1, 0, 1), grid @ weights + bias
        ax.contourf(*grid.T.swapaxes(1, 2), heights, levels=(-1, 1), colors=["0.92"], zorder=0)
        ax.contour(*grid.T.swapaxes(1, 2), heights, levels, colors="black", linestyles=("--", "-", "--"))
        is_within = (2 * y - 1) * (x @ weights + bias) < 1
        for label, (digit, colour) in enumerate(zip(PAIR, COLOURS, strict=True)):
            of = x[y == label]
            ax.scatter(*of.T, s=14, color=colour, marker="os"[label], lw=0, label=f"the digit {digit}")
        ring = {"s": 60, "facecolors": "none", "edgecolors": "black", "lw": 0.8}
        ax.scatter(*x[is_within].T, **ring, label="within its margin")
        ax.set(title=f"{name}: {is_within.sum()} of {len(y)} within their margins")
        ax.set(xlabel="first principal component", xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes[0].set_ylabel("second principal component")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def run(quick: bool) -> page.Page:
    num_seeds, epochs = (1, 3) if quick else (page.SEEDS, EPOCHS)
    images = data.digit_images()
    if quick:
        images = data.Images(images.images[:300], images.classes[:300])
    x = images.images.reshape(len(images.images), -1)
    digits = {"x": jnp.asarray(x), "y": jnp.asarray(images.classes)}
    points, rows, lines = plane(images), [], {}
    for name in ["squared_hinge"] if quick else LOSSES:  # the other takes long to compile
        ours, theirs = learn(name, digits, num_seeds, epochs), reference(name, digits, num_seeds)
        reached = None if quick else bool(np.mean(ours) >= np.mean(theirs) - AIM)
        words, aim = name.replace("_", " "), f"at most {AIM} below"
        told = f"LinearSVC, the best of {len(CS)} C for the test part"
        rows.append(page.Row(f"digits, {words}", "test accuracy", ours, told, theirs, aim, reached))
        lines[words] = descend(name, points, 2, PAIR_STRENGTH).params
    return page.Page(
        title="Support vector machine",
        about=(
            f"{len(x):,} images of 8 x 8, ten classes, one against the rest: the loss of an example is "
            "the sum over the classes of `jgd.losses.hinge(score, is_this_class)`. Hinge by "
            "`jgd.primal_dual`, squared hinge by `jgd.accelerated`, neither with a learning rate to "
            f"choose. The strength of the l2 penalty is the best of {len(STRENGTHS)} in {FOLDS}-fold "
            f"cross-validation; all {len(STRENGTHS) * (FOLDS + 1) * num_seeds} trainings of a loss are "
            "lanes of one program (`jgd.sweep`)."
        ),
        rows=rows,
        remarks=[
            "The C of LinearSVC was chosen by the test part of each split, that of jgd by its training "
            f"part. One image of a test part is {1 / round(0.2 * len(x)):.4f} of accuracy."
        ],
        draw=functools.partial(draw, points, lines),
        caption=(
            f"The digits {PAIR[0]} and {PAIR[1]} in the plane of their two principal components: the "
            "line that decides, the margins on both sides of it, and the images that lie within theirs "
            "or on the wrong side."
        ),
    )


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 2)
    page.main(__file__, run)

"""Ridge and lasso: does descent find the same weights, and the same zeros, as scikit-learn?

Ridge tells the protein in meat by its spectrum, 100 wavelengths that are almost one; the lasso tells a
gene of 64 tumours by 6,829 others. A path of strengths each, certified by its duality gap, in float64.

    python experiments/applications/ridge_lasso.py [--quick]
"""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from matplotlib import pyplot as plt
from sklearn.linear_model import Lasso, Ridge

import jgd
import jgd.plots
from jgd.plots.axes import plain_ticks

sys.path.append(str(Path(__file__).parents[1]))
import data
import page

RIDGE = np.logspace(1, -8, 19)  # strengths
LASSO = np.geomspace(0.8, 0.05, 21)  # shares of the strength from which on all weights are 0
STRENGTHS = {"ridge": RIDGE, "lasso": LASSO}
SHOWN = {"ridge": (1e-2, 1e-4, 1e-6), "lasso": (0.4, 0.2, 0.05)}  # in the table
WHAT = {"ridge": "protein in meat, ridge", "lasso": "a gene of tumours, lasso"}
GAP = 1e-9  # above the minimum of J, at most; J of no weights is 1
AIM = 1e-4  # relative difference of test errors
OURS = "#0072B2"


class Split(NamedTuple):
    """One split, K strengths.

    Attributes:
      path: of jgd.
      errors: mean squared errors of the test part, [K], by jgd.
      theirs: the same by scikit-learn.
      same: whether both have their zeros in the same places, [K].
    """

    path: jgd.Path
    errors: np.ndarray
    theirs: np.ndarray
    same: np.ndarray


def loss(params, example):
    return jgd.losses.squared_error(jgd.models.linear.predict(params, example["x"]), example["y"])


def objective(penalty: Callable, strength) -> jgd.Objective:
    return jgd.objective(loss, penalty(strength, {"weights": True, "bias": False}))


@functools.partial(jax.jit, static_argnums=0)
def fit_path(penalty: Callable, strengths, start, rows) -> jgd.Fit:
    """All strengths, each from where the last one ended; compiled once for all splits."""

    def train(strength, params):
        return jgd.batch_descent(
            objective(penalty, strength),
            params,
            rows,
            rule=jgd.coordinate(),
            epochs=50,
            stop=jgd.stop.duality_gap(GAP),
        )

    return jgd.path(train, strengths, start).fits


def compare(x: np.ndarray, y: np.ndarray, name: str, seed: int) -> Split:
    train, test = page.split(len(y), seed)
    x, y = (jgd.features.standardize(part[train])[0](part) for part in (x, y[:, None]))
    x, y = np.asarray(x), np.asarray(y)[:, 0]
    rows, start = {"x": x[train], "y": y[train]}, jgd.models.linear.init(None, x.shape[1])
    penalty = jgd.penalties.l2 if name == "ridge" else jgd.penalties.l1
    strengths = STRENGTHS[name]
    if name == "lasso":
        strengths = strengths * float(jgd.largest_strength(objective(penalty, 1.0), start, rows))
    path = jgd.Path(strengths, fit_path(penalty, strengths, start, rows))
    weights, bias = (np.asarray(path.params[part]) for part in ("weights", "bias"))
    # mean (z - y)² + s/2 |w|² is to scikit-learn |z - y|² + N s/2 |w|²; with s |w|, it halves all.
    models = [
        Ridge(s / 2 * len(train)) if name == "ridge" else Lasso(s / 2, tol=1e-12, max_iter=10**6)
        for s in strengths
    ]
    theirs = [model.fit(*rows.values()) for model in models]
    errors, their_errors = (
        np.mean((z - y[test]) ** 2, axis=1)
        for z in (weights @ x[test].T + bias[:, None], [model.predict(x[test]) for model in theirs])
    )
    same = [bool(np.all((w == 0) == (m.coef_ == 0))) for w, m in zip(weights, theirs, strict=True)]
    return Split(path, errors, their_errors, np.array(same))


def rows_of(name: str, splits: list[Split], quick: bool) -> list[page.Row]:
    what, reference = WHAT[name], f"scikit-learn, {name.capitalize()}"
    rows, errors, theirs = [], *(np.array([split[i] for split in splits]) for i in (1, 2))
    for shown in SHOWN[name]:
        at = np.argmin(np.abs(STRENGTHS[name] - shown))
        measure = f"test MSE, strength {shown:g}{' of the largest' * (name == 'lasso')}"
        rows.append(page.Row(what, measure, errors[:, at], reference, theirs[:, at]))
    apart = np.abs(errors / theirs - 1).max()
    measure = f"relative difference of test MSE, the largest of {errors.size}"
    reached = None if quick else bool(apart <= AIM)
    rows.append(page.Row(what, measure, [apart], reference, (), f"at most {AIM:g}", reached))
    if name == "lasso":
        same = sum(int(split.same.sum()) for split in splits)
        reached = None if quick else same == errors.size
        measured = "fits with the same support", [same], "of", [errors.size], "all", reached
        rows.append(page.Row(what, *measured))
    return rows


def draw(found: dict[str, list[Split]], path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    lasso = found["lasso"][0].path
    jgd.plots.coefficient_path(lasso, lasso.params["weights"], ax=left)
    left.set(title=f"Lasso: {lasso.params['weights'].shape[1]:,} genes, one split", ylabel="weight")
    plain_ticks(left.xaxis)
    if "ridge" in found:
        errors, theirs = (np.array([split[i] for split in found["ridge"]]) for i in (1, 2))
        right.fill_between(RIDGE, errors.min(axis=0), errors.max(axis=0), color=OURS, alpha=0.25, lw=0)
        right.plot(RIDGE, np.median(errors, axis=0), color=OURS, label="jgd")
        right.plot(
            RIDGE, np.median(theirs, axis=0), "o", color="black", mfc="none", label="scikit-learn"
        )
        right.set(xscale="log", yscale="log", xlim=(2 * RIDGE[0], RIDGE[-1] / 2))
        right.set(title="Ridge: protein in meat", ylabel="test MSE, in variances")
        right.set_xlabel("strength of the penalty")
        plain_ticks(right.yaxis)
        right.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def run(quick: bool) -> page.Page:
    meats, genes = data.meats(), data.nci60()
    tables = {
        "ridge": (meats.numbers, meats.target),
        "lasso": (genes.x.astype(float), genes.y.astype(float)),
    }
    if quick:  # ridge takes as long again to compile
        tables = {"lasso": (genes.x[:, :200].astype(float), genes.y.astype(float))}
    seeds = range(1 if quick else page.SEEDS)
    with jax.enable_x64(True):
        found = {name: [compare(*table, name, seed) for seed in seeds] for name, table in tables.items()}
    splits = [split for of_name in found.values() for split in of_name]
    certified = np.concatenate([split.path.fits.status == jgd.Status.CONVERGED for split in splits])
    best = np.mean([split.errors.min() for split in found["lasso"]])
    return page.Page(
        title="Ridge and lasso",
        about=(
            "The percentage of protein in 215 samples of meat by the absorption of 100 wavelengths, and "
            "a gene of 64 tumours by 6,829 others, with a path of strengths of l2 and of l1: "
            "`jgd.coordinate`, in float64, each fit starting where the last one ended (`jgd.path`) and "
            f"ending when its duality gap is {GAP:g} (`jgd.stop.duality_gap`). Targets have variance 1."
        ),
        rows=[row for name, of_name in found.items() for row in rows_of(name, of_name, quick)],
        remarks=[
            f"{certified.sum()} of {certified.size} fits are certified: no params have an objective "
            f"that is lower by more than {GAP:g}.",
            "A strength s of `jgd.penalties.l2` is `alpha = s N / 2` of `Ridge`, one of "
            "`jgd.penalties.l1` is `alpha = s / 2` of `Lasso`, for J has the mean of squared errors.",
            "51 tumours tell little of the gene: even at the strength that is best for the test part "
            f"the lasso has {best:.2f} of the variance left.",
        ],
        draw=functools.partial(draw, found),
        caption=(
            "Left: the weights of the genes along the path of the lasso. Right: the test error of "
            "ridge, median and range over the splits; rings are the median of scikit-learn."
        ),
    )


if __name__ == "__main__":
    page.main(__file__, run)

"""The lasso path of diabetes, and of 6,829 genes: which features matter, from the strongest penalty on.

Each fit starts where the last one ended and stops as soon as its certificate says that it is near
enough; 100 strengths are one compiled program. The same path by scikit-learn stands beside it.

    python experiments/lasso_path.py

Source: Efron, Hastie, Johnstone and Tibshirani (2004), Annals of Statistics 32(2), whose data these are.
"""

import time
import warnings
from pathlib import Path
from typing import NamedTuple

import data
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_diabetes
from sklearn.linear_model import lasso_path

import jgd
import jgd.plots

NUM, RATIO = 100, 1e-3
TOLERANCE = 1e-5  # of the certificate; the targets have variance 1
PICTURE = Path(__file__).parent / "output" / "lasso_path.png"


class Problem(NamedTuple):
    """Standardised features, a target of mean 0 and deviation 1, and names."""

    x: np.ndarray
    y: np.ndarray
    names: list[str]


class Answer(NamedTuple):
    """A path, its seconds (compiled), those of scikit-learn, and the largest difference of a param."""

    path: jgd.Path
    seconds: float
    sklearn_seconds: float
    difference: float


def loss(params, example):
    return jgd.losses.squared_error(params @ example[0], example[1])


def diabetes() -> Problem:
    bunch = load_diabetes(scaled=False)
    x, y = ((part - part.mean(axis=0)) / part.std(axis=0) for part in (bunch.data, bunch.target))
    return Problem(x.astype(np.float32), y.astype(np.float32), list(bunch.feature_names))


def genes() -> Problem:
    table = data.nci60()
    return Problem(table.x, table.y, [f"gene {i}" for i in range(table.x.shape[1])])


def solve(problem: Problem, num: int = NUM, ratio: float = RATIO) -> Answer:
    rows = jnp.asarray(problem.x), jnp.asarray(problem.y)
    start = jnp.zeros(problem.x.shape[1])

    def train(strength, params):
        return jgd.batch_descent(
            jgd.objective(loss, jgd.penalties.l1(strength)),
            params,
            rows,
            rule=jgd.coordinate(),
            epochs=30,
            stop=jgd.stop.duality_gap(TOLERANCE),
        )

    largest = jgd.largest_strength(jgd.objective(loss, jgd.penalties.l1(1.0)), start, rows)
    strengths = largest * jnp.geomspace(1, ratio, num)
    run = jax.jit(lambda s: jgd.path(train, s, start).fits)  # compiled once, to be timed
    jax.block_until_ready(run(strengths))
    begin = time.perf_counter()
    fits = jax.block_until_ready(run(strengths))
    seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, wanted, _ = lasso_path(problem.x, problem.y, alphas=np.asarray(strengths) / 2, tol=1e-6)
    difference = float(np.abs(np.asarray(fits.params) - wanted.T).max())
    found = jgd.Path(np.asarray(strengths), fits)
    return Answer(found, seconds, time.perf_counter() - begin, difference)


def report(name: str, problem: Problem, answer: Answer) -> str:
    found = answer.path
    gaps = np.asarray(found.fits.history.duality_gap)
    last = gaps[np.arange(len(gaps)), np.maximum(np.asarray(found.fits.epochs), 1) - 1]
    certified = int((np.asarray(found.fits.status) == jgd.Status.CONVERGED).sum())
    return (
        f"{name}, {problem.x.shape[0]:,} x {problem.x.shape[1]:,}: {len(gaps)} strengths in "
        f"{1e3 * answer.seconds:.0f} ms (scikit-learn {1e3 * answer.sklearn_seconds:.0f} ms), "
        f"{found.num_nonzero[0]} to {found.num_nonzero[-1]} features, {certified} certified within "
        f"{TOLERANCE:g}, the others within {last.max():.1g}; params differ by {answer.difference:.1g} "
        "at most."
    )


def draw(problems: list[Problem], answers: list[Answer]) -> plt.Figure:
    figure, axes = plt.subplots(1, len(answers), figsize=(5.2 * len(answers), 4.2), layout="constrained")
    for ax, problem, answer in zip(np.atleast_1d(axes), problems, answers, strict=True):
        names = problem.names if len(problem.names) <= 20 else None
        jgd.plots.coefficient_path(answer.path, names=names, ax=ax)
        ax.set_title(f"Lasso path, {len(problem.names):,} features")
    return figure


def main() -> None:
    problems = [diabetes(), genes()]
    answers = [solve(problems[0]), solve(problems[1], ratio=1e-2)]
    for name, problem, answer in zip(("diabetes", "NCI60"), problems, answers, strict=True):
        print(report(name, problem, answer))
    PICTURE.parent.mkdir(exist_ok=True)
    draw(problems, answers).savefig(PICTURE, dpi=150)
    print(f"Picture: {PICTURE}")


if __name__ == "__main__":
    main()

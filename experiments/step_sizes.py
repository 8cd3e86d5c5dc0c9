"""The rule that chooses its own numbers against the best of 64 constant learning rates.

Ten problems, in batch, mini-batch (32) and stochastic descent. On each, 64 constant learning rates from
1e-6 to 100 are swept as lanes of one program; the best of them is known only afterwards, and another one
for every target. `jgd.auto_rule` gets one run, and no number from anybody. Compared are the epochs until
the objective has come down by 99% of the way from the start to the lowest that any of the 64 ended at.
(Not the lowest that any ever touched: a rate that hovers above the minimum touches it by luck.)

    python experiments/step_sizes.py [seed]
"""

import functools
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax

jax.config.update("jax_num_cpu_devices", 2)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_digits  # noqa: E402

import jgd  # noqa: E402

KEY = jax.random.key(0)
RATES = np.logspace(-6, 2, 64)
GAPS = {"90%": 0.1, "99%": 0.01, "99.9%": 0.001}  # part of the way, and what is left of it
VARIANTS: dict[str, int | None] = {"batch": None, "mini-batch": 32, "stochastic": 1}
AIM = 3.0
PICTURE = Path(__file__).parent / "output" / "step_sizes.png"


class Problem(NamedTuple):
    """What is minimised, from where, and for how many epochs the constant learning rates may run."""

    objective: jgd.Objective
    params: Any
    data: Any
    epochs: int = 100


class Race(NamedTuple):
    """What came of one problem in one variant.

    `best` and `auto` are epochs until each of `GAPS` was left; infinity where it was not reached.
    """

    problem: str
    variant: str
    best: dict[str, float]
    auto: dict[str, float]
    rates: dict[str, float]
    status: jgd.Status
    worst: float  # highest objective after an epoch of auto_rule, in units of that at the start


def plane(params, example):
    return jgd.losses.squared_error(example["x"] @ params, example["y"])


def robust_plane(params, example):
    return jgd.losses.huber(1.0)(example["x"] @ params, example["y"])


def log_odds(params, example):
    return jgd.losses.logistic(jgd.models.linear.predict(params, example["x"]), example["y"])


def classes(params, example):
    return jgd.losses.softmax(jgd.models.linear.predict(params, example["x"]), example["y"])


def network(params, example):
    scores = jgd.models.mlp.predict(params, example["x"], jnp.tanh)
    return jgd.losses.softmax(scores, example["y"])


def valley(params, example):
    return 100 * (params[1] - params[0] ** 2) ** 2 + (1 - params[0]) ** 2


def rating(params, example):
    predicted = params["rows"][example["row"]] @ params["columns"][example["column"]]
    return jgd.losses.squared_error(predicted, example["y"])


def least_squares(condition: float, num: int = 1000, features: int = 20) -> Problem:
    """Rotated features of which the Hessian has the condition number asked for."""
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.normal(size=(num, features)))
    right, _ = np.linalg.qr(rng.normal(size=(features, features)))
    x = np.sqrt(num) * left * np.logspace(0, -0.5 * np.log10(condition), features) @ right
    y = x @ rng.normal(size=features) + 0.1 * rng.normal(size=num)
    return Problem(jgd.objective(plane), jnp.zeros(features), _floats(x=x, y=y))


def breast_cancer(is_scaled: bool) -> Problem:
    x, y = load_breast_cancer(return_X_y=True)
    x = jgd.features.standardize(x)[0](x) if is_scaled else x
    return Problem(jgd.objective(log_odds), jgd.models.linear.init(None, 30), _floats(x=x, y=y))


def digits(is_network: bool) -> Problem:
    images, labels = load_digits(return_X_y=True)
    data = {"x": jnp.asarray(images / 16, float), "y": jnp.asarray(labels)}
    if is_network:
        return Problem(
            jgd.objective(network), jgd.models.mlp.init(jax.random.key(1), (64, 32, 10)), data
        )
    return Problem(jgd.objective(classes), jgd.models.linear.init(None, 64, 10), data)


def outliers() -> Problem:
    """Every tenth target is far off; the features differ ten times in scale."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 20)) * np.logspace(0, -1, 20)
    y = x @ (3 * rng.normal(size=20)) + 0.3 * rng.normal(size=1000)
    y[::10] += 100 * rng.normal(size=100)
    return Problem(jgd.objective(robust_plane), jnp.zeros(20), _floats(x=x, y=y))


def rosenbrock() -> Problem:
    return Problem(jgd.objective(valley), jnp.array([-1.2, 1.0]), jnp.zeros((1, 1)), epochs=2000)


def factorization(rank: int = 3) -> Problem:
    """Half of the entries of a matrix of low rank, with noise."""
    rng = np.random.default_rng(0)
    rows, columns = rng.normal(size=(60, rank)), rng.normal(size=(40, rank))
    seen = rng.permutation(60 * 40)[:1200]
    row, column = np.unravel_index(seen, (60, 40))
    y = (rows[row] * columns[column]).sum(axis=1) + 0.1 * rng.normal(size=len(seen))
    data = {"row": jnp.asarray(row), "column": jnp.asarray(column)} | _floats(y=y)
    start = _floats(rows=0.1 * rng.normal(size=(60, rank)), columns=0.1 * rng.normal(size=(40, rank)))
    return Problem(jgd.objective(rating), start, data, epochs=200)


def _floats(**arrays) -> dict[str, jax.Array]:
    return {name: jnp.asarray(x, float) for name, x in arrays.items()}


PROBLEMS = {
    "least squares, condition 1": functools.partial(least_squares, 1.0),
    "least squares, condition 1e3": functools.partial(least_squares, 1e3),
    "least squares, condition 1e6": functools.partial(least_squares, 1e6),
    "logistic, scaled": functools.partial(breast_cancer, True),
    "logistic, raw": functools.partial(breast_cancer, False),
    "softmax, digits": functools.partial(digits, False),
    "huber, outliers": outliers,
    "Rosenbrock": rosenbrock,
    "network, digits": functools.partial(digits, True),
    "matrix factorisation": factorization,
}


def mean_loss(params, problem):
    return jgd.value(problem["objective"], params, problem["data"])


def train(problem: Problem, batch_size: int | None, rule: Any, epochs: int, key=KEY) -> jgd.Fit:
    """A descent that records the objective, over all examples, after every epoch."""
    return jgd.descend(
        problem.objective,
        problem.params,
        problem.data,
        rule=rule,
        batch_size=batch_size,
        epochs=epochs,
        key=key,
        evaluate=mean_loss,
        validation={"objective": problem.objective, "data": problem.data},
    )


def race(name: str, variant: str, key=KEY) -> Race:
    """The best of the constant learning rates for each gap, and the rule that chooses by itself."""
    problem, batch_size = PROBLEMS[name](), VARIANTS[variant]
    epochs = min(problem.epochs, 50) if batch_size == 1 else problem.epochs

    def constant(config):
        return train(problem, batch_size, jgd.sgd(config["learning_rate"]), epochs, key)

    swept = jgd.sweep(constant, jgd.grid(learning_rate=RATES))
    curves = np.asarray(swept.fits.history.evaluation, float)
    start = float(jgd.value(problem.objective, problem.params, problem.data))
    lowest = np.nanmin(curves[:, -1])
    rule = jgd.auto_rule(problem.objective, problem.params, problem.data, batch_size=batch_size, key=key)
    fit = train(problem, batch_size, rule, epochs, key)
    curve = np.asarray(fit.history.evaluation, float)
    best, auto, rates = {}, {}, {}
    for label, gap in GAPS.items():
        target = lowest + gap * (start - lowest)
        needed = np.array([epochs_until(lane, target) for lane in curves])
        best[label], rates[label] = float(needed.min()), float(RATES[np.argmin(needed)])
        auto[label] = epochs_until(curve, target)
    ran = curve[: int(fit.epochs)]
    worst = float(np.max(np.where(np.isfinite(ran), ran, np.inf)) / start)
    return Race(name, variant, best, auto, rates, jgd.Status(int(fit.status)), worst)


def epochs_until(curve: np.ndarray, target: float) -> float:
    """Number of the first epoch after which the objective is at the target; infinity for never."""
    reached = np.flatnonzero(curve <= target)
    return float(reached[0] + 1) if len(reached) else np.inf


def table(races: list[Race]) -> str:
    """One line for each race: epochs of the best learning rate, of the rule, and their ratio."""
    head = f"{'':30}" + "".join(f"{f'{label} of the way down':^34}" for label in GAPS)
    names = f"{'problem':30}" + f"{'best rate':>12}{'epochs':>7}{'auto':>6}{'ratio':>7}  " * len(GAPS)
    lines = [head, names + "ended"]
    for variant in VARIANTS:
        lines.append(variant)
        for r in (r for r in races if r.variant == variant):
            cells = [
                f"{r.rates[label]:12.2g}{r.best[label]:7.0f}{r.auto[label]:6.0f}"
                f"{r.auto[label] / r.best[label]:7.2f}  "
                for label in GAPS
            ]
            lines.append(f"  {r.problem:28}" + "".join(cells) + r.status.name)
    return "\n".join(lines)


def summary(races: list[Race]) -> str:
    """What the table comes to."""
    ratios = np.array([r.auto["99%"] / r.best["99%"] for r in races])
    slowest = races[int(np.argmax(ratios))]
    diverged = [r for r in races if r.status == jgd.Status.DIVERGED or r.worst > 10]
    return (
        f"99% of the way: {np.sum(ratios <= AIM)} of {len(races)} within {AIM:g} times the epochs of "
        f"the best of {len(RATES)} constant learning rates, {np.sum(ratios <= 1)} in no more; at worst "
        f"{ratios.max():.2f} times ({slowest.problem}, {slowest.variant}). Diverged: {len(diverged)}."
    )


def draw(races: list[Race]):
    """The ratios as dots: left of 1 the rule is faster than any constant learning rate."""
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    ax.axvspan(AIM, 1e3, color="0.93")
    ax.axvline(1, color="0.4", linewidth=1)
    places = {name: -i for i, name in enumerate(PROBLEMS)}
    for shift, (variant, marker) in enumerate(zip(VARIANTS, "os^", strict=True)):
        mine = [r for r in races if r.variant == variant]
        ratios = [r.auto["99%"] / r.best["99%"] for r in mine]
        ax.plot(ratios, [places[r.problem] + 0.2 * (1 - shift) for r in mine], marker, label=variant)
    ax.set(xscale="log", xlim=(0.03, 10), yticks=list(places.values()), yticklabels=list(places))
    ax.set_xticks([0.1, 0.3, 1, 3], ["1/10", "1/3", "1", "3"])
    ax.set_xlabel(
        f"epochs of jgd.auto_rule by those of the best of {len(RATES)} constant learning rates"
    )
    ax.set_title("No number from anybody: 99% of the way down")
    ax.legend(loc="lower left")
    return figure


def main(seed: int = 0) -> None:
    """The seed is that of the order of examples and of what auto_rule draws."""
    start, key = time.perf_counter(), jax.random.key(seed)
    races = []
    for variant, batch_size in VARIANTS.items():
        for name in PROBLEMS:
            if name != "Rosenbrock" or batch_size is None:  # it is one example
                races.append(race(name, variant, key))
    print(table(races))
    print(f"\n{summary(races)}\n{time.perf_counter() - start:.0f} s in all.")
    PICTURE.parent.mkdir(exist_ok=True)
    draw(races).savefig(PICTURE, dpi=150)
    print(f"Picture: {PICTURE}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""What goes wrong with gradient descent, and what to do: each trouble on a problem, with its cure.

1. The learning rate is hard to choose: too small crawls, too large diverges. `jgd.auto_rule` needs none.
2. Badly scaled features: one rate cannot suit them. `jgd.features.standardize`, or `jgd.auto_rule`.
3. Plateaus and saddle points: the gradient is small far from any minimum. `jgd.diagnose` tells, and
   momentum or Adam leave it.
4. Local minima: where it ends depends on where it began. `jgd.multistart` counts them.
5. Noise: with single examples a constant rate hovers above the minimum. `jgd.armijo` gives way to it.
6. It never says when it is done: `jgd.stop`, which a small rate does not fool.

    python experiments/challenges.py
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes

import jgd

KEY = jax.random.key(0)
SHOWN = 40  # epochs of the picture of local minima, which are left behind after a few
PICTURE = Path(__file__).parent / "output" / "challenges.png"


class Challenge(NamedTuple):
    """A trouble and its cures.

    Attributes:
      title: the trouble in words.
      curves: name -> objective at the start and after each epoch.
      troubles: those names that show the trouble; the others are cures.
      floor: lowest possible objective, or None.
      verdict: one line, with the numbers.
      marks: name -> epoch at which that descent ended by itself.
    """

    title: str
    curves: dict[str, np.ndarray]
    troubles: tuple[str, ...]
    verdict: str
    floor: float | None = None
    marks: Mapping[str, int] = {}


def log_odds(params, example):
    return jgd.losses.logistic(jgd.models.linear.predict(params, example["x"]), example["y"])


def plane(params, example):
    return jgd.losses.squared_error(jgd.models.linear.predict(params, example["x"]), example["y"])


def network(params, example):
    return jgd.losses.squared_error(jgd.models.mlp.predict(params, example["x"], jnp.tanh), example["y"])


def two_valleys(params, example):
    """A tilted double well in each of two directions: four minima, one of them the lowest."""
    return jnp.sum((params**2 - 1) ** 2 / 4 + 0.2 * params * example)


FREE = jgd.objective(log_odds)
RIDGE = jgd.objective(log_odds, jgd.penalties.l2(1e-3, mask={"weights": True, "bias": False}))


def breast_cancer(is_scaled: bool) -> dict[str, jax.Array]:
    x, y = load_breast_cancer(return_X_y=True)
    x = jgd.features.standardize(x)[0](x) if is_scaled else jnp.asarray(x, float)
    return {"x": x, "y": jnp.asarray(y)}


def objective_curve(objective, start, data, **options) -> tuple[np.ndarray, jgd.Fit]:
    """J at the start and after every epoch, over all examples, and the fit."""
    fit = jgd.descend(objective, start, data, **options, evaluate=value_of, validation=(objective, data))
    first = float(jgd.value(objective, start, data))
    return np.array([first, *np.asarray(fit.history.evaluation)[: int(fit.epochs)]]), fit


def value_of(params, objective_and_data):
    return jgd.value(objective_and_data[0], params, objective_and_data[1])


def learning_rates(epochs: int = 60) -> Challenge:
    """Trouble 1, on standardised breast-cancer data, in batch descent."""
    data, start = breast_cancer(True), jgd.models.linear.init(None, 30)
    rules = {f"rate {rate:g}": jgd.sgd(rate) for rate in (0.001, 0.1, 100.0)}
    rules["auto_rule"] = jgd.auto_rule(RIDGE, start, data, key=KEY)
    curves = {
        name: objective_curve(RIDGE, start, data, rule=rule, epochs=epochs)[0]
        for name, rule in rules.items()
    }
    ends = ", ".join(f"{name}: {curve[-1]:.3g}" for name, curve in curves.items())
    troubles = ("rate 0.001", "rate 100")
    return Challenge(
        "The learning rate is hard to choose", curves, troubles, f"after {epochs} epochs {ends}"
    )


def scales(epochs: int = 60) -> Challenge:
    """Trouble 2: raw columns, whose standard deviations are 0.003 to 569."""
    raw, scaled = breast_cancer(False), breast_cancer(True)
    start = jgd.models.linear.init(None, 30)
    sharpness = jgd.curvature.sharpness(FREE, start, raw, key=KEY)
    runs = {
        "raw, best rate": (raw, best_rate(FREE, start, raw, 2 / sharpness, epochs)),
        "standardised, best rate": (scaled, best_rate(FREE, start, scaled, 1.0, epochs)),
        "raw, auto_rule": (raw, jgd.auto_rule(FREE, start, raw, key=KEY)),
    }
    curves = {
        name: objective_curve(FREE, start, data, rule=rule, epochs=epochs)[0]
        for name, (data, rule) in runs.items()
    }
    stds = np.asarray(raw["x"]).std(axis=0)
    verdict = (
        f"columns {stds.max() / stds.min():.2g} apart in scale; after {epochs} epochs "
        + ", ".join(f"{name}: {curve[-1]:.3g}" for name, curve in curves.items())
    )
    return Challenge("Features are badly scaled", curves, ("raw, best rate",), verdict)


def best_rate(objective, start, data, around, epochs: int):
    """The best of 41 constant rates, four decades around one."""
    space = jgd.grid(learning_rate=np.asarray(around) * np.logspace(-2, 2, 41))

    def train(config):
        rule = jgd.sgd(config["learning_rate"])
        return jgd.batch_descent(objective, start, data, rule=rule, epochs=epochs)

    return jgd.sgd(jgd.sweep(train, space).best().config["learning_rate"])


def plateau(epochs: int = 400) -> Challenge:
    """Trouble 3: a network whose weights begin near 0, a saddle point."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    y = np.sin(x[:, :1] + x[:, 1:2] * x[:, 2:3])
    data = {"x": jnp.asarray(x, float), "y": jnp.asarray(y - y.mean(), float)}
    objective = jgd.objective(network)
    start = jax.tree.map(lambda p: 0.01 * p, jgd.models.mlp.init(KEY, (4, 16, 16, 1)))
    rules = {
        "sgd": jgd.sgd(0.1),
        "momentum 0.9": jgd.sgd(0.1, momentum=0.9),
        "Adam": jgd.adam(0.02),
        "auto_rule": jgd.auto_rule(objective, start, data, key=KEY),
    }
    curves = {
        name: objective_curve(objective, start, data, rule=rule, epochs=epochs)[0]
        for name, rule in rules.items()
    }
    advice = jgd.diagnose(objective, start, data, key=KEY).advice
    saddle = next(sentence for sentence in advice if "saddle" in sentence)
    left = 0.8 * curves["sgd"][0]
    times = ", ".join(f"{name} {first_below(curve, left)}" for name, curve in curves.items())
    verdict = f"epochs until J is down by a fifth: {times}. jgd.diagnose at the start: {saddle}"
    return Challenge("It sticks on a plateau", curves, ("sgd",), verdict)


def first_below(curve: np.ndarray, level: float) -> str:
    """Epochs until the curve is below a level, in words."""
    reached = np.flatnonzero(curve < level)
    return str(reached[0]) if len(reached) else f"more than {len(curve) - 1}"


def local_minima(num: int = 64, epochs: int = 200) -> Challenge:
    """Trouble 4: four minima of unlike depth."""
    objective, data = jgd.objective(two_valleys), jnp.ones(1)

    def train(params):
        return jgd.batch_descent(objective, params, data, rule=jgd.sgd(0.1), epochs=epochs)

    def init(key):
        return jax.random.uniform(key, (2,), minval=-1.5, maxval=1.5)

    found = jgd.multistart(train, init, KEY, num)
    losses = np.asarray(found.fits.history.loss)
    ends, counts = np.unique(losses[:, -1].round(3), return_counts=True)
    curves = {
        f"ends at {end:.2f}": losses[losses[:, -1].round(3) == end][0, :SHOWN] for end in ends[::-1]
    }
    verdict = f"of {num} starts " + ", ".join(
        f"{count} end at {end:.2f}" for end, count in zip(ends, counts, strict=True)
    )
    return Challenge("It ends in a local minimum", curves, tuple(curves)[:-1], verdict)


def noise(epochs: int = 60) -> Challenge:
    """Trouble 5, on the diabetes data, one example at a time."""
    x, y = load_diabetes(return_X_y=True)
    data = {"x": jgd.features.standardize(x)[0](x), "y": jnp.asarray((y - y.mean()) / y.std(), float)}
    objective, start = jgd.objective(plane), jgd.models.linear.init(None, 10)
    floor = np.linalg.lstsq(np.c_[data["x"], np.ones(len(y))], np.asarray(data["y"]), rcond=None)[1]
    rules = {
        "rate 0.03": jgd.sgd(0.03),
        "rate 0.0001": jgd.sgd(0.0001),
        "armijo": jgd.armijo(0.03, memory=len(y)),
        "auto_rule": jgd.auto_rule(objective, start, data, batch_size=1, key=KEY),
    }
    curves = {
        name: objective_curve(objective, start, data, rule=rule, batch_size=1, epochs=epochs, key=KEY)[0]
        for name, rule in rules.items()
    }
    above = {name: np.mean(curve[-10:]) - floor[0] / len(y) for name, curve in curves.items()}
    verdict = "above the least squares, over the last 10 epochs: " + ", ".join(
        f"{name} {excess:.1e}" for name, excess in above.items()
    )
    troubles = ("rate 0.03", "rate 0.0001")
    return Challenge(
        "Single examples are noisy", curves, troubles, verdict, floor=float(floor[0] / len(y))
    )


def the_end(epochs: int = 1000) -> Challenge:
    """Trouble 6: the same descent without an end, with one, and with a rate that goes nowhere."""
    data, start = breast_cancer(True), jgd.models.linear.init(None, 30)
    stop = jgd.stop.gradient_norm(3e-3)
    runs = {
        "rate 1": {"rule": jgd.sgd(1.0)},
        "rate 1, gradient_norm": {"rule": jgd.sgd(1.0), "stop": stop},
        "rate 1e-5, gradient_norm": {"rule": jgd.sgd(1e-5), "stop": stop},
        "auto_rule, gradient_norm": {"rule": jgd.auto_rule(RIDGE, start, data, key=KEY), "stop": stop},
    }
    curves, ended = {}, {}
    for name, options in runs.items():
        curves[name], fit = objective_curve(RIDGE, start, data, epochs=epochs, **options)
        ended[name] = (jgd.Status(int(fit.status)), int(fit.epochs))
    verdict = ", ".join(f"{name}: {status.name} after {num}" for name, (status, num) in ended.items())
    steps = np.abs(np.diff(curves["rate 1e-5, gradient_norm"]))
    verdict += (
        f"; at rate 1e-5 no step changes J by more than {steps.max():.0e}, which is not convergence"
    )
    marks = {name: num for name, (status, num) in ended.items() if status == jgd.Status.CONVERGED}
    troubles = ("rate 1", "rate 1e-5, gradient_norm")
    return Challenge("It never says when it is done", curves, troubles, verdict, marks=marks)


CHALLENGES = (learning_rates, scales, plateau, local_minima, noise, the_end)


def draw(challenges: list[Challenge]) -> Any:
    """One panel for each trouble: what shows it dashed, its cures drawn through."""
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure, panels = plt.subplots(2, 3, figsize=(13, 7), layout="constrained")
    for number, (ax, challenge) in enumerate(zip(panels.flat, challenges, strict=True), 1):
        floor = challenge.floor or 0
        for name, curve in challenge.curves.items():
            shown = np.where(np.isfinite(curve), curve, np.nan) - floor
            (line,) = ax.plot(shown, "--" if name in challenge.troubles else "-", label=name)
            if name in challenge.marks:
                end = challenge.marks[name]
                ax.plot(end, shown[end], "o", color=line.get_color())
        ax.set(
            title=f"{number}. {challenge.title}",
            xlabel="epoch",
            ylabel="objective above its minimum" if floor else "objective",
        )
        if np.nanmin(np.concatenate(list(challenge.curves.values()))) > 0:
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            ax.yaxis.set_minor_formatter(NullFormatter())
        if len(next(iter(challenge.curves.values()))) > 500:
            ax.set_xscale("symlog")
            ax.set_xlim(left=0)
        ax.legend(fontsize="small")
    return figure


def main() -> None:
    challenges = [challenge() for challenge in CHALLENGES]
    for number, challenge in enumerate(challenges, 1):
        print(f"{number}. {challenge.title}: {challenge.verdict.removesuffix('.')}.")
    PICTURE.parent.mkdir(exist_ok=True)
    draw(challenges).savefig(PICTURE, dpi=120)
    print(f"\nPicture: {PICTURE}")


if __name__ == "__main__":
    main()

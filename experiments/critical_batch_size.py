"""The critical batch size of digits: what the noise of gradients foretells, and what training finds.

Softmax regression on the 1,797 images of scikit-learn, until the loss over all of them is 0.3. For each
batch size from 1 to 512 the number of steps is that of the best of 15 learning rates, the mean over 12
seeds; batches are drawn with replacement. Theory says

    steps(B) = fewest * (1 + critical / B)

so that below the critical batch size twice the examples in a batch halve the steps, and above it they
are wasted. It also says that `critical` is the noise scale of `jgd.gradient_noise`, the mean over the
steps on the way, which a single training tells.

    python experiments/critical_batch_size.py

Source: McCandlish, Kaplan, Amodei et al. (2018), An Empirical Model of Large-Batch Training, section 2.
"""

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import curve_fit
from sklearn.datasets import load_digits

import jgd

TARGET = 0.3
BATCH_SIZES = tuple(2**power for power in range(10))
LEARNING_RATES = 2.0 ** np.arange(-3, 4.5, 0.5)
NUM_SEEDS = 12
NOISE_AT = (4, 16, 64, 256)  # batch sizes at which the noise scale is followed
PICTURE = Path(__file__).parent / "output" / "critical_batch_size.png"


class Best(NamedTuple):
    """The steps that a batch size needs with the learning rate that needs the fewest."""

    steps: float
    learning_rate: float


class Law(NamedTuple):
    """`steps(B) = fewest * (1 + critical / B)`."""

    fewest: float
    critical: float

    def steps(self, batch_size):
        return self.fewest * (1 + self.critical / np.asarray(batch_size))


class Answers(NamedTuple):
    """The steps of each batch size, the law through them, noise scales on the way [seeds, places]."""

    best: dict[int, Best]
    law: Law
    noise: dict[int, np.ndarray]

    @property
    def foretold(self) -> dict[int, float]:
        """The critical batch size that the trainings of one batch size foretell."""
        return {size: float(np.mean(scales)) for size, scales in self.noise.items()}


def loss(params, example):
    return jgd.losses.softmax(jgd.models.linear.predict(params, example[0]), example[1])


OBJECTIVE = jgd.objective(loss)


def load() -> tuple[jax.Array, jax.Array]:
    images, classes = load_digits(return_X_y=True)
    return jnp.asarray(images / 16, float), jnp.asarray(classes, int)


def noise_scale(params, digits):
    return jgd.gradient_noise(OBJECTIVE, params, digits).noise_scale


def total_loss(params, digits):
    return jgd.value(OBJECTIVE, params, digits)


@functools.partial(jax.jit, static_argnames=("batch_size", "places", "between", "watch"))
def follow(digits, rates, *, batch_size: int, places: int, between: int, watch: Callable) -> jax.Array:
    """`watch(params, digits)` at the start and after every `between` steps: [seeds, rates, places]."""

    def train(seed, rate):
        def some_steps(params, place):
            key = jax.random.fold_in(jax.random.key(seed), place)
            drawn = jax.random.randint(key, (between * batch_size,), 0, len(digits[1]))
            fit = jgd.minibatch_descent(
                OBJECTIVE,
                params,
                jax.tree.map(lambda x: x[drawn], digits),
                rule=jgd.sgd(rate),
                batch_size=batch_size,
                epochs=1,
                shuffle=False,
            )
            return fit.params, watch(params, digits)

        start = jgd.models.linear.init(None, digits[0].shape[1], 10)
        return jax.lax.scan(some_steps, start, jnp.arange(places))[1]

    seeds = jnp.arange(NUM_SEEDS)
    return jax.vmap(lambda seed: jax.vmap(lambda rate: train(seed, rate))(rates))(seeds)


def steps_until(losses: np.ndarray, between: int) -> float:
    """Steps until losses [places] come down to the target, between two places by a straight line."""
    place = int(np.argmax(losses <= TARGET))
    if losses[place] > TARGET:
        return np.inf
    above, below = losses[place - 1 : place + 1]
    return float(between * (place - 1 + (above - TARGET) / (above - below)))


def best_rate(digits, batch_size: int) -> Best:
    """The learning rate that needs the fewest steps, the mean of the seeds; all of them get there."""
    most = int(36 * (1 + 32 / batch_size))  # nearly twice what the best rate turns out to need
    between = max(1, most // 100)
    losses = follow(
        digits,
        jnp.asarray(LEARNING_RATES, float),
        batch_size=batch_size,
        places=most // between + 1,
        between=between,
        watch=total_loss,
    )
    needed = np.apply_along_axis(steps_until, -1, np.asarray(losses), between).mean(axis=0)
    return Best(float(needed.min()), float(LEARNING_RATES[needed.argmin()]))


def noise_on_the_way(digits, batch_size: int, best: Best) -> np.ndarray:
    """Noise scales [seeds, places] over the steps that the best learning rate needs."""
    between = max(1, int(best.steps) // 25)
    scales = follow(
        digits,
        jnp.array([best.learning_rate]),
        batch_size=batch_size,
        places=max(1, int(best.steps) // between),
        between=between,
        watch=noise_scale,
    )
    return np.asarray(scales)[:, 0]


def fitted(best: dict[int, Best]) -> Law:
    """The law through the steps, so that each deviates by as small a part as can be."""
    sizes, steps = np.array(list(best)), np.array([found.steps for found in best.values()])

    def logarithm(size, log_fewest, log_critical):
        return np.log(Law(np.exp(log_fewest), np.exp(log_critical)).steps(size))

    guess = np.log([steps.min(), np.median(sizes)])
    return Law(*map(float, np.exp(curve_fit(logarithm, sizes, np.log(steps), p0=guess)[0])))


def measure(digits, batch_sizes=BATCH_SIZES, noise_at=NOISE_AT) -> Answers:
    best = {size: best_rate(digits, size) for size in batch_sizes}
    noise = {size: noise_on_the_way(digits, size, best[size]) for size in noise_at}
    return Answers(best, fitted(best), noise)


def gains(best: dict[int, Best]) -> dict[int, float]:
    """By how much twice the batch size divides the number of steps."""
    return {size: best[size].steps / best[2 * size].steps for size in best if 2 * size in best}


def table(answers: Answers) -> str:
    ratios = gains(answers.best)
    lines = [
        f"Steps until the loss is {TARGET:g}:",
        "  batch size   learning rate    steps   / twice the size",
    ]
    for size, (steps, rate) in answers.best.items():
        ratio = f"{ratios[size]:17.2f}" if size in ratios else ""
        lines.append(f"  {size:10d}   {rate:13.3g}  {steps:7.1f}  {ratio}")
    fewest, critical = answers.law
    lines.append(f"Law: {fewest:.1f} * (1 + {critical:.1f} / B) steps")
    lines.append(
        "The critical batch size, foretold by jgd.gradient_noise on the way of the trainings with"
    )
    for size, scale in answers.foretold.items():
        lines.append(f"  batch size {size:3d}: {scale:5.1f}, {scale / critical:.2f} of that of the law")
    return "\n".join(lines)


def _draw_batch_sizes(answers: Answers, axes: Any) -> None:
    """The critical batch size, measured and foretold, and the axis that it lies on."""
    foretold = list(answers.foretold.values())
    axes.axvspan(min(foretold), max(foretold), color="tab:orange", alpha=0.25, lw=0)
    axes.axvline(np.mean(foretold), color="tab:orange", label="critical, by jgd.gradient_noise")
    axes.axvline(answers.law.critical, color="tab:red", label="critical, by the steps")
    axes.set_xscale("log", base=2)
    axes.set_xlabel("batch size B")
    axes.set_xticks(list(answers.best), [str(size) for size in answers.best])
    axes.minorticks_off()


def _draw_steps(answers: Answers, axes: Any) -> None:
    law, sizes = answers.law, np.array(list(answers.best))
    smooth = np.geomspace(sizes[0], sizes[-1], 200)
    _draw_batch_sizes(answers, axes)
    axes.plot(smooth, law.fewest * law.critical / smooth, ":", color="gray", lw=1)
    axes.axhline(law.fewest, ls=":", color="gray", lw=1)
    axes.plot(smooth, law.steps(smooth), color="tab:blue", label="fewest · (1 + critical / B)")
    axes.plot(sizes, [found.steps for found in answers.best.values()], "o", color="tab:blue")
    axes.set_yscale("log", base=2)
    ticks = 10 * 2 ** np.arange(8)
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.set_ylim(law.fewest / 2, 1.2 * law.steps(1))
    axes.set_ylabel(f"steps until the loss is {TARGET:g}")
    axes.set_title("Steps with the best learning rate")
    axes.legend(loc="upper right", framealpha=1)


def _draw_gains(answers: Answers, axes: Any) -> None:
    law, ratios = answers.law, gains(answers.best)
    smooth = np.geomspace(min(ratios), max(ratios), 200)
    _draw_batch_sizes(answers, axes)
    axes.plot(smooth, law.steps(smooth) / law.steps(2 * smooth), color="tab:blue")
    axes.plot(list(ratios), list(ratios.values()), "o", color="tab:blue")
    texts = ((2, "half the steps", max(ratios), "right"), (1, "as many steps", min(ratios), "left"))
    for ratio, text, size, side in texts:
        axes.axhline(ratio, ls=":", color="gray", lw=1)
        axes.annotate(text, (size, ratio), (0, 5), textcoords="offset points", ha=side, color="gray")
    axes.set_ylim(0.8, 2.3)
    axes.set_ylabel("steps(B) / steps(2 B)")
    axes.set_title("What twice the batch size gains")


def _draw_noise(answers: Answers, axes: Any, colours: Any) -> None:
    for size, scales in answers.noise.items():
        share = np.arange(scales.shape[1]) / scales.shape[1]
        colour = colours(np.log2(size) / 9)
        axes.plot(share, np.mean(scales, axis=0), color=colour, label=f"B = {size}")
    axes.axhline(answers.law.critical, color="tab:red", label="critical, by the steps")
    axes.set_yscale("log", base=2)
    ticks = 2 ** np.arange(2, 8)
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel("part of the steps done")
    axes.set_ylabel("noise scale, mean over the seeds")
    axes.set_title("The noise scale on the way")
    axes.legend(loc="lower right")


def draw(answers: Answers) -> Any:
    from matplotlib import colormaps
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained")
    _draw_steps(answers, axes[0])
    _draw_gains(answers, axes[1])
    _draw_noise(answers, axes[2], colormaps["viridis"])
    return figure


def main() -> None:
    start = time.perf_counter()
    answers = measure(load())
    print(table(answers))
    print(f"Seconds, with compiling: {time.perf_counter() - start:.0f}")
    PICTURE.parent.mkdir(exist_ok=True)
    draw(answers).savefig(PICTURE, dpi=90)
    print(
        f"written: {PICTURE.relative_to(Path.cwd()) if PICTURE.is_relative_to(Path.cwd()) else PICTURE}"
    )


if __name__ == "__main__":
    main()

"""Thirty penalty strengths at once, tuned by their exact derivatives.

Ridge regression on the logarithm of the price of diamonds: 23 features and their products, 299 in all,
from 300 examples. Products share a strength with those of the same first feature, numbers have one of
their own, categories one together: 30 groups. The validation error is differentiated through the fit by
`jgd.implicit`, and Adam of optax goes down it in the logarithms of the strengths. Beside it: one
strength for all, by a grid, and as many fits spent on random strengths. The test part judges.

    python experiments/hypergradients.py

Source: Bengio (2000), Neural Computation 12(8); Bergstra and Bengio (2012) for random search.
"""

from pathlib import Path
from typing import NamedTuple

import data
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.tree_util import Partial
from matplotlib import pyplot as plt

import jgd

NUM_GROUPS, STEPS, SEEDS = 30, 150, 5
NUM_NUMBERS = 6  # of the features, the first ones
SIZES = 300, 300, 10_000  # of the three parts
PICTURE = Path(__file__).parent / "output" / "hypergradients.png"


class Split(NamedTuple):
    """Training, validation and test part, each features and targets."""

    training: tuple
    validation: tuple
    test: tuple


class Tuned(NamedTuple):
    """Of each way, validation and test error; those of the gradient [STEPS]."""

    gradient: np.ndarray
    gradient_test: np.ndarray
    random: np.ndarray
    random_test: float
    single: float
    single_test: float


def features(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features with their products, standardised, and the group of each column."""
    num = x.shape[1]
    first, second = np.triu_indices(num)
    wide = np.concatenate([x, x[:, first] * x[:, second]], axis=1)
    own = np.minimum(np.arange(num), NUM_NUMBERS)  # a group for each number, one for all categories
    groups = np.concatenate([own, NUM_NUMBERS + 1 + first])
    scale = wide.std(axis=0)
    return (wide - wide.mean(axis=0)) / np.where(scale > 0, scale, 1), groups


def load(seed: int) -> tuple[Split, jax.Array]:
    table = data.diamonds()
    rows = np.random.default_rng(seed).choice(len(table.x), sum(SIZES), replace=False)
    x, groups = features(table.x[rows])
    parts = np.split(np.arange(len(rows)), np.cumsum(SIZES)[:-1])
    y = table.y[rows]
    split = Split(*((jnp.asarray(x[p], float), jnp.asarray(y[p], float)) for p in parts))
    return split, jnp.asarray(groups)


def loss(params, example):
    return jgd.losses.squared_error(params @ example[0], example[1])


def ridge_of_groups(strengths, groups, params):
    return jnp.sum(strengths[groups] * jnp.square(params)) / 2


def shrunk(strengths, groups, params, step):
    return params / (1 + step * strengths[groups])


def grouped_ridge(strengths, groups) -> jgd.penalties.Penalty:
    """`sum_j s_group(j) p_j² / 2`: a penalty made by hand of its value and its proximal map."""
    bound = strengths, groups
    return jgd.penalties.Penalty(Partial(ridge_of_groups, *bound), Partial(shrunk, *bound), smooth=True)


def fit(objective, params, rows, weights=None):
    return jgd.batch_descent(objective, params, rows, rule=jgd.accelerated(), epochs=60, weights=weights)


def errors(log_strengths, groups, split: Split):
    """Validation error, and test error, of the fit with these strengths."""
    objective = jgd.objective(loss, grouped_ridge(jnp.exp(log_strengths), groups))
    params = jnp.zeros(split.training[0].shape[1])
    params = jgd.implicit(fit)(objective, params, split.training).params
    return tuple(jnp.mean((x @ params - y) ** 2) for x, y in split[1:])


def tune(seed: int, steps: int = STEPS) -> Tuned:
    split, groups = load(seed)
    rule = optax.adam(0.2)

    @jax.jit
    def descend(start):
        def step(carry, _):
            log_strengths, state = carry
            value, grads = jax.value_and_grad(errors, has_aux=True)(log_strengths, groups, split)
            updates, state = rule.update(grads, state)
            return (optax.apply_updates(log_strengths, updates), state), value

        return jax.lax.scan(step, (start, rule.init(start)), length=steps)[1]

    at = jax.jit(jax.vmap(lambda log_strengths: errors(log_strengths, groups, split)))
    grid = jnp.linspace(-7, 2, 19)
    single = at(jnp.broadcast_to(grid[:, None], (19, NUM_GROUPS)))
    best = int(jnp.argmin(single[0]))
    gradient = descend(jnp.full(NUM_GROUPS, grid[best]))
    rng = np.random.default_rng(seed)
    random = at(jnp.asarray(rng.uniform(-7, 2, (steps, NUM_GROUPS)), float))
    chosen = int(jnp.argmin(random[0]))
    return Tuned(
        *map(np.asarray, gradient),
        np.minimum.accumulate(random[0]),
        float(random[1][chosen]),
        float(single[0][best]),
        float(single[1][best]),
    )


def table(tuned: list[Tuned]) -> str:
    lines = [f"{'':30}{'validation':>12}{'test':>18}"]
    ways = {
        "one strength, by a grid": [(t.single, t.single_test) for t in tuned],
        f"{NUM_GROUPS} strengths, at random": [(t.random[-1], t.random_test) for t in tuned],
        f"{NUM_GROUPS} strengths, by gradient": [(t.gradient[-1], t.gradient_test[-1]) for t in tuned],
    }
    for name, pairs in ways.items():
        validation, test = np.mean(pairs, axis=0)
        spread = np.std(pairs, axis=0)[1]
        lines.append(f"{name:30}{validation:12.4f}{test:10.4f} ± {spread:.3f}")
    return "\n".join(lines)


def draw(tuned: list[Tuned]) -> plt.Figure:
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    fits = np.arange(1, len(tuned[0].gradient) + 1)
    curves = {
        f"{NUM_GROUPS} strengths, by their gradient": ("C0", "-", [t.gradient for t in tuned]),
        f"{NUM_GROUPS} strengths, the best of random ones": ("C1", "--", [t.random for t in tuned]),
        "one strength for all, by a grid": ("0.4", ":", [np.full(len(fits), t.single) for t in tuned]),
    }
    for label, (color, style, values) in curves.items():
        ax.plot(fits, np.mean(values, axis=0), style, color=color, label=label)
    ax.set_ylim(0, 1.4 * np.mean([t.single for t in tuned]))
    ax.set(xlabel="fits", ylabel=f"validation error, mean of {len(tuned)} splits")
    ax.set_title("Tuning penalty strengths on diamonds")
    ax.legend(frameon=False, fontsize="small")
    return figure


def main() -> None:
    tuned = [tune(seed) for seed in range(SEEDS)]
    print(table(tuned))
    PICTURE.parent.mkdir(exist_ok=True)
    draw(tuned).savefig(PICTURE, dpi=150)
    print(f"Picture: {PICTURE}")


if __name__ == "__main__":
    main()

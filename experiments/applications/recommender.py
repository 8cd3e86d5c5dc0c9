"""Recommender: which mark, 1 to 5, will a student give to a lecturer?

Mean, biases of students and lecturers, and the product of a few factors of each (models.factorization),
by mini-batches. Beside it alternating least squares, which minimises the very same

    J = mean squared error + (s_b * sum bias² + s_f * sum factor²) / N

exactly in one of the two tables at a time. The strengths s are in units of marks: a lecturer with s_b of
them gets half of the bias that these marks alone would give.

    python experiments/applications/recommender.py [--quick]
"""

import functools
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from matplotlib import pyplot as plt

import jgd

sys.path.append(str(Path(__file__).parents[1]))
import data
import page

RANKS = (0, 2, 8)  # factors of a student, and of a lecturer; without any it is the bias model
BIASES, FACTORS = (4.0, 8.0, 16.0), (12.0, 16.0, 20.0, 24.0)  # strengths to choose from
BATCH_SIZE = 2048
SWEEPS = 20  # of alternating least squares
OF_BIASES = {"mean": False, "user_bias": True, "item_bias": True, "users": False, "items": False}
OF_FACTORS = {"mean": False, "user_bias": False, "item_bias": False, "users": True, "items": True}
COLOURS = dict(zip(RANKS, ("black", "#0072B2", "#D55E00"), strict=True))


class Found(NamedTuple):
    """What came of one rank, by seed; `curves` are test RMSE by epoch; "their" is of the reference."""

    rank: int
    strengths: tuple[float, float]
    curves: np.ndarray
    theirs: np.ndarray
    objective: np.ndarray
    their_objective: np.ndarray
    seconds: np.ndarray
    their_seconds: np.ndarray


def loss(params, example):
    return jgd.losses.squared_error(jgd.models.factorization.predict(params, example[0]), example[1])


def rmse(params, rows):
    predictions = jax.vmap(jgd.models.factorization.predict, (None, 0))(params, rows[0])
    return jgd.metrics.rmse(predictions, rows[1])


def objective(num: int, strengths) -> jgd.Objective:
    """With two ridge penalties, each with a mask of its own."""
    masks = OF_BIASES, OF_FACTORS
    parts = [jgd.penalties.l2(2 * s / num, mask=m) for s, m in zip(strengths, masks, strict=True)]
    return jgd.objective(
        loss, jgd.penalties.Penalty(Partial(_value, parts), Partial(_prox, parts), True)
    )


def _value(parts, params):
    return sum(part.value(params) for part in parts)


def _prox(parts, params, step):
    return functools.reduce(lambda params, part: part.prox(params, step), parts, params)


def divided(pairs, marks, seed: int):
    """Rows to train on and to test with; who is in no training row is -1 among the latter."""
    train, test = page.split(len(marks), seed)
    is_known = np.transpose([np.isin(pairs[test, side], pairs[train, side]) for side in (0, 1)])
    return (pairs[train], marks[train]), (np.where(is_known, pairs[test], -1), marks[test])


def descend(sizes, rank: int, train, test, strengths, epochs: int, seed: int = 0) -> jgd.Fit:
    num, key = len(train[1]), jax.random.key(seed)
    start = jgd.models.factorization.init(key, *sizes, rank=rank, scale=0.5)
    return jgd.minibatch_descent(
        objective(num, strengths),
        {**start, "mean": jnp.mean(train[1])},
        train,
        rule=jgd.adam(page.falling(0.01, epochs * -(-num // BATCH_SIZE))),
        batch_size=BATCH_SIZE,
        epochs=epochs,
        key=key,
        evaluate=rmse,
        validation=test,
    )


def alternating_least_squares(rows, sizes, rank, strengths, sweeps, seed=0) -> dict[str, Any]:
    """Params like those of `models.factorization`: one table at a time is solved for, then the mean."""
    (pairs, marks), rng = rows, np.random.default_rng(seed)
    mean, ridge = marks.mean(), np.diag([strengths[0], *[strengths[1]] * rank])
    tables = [np.column_stack([np.zeros(num), rng.normal(0, 0.5, (num, rank))]) for num in sizes]
    orders = [np.argsort(pairs[:, side], kind="stable") for side in (0, 1)]
    groups = [np.unique(pairs[order, side], return_index=True) for side, order in enumerate(orders)]
    for _ in range(sweeps):
        for side, (order, (ids, starts)) in enumerate(zip(orders, groups, strict=True)):
            other = tables[1 - side][pairs[order, 1 - side]]
            inputs = np.column_stack([np.ones(len(order)), other[:, 1:]])
            wanted = marks[order] - mean - other[:, 0]
            gram = np.add.reduceat(inputs[:, :, None] * inputs[:, None], starts)
            moment = np.add.reduceat(inputs * wanted[:, None], starts)
            tables[side][:] = 0
            tables[side][ids] = np.linalg.solve(gram + ridge, moment[..., None])[..., 0]
        user, item = (tables[side][pairs[:, side]] for side in (0, 1))
        mean = np.mean(marks - user[:, 0] - item[:, 0] - (user[:, 1:] * item[:, 1:]).sum(axis=1))
    users, items = tables
    params = mean, users[:, 0], items[:, 0], users[:, 1:], items[:, 1:]
    return {name: jnp.asarray(x, jnp.float32) for name, x in zip(OF_BIASES, params, strict=True)}


def choose(sizes, rank: int, train, biases: float, epochs: int) -> tuple[float, float]:
    """The strengths with the lowest RMSE on a fifth of the training rows, held out."""
    inner = divided(*train, seed=0)

    def fit(config):
        return descend(sizes, rank, *inner, (config["biases"], config["factors"]), epochs)

    axes = ([biases], FACTORS) if rank else (BIASES, [0.0])
    space = jgd.grid(biases=axes[0], factors=axes[1])
    config = jgd.sweep(fit, space).best(lambda fit: -fit.history.evaluation[-1]).config
    return float(config["biases"]), float(config["factors"])


def learn(sizes, rank: int, seeds, strengths, epochs: int) -> Found:
    """jgd and the reference on the very same rows."""
    measured = []
    for seed, (train, test) in enumerate(seeds):
        start = time.perf_counter()
        fit = jax.block_until_ready(descend(sizes, rank, train, test, strengths, epochs, seed))
        middle = time.perf_counter()
        theirs = alternating_least_squares(train, sizes, rank, strengths, SWEEPS, seed)
        seconds = middle - start, time.perf_counter() - middle
        reached = objective(len(train[1]), strengths)
        values = [float(jgd.value(reached, params, train)) for params in (fit.params, theirs)]
        measured.append((fit.history.evaluation, float(rmse(theirs, test)), *values, *seconds))
    return Found(rank, strengths, *map(np.array, zip(*measured, strict=True)))


def rows_of(found: Found, exact: np.ndarray, quick: bool) -> list[page.Row]:
    """The table's rows of one rank above 0; `exact` is the test RMSE of the bias model."""
    ours, turns = found.curves[:, -1], "alternating least squares"
    row = functools.partial(page.Row, f"InstEval, rank {found.rank}")
    is_below = None if quick else bool(ours.mean() < exact.mean())
    is_near = None if quick else bool(ours.mean() <= 1.01 * found.theirs.mean())
    return [
        row("test RMSE", ours, "bias model, exactly", exact, "below it", is_below),
        row("test RMSE", ours, turns, found.theirs, "within 1%", is_near),
        row("J of the training rows", found.objective, turns, found.their_objective),
        row("seconds, compiled", found.seconds[1:], turns, found.their_seconds[1:]),
    ]


def gains_of(found: Found, exact: np.ndarray) -> str:
    gains, (biases, factors) = exact - found.curves[:, -1], found.strengths
    return (
        f"Rank {found.rank} gains {page.spread(gains)} over the bias model on the same split, "
        f"{gains.mean() / exact.mean():.2%}, and something on {sum(gains > 0)} of {len(gains)} splits; "
        f"alternating least squares gains {page.spread(exact - found.theirs)}. (s_b = {biases:g}, "
        f"s_f = {factors:g})"
    )


def draw(found: list[Found], means: np.ndarray, path: Path) -> None:
    """Test RMSE by epochs; and how far it is from that of the bias model on the same split."""
    figure, (whole, near) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    exact = found[0].theirs[:, None]
    whole.axhline(means.mean(), color="0.55", linestyle=":", label="mean of all marks")
    for ranked in found:
        epochs, gain = np.arange(1, ranked.curves.shape[1] + 1), ranked.curves - exact
        colour, name = COLOURS[ranked.rank], f"rank {ranked.rank}" if ranked.rank else "bias model"
        whole.plot(epochs, ranked.curves.mean(axis=0), color=colour, label=name)
        near.plot(epochs, gain.mean(axis=0), color=colour, label=name)
        near.fill_between(epochs, gain.min(axis=0), gain.max(axis=0), color=colour, alpha=0.2, lw=0)
        near.axhline(np.mean(ranked.theirs - exact[:, 0]), color=colour, linestyle="--", lw=1)
    near.plot([], [], "--", color="0.3", lw=1, label="alternating least squares")
    whole.set(title="Held-out marks", xlabel="epoch", xscale="log", ylabel="test RMSE")
    near.set(title="Beside the exact bias model on the same split", xlabel="epoch", xscale="log")
    near.set(ylabel="difference of test RMSE", ylim=(-0.002, 0.004))
    for ax in (whole, near):
        ax.xaxis.set_major_formatter("{x:g}")
        ax.legend(fontsize="small", frameon=False, loc="upper right")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def run(quick: bool) -> page.Page:
    num = 12_800 if quick else None
    pairs, marks = (x[:num] for x in data.ratings())
    sizes = tuple(map(int, pairs.max(axis=0) + 1))
    seeds = [divided(pairs, marks, seed) for seed in range(1 if quick else page.SEEDS)]
    epochs, strengths, found = (20 if quick else 100), (BIASES[1], FACTORS[1]), []
    for rank in RANKS[:2] if quick else RANKS:
        if not quick:
            strengths = choose(sizes, rank, seeds[0][0], strengths[0], epochs)
        found.append(learn(sizes, rank, seeds, strengths, epochs))
    means = np.array([np.std(test[1] - train[1].mean()) for train, test in seeds])
    biased, exact = found[0].curves[:, -1], found[0].theirs
    explained = [1 - np.mean(ranked.curves[:, -1] ** 2) / np.mean(means**2) for ranked in found]
    table = jgd.models.factorization.init(jax.random.key(0), *sizes, rank=0)
    unknown = [sum(int(x.sum()) for x in jgd.models.unknown(table, test[0])) for _, test in seeds]
    return page.Page(
        title="Recommender",
        about=(
            f"InstEval: {len(marks):,} marks, 1 to 5, that {sizes[0]:,} students gave {sizes[1]:,} "
            "lecturers. Mean, biases and products of factors (`models.factorization`), by Adam over "
            f"mini-batches of {BATCH_SIZE:,}, {epochs} epochs. A fifth is held out, anew for each seed; "
            "strengths were chosen once, on a fifth of the first seed's training rows."
        ),
        rows=[
            page.Row("InstEval, bias model", "test RMSE", biased, "mean of all marks", means),
            page.Row("InstEval, bias model", "test RMSE", biased, "bias model, exactly", exact),
            *(row for ranked in found[1:] for row in rows_of(ranked, exact, quick)),
        ],
        remarks=[
            *(gains_of(ranked, exact) for ranked in found[1:] if not quick),
            f"So the factors gain little: biases explain {explained[0]:.1%} of the variance of a mark, "
            f"with factors it is {explained[-1]:.1%}.",
            f"{min(unknown)} to {max(unknown)} of the test pairs have a student or a lecturer without a "
            "training row (`models.unknown`), whose bias and factors are 0.",
        ],
        draw=functools.partial(draw, found, means),
        caption=(
            "Left: test RMSE after each epoch, mean over the seeds. Right: its distance from that of "
            "the exact bias model on the same split, mean and range; dashed: alternating least squares."
        ),
    )


if __name__ == "__main__":
    page.main(__file__, run)

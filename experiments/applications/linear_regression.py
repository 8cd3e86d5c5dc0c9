"""Linear regression: does descent end where the closed form does, and what if that is not unique?

The price of diamonds, and of houses in Ames, whose columns depend on each other. Mini-batch descent,
all splits as lanes of one program, beside least squares in closed form.

    python experiments/applications/linear_regression.py [--quick]
"""

import contextlib
import functools
import sys
from pathlib import Path

import jax
import numpy as np
import optax
from matplotlib import pyplot as plt

import jgd
from jgd.plots.axes import plain_ticks

sys.path.append(str(Path(__file__).parents[1]))
import data
import page

BATCH_SIZE, LEARNING_RATE, EPOCHS = 64, 0.02, 40
AIM = 0.001  # in test R²
TABLES = {"diamonds": data.diamonds_columns, "houses in Ames": data.ames_columns}


def loss(params, example):
    return jgd.losses.squared_error(jgd.models.linear.predict(params, example["x"]), example["y"])


def scores(params, part):
    square = ((part["x"] @ params["weights"] + params["bias"] - part["y"]) ** 2).mean()
    return {"R²": 1 - square / part["y"].var(), "RMSE": square**0.5}


def encoded(columns: data.Columns, train: np.ndarray) -> np.ndarray:
    """Numbers standardised, categories as 0 and 1, by the training rows alone: [N, D].

    A category that they lack gets a column of zeros at the end, so that D is that of every split.
    """
    scale, _ = jgd.features.standardize(columns.numbers[train])
    encode, _ = jgd.features.one_hot(columns.categories[train])
    x = np.hstack([scale(columns.numbers), encode(columns.categories)])
    num_categories = sum(len(np.unique(column)) for column in columns.categories.T)
    return np.pad(x, ((0, 0), (0, columns.numbers.shape[1] + num_categories - x.shape[1])))


def split(columns: data.Columns, seed: int) -> list[dict[str, np.ndarray]]:
    """Training and test part; the target less its mean over the training part."""
    train, test = page.split(len(columns.target), seed)
    x, y = encoded(columns, train), columns.target - columns.target[train].mean()
    return [{"x": x[rows], "y": np.float32(y[rows])} for rows in (train, test)]


def descend(training, test, key, epochs: int) -> jgd.Fit:
    steps = epochs * -(-len(training["y"]) // BATCH_SIZE)
    return jgd.minibatch_descent(
        jgd.objective(loss),
        jgd.models.linear.init(None, training["x"].shape[1]),
        training,
        rule=jgd.sgd(optax.cosine_decay_schedule(LEARNING_RATE, steps)),
        batch_size=BATCH_SIZE,
        epochs=epochs,
        key=key,
        evaluate=scores,
        validation=test,
    )


def closed_form(training, test) -> dict[str, float]:
    """Least squares of one split; and the normal equations, solved as if they had a single solution."""
    rows, y = np.c_[training["x"], np.ones(len(training["x"]))].astype(float), training["y"]
    used = rows.any(axis=0)
    shortest, _, rank, _ = np.linalg.lstsq(rows, y)
    naive = np.zeros(len(used))
    with contextlib.suppress(np.linalg.LinAlgError):
        naive[used] = np.linalg.solve(rows[:, used].T @ rows[:, used], rows[:, used].T @ y)
    params, other = ({"weights": w[:-1], "bias": w[-1]} for w in (shortest, naive))
    more = {"training": scores(params, training)["R²"], "normal equations": scores(other, test)["R²"]}
    return {**scores(params, test), **more, "columns": used.sum(), "rank": rank}


def compare(columns: data.Columns, num_seeds: int, epochs: int) -> tuple[dict, dict]:
    """Ours: R² and RMSE after each epoch [S, E], R² in training at the end [S]; theirs [S]."""
    parts = [split(columns, seed) for seed in range(num_seeds)]
    training, test = jax.tree.map(lambda *seeds: np.stack(seeds), *parts)
    keys = jax.vmap(jax.random.key)(np.arange(num_seeds))
    fits = jax.vmap(functools.partial(descend, epochs=epochs))(training, test, keys)
    ours = {**fits.history.evaluation, "training": jax.vmap(scores)(fits.params, training)["R²"]}
    theirs = [closed_form(*of_seed) for of_seed in parts]
    return jax.tree.map(np.asarray, ours), jax.tree.map(lambda *seeds: np.array(seeds), *theirs)


def remarks(ours: dict, theirs: dict) -> list[str]:
    normal, columns, rank = (theirs[name] for name in ("normal equations", "columns", "rank"))
    better = int(np.sum(ours["R²"][:, -1] > theirs["R²"]))
    return [
        f"Houses: of {columns.mean():.0f} columns (means over splits; that of the bias is one) "
        f"{rank.mean():.0f} are independent, so least squares has many solutions. `numpy.linalg.lstsq` "
        "takes the shortest. The normal equations by `numpy.linalg.solve` give one that rounding "
        f"chooses: its test R² is {normal.min():.2g} to {normal.max():.2g}. Descent from 0 needs no "
        "care, for it never leaves the space of the rows.",
        f"Houses: after {ours['R²'].shape[1]} epochs descent is still on the way (training R² "
        f"{ours['training'].mean():.4f}; closed form {theirs['training'].mean():.4f}), which gains test "
        f"R² in {better} of {len(theirs['R²'])} splits: early stopping acts as a penalty.",
    ]


def draw(found: dict[str, tuple[dict, dict]], path: Path) -> None:
    figure, axes = plt.subplots(1, len(TABLES), figsize=(9, 3.6), layout="constrained")
    for ax, (name, (ours, theirs)) in zip(axes, found.items(), strict=False):
        curves, level = ours["R²"], theirs["R²"]
        epochs = np.arange(1, curves.shape[1] + 1)
        ax.axhspan(level.min(), level.max(), color="black", alpha=0.12, lw=0)
        ax.axhline(np.median(level), color="black", ls="--", label="least squares, closed form")
        low, high = curves.min(axis=0), curves.max(axis=0)
        ax.fill_between(epochs, low, high, color="#0072B2", alpha=0.25, lw=0)
        ax.plot(epochs, np.median(curves, axis=0), color="#0072B2", label="jgd, mini-batches")
        ax.set(xlabel="epochs", ylabel="test R²", title=name, xscale="log", xlim=(1, epochs[-1]))
        plain_ticks(ax.xaxis)
    axes[0].legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def run(quick: bool) -> page.Page:
    num_seeds, epochs = (2, 3) if quick else (page.SEEDS, EPOCHS)
    found, rows = {}, []
    for name, load in list(TABLES.items())[-1 if quick else 0 :]:
        columns = load()
        if quick:
            columns = data.Columns(*(part[::6] for part in columns))
        ours, theirs = found[name] = compare(columns, num_seeds, epochs)
        aim = ()
        if name == "diamonds":
            apart = np.abs(ours["R²"][:, -1] - theirs["R²"]).max()
            aim = f"within {AIM} in every split", bool(apart <= AIM)
        for measure, judged in (("R²", aim), ("RMSE", ())):
            both = ours[measure][:, -1], "least squares, closed form", theirs[measure]
            rows.append(page.Row(f"{name}, log price", f"test {measure}", *both, *judged))
    return page.Page(
        title="Linear regression",
        about=(
            "The logarithm of the price of 53,940 diamonds and of 2,930 houses, by numbers and by "
            f"categories as columns of 0 and 1. Mini-batches of {BATCH_SIZE}, a learning rate of "
            f"{LEARNING_RATE} that falls to 0 as a cosine over {epochs} epochs, both fixed; all splits "
            "are lanes of one program (`jax.vmap`)."
        ),
        rows=rows,
        remarks=remarks(*found["houses in Ames"]),
        draw=functools.partial(draw, found),
        caption="Test R² by epochs, and that of the closed form: median and range over the splits.",
    )


if __name__ == "__main__":
    page.main(__file__, run)

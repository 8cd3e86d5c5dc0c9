"""The demo: logistic regression on the breast-cancer data, by all three variants of descent.

Each variant is run as a program of its own, then all three as one program in which the batch size
is a number like the learning rate, then all three once more on features of raw scale.
"""

import operator
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from jgd import features, losses, stop
from jgd.descent.explain import explain
from jgd.descent.loop import Fit, descend
from jgd.descent.rules import sgd
from jgd.descent.status import Status
from jgd.models import linear
from jgd.objectives.objective import objective, value
from jgd.plots import learning_curves

SEED = 0
TEST_SHARE = 0.2
EPOCHS = 200  # a bound: the stop tests end every descent that is done
GRADIENT_TOLERANCE = 0.01
TIMED_RUNS = 5


class Variant(NamedTuple):
    """A variant of descent.

    Attributes:
      name: for tables and pictures.
      batch_size: None for all examples.
      learning_rate: the smaller the batch, the noisier the step, the smaller the rate.
    """

    name: str
    batch_size: int | None
    learning_rate: float


VARIANTS = (
    Variant("batch", None, 1.0),
    Variant("stochastic", 1, 0.01),
    Variant("mini-batch of 32", 32, 0.1),
)


class Split(NamedTuple):
    """Training and test part, each `{"x": [N, D], "y": [N]}`."""

    train: Any
    test: Any


class Row(NamedTuple):
    """What the table tells of a fit. `seconds` is None where it ran together with others."""

    variant: str
    epochs: int
    updates: int
    seconds: float | None
    loss: float
    accuracy: float
    status: Status


class Results(NamedTuple):
    """The results of the demo, in the order of `VARIANTS`.

    Attributes:
      apart: rows of the runs as three programs.
      together: rows of the run as one program.
      together_seconds: of that one program.
      largest_difference: between parameters of the same variant, run apart and together.
      fits: name -> `Fit`, of the runs as three programs.
      raw_fits: name -> `Fit`, the same on raw features.
    """

    apart: list[Row]
    together: list[Row]
    together_seconds: float
    largest_difference: float
    fits: dict[str, Fit]
    raw_fits: dict[str, Fit]


def loss(params, example):
    """Logistic loss of one example."""
    return losses.logistic(linear.predict(params, example["x"]), example["y"])


def accuracy(params, data):
    """Share of examples on the right side of the boundary."""
    scores = jax.vmap(linear.predict, in_axes=(None, 0))(params, data["x"])
    return jnp.mean((scores > 0) == (data["y"] == 1))


OBJECTIVE = objective(loss)


def raw_split() -> Split:
    """The data as they are, split by a seed, with equal shares of both classes."""
    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        x, y, test_size=TEST_SHARE, random_state=SEED, stratify=y
    )
    return Split(
        {"x": jnp.asarray(x_train, float), "y": jnp.asarray(y_train)},
        {"x": jnp.asarray(x_test, float), "y": jnp.asarray(y_test)},
    )


def standardized(split: Split) -> Split:
    """The split with features brought to one scale by the statistics of the training part."""
    transform, _ = features.standardize(split.train["x"])
    return Split(*({**part, "x": transform(part["x"])} for part in split))


def fit_variant(batch_size, learning_rate, split: Split) -> Fit:
    """The fit of one variant, from parameters 0."""
    key = jax.random.key(SEED)
    return descend(
        OBJECTIVE,
        linear.init(key, split.train["x"].shape[1]),
        split.train,
        rule=sgd(learning_rate),
        batch_size=batch_size,
        epochs=EPOCHS,
        key=key,
        stop=(stop.gradient_norm(GRADIENT_TOLERANCE), stop.plateau()),
        evaluate=accuracy,
        validation=split.test,
    )


# One program for all variants: the batch size is traced, so it is mapped over like any number.
fit_together = jax.jit(jax.vmap(fit_variant, in_axes=(0, 0, None)))


def timed(function: Callable, *arguments) -> tuple[Any, float]:
    """The result of a function, and the seconds of the fastest of a few runs after the first.

    The first run compiles. Of the others the fastest is the least disturbed by the machine.
    """
    result = jax.block_until_ready(function(*arguments))
    seconds = []
    for _ in range(TIMED_RUNS):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        seconds.append(time.perf_counter() - start)
    return result, min(seconds)


def row(variant: Variant, fit: Fit, seconds: float | None, train: Any) -> Row:
    """What the table tells of a fit."""
    num_examples, epochs = len(train["y"]), int(fit.epochs)
    return Row(
        variant=variant.name,
        epochs=epochs,
        updates=epochs * -(-num_examples // (variant.batch_size or num_examples)),
        seconds=seconds,
        loss=float(value(OBJECTIVE, fit.params, train)),
        accuracy=float(fit.history.evaluation[epochs - 1]),
        status=Status(int(fit.status)),
    )


def fits_apart(split: Split) -> tuple[dict[str, Fit], list[Row]]:
    """All variants, a program each: the fits by name, and their rows."""
    fits, rows = {}, []
    for variant in VARIANTS:
        fit, seconds = timed(fit_variant, variant.batch_size, variant.learning_rate, split)
        fits[variant.name] = fit
        rows.append(row(variant, fit, seconds, split.train))
    return fits, rows


def fits_together(split: Split) -> tuple[list[Fit], float]:
    """All variants in one program: the fits, and the seconds for all of them together."""
    num_examples = len(split.train["y"])
    batch_sizes = jnp.array([variant.batch_size or num_examples for variant in VARIANTS])
    learning_rates = jnp.array([variant.learning_rate for variant in VARIANTS])
    lanes, seconds = timed(fit_together, batch_sizes, learning_rates, split)
    return [jax.tree.map(operator.itemgetter(lane), lanes) for lane in range(len(VARIANTS))], seconds


def largest_difference(some: Any, others: Any) -> float:
    """Largest absolute difference between the numbers of two equal pytrees."""
    differences = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b)), some, others)
    return max(float(difference) for difference in jax.tree.leaves(differences))


def results(raw: Split) -> Results:
    """Run everything that the demo shows."""
    split = standardized(raw)
    fits, apart = fits_apart(split)
    lanes, seconds = fits_together(split)
    return Results(
        apart=apart,
        together=[row(v, fit, None, split.train) for v, fit in zip(VARIANTS, lanes, strict=True)],
        together_seconds=seconds,
        largest_difference=largest_difference(
            [fit.params for fit in fits.values()], [fit.params for fit in lanes]
        ),
        fits=fits,
        raw_fits={v.name: fit_variant(v.batch_size, v.learning_rate, raw) for v in VARIANTS},
    )


def table(done: Results) -> Table:
    """The rows, apart and together."""
    shown = Table(
        title="Logistic regression on the breast-cancer data, features standardised",
        caption=f"Seconds: the fastest of {TIMED_RUNS} runs after the first, which compiles "
        "and is left out.",
        box=box.SIMPLE,
        collapse_padding=True,
        pad_edge=False,
    )
    shown.add_column("variant", no_wrap=True)
    for name in ("epochs", "updates", "seconds", "final loss", "test accuracy"):
        shown.add_column(name, justify="right")
    shown.add_column("status")
    apart_seconds = sum(r.seconds or 0 for r in done.apart)
    add_section(shown, "A program each", done.apart, apart_seconds)
    add_section(shown, "All in one program", done.together, done.together_seconds)
    return shown


def add_section(shown: Table, heading: str, rows: list[Row], seconds: float) -> None:
    """Add rows under a heading, and the seconds of all of them."""
    shown.add_row(f"[bold]{heading}[/bold]")
    for r in rows:
        shown.add_row(
            f"  {r.variant}",
            str(r.epochs),
            str(r.updates),
            "" if r.seconds is None else f"{r.seconds:.4f}",
            f"{r.loss:.4f}",
            f"{r.accuracy:.1%}",
            r.status.name,
        )
    shown.add_row("  all three", "", "", f"{seconds:.4f}", end_section=True)


def advice(fits: Mapping[str, Fit]) -> list[Text]:
    """What became of each fit and what to do; fits with the same advice share a paragraph."""
    headlines: dict[str, list[Text]] = {}
    for name, fit in fits.items():
        headline, _, what_to_do = explain(fit).partition("\n")
        headlines.setdefault(what_to_do, []).append(Text.assemble((name, "bold"), ": ", headline))
    return [Text("\n").join([*told, Text(what_to_do)]) for what_to_do, told in headlines.items()]


def figure(fits: Mapping[str, Fit], raw_fits: Mapping[str, Fit]) -> Figure:
    """The learning curves, on standardised features and on raw ones."""
    shown = Figure(figsize=(11, 4.5), layout="constrained")
    shown.suptitle("Logistic regression on the breast-cancer data")
    left, right = shown.subplots(1, 2)
    learning_curves(fits, left).set_title("features standardised")
    learning_curves(raw_fits, right).set_title("features of raw scale, same learning rates")
    return shown


def demo() -> Figure:
    """Run the demo: print the table and the advice.

    Returns:
      The figure of the learning curves.
    """
    console = Console(highlight=False)
    raw = raw_split()
    scales = jnp.std(raw.train["x"], axis=0)
    console.print(
        f"{len(raw.train['y'])} examples to learn from, {len(raw.test['y'])} to test on, "
        f"{len(scales)} features.\n"
    )
    done = results(raw)
    console.print(table(done))
    console.print(
        "\nIn the one program the batch size is a traced number under jax.vmap, like the learning "
        "rate. Its parameters differ from those of the programs apart by at most "
        f"{done.largest_difference:.1g}."
    )
    console.print(
        "\n[bold]The same on raw features.[/bold] Their standard deviations run from "
        f"{scales.min():.2g} to {scales.max():.0f}."
    )
    for paragraph in advice(done.raw_fits):
        console.print()
        console.print(paragraph)
    return figure(done.fits, done.raw_fits)

"""A worked example of a tutorial, and why its printed result cannot be.

A tutorial on batch gradient descent sets X = [[1, 1], [2, 2], [3, 3]], y = [1, 2, 3], starts at
theta = 0, and repeats 1000 times

    theta -= alpha * (2/m) * X^T (X theta - y),    alpha = 0.01, m = 3.

It prints [0.99935587 0.99933838]. This script computes what is true, and says why.

    python experiments/worked_example.py
"""

from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import jgd

X = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
y = np.array([1.0, 2.0, 3.0])
LEARNING_RATE = 0.01
ITERATIONS = 1000
PRINTED = np.array([0.99935587, 0.99933838])
OTHER_START = np.array([1.5, 0.0])
PICTURE = Path(__file__).parent / "output" / "worked_example.png"


class WorkedExample(NamedTuple):
    """The numbers of the example.

    Attributes:
      loop: [2], what the tutorial's own loop gives, in numpy.
      from_zero: [K + 1, 2], path of jgd from 0, the start first.
      from_other: [K + 1, 2], path of jgd from `OTHER_START`.
      least_norm: [2], `pinv(X) y`.
      nearest: [2], the minimiser nearest to `OTHER_START`.
      closed_form: [K + 1, 2], path from 0 by `w* + (I - alpha H)^k (w0 - w*)`.
      closed_form_other: [K + 1, 2], the same from `OTHER_START`.
      rank: of X.
    """

    loop: np.ndarray
    from_zero: np.ndarray
    from_other: np.ndarray
    least_norm: np.ndarray
    nearest: np.ndarray
    closed_form: np.ndarray
    closed_form_other: np.ndarray
    rank: int


def loss(theta, example):
    """Squared error of one example; its mean has the gradient `(2/m) Xᵀ(X theta - y)`."""
    inputs, target = example
    return jgd.losses.squared_error(inputs @ theta, target)


def components(theta, data):
    """The parameters as numbers to be recorded after every epoch."""
    return {"theta_1": theta[0], "theta_2": theta[1]}


OBJECTIVE = jgd.objective(loss)
DATA = (jnp.asarray(X), jnp.asarray(y))


def mean_squared_error(theta):
    """J at theta [2]."""
    return jgd.value(OBJECTIVE, theta, DATA)


def loop_of_the_tutorial() -> np.ndarray:
    """The loop as the tutorial writes it, in numpy."""
    theta = np.zeros(2)
    for _ in range(ITERATIONS):
        theta -= LEARNING_RATE * (2 / len(y)) * X.T @ (X @ theta - y)
    return theta


def path_of_descent(start) -> np.ndarray:
    """The path [K + 1, 2] of `jgd.batch_descent`, the start first."""
    fit = jgd.batch_descent(
        OBJECTIVE,
        jnp.asarray(start, float),
        DATA,
        rule=jgd.sgd(LEARNING_RATE),
        epochs=ITERATIONS,
        evaluate=components,
    )
    after = fit.history.evaluation
    return np.vstack([start, np.column_stack([after["theta_1"], after["theta_2"]])])


def path_in_closed_form(start, minimiser) -> np.ndarray:
    """`w* + (I - alpha H)^k (w0 - w*)` for k = 0..K, [K + 1, 2], with `H = (2/m) XᵀX`.

    H is symmetric, so its k-th power is that of its eigenvalues.
    """
    hessian = (2 / len(y)) * X.T @ X
    eigenvalues, eigenvectors = np.linalg.eigh(hessian)
    powers = (1 - LEARNING_RATE * eigenvalues) ** np.arange(ITERATIONS + 1)[:, None]
    return minimiser + (powers * (eigenvectors.T @ (start - minimiser))) @ eigenvectors.T


def worked_example() -> WorkedExample:
    """All numbers of the example, computed."""
    least_norm = np.linalg.pinv(X) @ y
    # Descent moves in the row space of X alone: what the start has beside it, it keeps.
    row_space = np.linalg.pinv(X) @ X
    nearest = least_norm + OTHER_START - row_space @ OTHER_START
    return WorkedExample(
        loop=loop_of_the_tutorial(),
        from_zero=path_of_descent(np.zeros(2)),
        from_other=path_of_descent(OTHER_START),
        least_norm=least_norm,
        nearest=nearest,
        closed_form=path_in_closed_form(np.zeros(2), least_norm),
        closed_form_other=path_in_closed_form(OTHER_START, least_norm),
        rank=int(np.linalg.matrix_rank(X)),
    )


def report(numbers: WorkedExample) -> str:
    """What is true, and why, in words."""
    end, end_other = numbers.from_zero[-1], numbers.from_other[-1]
    at_zero, at_printed, at_end = (float(mean_squared_error(w)) for w in (np.zeros(2), PRINTED, end))
    gap = max(
        np.abs(numbers.closed_form - numbers.from_zero).max(),
        np.abs(numbers.closed_form_other - numbers.from_other).max(),
    )
    return f"""\
The tutorial prints         {_shown(PRINTED)}
Its own loop, in numpy      {_shown(numbers.loop)}
jgd.batch_descent           {_shown(end)}
numpy.linalg.pinv(X) @ y    {_shown(numbers.least_norm)}

Why the printed result cannot be
  Symmetry: both columns of X are equal, so both entries of every gradient are
  equal, and from theta = 0 both entries of theta stay equal. Those of jgd
  differ by {abs(end[0] - end[1]):.1g}, the printed ones by {abs(PRINTED[0] - PRINTED[1]):.1g}.
  Loss: the mean squared error at the printed theta is {at_printed:.4f}. At theta = 0,
  where descent starts, it is {at_zero:.4f}; where descent ends it is {at_end:.1g}.

What is true, and why
  X has rank {numbers.rank}: its rows are 1, 2 and 3 times (1, 1). Only theta_1 + theta_2
  meets the data, and every theta on the line theta_1 + theta_2 = 1 is a
  minimiser. The printed ones add up to {PRINTED.sum():.4f}, those of jgd to {end.sum():.4f}.
  The gradient is a sum of multiples of the rows of X, so descent moves along
  (1, 1), the row space, and never across it.
  From {_shown(np.zeros(2))} it ends at {_shown(end)},
    the minimiser of least norm, pinv(X) @ y = {_shown(numbers.least_norm)}.
  From {_shown(OTHER_START)} it ends at {_shown(end_other)};
    the minimiser nearest to that start is {_shown(numbers.nearest)}.
  The closed form theta_k = w* + (I - alpha H)^k (theta_0 - w*), where
  H = (2/m) X^T X, differs from jgd by at most {gap:.1g} over all {ITERATIONS} steps of
  both descents: 32-bit floats are rounded at {np.finfo(np.float32).eps:.1g} of their size."""


def _shown(theta) -> str:
    return f"[{theta[0]:.8f} {theta[1]:.8f}]"


def save_picture(numbers: WorkedExample, picture: Path) -> None:
    """Both paths on the contours of J, with the line of minimisers."""
    from matplotlib.figure import Figure

    from jgd.plots import path_on_contours

    figure = Figure(figsize=(11, 6.2), layout="constrained")
    figure.suptitle(
        f"Mean squared error, X of rank {numbers.rank}: descent ends at the nearest minimiser"
    )
    panels = figure.subplots(1, 2)
    for ax, path in zip(panels, (numbers.from_zero, numbers.from_other), strict=True):
        path_on_contours(mean_squared_error, path, ax=ax)
        ax.axline((1, 0), slope=-1, color="tab:green", linestyle="--", linewidth=2, label="minimisers")
        ax.set(
            xlabel="theta_1",
            ylabel="theta_2",
            title=f"from ({path[0, 0]:g}, {path[0, 1]:g}) to ({path[-1, 0]:.2f}, {path[-1, 1]:.2f})",
        )
        ax.get_legend().remove()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=150)


if __name__ == "__main__":
    numbers = worked_example()
    print(report(numbers))
    save_picture(numbers, PICTURE)
    print(f"\nPicture: {PICTURE}")

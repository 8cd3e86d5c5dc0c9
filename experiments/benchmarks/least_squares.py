"""What do sufficient statistics gain in full-batch least squares, and what do they cost in digits?

1,000 steps over 1,000,000 examples of 100 features. The statistics are made anew in each run; of the
loops that read all examples a few steps are timed, since a thousand would be as many times longer.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from harness import Competitor, compare, save

import jgd

STEPS, FEW_STEPS = 1_000, 6
LEARNING_RATE = 0.3
NEWTON_STEPS = 20
DIGITS = 20_000, 100
PROBLEMS = ((1, 0), (1e2, 0), (1e3, 0), (1e4, 0), (1, 1e2))  # condition number, mean of the features


class Problem(NamedTuple):
    """Least squares, float32, with its solution in float64."""

    x: np.ndarray
    y: np.ndarray
    solution: np.ndarray
    hessian: np.ndarray


def squares(params, example):
    inputs, target = example
    return jgd.losses.squared_error(jgd.models.linear.predict(params, inputs), target)


def quadratic(params, sums):
    gram, moment, square = sums
    point = jnp.append(params["weights"], params["bias"])
    return point @ gram @ point - 2 * moment @ point + square


SQUARES, QUADRATIC = jgd.objective(squares), jgd.objective(quadratic)


def main() -> None:
    problem = least_squares(1_000_000, 100)
    competitors = [_statistics(problem), _plain(problem), *_numpy(problem)]
    row = compare("1,000,000 x 100, 1,000 steps", competitors, {"jgd, plain loop": 50})
    notes = [
        "jgd and numpy with XᵀX include the making of it in their 1,000 steps; of the other two "
        f"{FEW_STEPS} steps are timed, less one, and the time of a step is taken to stay the same.",
        f"Digits, at {DIGITS[0]:,} x {DIGITS[1]} in float32: distance to the float64 solution, relative "
        f"to it, where the gradient vanishes ({NEWTON_STEPS} steps of Newton with the float64 Hessian), "
        f"and after {STEPS:,} steps of descent.",
        *map(digits, PROBLEMS),
    ]
    print("\n".join(notes))
    save("What do sufficient statistics gain in full-batch least squares?", "step", [row], notes)


def least_squares(
    num_examples: int, num_features: int, condition: float = 1, mean: float = 0
) -> Problem:
    """Gaussian features of a condition number about a mean; the residuals have deviation 0.1."""
    rng = np.random.default_rng(0)
    directions, _ = np.linalg.qr(rng.standard_normal((num_features, num_features)))
    spread = np.geomspace(1, 1 / condition, num_features)[:, None] * directions
    x = rng.standard_normal((num_examples, num_features), np.float32) @ spread.astype(np.float32)
    x += np.float32(mean)
    noise = 0.1 * rng.standard_normal(num_examples)
    y = (x @ rng.standard_normal(num_features) + 1 + noise).astype(np.float32)
    rows = np.append(x, np.ones_like(y)[:, None], axis=1).astype(float)
    hessian = 2 / num_examples * rows.T @ rows
    solution = np.zeros(num_features + 1)
    for _ in range(3):  # the second and third solve take back what the first has rounded
        gradient = 2 / num_examples * rows.T @ (rows @ solution - y)
        solution -= np.linalg.solve(hessian, gradient)
    return Problem(x, y, solution, hessian)


def _statistics(problem: Problem) -> Competitor:
    x, y = jnp.asarray(problem.x), jnp.asarray(problem.y)
    params = jgd.models.linear.init(None, x.shape[1])
    rule = jgd.sgd(LEARNING_RATE)

    def run():
        objective, data = jgd.sufficient_statistics(x, y)
        return jgd.batch_descent(objective, params, data, rule=rule, epochs=STEPS)

    return Competitor("jgd, sufficient statistics", run, units=STEPS)


def _plain(problem: Problem) -> Competitor:
    data = jnp.asarray(problem.x), jnp.asarray(problem.y)
    params = jgd.models.linear.init(None, data[0].shape[1])
    rule = jgd.sgd(LEARNING_RATE)

    def fit(epochs: int):
        return jgd.batch_descent(SQUARES, params, data, rule=rule, epochs=epochs)

    return _marginal("jgd, plain loop", fit)


def _numpy(problem: Problem) -> list[Competitor]:
    """The gradient over all examples in each step, and the one that XᵀX gives."""
    x, y = problem.x, problem.y
    scale = np.float32(2 * LEARNING_RATE / len(x))

    def loop(steps: int):
        weights, bias = np.zeros(x.shape[1], np.float32), np.float32(0)
        for _ in range(steps):
            residuals = x @ weights + bias - y
            weights -= scale * (residuals @ x)
            bias -= scale * residuals.sum()
        return weights, bias

    def loop_of_products():
        gram, moment, sums, total = x.T @ x, y @ x, x.sum(axis=0), y.sum()
        weights, bias = np.zeros(x.shape[1], np.float32), np.float32(0)
        for _ in range(STEPS):
            slope = gram @ weights + bias * sums - moment
            slope_of_bias = sums @ weights + len(x) * bias - total
            weights -= scale * slope
            bias -= scale * slope_of_bias
        return weights, bias

    return [_marginal("numpy", loop), Competitor("numpy, XᵀX", loop_of_products, units=STEPS)]


def _marginal(name: str, fit: Any) -> Competitor:
    few, one = functools.partial(fit, FEW_STEPS), functools.partial(fit, 1)
    return Competitor(name, few, units=FEW_STEPS, idle=one, idle_units=1)


def digits(kind: tuple[float, float]) -> str:
    """How far from the float64 solution each form of one problem leads, in a sentence."""
    problem = least_squares(*DIGITS, *kind)
    x, y = (jnp.asarray(v) for v in (problem.x, problem.y))
    forms = {
        "sufficient statistics": jgd.sufficient_statistics(x, y),
        "plain loss": (SQUARES, (x, y)),
        "XᵀX, Xᵀy and yᵀy, exact to float32": (QUADRATIC, _products(problem)),
    }
    parts = [
        f"{name} {_end(problem, *form):.1e} and {_after_descent(problem, *form):.2e}"
        for name, form in forms.items()
    ]
    return f"Condition number {kind[0]:g}, mean of the features {kind[1]:g}: {'; '.join(parts)}."


def _products(problem: Problem) -> list[jax.Array]:
    """What a person would take for the statistics: summed in float64, then rounded."""
    rows = np.append(problem.x, np.ones_like(problem.y)[:, None], axis=1).astype(float)
    sums = rows.T @ rows, rows.T @ problem.y.astype(float), problem.y.astype(float) @ problem.y
    return [jnp.asarray(v / len(rows), jnp.float32)[None] for v in sums]


def _distance(problem: Problem, params) -> float:
    point = np.append(params["weights"], params["bias"])
    return float(np.linalg.norm(point - problem.solution) / np.linalg.norm(problem.solution))


def _end(problem: Problem, objective, data) -> float:
    params = jgd.models.linear.init(None, problem.x.shape[1])
    for _ in range(NEWTON_STEPS):
        _, grads = jgd.value_and_gradient(objective, params, data)
        move = np.linalg.solve(problem.hessian, np.append(grads["weights"], grads["bias"]).astype(float))
        point = np.append(params["weights"], params["bias"]) - move
        params = {"weights": jnp.asarray(point[:-1], jnp.float32), "bias": jnp.float32(point[-1])}
    return _distance(problem, params)


def _after_descent(problem: Problem, objective, data) -> float:
    params = jgd.models.linear.init(None, problem.x.shape[1])
    rule = jgd.sgd(1 / np.linalg.eigvalsh(problem.hessian)[-1], momentum=0.9)
    fit = jax.block_until_ready(jgd.batch_descent(objective, params, data, rule=rule, epochs=STEPS))
    return _distance(problem, fit.params)


if __name__ == "__main__":
    main()

"""Who is first within a thousandth of the minimum?

Logistic regression and least squares with an l2 penalty, on features that are independent and on
features that are correlated. For each solver the fewest epochs or iterations that suffice, and the best
of a few learning rates where it wants one, are found beforehand; then that setting is timed.
"""

import importlib.util
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from harness import Competitor, Row, compare, save
from sklearn.exceptions import ConvergenceWarning
from solvers import Problem, Solver, jaxopt_solvers, jgd_solvers, sklearn_solvers

NUM_EXAMPLES, NUM_FEATURES, STRENGTH, ACCURACY = 100_000, 100, 1e-4, 1e-3
PROBLEMS = {
    "logistic, independent features": (True, 1.0),
    "logistic, correlated features": (True, 1e3),
    "least squares, correlated features": (False, 1e3),
}
NO_JAXOPT = "jaxopt is not installed in this environment, so its lines are left out."


class Setting(NamedTuple):
    """The least effort that makes a solver accurate, and the learning rate that it takes."""

    effort: int
    rate: float | None


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows, notes = [], []
    for name, (logistic, condition) in PROBLEMS.items():
        work = f"{name}, {NUM_EXAMPLES:,} x {NUM_FEATURES}"
        row, settings = _race(work, make_problem(logistic, condition))
        rows.append(row)
        notes.append(f"{work}, settings found. {settings}.")
    if importlib.util.find_spec("jaxopt") is None:
        notes.append(NO_JAXOPT)
    save("Who is first within a thousandth of the minimum?", "fit", rows, notes)


def _race(work: str, problem: Problem) -> tuple[Row, str]:
    bound = (1 + ACCURACY) * value(problem, *minimiser(problem))
    competitors, settings = [], []
    for solver in [*jgd_solvers(problem), *sklearn_solvers(problem), *jaxopt_solvers(problem)]:
        found = cheapest(solver, lambda params: value(problem, *params) <= bound)
        if found is None:
            settings.append(f"{solver.name}: not within {solver.most} {solver.unit}")
            continue
        competitors.append(Competitor(solver.name, lambda s=solver, f=found: s.fit(*f)))
        rate = "" if found.rate is None else f", rate {found.rate:.3g}"
        settings.append(f"{solver.name}: {solver.unit} {found.effort}{rate}")
        print(settings[-1], flush=True)
    return compare(work, competitors), "; ".join(settings)


def make_problem(logistic: bool, condition: float) -> Problem:
    """Standardised Gaussian features whose covariance has about this condition number."""
    rng = np.random.default_rng(0)
    mixed, _ = np.linalg.qr(rng.standard_normal((NUM_FEATURES, NUM_FEATURES)))
    mixing = np.geomspace(condition**-0.5, 1, NUM_FEATURES)[:, None] * mixed
    inputs = rng.standard_normal((NUM_EXAMPLES, NUM_FEATURES)) @ mixing
    inputs /= inputs.std(0)
    scores = inputs @ rng.standard_normal(NUM_FEATURES)
    scores *= 2 / scores.std()
    noise = rng.logistic(size=NUM_EXAMPLES)
    targets = scores + noise > 0 if logistic else scores + noise
    return Problem(logistic, inputs.astype(np.float32), targets.astype(np.float32), STRENGTH)


def value(problem: Problem, weights, intercept) -> float:
    """J, in float64."""
    weights = np.asarray(weights, float)
    scores = problem.inputs @ weights + float(intercept)
    if problem.logistic:
        losses = np.logaddexp(0, scores) - problem.targets * scores
    else:
        losses = (scores - problem.targets) ** 2
    return float(losses.mean() + problem.strength / 2 * weights @ weights)


def minimiser(problem: Problem) -> tuple[np.ndarray, float]:
    """Weights and intercept, by Newton's method in float64."""
    inputs = np.c_[problem.inputs.astype(float), np.ones(len(problem.inputs))]
    penalty = problem.strength * np.append(np.ones(inputs.shape[1] - 1), 0)
    params = np.zeros(inputs.shape[1])
    for _ in range(20 if problem.logistic else 1):
        scores = inputs @ params
        if problem.logistic:
            chance = 1 / (1 + np.exp(-scores))
            slope, curvature = chance - problem.targets, chance * (1 - chance)
        else:
            slope, curvature = 2 * (scores - problem.targets), np.full(len(inputs), 2.0)
        gradient = slope @ inputs / len(inputs) + penalty * params
        hessian = (inputs * curvature[:, None]).T @ inputs / len(inputs) + np.diag(penalty)
        params -= np.linalg.solve(hessian, gradient)
    return params[:-1], float(params[-1])


def cheapest(solver: Solver, is_accurate: Callable) -> Setting | None:
    """The least effort over all learning rates; None where the most is too little."""
    best = None
    for rate in solver.rates:
        most = solver.most if best is None else best.effort - 1
        effort = least_effort(lambda effort, r=rate: is_accurate(solver.fit(effort, r)), most)
        best = best if effort is None else Setting(effort, rate)
    return best


def least_effort(suffices: Callable[[int], bool], most: int) -> int | None:
    """The least effort from 1 to `most` that suffices, by doubling and halving."""
    too_little, enough = 0, 1
    while enough <= most and not suffices(enough):
        too_little, enough = enough, min(2 * enough, max(most, enough + 1))
    if enough > most:
        return None
    while enough - too_little > 1:
        middle = (too_little + enough) // 2
        too_little, enough = (too_little, middle) if suffices(middle) else (middle, enough)
    return enough


if __name__ == "__main__":
    main()

"""How long do convex problems take to a relative suboptimality of 1e-6, on real data?

Logistic regression with l2, lasso, elastic net and ridge, each with a free intercept. J is evaluated in
float64, and what is lowest is the lowest that any solver found, references in float64 among them. Each
solver runs with the least effort that suffices, found beforehand; compiling is done before, too.
"""

import functools
import importlib.util
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from harness import Competitor, compare, save
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge

import jgd

sys.path.insert(0, str(Path(__file__).parents[1]))
import data

ACCURACY = 1e-6
MOST_SECONDS = 10.0  # of the search for the effort of a solver, beyond which it is given up
GROWTH = 1.4  # of the effort from try to try
RATIO = 0.5  # share of l1 in the elastic net
MASK = {"weights": True, "bias": False}


class Problem(NamedTuple):
    """What is solved.

    Attributes:
      kind: "logistic", "lasso", "elastic net" or "ridge".
      x: [N, D], float32.
      y: [N], float32; labels 0 and 1 of logistic regression.
      strength: of the penalty.
    """

    kind: str
    x: np.ndarray
    y: np.ndarray
    strength: float

    def value(self, weights, bias) -> float:
        """J, in float64."""
        weights = np.asarray(weights, float)
        scores = self.x.astype(float) @ weights + float(bias)
        if self.kind == "logistic":
            losses = np.logaddexp(0, scores) - self.y * scores
        else:
            losses = (scores - self.y) ** 2
        l1 = {"lasso": 1.0, "elastic net": RATIO}.get(self.kind, 0.0)
        size = l1 * np.abs(weights).sum() + (1 - l1) / 2 * weights @ weights
        return float(losses.mean() + self.strength * size)


class Solver(NamedTuple):
    """How it is solved.

    Attributes:
      name: as it stands in the table.
      fit: `effort -> (weights, bias)`, compiled anew for each effort where it is compiled.
      after: `() -> iterator` of efforts and what it has after each; None: `fit` is tried.
    """

    name: str
    fit: Callable[[int], Any]
    after: Callable[[], Iterator[Any]] | None = None


def main() -> None:
    warnings.filterwarnings("ignore")
    rows, notes = [], []
    for name, table in tables().items():
        for problem in problems(table):
            work = f"{name} {problem.x.shape[0]:,} x {problem.x.shape[1]:,}, {problem.kind}"
            row, given_up = measured(work, problem)
            rows.append(row)
            notes += given_up
    notes.append("jgd's methods are compared by the fastest of them in each line, which stands first.")
    notes.append("For tolerances the effort is the exponent; the fits that search for it are not timed.")
    save("How long do convex problems take to a relative suboptimality of 1e-6?", "fit", rows, notes)


def tables() -> dict[str, data.Table]:
    return {
        "diamonds": data.diamonds(),
        "flights": data.flights(),
        "digits": data.digits(),
        "NCI60": data.nci60(),
        "correlated": correlated(),
    }


def correlated(num: int = 100_000, features: int = 200) -> data.Table:
    """Neighbouring columns correlate by 0.9; 20 of them count."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((num, features))
    for column in range(1, features):
        x[:, column] = 0.9 * x[:, column - 1] + np.sqrt(1 - 0.81) * x[:, column]
    scores = x[:, :20] @ rng.standard_normal(20)
    y = scores + rng.standard_normal(num)
    label = scores + rng.logistic(size=num) > 0
    return data.Table(*(np.asarray(part, np.float32) for part in (x, y / y.std(), label)))


def problems(table: data.Table) -> list[Problem]:
    x, y = table.x, table.y
    largest = 2 * float(np.abs(x.T @ (y - y.mean())).max()) / len(y)
    wide = x.shape[1] > len(x)
    return [
        Problem("logistic", x, table.label, 1e-2 if wide else 1e-4),
        Problem("lasso", x, y, largest / 20),
        Problem("elastic net", x, y, largest / 10),
        Problem("ridge", x, y, 1e-2),
    ]


def measured(work: str, problem: Problem) -> tuple[Any, list[str]]:
    solvers = [*jgd_solvers(problem), *sklearn_solvers(problem), *peers(problem)]
    lowest = reference(problem)
    found, given_up = [], []
    for solver in solvers:
        effort, seconds, lowest_met = least_effort(problem, solver, lowest)
        lowest = min(lowest, lowest_met)
        if effort is None:
            given_up.append(f"{work}: {solver.name} was given up before {ACCURACY:g}.")
            print(given_up[-1], flush=True)
        else:
            found.append((solver.name.startswith("jgd"), seconds, solver, effort))
    ours = sorted((entry for entry in found if entry[0]), key=lambda entry: entry[1])
    others = [entry for entry in found if not entry[0]]
    competitors = [
        Competitor(solver.name, functools.partial(solver.fit, effort))
        for _, _, solver, effort in [*ours, *others]
    ]
    aims = {"saga": 2, "jaxopt": 2, "lbfgs": 1 if len(problem.x) >= 100_000 else 0, "skglm": 0.5}
    targets = {
        competitor.name: aim
        for competitor in competitors
        for name, aim in aims.items()
        if name in competitor.name and aim and not competitor.name.startswith("jgd")
    }
    return compare(work, competitors, targets, rounds=3), given_up


def least_effort(problem: Problem, solver: Solver, lowest: float) -> tuple[int | None, float, float]:
    """The least effort that suffices, about; its seconds; and the lowest J that was met."""
    met, begin = np.inf, time.perf_counter()
    for effort, solution in solver.after() if solver.after else _tried(solver):
        value = problem.value(*solution)
        met = min(met, value)
        if value - lowest <= ACCURACY * lowest:
            solver.fit(effort)  # compiles
            start = time.perf_counter()
            jax.block_until_ready(solver.fit(effort))
            return effort, time.perf_counter() - start, met
        if time.perf_counter() - begin > MOST_SECONDS:
            break
    return None, np.inf, met


def _tried(solver: Solver) -> Iterator[Any]:
    effort = 1
    while True:
        yield effort, solver.fit(effort)
        effort = max(effort + 1, round(GROWTH * effort))


def reference(problem: Problem) -> float:
    """The lowest J that solvers in float64 find."""
    x, y, num = problem.x.astype(float), problem.y.astype(float), len(problem.x)
    if problem.kind == "logistic":
        model = LogisticRegression(C=1 / (problem.strength * num), tol=1e-12, max_iter=5000)
        model.set_params(solver="lbfgs" if x.shape[1] > num else "newton-cholesky")
    else:
        model = _regression(problem, 1e-12)
    model.fit(x, y)
    return problem.value(np.ravel(model.coef_), np.ravel(model.intercept_)[0])


def _regression(problem: Problem, tolerance: float) -> Any:
    half = problem.strength / 2  # scikit-learn halves the squared error
    if problem.kind == "ridge":
        return Ridge(half * len(problem.x), solver="svd")
    options = {"alpha": half, "tol": tolerance, "max_iter": 100_000}
    return Lasso(**options) if problem.kind == "lasso" else ElasticNet(l1_ratio=RATIO, **options)


def _logistic_loss(params, example):
    return jgd.losses.logistic(jgd.models.linear.predict(params, example[0]), example[1])


def _squared_loss(params, example):
    return jgd.losses.squared_error(jgd.models.linear.predict(params, example[0]), example[1])


def jgd_solvers(problem: Problem) -> list[Solver]:
    loss = _logistic_loss if problem.kind == "logistic" else _squared_loss
    penalty = {
        "lasso": jgd.penalties.l1,
        "elastic net": functools.partial(jgd.penalties.elastic_net, l1_ratio=RATIO),
    }.get(problem.kind, jgd.penalties.l2)
    objective = jgd.objective(loss, penalty(problem.strength, mask=MASK))
    params = jgd.models.linear.init(None, problem.x.shape[1])
    rows = jnp.asarray(problem.x), jnp.asarray(problem.y)

    def fit(rule, batch_size, epochs):
        fitted = jgd.descend(
            objective, params, rows, rule=rule, batch_size=batch_size, epochs=epochs,
            key=jax.random.key(0),
        )  # fmt: skip
        return fitted.params["weights"], fitted.params["bias"]

    def after(rule, batch_size):
        state = None
        for effort in itertools.count(1):
            fitted = jgd.descend(
                objective, params, rows, rule=rule, batch_size=batch_size, epochs=1,
                key=jax.random.key(0), state=state,
            )  # fmt: skip
            state = fitted.state
            yield effort, (fitted.params["weights"], fitted.params["bias"])
            if fitted.status != jgd.Status.EPOCHS_DONE:
                return

    methods = [("coordinate", jgd.coordinate(), None), ("accelerated", jgd.accelerated(), None)]
    if len(problem.x) > 10_000:
        methods.append(("svrg", jgd.svrg(), 1))
    return [
        Solver(
            f"jgd {name}",
            functools.partial(fit, rule, batch_size),
            functools.partial(after, rule, batch_size),
        )
        for name, rule, batch_size in methods
    ]


def sklearn_solvers(problem: Problem) -> list[Solver]:
    num = len(problem.x)

    def logistic(solver, effort):
        model = LogisticRegression(
            C=1 / (problem.strength * num), solver=solver, max_iter=effort, tol=0, random_state=0
        )
        return _fitted(model, problem.x, problem.y)

    def ridge(solver, effort):
        model = Ridge(problem.strength / 2 * num, solver=solver, max_iter=effort, tol=0, random_state=0)
        return _fitted(model, problem.x, problem.y)

    def coordinate(effort):
        return _fitted(_regression(problem, 10.0**-effort), problem.x, problem.y)

    if problem.kind == "logistic":
        return [
            Solver(f"sklearn {name}", functools.partial(logistic, name)) for name in ("saga", "lbfgs")
        ]
    if problem.kind == "ridge":
        return [Solver("sklearn Ridge(sag)", functools.partial(ridge, "sag"))]
    return [Solver(f"sklearn {'Lasso' if problem.kind == 'lasso' else 'ElasticNet'}", coordinate)]


def _fitted(model, x, y):
    model.fit(x, y)
    return np.ravel(model.coef_), np.ravel(model.intercept_)[0]


def peers(problem: Problem) -> list[Solver]:
    """jaxopt, and skglm for what has zeros; those that are installed."""
    solvers = []
    if importlib.util.find_spec("jaxopt"):
        solvers.append(_jaxopt(problem))
    if importlib.util.find_spec("skglm") and problem.kind in ("lasso", "elastic net"):
        import skglm

        def skglm_fit(effort):
            options = {"alpha": problem.strength / 2, "tol": 10.0**-effort}
            if problem.kind == "lasso":
                return _fitted(skglm.Lasso(**options), problem.x, problem.y)
            return _fitted(skglm.ElasticNet(l1_ratio=RATIO, **options), problem.x, problem.y)

        solvers.append(Solver("skglm", skglm_fit))
    return solvers


def _mean_loss(params, x, y, logistic):
    scores = x @ params[0] + params[1]
    losses = jnp.logaddexp(0, scores) - y * scores if logistic else (scores - y) ** 2
    return jnp.mean(losses)


def _ridged_loss(params, strength, x, y, logistic):
    return _mean_loss(params, x, y, logistic) + strength / 2 * jnp.sum(params[0] ** 2)


def _jaxopt(problem: Problem) -> Solver:
    import jaxopt

    start = jnp.zeros(problem.x.shape[1]), jnp.zeros(())
    rows = jnp.asarray(problem.x), jnp.asarray(problem.y)
    logistic, strength = problem.kind == "logistic", problem.strength

    def prox(params, strength, scaling=1.0):
        if problem.kind == "lasso":
            return jaxopt.prox.prox_lasso(params[0], strength, scaling), params[1]
        l1, l2 = strength * RATIO, strength * (1 - RATIO)
        # jaxopt's elastic net is l1 (|w| + gamma w² / 2).
        return jaxopt.prox.prox_elastic_net(params[0], (l1, l2 / l1), scaling), params[1]

    def solver_of(iterations):
        if problem.kind in ("logistic", "ridge"):
            loss = functools.partial(_ridged_loss, logistic=logistic)
            return jaxopt.LBFGS(loss, maxiter=iterations, tol=0)
        loss = functools.partial(_mean_loss, logistic=logistic)
        return jaxopt.ProximalGradient(loss, prox, maxiter=iterations, tol=0)

    @functools.cache
    def run_of(effort):
        return jax.jit(solver_of(effort).run)

    def after():
        solver = solver_of(1)
        update = jax.jit(solver.update)
        params, state = start, solver.init_state(start, strength, *rows)
        for effort in itertools.count(1):
            params, state = update(params, state, strength, *rows)
            if effort % 5 == 0:
                yield effort, params

    name = "LBFGS" if problem.kind in ("logistic", "ridge") else "ProximalGradient"
    return Solver(f"jaxopt {name}", lambda n: run_of(n)(start, strength, *rows).params, after)


if __name__ == "__main__":
    main()

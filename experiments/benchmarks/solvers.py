"""Solvers of penalised linear models, for `time_to_accuracy.py`: jgd's and those of others.

All minimise `J = mean loss + strength / 2 * |weights|²`, the intercept free.
"""

import functools
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.tree_util import Partial
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier, SGDRegressor

import jgd

RATES = tuple(np.logspace(-4, 0, 9).tolist())
MOST_EPOCHS, MOST_ITERATIONS = 32, 256


class Problem(NamedTuple):
    """What is solved.

    Attributes:
      logistic: whether the loss is logistic, with labels 0/1; else it is the squared error.
      inputs: [N, D], float32.
      targets: [N], float32.
      strength: of the l2 penalty.
    """

    logistic: bool
    inputs: np.ndarray
    targets: np.ndarray
    strength: float


class Solver(NamedTuple):
    """How it is solved.

    Attributes:
      name: as it stands in the table.
      fit: `(effort, rate) -> (weights, intercept)`.
      unit: of the effort.
      most: effort that is tried.
      rates: learning rates that are tried; None where the solver wants none.
    """

    name: str
    fit: Callable[[int, Any], Any]
    unit: str
    most: int
    rates: Sequence[float | None] = (None,)


def _logistic_loss(params, example):
    inputs, label = example
    return jgd.losses.logistic(jgd.models.linear.predict(params, inputs), label)


def _squared_loss(params, example):
    inputs, target = example
    return jgd.losses.squared_error(jgd.models.linear.predict(params, inputs), target)


def _falling(rate, num_steps, step):
    """`optax.linear_schedule(rate, 0, num_steps)`, with its numbers as arguments: compiled only once."""
    return rate * jnp.maximum(1 - step / num_steps, 0)


LBFGS = optax.lbfgs()


def jgd_solvers(problem: Problem) -> list[Solver]:
    """Descent by few examples at a time, and by all."""
    loss = _logistic_loss if problem.logistic else _squared_loss
    penalty = jgd.penalties.l2(problem.strength, mask={"weights": True, "bias": False})
    data = jax.device_put((problem.inputs, problem.targets))
    num_examples, num_features = problem.inputs.shape
    fit = functools.partial(
        jgd.descend, jgd.objective(loss, penalty), jgd.models.linear.init(None, num_features), data
    )

    def by_few(batch_size, epochs, rate):
        num_steps = epochs * -(-num_examples // batch_size)
        rule = jgd.sgd(Partial(_falling, jnp.asarray(rate), jnp.asarray(num_steps, float)))
        key = jax.random.key(0)
        params = fit(rule=rule, batch_size=batch_size, epochs=epochs, key=key).params
        return params["weights"], params["bias"]

    def by_all(make_rule, epochs, rate):
        params = fit(rule=make_rule(rate), epochs=epochs).params
        return params["weights"], params["bias"]

    # 1 / L is safe; the curvature of the logistic loss is often far below its bound.
    longest = 1 / _sharpness(problem)
    rates = tuple(longest * factor for factor in ((1, 2, 4, 8) if problem.logistic else (1, 1.5, 1.9)))
    momentum = functools.partial(jgd.sgd, momentum=0.9, nesterov=True)
    return [
        Solver("jgd mini-batch 32", functools.partial(by_few, 32), "epochs", MOST_EPOCHS, RATES),
        Solver("jgd stochastic", functools.partial(by_few, 1), "epochs", MOST_EPOCHS, RATES),
        *(
            Solver(name, functools.partial(by_all, make_rule), "epochs", MOST_ITERATIONS, tried)
            for name, make_rule, tried in (
                ("jgd batch", jgd.sgd, rates),
                ("jgd batch, Nesterov", momentum, rates),
                ("jgd batch, L-BFGS of optax", lambda _: LBFGS, (None,)),
            )
        ),
    ]


def _sharpness(problem: Problem) -> float:
    """Largest curvature that J can have."""
    inputs = np.c_[problem.inputs, np.ones(len(problem.inputs), np.float32)]
    largest = float(np.linalg.eigvalsh(inputs.T @ inputs / len(inputs))[-1])
    return largest * (0.25 if problem.logistic else 2.0) + problem.strength


def sklearn_solvers(problem: Problem) -> list[Solver]:
    """The solvers that scikit-learn has for the problem."""
    return _for_classes(problem) if problem.logistic else _for_regression(problem)


def _for_classes(problem: Problem) -> list[Solver]:
    labels = problem.targets.astype(int)

    def sgd(epochs, rate, **options):
        model = SGDClassifier(
            loss="log_loss", alpha=problem.strength, eta0=rate or 0.01, max_iter=epochs, tol=None,
            random_state=0, **options,
        )  # fmt: skip
        return _fitted(model, problem.inputs, labels)

    def logistic_regression(solver, iterations, _):
        model = LogisticRegression(
            C=1 / (problem.strength * len(labels)), solver=solver, max_iter=iterations, tol=0,
            random_state=0,
        )  # fmt: skip
        return _fitted(model, problem.inputs, labels)

    return [
        Solver("SGDClassifier", sgd, "epochs", MOST_EPOCHS),
        *_tuned("SGDClassifier", sgd),
        *(
            Solver(
                f"LogisticRegression({name})",
                functools.partial(logistic_regression, name),
                "iterations",
                MOST_EPOCHS,
            )
            for name in ("saga", "lbfgs", "newton-cholesky")
        ),
    ]


def _for_regression(problem: Problem) -> list[Solver]:
    def sgd(epochs, rate, **options):
        model = SGDRegressor(
            alpha=problem.strength / 2, eta0=rate or 0.01, max_iter=epochs, tol=None, random_state=0,
            **options,
        )  # fmt: skip
        return _fitted(model, problem.inputs, problem.targets)

    def ridge(_, __):
        model = Ridge(problem.strength / 2 * len(problem.targets), solver="cholesky")
        return _fitted(model, problem.inputs, problem.targets)

    return [
        Solver("SGDRegressor", sgd, "epochs", MOST_EPOCHS),
        *_tuned("SGDRegressor", sgd),
        Solver("Ridge(cholesky)", ridge, "solutions", 1),
    ]


def _tuned(name: str, sgd: Callable) -> list[Solver]:
    """Its own decay and the average of all steps, each with the best of the learning rates."""
    decaying = functools.partial(sgd, learning_rate="invscaling")
    averaged = functools.partial(sgd, learning_rate="constant", average=True)
    return [
        Solver(f"{name}, tuned", decaying, "epochs", MOST_EPOCHS, RATES),
        Solver(f"{name}, tuned, averaged", averaged, "epochs", MOST_EPOCHS, RATES),
    ]


def _fitted(model, inputs, targets):
    model.fit(inputs, targets)
    return np.ravel(model.coef_), np.ravel(model.intercept_)[0]


def _mean_objective(params, inputs, targets, strength, logistic):
    scores = inputs @ params[0] + params[1]
    losses = optax.sigmoid_binary_cross_entropy(scores, targets) if logistic else (scores - targets) ** 2
    return jnp.mean(losses) + strength / 2 * jnp.sum(params[0] ** 2)


def jaxopt_solvers(problem: Problem) -> list[Solver]:
    """jaxopt's solvers of smooth problems; none where it is not installed."""
    if importlib.util.find_spec("jaxopt") is None:
        return []
    import jaxopt

    data = jax.device_put((problem.inputs, problem.targets))
    start = jnp.zeros(problem.inputs.shape[1]), jnp.zeros(())

    @functools.cache
    def make_run(solver, iterations):
        objective = functools.partial(_mean_objective, logistic=problem.logistic)
        return jax.jit(solver(objective, maxiter=iterations, tol=0).run)

    def fit(solver, iterations, _):
        return make_run(solver, iterations)(start, *data, problem.strength).params

    solvers = {"jaxopt LBFGS": jaxopt.LBFGS, "jaxopt GradientDescent": jaxopt.GradientDescent}
    return [
        Solver(name, functools.partial(fit, solver), "iterations", MOST_ITERATIONS)
        for name, solver in solvers.items()
    ]

"""Every method ends at the solution of scikit-learn, or of SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize
from sklearn import linear_model, svm

import jgd
from tests.convex import problems
from tests.problems import x64

METHODS = {
    "accelerated": (jgd.accelerated, None, 100),
    "coordinate": (jgd.coordinate, None, 20),
    "svrg": (jgd.svrg, 1, 150),
    "saga": (jgd.saga, 4, 200),
}
CASES = [
    *(
        (name, "coordinate")
        for name in ("ridge", "lasso", "elastic net", "logistic l2", "squared hinge")
    ),
    *((name, "accelerated") for name in ("lasso", "logistic l1", "multinomial l2", "multinomial l1")),
    ("logistic l1", "svrg"),
    ("multinomial l2", "saga"),
]
CASES = [
    pytest.param(*case, marks=() if case[1] == "coordinate" else pytest.mark.exhaustive)
    for case in CASES
]


@pytest.mark.parametrize(("name", "method"), CASES)
def test_solution_is_that_of_scikit_learn(name, method):
    make, batch_size, epochs = METHODS[method]
    with x64():
        objective, params, data, solution = problems.problem(name)
        fit = jgd.descend(
            objective, params, data, rule=make(), batch_size=batch_size, epochs=epochs,
            key=jax.random.key(0), stop=jgd.stop.duality_gap(1e-9),
        )  # fmt: skip
        assert fit.status == jgd.Status.CONVERGED, jgd.explain(fit)
        assert fit.history.duality_gap[fit.epochs - 1] <= 1e-9
        if name.startswith("multinomial"):  # scores of classes are known up to a common number
            fit.params["bias"] -= fit.params["bias"].mean()
            solution["bias"] -= solution["bias"].mean()
        for key, wanted in solution.items():
            np.testing.assert_allclose(fit.params[key], wanted, atol=1e-4)


@pytest.mark.exhaustive
def test_huber_and_poisson_end_at_the_solutions_of_scipy():
    with x64():
        x, y, _, _ = problems.rows()
        counts = np.random.default_rng(1).poisson(2, len(x))
        for loss, targets, cost in (
            (problems.HUBER, y, lambda r: np.where(abs(r) <= 0.7, r**2 / 2, 0.7 * (abs(r) - 0.35))),
            (problems.loss_of(jgd.losses.poisson), counts, None),
        ):
            objective = jgd.objective(loss, jgd.penalties.l2(0.1, problems.MASK))
            data = jnp.asarray(x), jnp.asarray(targets)

            def total(p, cost=cost, targets=targets):
                z = x @ p[:-1] + p[-1]
                losses = cost(z - targets) if cost else np.exp(z) - targets * z
                return losses.mean() + 0.05 * p[:-1] @ p[:-1]

            wanted = optimize.minimize(total, np.zeros(6), tol=1e-13, options={"gtol": 1e-9}).x
            for rule in (jgd.coordinate(), jgd.accelerated()):
                fit = jgd.batch_descent(objective, problems.start(), data, rule=rule, epochs=100)
                np.testing.assert_allclose(fit.params["weights"], wanted[:-1], atol=1e-5)
                np.testing.assert_allclose(fit.params["bias"], wanted[-1], atol=1e-5)


def test_losses_with_kinks_end_at_the_solutions_of_scikit_learn():
    """Quantile regression with and without l1, and a support vector machine with a free intercept."""
    x, y, label, _ = problems.rows()
    with x64():
        rows = jnp.asarray(x), jnp.asarray(y)
        for strength in (0.0, 0.05):
            model = linear_model.QuantileRegressor(quantile=0.3, alpha=strength).fit(x, y)
            penalty = jgd.penalties.l1(strength, problems.MASK) if strength else None
            fit = jgd.batch_descent(
                jgd.objective(problems.QUANTILE, penalty), problems.start(), rows, epochs=60,
                rule=jgd.primal_dual(),
            )  # fmt: skip
            np.testing.assert_allclose(fit.params["weights"], model.coef_, atol=1e-6)
            np.testing.assert_allclose(fit.params["bias"], model.intercept_, atol=1e-6)
        model = svm.SVC(kernel="linear", C=1 / (0.2 * problems.NUM), tol=1e-10).fit(x, label)
        objective = jgd.objective(problems.HINGE, jgd.penalties.l2(0.2, problems.MASK))
        fit = jgd.batch_descent(
            objective, problems.start(), (rows[0], jnp.asarray(label)), epochs=30,
            rule=jgd.primal_dual(), stop=jgd.stop.duality_gap(1e-8),
        )  # fmt: skip
        assert fit.status == jgd.Status.CONVERGED
        np.testing.assert_allclose(fit.params["weights"], model.coef_[0], atol=1e-4)
        np.testing.assert_allclose(fit.params["bias"], model.intercept_[0], atol=1e-4)
    with pytest.raises(ValueError, match=r"^loss is squared_error, but primal_dual"):
        jgd.batch_descent(
            jgd.objective(problems.SQUARES), problems.start(), (x, y), rule=jgd.primal_dual(), epochs=1
        )

"""Descent against closed forms and against the same steps written out in Python."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import jgd
from tests import cases


def square(params, example):
    x, y = example
    return jgd.losses.squared_error(x @ params, y)


def pick(params, example):
    """The gradient is 1 for the parameter that the example names: a step leaves its trace there."""
    return params[example]


def batches_of(order, batch_size):
    size = batch_size or len(order)
    return [order[start : start + size] for start in range(0, len(order), size)]


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.usefixtures("float64")
def test_batch_descent_on_a_quadratic_is_the_closed_form():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    rate, steps = 0.05, 40
    fit = jgd.batch_descent(jgd.objective(square), jnp.ones(3), (x, y), rule=jgd.sgd(rate), epochs=steps)
    hessian = 2 / 20 * x.T @ x
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    decay = np.linalg.matrix_power(np.eye(3) - rate * hessian, steps)
    np.testing.assert_allclose(fit.params, best + decay @ (np.ones(3) - best), rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_history_of_batch_descent_is_value_and_gradient_at_the_start_of_each_epoch():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    objective = jgd.objective(square, jgd.penalties.l2(0.3))
    fit = jgd.batch_descent(
        objective, jnp.ones(3), (x, y), rule=jgd.sgd(0.05), epochs=4, evaluate=lambda p, _: p[0]
    )
    w = np.ones(3)
    for epoch in range(4):
        gradient = 2 / 20 * x.T @ (x @ w - y) + 0.3 * w
        np.testing.assert_allclose(fit.history.loss[epoch], np.mean((x @ w - y) ** 2) + 0.15 * w @ w)
        np.testing.assert_allclose(fit.history.gradient_norm[epoch], np.linalg.norm(gradient))
        w = w - 0.05 * gradient
        np.testing.assert_allclose(fit.history.evaluation[epoch], w[0])


@pytest.mark.parametrize("traced", [pytest.param(False, marks=pytest.mark.exhaustive), True])
@pytest.mark.parametrize("num_examples", [1, 2, 7, 64, 1000, 5000])
@pytest.mark.parametrize("batch_size", [1, 3, 32, 999])
def test_an_epoch_visits_every_example_once(num_examples, batch_size, traced):
    batch_size = min(batch_size, num_examples)
    fit = jgd.descend(
        jgd.objective(pick),
        jnp.zeros(num_examples),
        jnp.arange(num_examples),
        rule=jgd.sgd(1.0),
        batch_size=jnp.array(batch_size) if traced else batch_size,
        epochs=1,
        key=jax.random.key(num_examples),
    )
    last = num_examples % batch_size
    expected = [1 / batch_size] * (num_examples - last) + [1 / last] * last if last else None
    expected = expected or [1 / batch_size] * num_examples
    np.testing.assert_allclose(np.sort(-np.asarray(fit.params)), np.sort(expected), rtol=1e-6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("variant", cases.EACH_VARIANT)
@pytest.mark.parametrize(("rule", "shuffle"), [(rule, True) for rule in cases.RULES] + [("sgd", False)])
def test_descend_makes_the_steps_of_its_order(rule, variant, shuffle):
    rule, batch_size = cases.RULES[rule](0.05), cases.VARIANTS[variant]
    fit = cases.fit(rule, batch_size, shuffle=shuffle)
    batches = []
    for epoch in range(3):
        n = cases.NUM_EXAMPLES
        order = jgd.order(jax.random.key(0), epoch, n) if shuffle else np.arange(n)
        batches += batches_of(order, None if batch_size is None else int(batch_size))
    expected = cases.reference(rule, batches)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), fit.params, expected
    )


@pytest.mark.parametrize("variant", cases.EACH_VARIANT)
def test_weights_scale_examples_and_zeros_leave_them_out(variant):
    batch_size = cases.VARIANTS[variant]
    weights = np.random.default_rng(0).choice([0.0, 0.0, 0.5, 2.0], cases.NUM_EXAMPLES)
    order = np.asarray(jgd.order(jax.random.key(0), 0, cases.NUM_EXAMPLES))
    if variant == "traced":
        order = order[weights[order] != 0]  # an example of weight 0 fills no place in a batch
    batches = batches_of(order, None if batch_size is None else int(batch_size))
    fit = cases.fit(jgd.sgd(0.1, momentum=0.9), batch_size, weights=weights, epochs=1)
    expected = cases.reference(optax.sgd(0.1, momentum=0.9), batches, weights=weights)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), fit.params, expected
    )


@pytest.mark.parametrize("variant", ["batch", "traced"])
def test_examples_of_weight_zero_are_as_if_they_were_not_there(variant):
    keep = np.arange(cases.NUM_EXAMPLES) % 3 != 0
    rows = cases.data()
    kept = jax.tree.map(lambda x: x[keep], rows)
    options = {"shuffle": False, "key": None}
    batch_size = cases.VARIANTS[variant]
    whole = cases.fit(jgd.adam(0.1), batch_size, weights=keep.astype(float), **options)
    part = cases.fit(jgd.adam(0.1), batch_size, data=kept, **options)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), whole.params, part.params)
    np.testing.assert_allclose(whole.history.loss, part.history.loss, rtol=1e-5)


@pytest.mark.parametrize("variant", cases.EACH_VARIANT)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite_do_no_harm_where_their_weight_is_zero(variant, bad):
    weights = np.ones(cases.NUM_EXAMPLES)
    weights[[0, 5, 36]] = 0
    clean = cases.data()
    dirty = {**clean, "x": clean["x"].at[jnp.array([0, 5, 36])].set(bad)}
    fits = [
        cases.fit(jgd.adam(0.1), cases.VARIANTS[variant], data=rows, weights=weights)
        for rows in (clean, dirty)
    ]
    assert fits[1].status == jgd.Status.EPOCHS_DONE
    jax.tree.map(np.testing.assert_array_equal, fits[0].params, fits[1].params)


@pytest.mark.parametrize("variant", cases.EACH_VARIANT)
def test_a_nan_in_the_data_ends_in_diverged_with_the_last_finite_params(variant):
    rows = cases.data()
    rows = {**rows, "x": rows["x"].at[11, 2].set(jnp.nan)}
    fit = cases.fit(jgd.sgd(0.1), cases.VARIANTS[variant], data=rows)
    assert fit.status == jgd.Status.DIVERGED
    assert fit.epochs == 1
    jax.tree.map(np.testing.assert_array_equal, fit.params, cases.params())
    assert "DIVERGED in epoch 1" in jgd.explain(fit)
    assert "NaN or infinity in the data" in jgd.explain(fit)


def test_a_learning_rate_far_too_high_names_the_epoch_and_keeps_finite_params():
    x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    fit = jgd.batch_descent(
        jgd.objective(square), jnp.ones(2), (x, jnp.ones(2)), rule=jgd.sgd(1e3), epochs=50
    )
    epochs = int(fit.epochs)
    assert fit.status == jgd.Status.DIVERGED
    assert 1 < epochs < 50
    assert np.isfinite(fit.params).all()
    assert np.isfinite(fit.history.loss[: epochs - 1]).all()
    assert np.isnan(fit.history.loss[epochs:]).all()
    assert f"DIVERGED in epoch {epochs}" in jgd.explain(fit)


def test_no_epochs_leave_everything_as_it_was():
    fit = cases.fit(jgd.sgd(0.1), 1, epochs=0)
    jax.tree.map(np.testing.assert_array_equal, fit.params, cases.params())
    assert fit.status == jgd.Status.EPOCHS_DONE
    assert fit.epochs == 0
    assert fit.history.loss.shape == (0,)
    assert "EPOCHS_DONE after 0 of 0 epochs" in jgd.explain(fit)


@pytest.mark.parametrize("penalty", [jgd.penalties.l1(0.05), jgd.penalties.elastic_net(0.1, 0.7)])
def test_batch_descent_solves_the_lasso(penalty):
    """The minimiser of scikit-learn, whose loss is half of the mean squared error."""
    from sklearn.linear_model import ElasticNet

    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 8))
    y = x[:, 0] - 2 * x[:, 1] + 0.1 * rng.normal(size=50)
    fit = jgd.batch_descent(
        jgd.objective(square, penalty),
        jnp.zeros(8),
        (x, y),
        rule=jgd.sgd(0.1),
        epochs=2000,
        stop=jgd.stop.gradient_norm(1e-5),
    )
    strength, ratio = (0.05, 1.0) if penalty.value.func.__name__ == "_l1_value" else (0.1, 0.7)
    model = ElasticNet(alpha=strength / 2, l1_ratio=ratio, fit_intercept=False, tol=1e-10).fit(x, y)
    assert fit.status == jgd.Status.CONVERGED
    np.testing.assert_allclose(fit.params, model.coef_, atol=2e-5)
    np.testing.assert_array_equal(np.asarray(fit.params) == 0, model.coef_ == 0)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_proximal_step_is_taken_with_the_current_rate_of_a_schedule(batch_size):
    schedule = optax.exponential_decay(0.1, 1, 0.9)
    objective = jgd.objective(cases.loss, jgd.penalties.l1(0.05))
    fit = cases.fit(jgd.sgd(schedule), batch_size, objective=objective, epochs=1, shuffle=False)
    position, rows = cases.params(), cases.data()
    batches = batches_of(np.arange(cases.NUM_EXAMPLES), batch_size)
    for step, batch in enumerate(batches):
        part = jax.tree.map(lambda x, b=batch: x[b], rows)
        mean = lambda p, part=part: jnp.mean(jax.vmap(cases.loss, (None, 0))(p, part))  # noqa: E731
        rate = 0.1 * 0.9**step
        position = jax.tree.map(lambda p, g, r=rate: p - r * g, position, jax.grad(mean)(position))
        shrink = lambda p, r=rate: jnp.sign(p) * jnp.maximum(jnp.abs(p) - 0.05 * r, 0)  # noqa: E731
        position = jax.tree.map(shrink, position)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), fit.params, position)
    np.testing.assert_allclose(optax.tree_utils.tree_get(fit.state, "learning_rate"), rate, rtol=1e-5)


OPTAX_RULES = {
    "sgd": optax.sgd(0.1),
    "adamw": optax.adamw(0.1),
    "lion": optax.lion(0.05),
    "polyak": optax.polyak_sgd(max_learning_rate=1.0, f_min=0.0),
    "lbfgs": optax.lbfgs(),
    "injected": optax.inject_hyperparams(optax.sgd)(0.1),
    "multi-steps": optax.MultiSteps(optax.sgd(0.5), every_k_schedule=2),
    "chain": optax.chain(optax.clip_by_global_norm(1.0), jgd.sgd(0.1, momentum=0.9)),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", OPTAX_RULES)
@pytest.mark.parametrize("batch_size", [None, 16])
def test_any_optax_rule_lowers_the_objective(name, batch_size):
    fit = cases.fit(OPTAX_RULES[name], batch_size, epochs=10)
    start = jgd.value(cases.objective, cases.params(), cases.data())
    assert fit.status == jgd.Status.EPOCHS_DONE
    assert jgd.value(cases.objective, fit.params, cases.data()) < 0.9 * start


def test_lbfgs_finds_the_minimum_of_scipy():
    from scipy.optimize import minimize

    fit = cases.fit(OPTAX_RULES["lbfgs"], None, epochs=50, stop=jgd.stop.gradient_norm(1e-5))
    flat, unravel = ravel_pytree(cases.params())

    def value(w):
        pair = jgd.value_and_gradient(cases.objective, unravel(jnp.asarray(w)), cases.data())
        return float(pair[0]), ravel_pytree(pair[1])[0]

    best = minimize(value, flat, jac=True)
    assert fit.status == jgd.Status.CONVERGED
    np.testing.assert_allclose(value(ravel_pytree(fit.params)[0])[0], best.fun, rtol=1e-5)


@pytest.mark.exhaustive
def test_the_learning_rate_has_a_derivative():
    def last_loss(rate):
        return cases.fit(jgd.sgd(rate, momentum=0.5), 8).history.loss[-1]

    slope = jax.grad(last_loss)(0.05)
    difference = (last_loss(0.055) - last_loss(0.045)) / 0.01
    np.testing.assert_allclose(slope, difference, rtol=1e-2)

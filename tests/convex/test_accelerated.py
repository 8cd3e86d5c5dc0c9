"""Accelerated and mirror descent: laws of their rates, and closed forms."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from tests.convex import problems
from tests.problems import x64

CURVATURES = jnp.asarray(np.geomspace(1e-4, 1, 12))


def bowl(params, example):
    return jnp.sum(example * jnp.square(params)) / 2


def epochs_to(rule, **options):
    """To a ten thousandth of the first loss."""
    fit = jgd.batch_descent(
        jgd.objective(bowl), jnp.ones(12), CURVATURES[None], rule=rule, epochs=4000, **options
    )
    losses = np.asarray(fit.history.loss)
    return int(np.argmax(losses <= 1e-4 * losses[0])), fit


def test_a_condition_number_counts_by_its_root():
    """1 / condition a step for plain descent, its root with momentum."""
    plain, _ = epochs_to(jgd.sgd(1.0))
    restarted, _ = epochs_to(jgd.accelerated(1.0, steps=1))
    constant, _ = epochs_to(jgd.accelerated(1.0, 1e-4, steps=1))
    searched, fit = epochs_to(jgd.accelerated(steps=1))
    assert plain > 2000
    for came in (restarted, constant, searched):
        assert 20 < came < 500, (restarted, constant, searched)
    assert float(fit.state.rule_state.learning_rate) > 0.3


def test_constant_momentum_has_the_rate_of_the_theory():
    """`J falls by 1 - sqrt(mu / L)` a step at least."""
    _, fit = epochs_to(jgd.accelerated(1.0, 1e-2, steps=1))
    with x64():
        curvatures = jnp.asarray(np.geomspace(1e-2, 1, 12))[None]
        fit = jgd.batch_descent(
            jgd.objective(bowl), jnp.ones(12), curvatures, rule=jgd.accelerated(1.0, 1e-2, steps=1),
            epochs=200,
        )  # fmt: skip
    losses = np.asarray(fit.history.loss)
    assert losses[199] <= 2 * losses[0] * (1 - 0.1) ** 199


@pytest.mark.exhaustive
def test_a_start_with_much_too_long_a_step_is_searched():
    """Of a loss without a known bound the curvature at the start says nothing of that elsewhere."""

    def quartic(params, example):
        return jnp.sum((params - example) ** 4) + jnp.sum(jnp.square(params - example)) / 2

    fit = jgd.batch_descent(
        jgd.objective(quartic), jnp.full(3, 0.01), jnp.full((4, 3), 3.0), rule=jgd.accelerated(),
        epochs=60, stop=jgd.stop.gradient_norm(1e-4),
    )  # fmt: skip
    assert fit.status == jgd.Status.CONVERGED
    np.testing.assert_allclose(fit.params, 3.0, atol=1e-3)


def test_strengths_are_lanes_and_numbers_are_traced():
    data = jnp.asarray(problems.rows()[0]), jnp.asarray(problems.rows()[1])
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def fit(strength, rule):
        objective = jgd.objective(problems.SQUARES, jgd.penalties.l1(strength, problems.MASK))
        return jgd.batch_descent(objective, problems.start(), data, rule=rule, epochs=5).params

    strengths, rate = jnp.array([0.01, 0.1, 1.0]), jnp.array(0.05)
    one_by_one = [fit(strength, jgd.accelerated(rate)) for strength in strengths]
    lanes = jax.vmap(fit.__wrapped__.__wrapped__, (0, None))(strengths, jgd.accelerated(rate))
    wanted = jax.tree.map(lambda *p: jnp.stack(p), *one_by_one)
    chex.assert_trees_all_close(lanes, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.exhaustive
def test_it_continues_exactly_and_ends_honestly():
    data = jnp.asarray(problems.rows()[0]), jnp.asarray(problems.rows()[1])
    objective = jgd.objective(problems.SQUARES)
    whole = jgd.batch_descent(objective, problems.start(), data, rule=jgd.accelerated(), epochs=4)
    half = jgd.batch_descent(objective, problems.start(), data, rule=jgd.accelerated(), epochs=2)
    rest = jgd.batch_descent(
        objective, problems.start(), data, rule=jgd.accelerated(), epochs=2, state=half.state
    )
    chex.assert_trees_all_equal(rest.params, whole.params)
    wild = jgd.batch_descent(objective, problems.start(), data, rule=jgd.accelerated(1e3), epochs=50)
    assert wild.status == jgd.Status.DIVERGED
    bad = jgd.batch_descent(
        objective, problems.start(), (data[0] * jnp.nan, data[1]), rule=jgd.accelerated(), epochs=5
    )
    assert bad.status == jgd.Status.DIVERGED


def test_wrong_arguments_are_errors():
    data = jnp.ones((4, 5)), jnp.ones(4)
    for make, message in (
        (lambda: jgd.accelerated(-1.0), "accelerated: learning_rate"),
        (lambda: jgd.accelerated(strong_convexity=0.0), "accelerated: strong_convexity"),
        (lambda: jgd.accelerated(steps=0), "accelerated: steps"),
        (lambda: jgd.mirror(-1.0), "mirror: learning_rate"),
        (lambda: jgd.mirror(0.1, total=0.0), "mirror: total"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            make()
    with pytest.raises(ValueError, match=r"^batch_size is given, but accelerated"):
        jgd.stochastic_descent(
            jgd.objective(problems.SQUARES), problems.start(), data, rule=jgd.accelerated(), epochs=1,
            key=jax.random.key(0),
        )  # fmt: skip


def cost(params, example):
    return params @ example


def test_mirror_descent_multiplies():
    """On a plane k steps give `p exp(-k rate g)`, and on the simplex its share."""
    costs = jnp.array([[3.0, 1.0, 2.0]])
    start = jnp.array([0.2, 0.3, 0.5])
    free = jgd.batch_descent(jgd.objective(cost), start, costs, rule=jgd.mirror(0.1), epochs=7).params
    np.testing.assert_allclose(free, start * np.exp(-0.7 * costs[0]), rtol=1e-5)
    simplex = jgd.batch_descent(
        jgd.objective(cost), start, costs, rule=jgd.mirror(0.1, total=2.0), epochs=7
    ).params
    np.testing.assert_allclose(simplex, 2 * free / free.sum(), rtol=1e-5)
    outside = jgd.batch_descent(jgd.objective(cost), -start, costs, rule=jgd.mirror(0.1), epochs=7)
    assert outside.status == jgd.Status.DIVERGED


@pytest.mark.exhaustive
def test_mirror_descent_finds_the_minimum_on_the_simplex():
    """That of projected gradient descent."""
    x, y = (jnp.asarray(part, jnp.float32) for part in problems.rows()[:2])

    def square(params, example):
        return jgd.losses.squared_error(params @ example[0], example[1])

    start = jnp.full(5, 0.2)
    came = jgd.batch_descent(
        jgd.objective(square), start, (x, y), rule=jgd.mirror(0.05, total=1.0), epochs=3000
    )
    wanted = jgd.batch_descent(
        jgd.objective(square, jgd.penalties.simplex()), start, (x, y), rule=jgd.accelerated(), epochs=60
    )
    np.testing.assert_allclose(came.params, wanted.params, atol=2e-3)

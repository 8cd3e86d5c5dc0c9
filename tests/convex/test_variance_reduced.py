"""Variance reduction: a linear rate with a constant step, directions, tables, weights, errors."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from jgd.convex.examples import entries_of
from jgd.descent.checks import checked_arguments
from tests.convex import problems
from tests.problems import x64

MAKERS = {
    "svrg": jgd.svrg,
    "saga": jgd.saga,
    "katyusha": functools.partial(jgd.katyusha, strong_convexity=0.1),
}
every_method = pytest.mark.parametrize("name", MAKERS)
PENALTY = jgd.penalties.l2(0.1)


def doubled(params, example):
    """Logistic regression without a linear form: its gradients are kept whole."""
    return problems.LOGISTIC(params, example) * 1.0


def data(dtype=float):
    x, _, label, _ = problems.rows()
    return jnp.asarray(x, dtype), jnp.asarray(label)


def fitted(rule, loss=problems.LOGISTIC, batch_size=1, epochs=5, penalty=PENALTY, **options):
    options = {"data": data(jnp.float32), "key": jax.random.key(0), "params": problems.start()} | options
    return jgd.descend(
        jgd.objective(loss, penalty), rule=rule, batch_size=batch_size, epochs=epochs, **options
    )


@every_method
def test_the_rate_is_linear_with_a_constant_step(name):
    """Where plain stochastic descent stands still at its noise."""
    with x64():
        options = {"data": data(), "epochs": 120}
        lowest = fitted(jgd.coordinate(), batch_size=None, data=data(), epochs=20).history.loss
        lowest = np.nanmin(lowest)
        above = np.asarray(fitted(MAKERS[name](), **options).history.loss) - lowest
        noisy = np.asarray(fitted(jgd.sgd(0.1), **options).history.loss) - lowest
    assert above[30] < 0.1 * above[0]
    assert above[119] < 1e-8 * above[0]
    assert noisy[119] > 1e-5


@pytest.mark.parametrize("loss", [problems.LOGISTIC, doubled])
def test_directions_are_right_on_average(loss):
    """The mean over the examples of what a step follows is the gradient, wherever the table is from."""
    with x64():
        rows, params = data(), {"weights": jnp.arange(5.0), "bias": jnp.array(0.3)}
        arguments = checked_arguments(
            jgd.objective(loss), params, rows, rule=jgd.sgd(0.1), batch_size=1, epochs=1,
            key=jax.random.key(0), weights=None, shuffle=True, stop=None, evaluate=None,
            validation=None, state=None,
        )  # fmt: skip
        entries = entries_of(arguments)
        table = entries.of(problems.start(), rows)
        ahead = jax.tree.map(jnp.subtract, entries.of(params, rows), table)
        mean = lambda e: jax.tree.map(lambda s: s / 60, entries.pulled(params, rows, e))  # noqa: E731
        direction = jax.tree.map(jnp.add, mean(ahead), mean(table))
        _, wanted = jgd.value_and_gradient(jgd.objective(loss), params, rows)
        chex.assert_trees_all_close(direction, wanted, rtol=1e-10)


@pytest.mark.exhaustive
@every_method
@pytest.mark.parametrize("batch_size", [1, 7])
def test_numbers_tell_what_gradients_tell(name, batch_size):
    """A loss with a linear form and the same without one take the same steps."""
    rate = jnp.array(0.05)
    few = fitted(MAKERS[name](rate), batch_size=batch_size, epochs=3)
    whole = fitted(MAKERS[name](rate), doubled, batch_size=batch_size, epochs=3)
    chex.assert_trees_all_close(few.params, whole.params, rtol=1e-4, atol=1e-5)
    assert few.history.loss[2] < few.history.loss[0]


@pytest.mark.exhaustive
@every_method
def test_examples_of_weight_zero_are_not_there(name):
    x, label = data(jnp.float32)
    weights = jnp.asarray(np.arange(60) % 2, jnp.float32)
    bad = jnp.where(weights[:, None] == 0, jnp.nan, x)
    options = {"epochs": 2, "shuffle": False, "key": None}
    came = fitted(MAKERS[name](0.02), data=(bad, label), weights=weights, **options)
    wanted = fitted(MAKERS[name](0.02), data=(x[1::2], label[1::2]), **options)
    chex.assert_trees_all_close(came.params, wanted.params, atol=1e-5)


@pytest.mark.exhaustive
@every_method
def test_it_continues_exactly_and_lanes_are_fits(name):
    rule = MAKERS[name]()
    whole = fitted(rule, epochs=4)
    half = fitted(rule, epochs=2)
    rest = fitted(rule, epochs=2, state=half.state)
    chex.assert_trees_all_close(rest.params, whole.params, rtol=1e-6)
    strengths = jnp.array([0.01, 1.0])
    train = lambda s: fitted(rule, epochs=2, penalty=jgd.penalties.l1(s, problems.MASK)).params  # noqa: E731
    lanes = jax.vmap(train)(strengths)
    wanted = jax.tree.map(lambda *p: jnp.stack(p), *map(train, strengths))
    chex.assert_trees_all_close(lanes, wanted, rtol=1e-4, atol=1e-6)


def test_another_rate_traces_nothing():
    chex.clear_trace_counter()
    fit = jax.jit(chex.assert_max_traces(lambda rule: fitted(rule, epochs=1).params, n=1))
    for rate in (0.1, 0.2):
        fit(jgd.saga(rate))


def test_wrong_arguments_are_errors():
    with pytest.raises(ValueError, match=r"^svrg: learning_rate"):
        jgd.svrg(-0.1)
    with pytest.raises(ValueError, match=r"^katyusha: strong_convexity"):
        jgd.katyusha(strong_convexity=-1.0)
    with pytest.raises(ValueError, match=r"^saga: learning_rate is None, but it is known for"):
        fitted(jgd.saga(), doubled)
    with pytest.raises(ValueError, match=r"^batch_size is an array, but svrg"):
        fitted(jgd.svrg(), batch_size=jnp.array(4))

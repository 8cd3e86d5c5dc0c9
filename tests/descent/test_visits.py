"""Random objectives: each example has a key of its own at each visit, whatever batch it comes in."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jgd
from tests.problems import x64

KEY = jax.random.key(3)
N, D = 7, 3
X = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
DATA = {"x": jnp.asarray(X), "y": jnp.asarray(X @ [1.0, -2.0, 0.5], jnp.float32)}


def loss(params, example, key):
    kept = jax.random.bernoulli(key, 0.7, (D,))
    return jgd.losses.squared_error((example["x"] * kept / 0.7) @ params, example["y"])


def plain(params, example):
    return jgd.losses.squared_error(example["x"] @ params, example["y"])


def spied(params, example, key):
    """The gradient with respect to params is the random number of the visit."""
    return jax.random.normal(key) * params[example["place"]]


NOISY = jgd.objective(loss, random=True)
ZERO = jnp.zeros(D)


def draws(epochs, **options):
    """The random number of each example in each epoch, as steps of rate 1 have taken them off."""
    fits, state = [], None
    for _ in range(epochs):
        fit = jgd.descend(
            jgd.objective(spied, random=True),
            jnp.zeros(N),
            {"place": jnp.arange(N)},
            rule=jgd.sgd(1.0),
            epochs=1,
            key=KEY,
            state=state,
            **options,
        )
        state = fit.state
        fits.append(np.asarray(fit.params))
    return -np.diff(np.stack(fits), axis=0, prepend=0)


def test_a_key_belongs_to_the_example_and_the_epoch_and_not_to_the_batch():
    alone = draws(4, batch_size=1)
    assert len(np.unique(alone)) == alone.size, "keys repeat"
    # A batch is a mean, so that its examples are moved by a share of their numbers.
    np.testing.assert_allclose(draws(4) * N, alone, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(draws(4, batch_size=1, shuffle=False), alone, rtol=1e-4, atol=1e-6)


def test_the_numbers_are_those_of_with_keys():
    _, visits = jgd.with_keys(NOISY, DATA, KEY, 2)
    wanted = jax.vmap(jax.random.normal)(visits.key)
    np.testing.assert_allclose(draws(3, batch_size=1)[2], wanted, rtol=1e-4, atol=1e-6)


def reference(batch_size, epochs, rule):
    """Descent by optax in a Python loop, with the keys of `with_keys` and the order of `jgd.order`."""
    params, losses = ZERO, []
    memory = rule.init(params)
    gradient = jax.jit(
        jax.value_and_grad(lambda p, rows, keys: jnp.mean(jax.vmap(loss, (None, 0, 0))(p, rows, keys)))
    )
    for epoch in range(epochs):
        keys = jgd.with_keys(NOISY, DATA, KEY, epoch)[1].key
        places = np.arange(N) if batch_size == N else np.asarray(jgd.order(KEY, epoch, N))
        total = 0.0
        for start in range(0, N, batch_size):
            index = places[start : start + batch_size]
            rows = jax.tree.map(lambda leaf: leaf[index], DATA)  # noqa: B023
            mean, grads = gradient(params, rows, keys[index])
            updates, memory = rule.update(grads, memory, params)
            params = optax.apply_updates(params, updates)
            total += float(mean) * len(index)
        losses.append(total / N)
    return params, np.array(losses)


@pytest.mark.parametrize(
    ("batch_size", "ours", "theirs"),
    [(1, jgd.sgd, optax.sgd), (3, jgd.adam, optax.adam), (N, jgd.sgd, optax.sgd)],
)
def test_it_is_a_loop_over_optax(batch_size, ours, theirs):
    fit = jgd.descend(NOISY, ZERO, DATA, rule=ours(0.05), batch_size=batch_size, epochs=4, key=KEY)
    params, losses = reference(batch_size, 4, theirs(0.05))
    np.testing.assert_allclose(fit.params, params, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(fit.history.loss, losses, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [None, 1, 3, jnp.array(3)])
def test_it_resumes_to_the_bit(batch_size):
    train = functools.partial(
        jgd.descend, NOISY, ZERO, DATA, rule=jgd.sgd(0.05, momentum=0.9), batch_size=batch_size, key=KEY
    )
    whole, first = train(epochs=5), train(epochs=2)
    rest = train(epochs=3, state=first.state)
    np.testing.assert_array_equal(whole.params, rest.params)
    np.testing.assert_array_equal(whole.history.loss[2:], rest.history.loss)


def test_a_traced_batch_size_meets_the_same_numbers():
    train = functools.partial(jgd.descend, NOISY, ZERO, DATA, rule=jgd.sgd(0.05), epochs=3, key=KEY)
    fit, traced = train(batch_size=3), train(batch_size=jnp.array(3))
    np.testing.assert_allclose(fit.params, traced.params, rtol=1e-5)


def test_weights_leave_the_numbers_of_others_alone():
    weights = jnp.array([1.0, 0, 1, 1, 0, 1, 1])
    broken = {"x": DATA["x"].at[1].set(jnp.nan), "y": DATA["y"]}
    fit = jgd.descend(NOISY, ZERO, broken, rule=jgd.sgd(0.05), epochs=1, key=KEY, weights=weights)
    keys = jgd.with_keys(NOISY, DATA, KEY)[1].key
    losses = jax.vmap(loss, (None, 0, 0))(ZERO, DATA, keys)
    np.testing.assert_allclose(fit.history.loss[0], losses[weights != 0].mean(), rtol=1e-6)


def test_lanes_are_the_fits_alone():
    train = lambda rate, key: jgd.descend(  # noqa: E731
        NOISY, ZERO, DATA, rule=jgd.sgd(rate), batch_size=1, epochs=3, key=key
    )
    rates, keys = jnp.linspace(0.01, 0.1, 20), jax.random.split(KEY, 20)
    lanes = jax.vmap(train)(rates, keys)
    one_key = jax.vmap(lambda rate: train(rate, KEY))(rates)
    for lane in (0, 13):
        np.testing.assert_allclose(lanes.params[lane], train(rates[lane], keys[lane]).params, rtol=1e-5)
        np.testing.assert_allclose(one_key.params[lane], train(rates[lane], KEY).params, rtol=1e-5)


def test_another_rate_and_key_compile_nothing():
    traces = []

    def counted(params, example, key):
        traces.append(1)
        return loss(params, example, key)

    noisy = jgd.objective(counted, random=True)
    train = functools.partial(jgd.descend, noisy, ZERO, DATA, batch_size=3, epochs=2)
    train(rule=jgd.sgd(0.1), key=jax.random.key(0))
    num_traces = len(traces)
    train(rule=jgd.sgd(0.2), key=jax.random.key(1))
    assert len(traces) == num_traces > 0


def test_keys_of_raw_numbers_do():
    raw = jax.random.PRNGKey(3)
    ours = jgd.descend(NOISY, ZERO, DATA, rule=jgd.sgd(0.05), batch_size=3, epochs=2, key=raw)
    typed = jgd.descend(NOISY, ZERO, DATA, rule=jgd.sgd(0.05), batch_size=3, epochs=2, key=KEY)
    np.testing.assert_array_equal(ours.params, typed.params)


def test_value_and_gradient_with_keys_are_those_of_batch_descent():
    plain, visits = jgd.with_keys(NOISY, DATA, KEY)
    value, grads = jgd.value_and_gradient(plain, ZERO, visits)
    fit = jgd.batch_descent(NOISY, ZERO, DATA, rule=jgd.sgd(0.1), epochs=1, key=KEY)
    np.testing.assert_allclose(fit.history.loss[0], value, rtol=1e-6)
    np.testing.assert_allclose(fit.params, -0.1 * grads, rtol=1e-5)
    blocks = jgd.value_and_gradient(plain, ZERO, visits, block=2)
    np.testing.assert_allclose(blocks[1], grads, rtol=1e-5)


def test_dropout_of_inputs_is_a_ridge():
    """The mean over the noise of dropout is a penalty: (1-p)/p sum_j w_j² mean_i x_ij²."""
    with x64():
        x, y = np.asarray(DATA["x"], float), np.asarray(DATA["y"], float)
        fit = jgd.descend(
            NOISY,
            jnp.zeros(D),
            {"x": jnp.tile(jnp.asarray(x), (300, 1)), "y": jnp.tile(jnp.asarray(y), 300)},
            rule=jgd.sgd(0.2),
            epochs=200,
            key=KEY,
        )
        scale = np.diag((0.3 / 0.7) * (x**2).mean(axis=0))
        wanted = np.linalg.solve(x.T @ x / N + scale, x.T @ y / N)
        np.testing.assert_allclose(fit.params, wanted, atol=0.03)


@pytest.mark.two_devices
def test_data_over_devices_meet_the_same_numbers():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("rows",))
    data = jax.tree.map(lambda x: jnp.concatenate([x, x[:1]]), DATA)
    laid = jax.device_put(data, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows")))
    ours = jgd.batch_descent(NOISY, ZERO, laid, rule=jgd.sgd(0.1), epochs=3, key=KEY)
    wanted = jgd.batch_descent(NOISY, ZERO, data, rule=jgd.sgd(0.1), epochs=3, key=KEY)
    np.testing.assert_allclose(ours.params, wanted.params, rtol=1e-5)


def test_evaluate_sees_the_data_and_no_keys():
    def evaluate(params, validation):
        assert set(validation) == {"x", "y"}
        return jnp.mean((validation["x"] @ params - validation["y"]) ** 2)

    fit = jgd.descend(NOISY, ZERO, DATA, rule=jgd.sgd(0.1), epochs=2, key=KEY, evaluate=evaluate)
    np.testing.assert_allclose(fit.history.evaluation[-1], evaluate(fit.params, DATA), rtol=1e-5)


def test_auto_rule_does_not_compare_gradients_of_different_epochs():
    """Barzilai-Borwein would: the noise between two epochs shrinks its step to nothing."""
    rule = jgd.auto_rule(NOISY, ZERO, DATA, key=KEY)
    fit = jgd.batch_descent(NOISY, ZERO, DATA, rule=rule, epochs=100, key=KEY)
    assert fit.status != jgd.Status.STALLED
    assert fit.state.rule_state.learning_rate > 1e-3


@pytest.mark.exhaustive
def test_rules_that_try_their_steps_and_searches_take_it():
    fit = jgd.descend(NOISY, ZERO, DATA, rule=jgd.armijo(0.1), batch_size=3, epochs=20, key=KEY)
    assert fit.history.loss[-1] < fit.history.loss[0]
    found = jgd.range_test(NOISY, ZERO, DATA, key=KEY, num=8, lowest=1e-4, highest=1e3)
    assert 1e-3 < found.suggestion < 1e2


def test_labels_are_looked_at():
    def logistic(params, example, key):
        noise = 0.1 * jax.random.normal(key, (D,))
        return jgd.losses.logistic((example["x"] + noise) @ params, example["y"])

    with pytest.raises(ValueError, match=r"^target: labels run from"):
        jgd.descend(
            jgd.objective(logistic, random=True), ZERO, DATA, rule=jgd.sgd(0.1), epochs=1, key=KEY
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jgd.objective(loss, random=KEY), "(?s)^random is .* True or False"),
        (lambda: jgd.value(NOISY, ZERO, DATA), "^objective is random, .*jgd.with_keys"),
        (lambda: jgd.value_and_gradient(NOISY, ZERO, DATA), "^objective is random, .*jgd.with_keys"),
        (lambda: jgd.gradient_noise(NOISY, ZERO, DATA), "^objective is random, .*jgd.with_keys"),
        (lambda: jgd.diagnose(NOISY, ZERO, DATA, key=KEY), "^objective is random, .*jgd.with_keys"),
        (lambda: jgd.curvature.sharpness(NOISY, ZERO, DATA, key=KEY), "^objective is random"),
        (lambda: jgd.duality_gap(NOISY, ZERO, DATA), "^objective is random"),
        (
            lambda: jgd.batch_descent(NOISY, ZERO, DATA, rule=jgd.sgd(0.1), epochs=1),
            r"^key is None, but a random objective wants a PRNG key: pass key=jax.random.key\(0\)\.$",
        ),
        (
            lambda: jgd.descend(NOISY, ZERO, DATA, rule=jgd.saga(), epochs=1, key=KEY),
            "^rule is a method for convex problems.* objective is random",
        ),
        (
            lambda: jgd.descend(
                NOISY, ZERO, DATA, rule=jgd.sgd(0.1), epochs=1, key=KEY, stop=jgd.stop.duality_gap(0.1)
            ),
            "^stop holds stop.duality_gap, but objective is random",
        ),
        (lambda: jgd.with_keys(NOISY, DATA, 3), "^key is 3, but one PRNG key"),
        (lambda: jgd.with_keys(NOISY, {}, KEY), "^data is {}, which holds no array"),
        (lambda: jgd.with_keys("x", DATA, KEY), "^objective is 'x', but an Objective"),
        (lambda: jgd.with_keys(NOISY, DATA, KEY, 1.5), "^epoch is 1.5, but the number of an epoch"),
        (lambda: jgd.objective(loss), r"^loss takes \(params, example, key\), but .*random=True"),
        (lambda: jgd.objective(plain, random=True), r"^loss takes \(params, example\), but"),
    ],
)
def test_what_it_is_not_for_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_plain_objective_comes_back_as_it_is():
    plain = jgd.objective(lambda params, example: params @ example["x"])
    assert jgd.with_keys(plain, DATA, KEY) == (plain, DATA)


def test_with_fixed_keys_it_can_be_diagnosed():
    plain, visits = jgd.with_keys(NOISY, DATA, KEY)
    found = jgd.diagnose(plain, ZERO, visits, key=KEY)
    assert found.max_learning_rate > 0
    assert jgd.gradient_noise(plain, ZERO, visits).variance > 0

"""Many lanes, which the steps lay out last, against the fits one by one, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jgd
from jgd.descent.lanes import (
    FEWEST_LANES,
    FEWEST_OF_MATRICES,
    FEWEST_TO_FILL_UP,
    HALF,
    LARGEST_MATRIX,
    LONGEST_ROW,
    scan_steps,
)
from jgd.tree import as_partial
from tests import cases
from tests.problems import x64

LANES = FEWEST_LANES + 6
CHECKED = [0, 1, 33, LANES - 1]
BATCHED = {name: size for name, size in cases.VARIANTS.items() if name != "batch"}
all_variants = pytest.mark.parametrize(
    "variant",
    [pytest.param(name, marks=cases.marks(name, ("stochastic", "traced"))) for name in BATCHED],
)
# Mini-batches keep the lanes in front, as they are without us.
lanes_last = pytest.mark.parametrize("variant", ["stochastic", "traced"])
RATES = np.logspace(-4, -1, LANES)


@pytest.fixture(autouse=True)
def float64():
    with x64():
        yield


def fit(rule, batch_size, **options):
    wide = {"params": cases.params(jnp.float64), "data": cases.data(dtype=jnp.float64)}
    return cases.fit(rule, batch_size, **(wide | options))


def numbers(fit):
    return fit.params, fit.state.rule_state, fit.history.loss, fit.history.gradient_norm


def lane(tree, i):
    return jax.tree.map(lambda x: x[i], tree)


def assert_close(came, expected, rtol=1e-10):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12), came, expected)


def assert_lanes_are(train, settings, rtol=1e-10):
    """`train` over all settings at once gives what it gives for some of them alone."""
    lanes, alone = jax.jit(jax.vmap(train))(settings), jax.jit(train)
    for i in CHECKED:
        assert_close(lane(lanes, i), alone(lane(settings, i)), rtol)


@pytest.mark.parametrize(
    ("rule", "variant"), [pair for pair in cases.RULES_AND_VARIANTS if pair.values[1] in BATCHED]
)
def test_lanes_of_learning_rates(rule, variant):
    make, batch_size = cases.RULES[rule], BATCHED[variant]
    assert_lanes_are(lambda rate: numbers(fit(make(rate), batch_size)), RATES)


@lanes_last
def test_lanes_of_penalties(variant):
    def train(strength):
        objective = jgd.objective(cases.loss, jgd.penalties.elastic_net(strength))
        return numbers(fit(jgd.sgd(0.05), BATCHED[variant], objective=objective))

    assert_lanes_are(train, RATES)


@pytest.mark.exhaustive
@lanes_last
def test_lanes_of_starts(variant):
    starts = np.random.default_rng(0).normal(size=(LANES, 4))

    def train(start):
        params = {"weights": start, "bias": jnp.zeros(())}
        return numbers(fit(jgd.adam(0.05), BATCHED[variant], params=params))

    assert_lanes_are(train, starts)


@lanes_last
def test_lanes_of_keys(variant):
    train = lambda key: numbers(fit(jgd.sgd(0.05), BATCHED[variant], key=key))  # noqa: E731
    assert_lanes_are(train, jax.random.split(jax.random.key(1), LANES))


@all_variants
def test_lanes_of_weights(variant):
    weights = np.random.default_rng(0).choice([0.0, 0.5, 1.0, 2.0], (LANES, cases.NUM_EXAMPLES))
    assert_lanes_are(lambda w: numbers(fit(jgd.sgd(0.05), BATCHED[variant], weights=w)), weights)


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.int64])
def test_lanes_of_batch_sizes(dtype):
    sizes = jnp.arange(LANES, dtype=dtype) % cases.NUM_EXAMPLES + 1
    assert_lanes_are(lambda size: numbers(fit(jgd.sgd(0.05, momentum=0.9), size)), sizes)


@lanes_last
def test_a_loss_may_close_over_what_differs(variant):
    def train(scale):
        def loss(params, example):
            return scale * cases.loss(params, example)

        return numbers(fit(jgd.sgd(0.05), BATCHED[variant], objective=jgd.objective(loss)))

    assert_lanes_are(train, RATES)


@lanes_last
def test_a_rule_and_a_penalty_may_close_over_what_differs(variant):
    def train(rate):
        rule = optax.chain(optax.clip(rate), optax.scale_by_schedule(lambda step: -rate / (1 + step)))
        value = as_partial(lambda params: rate * jnp.sum(params["weights"] ** 2))
        penalty = jgd.penalties.Penalty(value, prox=as_partial(lambda params, step: params), smooth=True)
        return numbers(fit(rule, BATCHED[variant], objective=jgd.objective(cases.loss, penalty)))

    assert_lanes_are(train, RATES)


def branching(params, example):
    prediction = example["x"] @ params["weights"] + params["bias"]
    steps = jnp.where(example["y"], 3, 2)
    total, _ = jax.lax.scan(lambda c, _: (0.5 * c + prediction, None), prediction, length=3)
    total = jax.lax.fori_loop(0, 2, lambda _, c: 0.5 * c + prediction, total)
    return jax.lax.cond(total > 0, lambda t: t**2, lambda t: -steps * t, total)


@pytest.mark.exhaustive
@lanes_last
def test_losses_with_loops_and_branches(variant):
    objective = jgd.objective(branching)
    assert_lanes_are(
        lambda r: numbers(fit(jgd.sgd(r), BATCHED[variant], objective=objective)), RATES / 10
    )


RULES_OF_OPTAX = {
    "noisy": lambda rate: optax.noisy_sgd(rate, key=7),
    "if finite": lambda rate: optax.apply_if_finite(optax.adam(rate), 3),
    "two steps": lambda rate: optax.MultiSteps(optax.sgd(rate), 2),
    "by the norm": lambda rate: optax.chain(optax.clip_by_global_norm(0.1), optax.lamb(rate)),
    "schedule-free": lambda rate: optax.contrib.schedule_free_sgd(rate),
    "of the numbers": lambda rate: optax.inject_hyperparams(optax.adam)(rate),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("rule", "variant"),
    [(rule, ("stochastic", "traced")[i % 2]) for i, rule in enumerate(RULES_OF_OPTAX)],
)
def test_rules_of_optax(rule, variant):
    def train(rate):
        fitted = fit(RULES_OF_OPTAX[rule](rate), BATCHED[variant])
        return fitted.params, fitted.history.loss

    assert_lanes_are(train, RATES)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("length", "outputs", "variant"),
    [
        (LONGEST_ROW, None, "minibatch"),
        (LONGEST_ROW, None, "stochastic"),
        (LONGEST_ROW + 1, None, "stochastic"),
        (5, 3, "stochastic"),
        (LARGEST_MATRIX // 3 + 1, 3, "stochastic"),
    ],
)
def test_rows_of_any_length_and_matrices(length, outputs, variant):
    assert_lanes_are(of_linear_models(length, outputs, variant), RATES)


@pytest.mark.parametrize("lanes", [FEWEST_OF_MATRICES - 1, FEWEST_OF_MATRICES, HALF + 1])
def test_any_number_of_lanes_of_matrices(lanes):
    train = jax.jit(of_linear_models(5, 3, "stochastic"))
    came = jax.vmap(train)(RATES[:lanes])
    for i in (0, lanes - 1):
        assert_close(lane(came, i), train(RATES[i]))


def of_linear_models(length, outputs, variant):
    """`rate -> numbers of the fit` of a linear model with so many features and outputs."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, length)), rng.integers(0, 3, 20)
    params = jax.tree.map(
        lambda p: p.astype(jnp.float64), jgd.models.linear.init(jax.random.key(0), length, outputs)
    )

    def loss(params, example):
        prediction = jgd.models.linear.predict(params, example[0])
        if outputs is None:
            return jgd.losses.squared_error(prediction, example[1])
        return jgd.losses.softmax(prediction, example[1])

    def train(rate):
        return numbers(
            fit(
                jgd.adam(rate),
                BATCHED[variant],
                objective=jgd.objective(loss),
                params=params,
                data=(jnp.asarray(x), jnp.asarray(y)),
            )
        )

    return train


@pytest.mark.parametrize("lanes", [FEWEST_TO_FILL_UP - 1, FEWEST_TO_FILL_UP, FEWEST_LANES])
def test_any_number_of_lanes(lanes):
    train = jax.jit(lambda rate: numbers(fit(jgd.adam(rate), 1)))
    came = jax.vmap(train)(RATES[:lanes])
    for i in (0, lanes - 1):
        assert_close(lane(came, i), train(RATES[i]))


@pytest.mark.exhaustive
@pytest.mark.parametrize("variant", ["stochastic", "traced"])
@pytest.mark.parametrize("inner", [3, LANES])
def test_lanes_of_lanes(inner, variant):
    outer = 3 if inner == LANES else LANES

    def train(rate, decay):
        return numbers(fit(jgd.adam(rate, decay), BATCHED[variant], epochs=2))

    rates, decays = RATES[:outer], np.linspace(0.5, 0.9, inner)
    lanes = jax.jit(jax.vmap(jax.vmap(train, (None, 0)), (0, None)))(rates, decays)
    for i, j in ((0, 0), (1, 2), (outer - 1, inner - 1)):
        assert_close(lane(lane(lanes, i), j), jax.jit(train)(rates[i], decays[j]))


@pytest.mark.two_devices
@pytest.mark.parametrize("variant", ["stochastic", "traced"])
def test_lanes_laid_over_devices(variant):
    mesh = jax.make_mesh((2,), ("lane",), (AxisType.Auto,))
    rates = jax.device_put(RATES, NamedSharding(mesh, PartitionSpec("lane")))
    train = jax.jit(jax.vmap(lambda rate: numbers(fit(jgd.sgd(rate), BATCHED[variant]))))
    came = train(rates)
    assert len(came[0]["weights"].sharding.device_set) == 2
    assert_close(came, train(jnp.asarray(RATES)))


@all_variants
@pytest.mark.parametrize(
    "sick", [20, *(pytest.param(i, marks=pytest.mark.exhaustive) for i in (0, LANES - 1))]
)
def test_a_lane_that_diverges_harms_no_other(variant, sick):
    train = jax.jit(jax.vmap(lambda rate: fit(jgd.sgd(rate), BATCHED[variant])))
    sound, came = train(jnp.asarray(RATES)), train(jnp.asarray(RATES).at[sick].set(jnp.inf))
    others = np.arange(LANES) != sick
    assert came.status[sick] == jgd.Status.DIVERGED
    assert (came.status[others] == jgd.Status.EPOCHS_DONE).all()
    for a, b in zip(jax.tree.leaves(numbers(came)), jax.tree.leaves(numbers(sound)), strict=True):
        np.testing.assert_array_equal(a[others], b[others])


@pytest.mark.parametrize("variant", cases.EACH_VARIANT)
def test_lanes_may_speak_to_each_other_by_the_name_of_their_axis(variant):
    """Three lanes that share the mean of their gradients, from one start, are one."""
    shared = optax.stateless(lambda grads, _: jax.lax.pmean(grads, "lanes"))
    lanes = jax.vmap(
        lambda _: fit(optax.chain(shared, optax.sgd(0.1)), cases.VARIANTS[variant]).params,
        axis_name="lanes",
    )(np.arange(3))
    alone = fit(optax.sgd(0.1), cases.VARIANTS[variant]).params
    for i in range(3):
        assert_close(lane(lanes, i), alone)


def test_a_step_keeps_the_settings_and_names_around_its_operations():
    def loss(params, example):
        with jax.threefry_partitionable(False), jax.named_scope("name_of_the_loss"):
            noise = jax.random.normal(example["key"], (4,))
            return jgd.losses.squared_error(params @ noise, example["y"])

    data = {"key": jax.random.split(jax.random.key(0), 5), "y": jnp.arange(5.0)}
    train = jax.jit(
        lambda rate: (
            jgd.stochastic_descent(
                jgd.objective(loss), jnp.zeros(4), data, rule=jgd.sgd(rate), epochs=1, shuffle=False
            ).params
        )
    )
    params = jnp.zeros(4)
    for i in range(5):
        params = params - 0.1 * jax.grad(loss)(params, lane(data, i))
    np.testing.assert_allclose(train(0.1), params, rtol=1e-10)
    assert "name_of_the_loss" in train.lower(0.1).compile().as_text()


def final_loss(settings, variant, outer=1.0):
    rate, strength = settings

    def loss(params, example):
        return outer * cases.loss(params, example)

    objective = jgd.objective(loss, jgd.penalties.l2(strength))
    fitted = fit(jgd.sgd(rate, momentum=0.5), BATCHED[variant], objective=objective)
    rows = cases.data(dtype=jnp.float64)
    return jnp.mean(jax.vmap(cases.loss, (None, 0))(fitted.params, rows))


def central_difference(function, x, direction, size=1e-5):
    ahead, behind = (function(x + s * size * direction) for s in (1, -1))
    return (ahead - behind) / (2 * size)


@pytest.mark.exhaustive
def test_derivatives_are_finite_differences():
    at, direction = jnp.array([0.05, 0.1]), jnp.array([0.6, -0.8])
    loss = jax.jit(lambda s: final_loss(s, "stochastic"))
    slope = central_difference(loss, at, direction)
    gradient = jax.jit(jax.grad(loss))
    np.testing.assert_allclose(gradient(at) @ direction, slope, rtol=1e-6)
    np.testing.assert_allclose(jax.jvp(loss, (at,), (direction,))[1], slope, rtol=1e-6)
    curvature = central_difference(gradient, at, direction)
    np.testing.assert_allclose(jax.jit(jax.hessian(loss))(at) @ direction, curvature, rtol=1e-6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("variant", ["stochastic", "minibatch"])
def test_the_derivative_by_what_a_loss_closes_over_is_a_finite_difference(variant):
    at = jnp.array([0.05, 0.1])
    loss = jax.jit(lambda outer: final_loss(at, variant, outer))
    slope = central_difference(loss, jnp.array(1.3), 1.0)
    np.testing.assert_allclose(jax.grad(loss)(1.3), slope, rtol=1e-6)


@pytest.mark.parametrize(
    "derivative", [jax.grad, jax.jacfwd, pytest.param(jax.hessian, marks=pytest.mark.exhaustive)]
)
def test_lanes_of_derivatives(derivative):
    settings = np.stack([RATES, RATES[::-1]], axis=1)
    assert_lanes_are(derivative(lambda s: final_loss(s, "stochastic")), settings)


@pytest.mark.exhaustive
def test_a_derivative_through_lanes():
    rates = jnp.asarray(RATES)
    total = lambda rates: jnp.sum(jax.vmap(lambda r: final_loss((r, 0.1), "stochastic"))(rates))  # noqa: E731
    came = jax.jit(jax.grad(total))(rates)
    expected = jax.jit(jax.grad(lambda r: final_loss((r, 0.1), "stochastic")))
    for i in CHECKED:
        np.testing.assert_allclose(came[i], expected(rates[i]), rtol=1e-10)


def test_a_scan_of_steps_is_a_loop():
    """Of any carry: integers, keys, nothing, numbers that no step moves."""

    def step(constants, carry, batch):
        key, noise = jax.random.split(carry["key"])
        moved = constants * carry["x"] + batch + jax.random.normal(noise, (3,))
        return {"key": key, "x": moved, "count": carry["count"] + 1, "none": None, "kept": carry["kept"]}

    carry = {
        "key": jax.random.split(jax.random.key(0), LANES),
        "x": np.random.default_rng(0).normal(size=(LANES, 3)),
        "count": np.zeros(LANES, np.int32),
        "none": None,
        "kept": np.ones((LANES, 2), bool),
    }
    batches = np.arange(12.0).reshape(4, 3)
    words = lambda carry: {**carry, "key": jax.random.key_data(carry["key"])}  # noqa: E731
    came = jax.vmap(lambda r, c: scan_steps(step, r, c, batches))(RATES, carry)
    for i in CHECKED:
        alone = lane(carry, i)
        for batch in batches:
            alone = step(RATES[i], alone, batch)
        assert_close(words(lane(came, i)), words(alone))

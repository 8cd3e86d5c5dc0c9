"""Every rule against its namesake of optax, step by step; and a rule as a pytree of its numbers."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import jgd
from tests import problems

NUM_STEPS = 100
RULES = {
    "sgd": (jgd.sgd, optax.sgd, {"learning_rate": 0.1}),
    "momentum": (jgd.sgd, optax.sgd, {"learning_rate": 0.02, "momentum": 0.9}),
    "nesterov": (jgd.sgd, optax.sgd, {"learning_rate": 0.02, "momentum": 0.9, "nesterov": True}),
    "adagrad": (jgd.adagrad, optax.adagrad, {"learning_rate": 0.3}),
    "adagrad from zero": (
        jgd.adagrad,
        optax.adagrad,
        {"learning_rate": 0.3, "initial_accumulator_value": 0.0, "eps": 1e-3},
    ),
    "rmsprop": (jgd.rmsprop, optax.rmsprop, {"learning_rate": 0.01}),
    "rmsprop centered": (
        jgd.rmsprop,
        optax.rmsprop,
        {"learning_rate": 0.01, "centered": True, "eps": 1e-3},
    ),
    "rmsprop momentum": (
        jgd.rmsprop,
        optax.rmsprop,
        {"learning_rate": 0.005, "momentum": 0.8, "decay": 0.95},
    ),
    "rmsprop nesterov": (
        jgd.rmsprop,
        optax.rmsprop,
        {"learning_rate": 0.005, "momentum": 0.8, "nesterov": True, "centered": True, "eps": 1e-2},
    ),
    "rmsprop eps outside": (
        jgd.rmsprop,
        optax.rmsprop,
        {"learning_rate": 0.01, "eps_in_sqrt": False, "eps": 1e-2, "initial_scale": 1.0},
    ),
    "rmsprop unbiased": (
        jgd.rmsprop,
        optax.rmsprop,
        {"learning_rate": 0.01, "bias_correction": True, "eps": 1e-4},
    ),
    "rmsprop all": (
        jgd.rmsprop,
        optax.rmsprop,
        {
            "learning_rate": 0.005,
            "bias_correction": True,
            "centered": True,
            "eps_in_sqrt": False,
            "momentum": 0.5,
            "initial_scale": 0.5,
            "eps": 1e-2,
        },
    ),
    "adam": (jgd.adam, optax.adam, {"learning_rate": 0.02}),
    "adam numbers": (
        jgd.adam,
        optax.adam,
        {"learning_rate": 0.02, "b1": 0.8, "b2": 0.9, "eps": 1e-3, "eps_root": 1e-4},
    ),
    "nadam": (jgd.adam, optax.adam, {"learning_rate": 0.02, "nesterov": True, "eps_root": 1e-6}),
}
SCHEDULES = {
    "exponential": lambda: optax.exponential_decay(0.05, transition_steps=10, decay_rate=0.7),
    "cosine": lambda: optax.cosine_decay_schedule(0.05, decay_steps=80, alpha=0.1),
}
# One form of each rule that uses all that the rule remembers.
RICH = {
    "sgd": functools.partial(jgd.sgd, momentum=0.9),
    "adagrad": jgd.adagrad,
    "rmsprop": functools.partial(jgd.rmsprop, centered=True, momentum=0.5, eps=1e-3),
    "adam": functools.partial(jgd.adam, eps_root=1e-6),
}
every_rule = pytest.mark.parametrize("make", RICH.values(), ids=RICH)


def network(dtype):
    """The network with all params in one vector."""
    problem = problems.network(dtype)
    params, unravel = ravel_pytree(problem.params)
    return problem._replace(loss=lambda p, example: problem.loss(unravel(p), example), params=params)


PROBLEMS = (problems.quadratic, problems.logistic_regression, network)


@functools.cache
def gradient_of(make_problems, dtype):
    """The gradients of the mean losses of some problems, in plain JAX, and where to start."""
    with jax.ensure_compile_time_eval():
        some = [make(dtype) for make in make_problems]

    def sum_of_mean_losses(params):
        losses = [
            jax.vmap(problem.loss, in_axes=(None, 0))(p, problem.data)
            for problem, p in zip(some, params, strict=True)
        ]
        return sum(jnp.mean(each) for each in losses)

    return jax.grad(sum_of_mean_losses), [problem.params for problem in some]


@functools.cache
def gradients_along_the_way(dtype):
    """The gradients that plain gradient descent meets on all problems, [steps, ...] each."""
    gradient, start = gradient_of(PROBLEMS, dtype)

    def step(params, _):
        grads = gradient(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), grads

    return start, jax.jit(lambda start: jax.lax.scan(step, start, length=NUM_STEPS)[1])(start)


def check_equal_steps(ours, theirs, dtype, rate_at):
    """Two rules make the same steps, given the same gradients.

    In float32 optax rounds `1 - b2` in another place than we do, which is worth 1e-5.
    """
    params, grads = gradients_along_the_way(dtype)

    def step(states, grads):
        our_updates, our_state = ours.update(grads, states[0], params)
        their_updates, their_state = theirs.update(grads, states[1], params)
        rate = optax.tree_utils.tree_get(our_state, "learning_rate")
        return (our_state, their_state), (our_updates, their_updates, rate)

    def run(grads):
        return jax.lax.scan(step, (ours.init(params), theirs.init(params)), grads)[1]

    came, wanted, rates = jax.jit(run)(grads)
    wanted_rates = [rate_at(number) for number in range(NUM_STEPS)]
    np.testing.assert_allclose(rates, np.array(wanted_rates, float), rtol=1e-6)
    chex.assert_trees_all_equal_shapes_and_dtypes(came, wanted)
    for one_came, one_wanted in zip(came, wanted, strict=True):
        errors = jax.tree.map(lambda x, y: np.abs(x - y), one_came, one_wanted)
        # At each step: the largest error, by the size of the step.
        error, size = (largest_number_of_each_step(tree) for tree in (errors, one_wanted))
        assert (error <= {"float32": 3e-5, "float64": 1e-12}[dtype] * size).all(), (error / size).max()
        assert size.max() > 1e-3


def largest_number_of_each_step(tree):
    numbers = [np.abs(np.asarray(leaf)).reshape(NUM_STEPS, -1) for leaf in jax.tree.leaves(tree)]
    return np.concatenate(numbers, axis=1).max(axis=1)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("name", RULES)
def test_rule_takes_the_steps_of_optax(name, dtype):
    make, namesake, numbers = RULES[name]
    with problems.x64(dtype == "float64"):
        ours, theirs = make(**numbers), namesake(**numbers)
        check_equal_steps(ours, theirs, dtype, lambda number: numbers["learning_rate"])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", RULES)
def test_rule_goes_into_a_chain_of_optax(name):
    make, namesake, numbers = RULES[name]
    clip = optax.clip_by_global_norm(0.1)
    ours, theirs = (optax.chain(clip, f(**numbers)) for f in (make, namesake))
    check_equal_steps(ours, theirs, "float32", lambda number: numbers["learning_rate"])


@pytest.mark.parametrize(
    ("schedule", "dtype", "name"),
    [
        ("exponential", "float32", "momentum"),
        pytest.param("cosine", "float64", "momentum", marks=pytest.mark.exhaustive),
        pytest.param("cosine", "float32", "adagrad", marks=pytest.mark.exhaustive),
        pytest.param("exponential", "float64", "rmsprop all", marks=pytest.mark.exhaustive),
        pytest.param("cosine", "float32", "adam", marks=pytest.mark.exhaustive),
        ("exponential", "float64", "nadam"),
    ],
)
def test_schedules_of_optax_are_followed(schedule, dtype, name):
    make, namesake, numbers = RULES[name]
    numbers = numbers | {"learning_rate": SCHEDULES[schedule]()}
    with problems.x64(dtype == "float64"):
        check_equal_steps(make(**numbers), namesake(**numbers), dtype, numbers["learning_rate"])


@every_rule
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_state_carries_the_learning_rate_of_the_step_just_done(make, schedule):
    schedule, params = SCHEDULES[schedule](), jnp.ones(2)
    rule = optax.chain(optax.clip_by_global_norm(1.0), make(schedule))
    state, update = rule.init(params), jax.jit(rule.update)
    assert float(optax.tree_utils.tree_get(state, "learning_rate")) == float(schedule(0))
    for step in range(5):
        _, state = update(jnp.full(2, 0.1), state, params)
        rate = optax.tree_utils.tree_get(state, "learning_rate")
        np.testing.assert_allclose(rate, schedule(step), rtol=1e-6)
    assert float(rate) < float(schedule(0))


def train(rule, num_steps=20):
    """The params of logistic regression in float64 after some steps."""
    gradient, [params] = gradient_of((problems.logistic_regression,), "float64")

    def step(position, _):
        params, state = position
        updates, state = rule.update(*gradient([params]), state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, rule.init(params)), length=num_steps)[0][0]


def check_lanes(make, values):
    """A batch of rules trains what the rules train one by one; in float64, so that no rounding grows."""
    with problems.x64():
        one_by_one = jax.jit(train)
        lanes = jax.jit(jax.vmap(train))(make(np.asarray(values)))
        for lane, value in enumerate(values):
            came = jax.tree.map(lambda x, lane=lane: x[lane], lanes)
            chex.assert_trees_all_close(came, one_by_one(make(value)), rtol=1e-9, atol=1e-9)
        weights = np.asarray(lanes["linear"]["weights"])
    assert np.abs(weights[0] - weights[-1]).max() > 1e-3


@every_rule
def test_a_batch_of_rules_is_a_loop(make):
    check_lanes(make, np.logspace(-4, 0, 8))


@pytest.mark.parametrize("name", ["nesterov", "adagrad", "rmsprop all", "adam numbers"])
def test_training_with_a_rule_is_training_with_that_of_optax(name):
    make, namesake, numbers = RULES[name]
    with problems.x64():
        came, wanted = (jax.jit(lambda f=f: train(f(**numbers), NUM_STEPS))() for f in (make, namesake))
        chex.assert_trees_all_close(came, wanted, rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "number"),
    [
        (functools.partial(jgd.sgd, 0.1), "momentum"),
        (functools.partial(jgd.adam, 0.01, eps=1e-3), "b2"),
        (functools.partial(jgd.adagrad, 0.1), "initial_accumulator_value"),
        (functools.partial(jgd.sgd, SCHEDULES["cosine"]()), "momentum"),
        (functools.partial(jgd.rmsprop, SCHEDULES["cosine"]()), "decay"),
        (functools.partial(jgd.adam, SCHEDULES["cosine"]()), "b1"),
    ],
)
def test_a_batch_of_another_number_is_a_loop(make, number):
    check_lanes(lambda values: make(**{number: values}), np.array([0.1, 0.5, 0.9]))


@pytest.mark.parametrize(
    ("make", "at"),
    [
        (functools.partial(jgd.sgd, momentum=0.9, nesterov=True), 0.03),
        pytest.param(jgd.adagrad, 0.3, marks=pytest.mark.exhaustive),
        (functools.partial(jgd.rmsprop, centered=True, momentum=0.5, eps=1e-3), 0.01),
        pytest.param(functools.partial(jgd.adam, nesterov=True), 0.05, marks=pytest.mark.exhaustive),
        pytest.param(
            lambda momentum: jgd.sgd(0.03, momentum=momentum), 0.8, marks=pytest.mark.exhaustive
        ),
        (lambda b1: jgd.adam(0.05, b1=b1), 0.7),
    ],
)
def test_gradient_with_respect_to_a_number(make, at):
    def outcome(number):
        params = train(make(number), num_steps=10)
        return sum(jnp.sum(p * jnp.arange(1.0, p.size + 1)) for p in jax.tree.leaves(params))

    with problems.x64():
        came = jax.jit(jax.grad(outcome))(at)
        above, below = jax.jit(jax.vmap(outcome))(jnp.array([at + 1e-6, at - 1e-6]))
        np.testing.assert_allclose(came, (above - below) / 2e-6, rtol=1e-6)
        assert abs(came) > 1e-3


@pytest.mark.parametrize(
    "rules",
    [
        lambda: [jgd.sgd(rate) for rate in (0.1, 1, np.float32(0.3), jnp.array(0.2))],
        lambda: [jgd.sgd(0.1, momentum=momentum) for momentum in (0.9, 0, 1, jnp.array(0.5))],
        lambda: [jgd.adagrad(rate, initial_accumulator_value=rate) for rate in (0.1, 1)],
        lambda: [jgd.rmsprop(rate, decay=rate, eps=rate) for rate in (0.1, 1, np.float64(0.5))],
        lambda: [jgd.adam(0.1, b1=b1, b2=b1, eps=1e-8) for b1 in (0.9, 0, jnp.array(0.5))],
    ],
    ids=["learning rate", "momentum", "adagrad", "rmsprop", "adam"],
)
def test_other_numbers_trace_nothing(rules):
    chex.clear_trace_counter()
    params = {"weights": jnp.array([1.0, -1.0])}

    @jax.jit
    @chex.assert_max_traces(n=1)
    def first_step(rule, grads):
        return rule.update(grads, rule.init(params), params)

    updates = [first_step(rule, params)[0]["weights"] for rule in rules()]
    assert all(jnp.isfinite(update).all() for update in updates)


@every_rule
def test_a_rule_is_a_pytree_of_its_numbers(make):
    leaves, treedef = jax.tree.flatten(make(0.1))
    assert all(leaf.dtype == jnp.float32 and leaf.shape == () for leaf in leaves)
    assert any(float(leaf) == np.float32(0.1) for leaf in leaves)
    assert treedef == jax.tree.structure(make(0.7))
    assert hash(treedef) == hash(jax.tree.structure(make(0.7)))
    assert isinstance(make(0.1), optax.GradientTransformationExtraArgs)
    with_other_form = jgd.rmsprop(0.1, eps_in_sqrt=False)
    assert jax.tree.structure(jgd.rmsprop(0.1)) != jax.tree.structure(with_other_form)


@every_rule
@pytest.mark.parametrize(
    ("dtype", "rate"),
    [("bfloat16", 0.01), ("float16", 0.01), ("bfloat16", SCHEDULES["cosine"]())],
    ids=["bfloat16", "float16", "schedule"],
)
def test_dtypes_are_kept(make, dtype, rate):
    params = {"a": jnp.ones(3, dtype), "b": jnp.ones((), jnp.float32)}
    grads = jax.tree.map(lambda p: p * 0.5, params)
    rule = make(rate)
    state = rule.init(params)
    updates, new_state = jax.jit(rule.update)(grads, state, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(new_state, state)
    for memory in (state.first, state.second, state.trace):
        if memory is not None:
            chex.assert_trees_all_equal_shapes_and_dtypes(memory, params)
    assert state.learning_rate.dtype == jnp.float32
    wide = jax.tree.map(lambda p: p.astype(jnp.float32), params)
    wanted, _ = rule.update(jax.tree.map(lambda p: p * 0.5, wide), rule.init(wide), wide)
    np.testing.assert_allclose(np.asarray(updates["a"], float), wanted["a"], rtol=0.02)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("batch_size", [None, 1, 32])
def test_history_of_short_floats_keeps_its_digits(dtype, batch_size):
    """Every example costs 4, and a learning rate of 0 leaves it so, however many examples there are."""
    fit = jgd.descend(
        jgd.objective(lambda params, example: (params - example) ** 2),
        jnp.zeros((), dtype),
        jnp.full(3000, 2.0, dtype),
        rule=jgd.sgd(0.0),
        batch_size=batch_size,
        shuffle=False,
        epochs=1,
    )
    assert int(fit.status) == jgd.Status.EPOCHS_DONE
    np.testing.assert_allclose(np.asarray(fit.history.loss, float), [4.0], rtol=0.02)
    np.testing.assert_allclose(np.asarray(fit.history.gradient_norm, float), [4.0], rtol=0.02)


@every_rule
def test_rules_ignore_the_extra_arguments_of_others(make):
    rule, params = make(0.1), jnp.ones(2)
    plain = rule.update(params, rule.init(params))
    extra = rule.update(params, rule.init(params), params, value=1.0, grad=params, value_fn=jnp.sum)
    chex.assert_trees_all_equal(plain, extra)


def test_a_rule_is_made_within_jit_and_vmap():
    rates = jnp.array([0.1, 0.2])

    def first_step(rate):
        rule = jgd.sgd(rate)
        return rule.update(jnp.ones(()), rule.init(jnp.ones(())))[0]

    np.testing.assert_allclose(jax.vmap(first_step)(rates), -rates)
    np.testing.assert_allclose(jax.jit(first_step)(0.1), -0.1)
    rate = jnp.array(0.3)
    np.testing.assert_allclose(
        jax.jit(lambda g: jgd.sgd(rate).update(g, jgd.sgd(rate).init(g))[0])(1.0), -0.3
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jgd.sgd(-0.1), "^sgd: learning_rate is -0.1, but a number >= 0, or a schedule"),
        (lambda: jgd.adam(-1e-9), "^adam: learning_rate is -1e-09, but a number >= 0"),
        (
            lambda: jgd.adagrad(jnp.array([0.1, -0.1])),
            r"^adagrad: learning_rate is .*, but a number >= 0",
        ),
        (lambda: jgd.rmsprop("fast"), "^rmsprop: learning_rate is 'fast', but a number >= 0"),
        (lambda: jgd.sgd(None), "^sgd: learning_rate is None, but a number >= 0"),
        (lambda: jgd.sgd({"a": 0.1}), "^sgd: learning_rate is {'a': 0.1}, but a number >= 0"),
        (lambda: jgd.sgd(0.1, momentum=2), "^sgd: momentum is 2, but a number from 0 to 1, or None"),
        (lambda: jgd.sgd(0.1, momentum=-0.5), "^sgd: momentum is -0.5, but a number from 0 to 1"),
        (lambda: jgd.sgd("0.1"), "^sgd: learning_rate is '0.1', but a number >= 0"),
        (lambda: jgd.sgd(0.1, momentum="heavy"), "^sgd: momentum is 'heavy', but a number from 0 to 1"),
        (lambda: jgd.sgd(0.1, nesterov=True), r"^nesterov is True and momentum None.*e.g. 0.9"),
        (lambda: jgd.rmsprop(0.1, nesterov=True), r"^nesterov is True and momentum None.*e.g. 0.9"),
        (lambda: jgd.rmsprop(0.1, momentum=1.1), "^rmsprop: momentum is 1.1, but a number from 0 to 1"),
        (lambda: jgd.rmsprop(0.1, decay=1.5), "^rmsprop: decay is 1.5, but a number from 0 to 1"),
        (lambda: jgd.rmsprop(0.1, eps=-1.0), "^rmsprop: eps is -1.0, but a number >= 0"),
        (lambda: jgd.rmsprop(0.1, initial_scale=-1.0), "^rmsprop: initial_scale is -1.0"),
        (lambda: jgd.adagrad(0.1, -0.1), "^adagrad: initial_accumulator_value is -0.1"),
        (lambda: jgd.adagrad(0.1, eps=float("nan")), "^adagrad: eps is nan, but a number >= 0"),
        (lambda: jgd.adam(0.1, b1=1.1), "^adam: b1 is 1.1, but a number from 0 to 1"),
        (lambda: jgd.adam(0.1, b2=-0.1), "^adam: b2 is -0.1, but a number from 0 to 1"),
        (lambda: jgd.adam(0.1, eps_root=-0.1), "^adam: eps_root is -0.1, but a number >= 0"),
        (lambda: jgd.adam(0.1, b1=jnp.ones(2), b2=jnp.ones(3)), "adam.*shape"),
    ],
)
def test_bad_numbers_are_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()

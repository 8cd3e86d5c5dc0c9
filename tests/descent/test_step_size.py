"""Rules that choose the length of their steps."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.linear_model import Lasso

import jgd
from jgd.descent import armijo
from tests import cases, problems

RULES = {
    "armijo": lambda rate=0.5: jgd.armijo(rate, memory=cases.NUM_EXAMPLES),
    "barzilai_borwein": lambda rate=0.5: jgd.barzilai_borwein(rate),
    "polyak": lambda rate=0.5: jgd.polyak(learning_rate=rate),
    "polyak, estimated": lambda rate=0.5: jgd.polyak(None, learning_rate=rate),
}
STATIC_VARIANTS = {name: size for name, size in cases.VARIANTS.items() if name != "traced"}
CURVATURES = np.array([1.0, 7.0, 50.0, 400.0])


def bowl(params, example):
    return jnp.sum(example * jnp.square(params)) / 2


def steps_on_bowl(rule, num, start=(1.0, -2.0, 0.5, 1.5)):
    """Params before each step and learning rates of a rule on the bowl, by a plain loop."""
    value_fn = functools.partial(bowl, example=jnp.asarray(CURVATURES))
    params = jnp.asarray(start)
    state = rule.init(params)

    @jax.jit
    def step(params, state):
        value, grads = jax.value_and_grad(value_fn)(params)
        updates, state = rule.update(grads, state, params, value=value, value_fn=value_fn)
        return optax.apply_updates(params, updates), state

    path, rates = [np.asarray(params)], []
    for _ in range(num):
        params, state = step(params, state)
        path.append(np.asarray(params))
        rates.append(float(state.learning_rate))
    return np.array(path), np.array(rates)


@pytest.mark.exhaustive
def test_polyak_steps_as_optax_does():
    for batch_size in STATIC_VARIANTS.values():
        ours = cases.fit(jgd.polyak(learning_rate=0.7), batch_size)
        theirs = cases.fit(optax.polyak_sgd(0.7), batch_size)
        chex.assert_trees_all_close(ours.params, theirs.params, rtol=1e-5)


def test_polyak_finds_the_minimum_by_itself():
    """That of a least-squares problem with noise, which is not 0."""
    with problems.x64():
        problem = problems.least_squares(jnp.float64)
        fit = jgd.batch_descent(
            jgd.objective(problem.loss), problem.params, problem.data, rule=jgd.polyak(None), epochs=400
        )
        np.testing.assert_allclose(fit.params, problem.minimiser, rtol=1e-3)


def test_barzilai_borwein_takes_the_rate_that_suits_the_last_step():
    with problems.x64():
        path, rates = steps_on_bowl(jgd.barzilai_borwein(1e-3), 30)
    moved = np.flatnonzero(rates > 0)
    assert len(moved) > 25
    for earlier, later in itertools.pairwise(moved):
        if later != earlier + 1:
            continue  # a step between them was refused
        s = path[earlier + 1] - path[earlier]
        y = CURVATURES * s
        long, short = s @ s / (s @ y), s @ y / (y @ y)
        np.testing.assert_allclose(rates[later], short if short < long / 2 else long, rtol=1e-9)


def test_barzilai_borwein_needs_far_fewer_steps_than_the_best_constant_rate():
    with problems.x64():
        path, _ = steps_on_bowl(jgd.barzilai_borwein(1e-3), 60)
        best = 2 / (CURVATURES[0] + CURVATURES[-1])
        constant = np.abs((1 - best * CURVATURES) ** 60 * path[0])
    assert np.linalg.norm(path[-1]) < 1e-4 * np.linalg.norm(constant)


@pytest.mark.parametrize("start", [0.01, 10.0])
def test_armijo_settles_where_steps_gain_the_share_that_was_asked_for(monkeypatch, start):
    """On a parabola of curvature k a step gains the part `1 - rate k / 2` of what it promises."""
    for name, never in (("HOVERS", -np.inf), ("FELL", -np.inf), ("ROSE", -np.inf)):
        monkeypatch.setattr(armijo, name, never)  # the noise, which keeps the steps going, may stay
    decrease = jnp.array([0.2, 0.5, 0.7])

    def train(decrease):
        return jgd.minibatch_descent(
            jgd.objective(lambda p, centre: bowl(p - centre, jnp.array([3.0]))),
            jnp.array([1.0]),
            jax.random.normal(jax.random.key(0), (40, 1)),
            rule=jgd.armijo(start, decrease, memory=8),
            batch_size=2,
            epochs=20,
            key=jax.random.key(1),
        )

    rates = jax.jit(jax.vmap(train))(decrease).state.rule_state.next_rate
    np.testing.assert_allclose(rates, 2 * (1 - decrease) / 3.0, rtol=0.1)


def test_armijo_gives_way_to_noise():
    """With single noisy examples a constant rate hovers; halved rates come near the least squares."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5))
    y = x @ rng.normal(size=5) + rng.normal(size=300)
    smallest = np.linalg.lstsq(x, y, rcond=None)[1][0] / 300
    data = {"x": jnp.asarray(x, float), "y": jnp.asarray(y, float)}
    fit = jgd.stochastic_descent(
        jgd.objective(problems.square),
        jnp.zeros(5),
        data,
        rule=jgd.armijo(0.1, memory=300),
        epochs=60,
        key=jax.random.key(0),
    )
    loss = float(jgd.value(jgd.objective(problems.square), fit.params, data))
    assert smallest < loss < 1.03 * smallest
    assert (
        fit.history.loss[5:].mean() > 1.05 * smallest
    )  # what single steps met, at rates like the first


@pytest.mark.parametrize("name", ["armijo", "barzilai_borwein"])
def test_with_an_l1_penalty_the_minimum_is_that_of_scikit_learn(name):
    problem = problems.least_squares()
    strength = 0.8
    x, y = (np.asarray(column, float) for column in problem.data.values())
    model = Lasso(alpha=strength / 2, fit_intercept=False, tol=1e-10).fit(x, y)
    fit = jgd.batch_descent(
        jgd.objective(problem.loss, jgd.penalties.l1(strength)),
        problem.params,
        problem.data,
        rule=RULES[name](),
        epochs=300,
        stop=jgd.stop.gradient_norm(1e-4),
    )
    assert fit.status == jgd.Status.CONVERGED
    np.testing.assert_allclose(fit.params, model.coef_, atol=2e-4)


@pytest.mark.parametrize(
    ("name", "variant"),
    [(name, "batch") for name in RULES]
    + [("armijo", "stochastic"), ("armijo", "minibatch"), ("polyak", "minibatch")],
)
def test_the_loss_falls(name, variant):
    fit = cases.fit(RULES[name](), STATIC_VARIANTS[variant], epochs=12)
    assert fit.status == jgd.Status.EPOCHS_DONE
    losses = np.asarray(fit.history.loss)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=cases.marks(name, ("armijo",))) for name in RULES]
)
def test_a_batch_of_rules_equals_them_one_by_one(name):
    rates = jnp.array([0.05, 0.5])

    def train(rule):
        return cases.fit(rule, 8, epochs=1).params

    one_by_one = jax.jit(lambda rules: jax.lax.map(train, rules))(RULES[name](rates))
    batch = jax.vmap(train)(RULES[name](rates))
    chex.assert_trees_all_close(batch, one_by_one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["armijo", "barzilai_borwein"])
def test_a_rate_that_is_no_number_diverges_and_one_far_too_high_finds_its_way(name):
    rates = jnp.array([jnp.nan, jnp.inf, 1e30, 0.5])
    fits = jax.vmap(lambda rule: cases.fit(rule, None, epochs=60))(RULES[name](rates))
    assert fits.status[:2].tolist() == [jgd.Status.DIVERGED] * 2
    assert fits.status[2] == jgd.Status.EPOCHS_DONE
    np.testing.assert_allclose(fits.history.loss[2, -1], fits.history.loss[3, -1], rtol=0.05)


def test_params_may_bear_the_names_of_a_state():
    """The proximal step takes the rate of the rule, not the params that it remembers."""
    centre = np.array([3.0, -1.0, 0.1])

    def loss(params, example):
        return jnp.sum(jnp.square(params["learning_rate"] - example)) / 2

    fit = jgd.batch_descent(
        jgd.objective(loss, jgd.penalties.l1(0.5)),
        {"learning_rate": jnp.zeros(3)},
        jnp.asarray(centre)[None],
        rule=jgd.barzilai_borwein(0.1),
        epochs=20,
    )
    expected = np.sign(centre) * np.maximum(np.abs(centre) - 0.5, 0)
    np.testing.assert_allclose(fit.params["learning_rate"], expected, atol=1e-5)
    assert "learning rate" in jgd.explain(fit)


@jax.custom_jvp
def uphill(params):
    return jnp.sum(jnp.square(params))


@uphill.defjvp
def _uphill_jvp(primals, tangents):
    (params,), (tangent,) = primals, tangents
    return uphill(params), -2 * jnp.sum(params * tangent)  # of the wrong sign


@pytest.mark.parametrize("name", ["armijo", "barzilai_borwein"])
def test_a_search_that_finds_no_step_ends_as_stalled(name):
    fit = jgd.batch_descent(
        jgd.objective(lambda params, example: uphill(params) + 0 * example),
        jnp.array([1.0, 2.0]),
        jnp.zeros(3),
        rule=RULES[name](),
        epochs=200,
    )
    assert fit.status == jgd.Status.STALLED
    assert fit.epochs < 100
    # Steps that change the loss by no more than rounding are taken.
    np.testing.assert_allclose(fit.params, [1.0, 2.0], rtol=1e-4)


@pytest.mark.parametrize("name", RULES)
def test_hostile_losses_have_an_end(name):
    """Lanes: a constant loss, one that falls without end, one with NaN, one at its minimum."""

    def loss(params, form):
        return form[0] * jnp.sum(jnp.square(params)) + form[1] * jnp.sum(params) + form[2]

    def train(form):
        start, rows = jnp.zeros(2), jnp.broadcast_to(form, (3, 3))
        return jgd.batch_descent(jgd.objective(loss), start, rows, rule=RULES[name](), epochs=120)

    forms = jnp.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [jnp.nan, 0.0, 0.0], [1.0, 0.0, 0.0]])
    fits = jax.jit(jax.vmap(train))(forms)
    done, diverged = jgd.Status.EPOCHS_DONE, jgd.Status.DIVERGED
    assert fits.status.tolist() == [done, done, diverged, done]
    assert np.isfinite(fits.params).all()
    np.testing.assert_array_equal(fits.params[np.array([0, 2, 3])], 0)


def on_kinks(rule):
    objective = jgd.objective(bowl, jgd.penalties.l1(0.1))
    return jgd.batch_descent(objective, jnp.ones(2), jnp.ones((3, 2)), rule=rule, epochs=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jgd.armijo(-1.0), "armijo: learning_rate is -1.0"),
        (lambda: jgd.armijo(decrease=1.0), "armijo: decrease is 1.0, but a number between 0 and 1"),
        (lambda: jgd.armijo(memory=0), "armijo: memory is 0"),
        (lambda: jgd.armijo(optax.constant_schedule(1.0)), "armijo: learning_rate is a schedule"),
        (lambda: jgd.armijo(scale={"w": jnp.array([1.0, 0.0])}), r"armijo: scale\['w'\] is"),
        (lambda: jgd.barzilai_borwein(scale="fast"), "barzilai_borwein: scale is 'fast'"),
        (lambda: cases.fit(jgd.armijo(scale=jnp.ones(4)), 8), "armijo: scale has the shapes"),
        (lambda: on_kinks(jgd.barzilai_borwein(scale=jnp.ones(2))), "rule has a scale, but the penalty"),
        (lambda: jgd.barzilai_borwein("fast"), "barzilai_borwein: learning_rate is 'fast'"),
        (lambda: jgd.barzilai_borwein(len), "barzilai_borwein: learning_rate is a schedule"),
        (lambda: jgd.polyak(jnp.nan), "polyak: minimum is nan"),
        (lambda: jgd.polyak(jnp.inf), "polyak: minimum is inf, but a finite number"),
        (lambda: jgd.polyak(damping=0), "polyak: damping is 0"),
        (lambda: jgd.polyak(learning_rate=len), "polyak: learning_rate is a schedule"),
        (lambda: cases.fit(jgd.armijo(), jnp.array(8)), "batch_size is an array"),
        (lambda: jgd.armijo().update(jnp.ones(1), jgd.armijo().init(jnp.ones(1))), "value and value_fn"),
    ],
)
def test_wrong_numbers_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


PARAMETER_FREE = {
    "DoG": lambda: optax.contrib.dog(),
    "Prodigy": lambda: optax.contrib.prodigy(),
    "D-Adaptation": lambda: optax.contrib.dadapt_adamw(),
    "schedule-free": lambda: optax.contrib.schedule_free_adamw(0.05),
}
LINE_SEARCHES = {
    "Armijo": lambda: optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(15)),
    "strong Wolfe": lambda: optax.chain(optax.sgd(1.0), optax.scale_by_zoom_linesearch(15)),
}


def some_of(rules, variants):
    """One variant for each rule, each in turn; all other pairs are exhaustive."""
    return [
        pytest.param(rule, variant, marks=() if (i - j) % len(variants) == 0 else pytest.mark.exhaustive)
        for i, rule in enumerate(rules)
        for j, variant in enumerate(variants)
    ]


@pytest.mark.parametrize(("name", "variant"), some_of(PARAMETER_FREE, cases.VARIANTS))
def test_parameter_free_rules_of_optax_make_the_steps_of_a_plain_loop(name, variant):
    rule, batch_size = PARAMETER_FREE[name](), cases.VARIANTS[variant]
    fit = cases.fit(rule, batch_size, epochs=2)
    size = cases.NUM_EXAMPLES if batch_size is None else int(batch_size)
    batches = []
    for epoch in range(2):
        visited = jgd.order(jax.random.key(0), epoch, cases.NUM_EXAMPLES)
        batches += [visited[at : at + size] for at in range(0, cases.NUM_EXAMPLES, size)]
    expected = cases.reference(rule, batches)
    chex.assert_trees_all_close(fit.params, expected, rtol=2e-3, atol=2e-5)


def test_a_line_search_of_optax_that_finds_no_step_is_told_by_explain_and_ended_by_a_stop_test():
    """It does not say so itself, and goes uphill."""
    fits = [
        jgd.batch_descent(
            jgd.objective(lambda params, example: uphill(params) + 0 * example),
            jnp.array([1.0, 2.0]),
            jnp.zeros(3),
            rule=LINE_SEARCHES["Armijo"](),
            epochs=60,
            stop=stop,
        )
        for stop in (None, jgd.stop.plateau())
    ]
    assert [fit.status for fit in fits] == [jgd.Status.EPOCHS_DONE, jgd.Status.STALLED]
    for fit in fits:
        assert "found no step" in jgd.explain(fit)


@pytest.mark.parametrize(("name", "variant"), some_of(LINE_SEARCHES, STATIC_VARIANTS))
def test_line_searches_of_optax_run_in_every_variant(name, variant):
    fit = cases.fit(LINE_SEARCHES[name](), STATIC_VARIANTS[variant], epochs=10)
    assert fit.status == jgd.Status.EPOCHS_DONE
    if variant != "stochastic":  # single examples take steps that suit no other
        start = jgd.value(cases.objective, cases.params(), cases.data())
        assert jgd.value(cases.objective, fit.params, cases.data()) < start

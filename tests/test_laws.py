"""Laws that hold for every rule and every variant."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from tests import cases

all_rules = pytest.mark.parametrize("rule", cases.EACH_RULE)
rules_and_variants = pytest.mark.parametrize(("rule", "variant"), cases.RULES_AND_VARIANTS)
all_variants = pytest.mark.parametrize("variant", cases.EACH_VARIANT)


def assert_same(a, b):
    """Equal to the bit, keys and NaNs included."""
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(_bits(x), _bits(y)), a, b)


def _bits(x):
    return jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x


def assert_close(a, b, rtol=1e-4, atol=1e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=atol), a, b)


@all_rules
def test_a_batch_of_all_examples_is_batch_descent(rule):
    rule = cases.RULES[rule](0.05)
    whole = cases.fit(rule, None)
    assert_same(cases.fit(rule, cases.NUM_EXAMPLES).params, whole.params)
    assert_close(cases.fit(rule, jnp.array(cases.NUM_EXAMPLES)).params, whole.params)


@rules_and_variants
def test_two_fits_are_one_of_twice_the_epochs(rule, variant):
    check_two_fits_are_one(cases.RULES[rule](0.05), cases.VARIANTS[variant])


@all_variants
def test_two_fits_that_may_stop_are_one_of_twice_the_epochs(variant):
    stop = (jgd.stop.plateau(patience=3), jgd.stop.gradient_norm(0.15))
    check_two_fits_are_one(jgd.sgd(0.1, momentum=0.5), cases.VARIANTS[variant], stop=stop)


def check_two_fits_are_one(rule, batch_size, **options):
    whole = cases.fit(rule, batch_size, epochs=4, **options)
    half = cases.fit(rule, batch_size, epochs=2, **options)
    rest = cases.fit(rule, batch_size, epochs=2, state=half.state, **options)
    assert_same(rest.state, whole.state)
    assert_same(rest.params, whole.params)
    assert_same(jnp.concatenate([half.history.loss, rest.history.loss]), whole.history.loss)


@rules_and_variants
def test_lanes_of_learning_rates_are_the_fits_one_by_one(rule, variant):
    make, batch_size = cases.RULES[rule], cases.VARIANTS[variant]
    rates = jnp.array([0.001, 0.01, 0.1])
    lanes = jax.vmap(lambda rule: cases.fit(rule, batch_size))(make(rates))
    for lane, rate in enumerate(rates):
        alone = cases.fit(make(rate), batch_size)
        assert_close(jax.tree.map(lambda x, lane=lane: x[lane], lanes.params), alone.params)
        assert_close(lanes.history.loss[lane], alone.history.loss)


@all_rules
@pytest.mark.parametrize("batch_size", [1, 5, 8])
def test_a_traced_batch_size_is_the_static_one(rule, batch_size):
    rule = cases.RULES[rule](0.05)
    static, traced = (cases.fit(rule, size) for size in (batch_size, jnp.array(batch_size)))
    assert_close(traced.params, static.params)
    assert_close(traced.history.loss, static.history.loss)


@all_rules
def test_batch_sizes_are_lanes(rule):
    rule = cases.RULES[rule](0.05)
    sizes = jnp.array([1, 8, cases.NUM_EXAMPLES])
    lanes = jax.vmap(lambda size: cases.fit(rule, size))(sizes)
    for lane, size in enumerate(sizes.tolist()):
        assert_close(
            jax.tree.map(lambda x, lane=lane: x[lane], lanes.params), cases.fit(rule, size).params
        )


@rules_and_variants
def test_other_numbers_compile_nothing(rule, variant):
    make, batch_size = cases.RULES[rule], cases.VARIANTS[variant]
    traces = []

    def loss(params, example):
        traces.append(None)
        return cases.loss(params, example)

    def train(rate, strength, seed):
        objective = jgd.objective(loss, jgd.penalties.elastic_net(strength))
        return cases.fit(make(rate), batch_size, objective=objective, key=jax.random.key(seed))

    train(0.1, 0.01, 0)
    before = len(traces)
    train(0.2, 0.02, 1)
    train(jnp.float32(0.3), np.float64(0.5), 2)
    assert len(traces) == before > 0


@all_variants
def test_one_trace_serves_rules_and_penalties_as_arguments(variant):
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def train(rule, penalty):
        return cases.fit(
            rule, cases.VARIANTS[variant], objective=jgd.objective(cases.loss, penalty)
        ).params

    first = train(jgd.sgd(0.1, momentum=0.9), jgd.penalties.l2(0.1))
    second = train(jgd.sgd(0.2, momentum=0.5), jgd.penalties.l2(0.2))
    assert not np.allclose(first["weights"], second["weights"])


@rules_and_variants
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_dtypes_are_kept(rule, variant, dtype):
    with jax.enable_x64(dtype == jnp.float64):
        rule, batch_size = cases.RULES[rule](0.01), cases.VARIANTS[variant]
        rows = {name: x.astype(dtype) if name == "x" else x for name, x in cases.data().items()}
        objective = jgd.objective(cases.loss, jgd.penalties.elastic_net(0.01))
        fit = cases.fit(
            rule, batch_size, params=cases.params(dtype), data=rows, objective=objective, epochs=1
        )
        assert {x.dtype for x in jax.tree.leaves(fit.params)} == {jnp.dtype(dtype)}
        assert fit.history.loss.dtype == dtype
        assert fit.status == jgd.Status.EPOCHS_DONE


@rules_and_variants
def test_a_lane_that_diverges_changes_no_other(rule, variant):
    make, batch_size = cases.RULES[rule], cases.VARIANTS[variant]
    stop = jgd.stop.plateau(patience=2) if rule in ("sgd", "adam") else None
    lanes = jax.jit(jax.vmap(lambda rule: cases.fit(rule, batch_size, stop=stop)))
    sound = lanes(make(jnp.array([0.01, 0.02, 0.05])))
    with_sick = lanes(make(jnp.array([0.01, jnp.inf, 0.05])))
    assert with_sick.status[1] == jgd.Status.DIVERGED
    assert np.isfinite(with_sick.params["weights"]).all()
    for lane in (0, 2):
        lanes_of = [jax.tree.map(lambda x, i=lane: x[i], f.params) for f in (sound, with_sick)]
        assert_same(*lanes_of)
        assert_same(*(fits.history.loss[lane] for fits in (sound, with_sick)))
        assert with_sick.status[lane] == sound.status[lane] != jgd.Status.DIVERGED


@all_variants
def test_under_jit_and_plainly_the_fit_is_the_same(variant):
    rule, batch_size = jgd.sgd(0.05), cases.VARIANTS[variant]
    plain = cases.fit(rule, batch_size)
    jitted = jax.jit(lambda rule, rows: cases.fit(rule, batch_size, data=rows))(rule, cases.data())
    assert_close(jitted.params, plain.params, rtol=1e-6, atol=1e-7)


@all_variants
def test_lanes_of_weights_are_folds(variant):
    batch_size = cases.VARIANTS[variant]
    folds = (jnp.arange(cases.NUM_EXAMPLES) % 3 != jnp.arange(3)[:, None]).astype(float)
    lanes = jax.vmap(lambda w: cases.fit(jgd.sgd(0.05), batch_size, weights=w))(folds)
    for fold in range(3):
        alone = cases.fit(jgd.sgd(0.05), batch_size, weights=folds[fold])
        assert_close(jax.tree.map(lambda x, fold=fold: x[fold], lanes.params), alone.params)

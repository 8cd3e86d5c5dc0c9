"""Stop tests, status codes and advice."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jgd
from tests import cases

STATUS = jgd.Status


def full_gradient_norm(params):
    _, grads = jgd.value_and_gradient(cases.objective, params, cases.data())
    return float(jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(grads))))


@pytest.mark.parametrize("variant", cases.EACH_VARIANT)
def test_converged_params_meet_the_test_that_was_asked_for(variant):
    rule = jgd.sgd(jnp.where(cases.VARIANTS[variant] is None, 1.0, 0.05))
    fit = cases.fit(rule, cases.VARIANTS[variant], epochs=400, stop=jgd.stop.gradient_norm(0.02))
    assert fit.status == STATUS.CONVERGED
    assert full_gradient_norm(fit.params) <= 0.02
    last = int(fit.epochs) - 1
    assert 0 < last < 399
    np.testing.assert_allclose(
        fit.history.gradient_norm[last], full_gradient_norm(fit.params), rtol=1e-4
    )
    assert (fit.history.gradient_norm[:last] > 0.02).all()
    assert np.isnan(fit.history.loss[last + 1 :]).all()


@pytest.mark.parametrize("rate", [1e-6, 1e-12, 0.0])
def test_a_small_learning_rate_fools_no_test_of_the_gradient(rate):
    fit = cases.fit(jgd.sgd(rate), None, epochs=20, stop=jgd.stop.gradient_norm(1e-3))
    assert fit.status == STATUS.EPOCHS_DONE
    assert fit.epochs == 20


def test_with_a_penalty_that_has_kinks_the_proximal_gradient_is_tested():
    """At a strength above every |gradient| at 0, zero is the minimiser, though the gradient is not 0."""
    objective = jgd.objective(cases.loss, jgd.penalties.l1(10.0, mask={"weights": True, "bias": False}))
    start = {"weights": jnp.zeros(4), "bias": jnp.zeros(())}
    fit = cases.fit(
        jgd.sgd(0.5),
        None,
        objective=objective,
        params=start,
        epochs=200,
        stop=jgd.stop.gradient_norm(1e-4),
    )
    share = float(jnp.mean(cases.data()["y"]))
    assert fit.status == STATUS.CONVERGED
    np.testing.assert_array_equal(fit.params["weights"], np.zeros(4))
    np.testing.assert_allclose(fit.params["bias"], np.log(share / (1 - share)), atol=1e-3)


def halving(params, example):
    return example["scale"] * (params - example["centre"]) ** 2


def halved(start=1.0, scale=1.0, tolerance=1e-3, epochs=30, **options):
    """Each epoch halves the gradient of a parabola with its minimum at 0."""
    rows = {"scale": jnp.full(4, scale), "centre": jnp.zeros(4)}
    stop = jgd.stop.relative_gradient_norm(tolerance)
    rule, start = jgd.sgd(0.25 / scale), jnp.asarray(start)
    return jgd.batch_descent(
        jgd.objective(halving), start, rows, rule=rule, epochs=epochs, stop=stop, **options
    )


@pytest.mark.parametrize(("start", "scale"), [(1.0, 1.0), (1e-8, 1.0), (3e4, 1e4)])
def test_a_relative_gradient_has_no_unit(start, scale):
    fits = jax.vmap(lambda tolerance: halved(start, scale, tolerance))(jnp.array([0.3, 1e-3, 1e-6, 0.0]))
    assert fits.epochs.tolist() == [3, 11, 21, 30]  # one more than the halvings to get there
    assert fits.status.tolist() == [STATUS.CONVERGED] * 3 + [STATUS.EPOCHS_DONE]


def test_no_gradient_at_the_start_has_converged():
    fit = halved(start=0.0)
    assert (fit.status, fit.epochs, fit.params) == (STATUS.CONVERGED, 1, 0.0)


def test_a_descent_that_is_continued_keeps_its_first_gradient():
    first = halved(epochs=6)
    rest = halved(epochs=30, state=first.state)
    assert (rest.status, first.epochs + rest.epochs) == (STATUS.CONVERGED, 11)


class Impatient(NamedTuple):
    """What a rule remembers that takes three steps and finds no other."""

    count: jax.Array
    stalled: jax.Array


def three_steps(who=True):
    """`who`: which of its flags the rule then sets."""

    def init(params):
        return Impatient(jnp.zeros((), int), jnp.zeros_like(who))

    def update(grads, state, params=None, **extra):
        out = state.count >= 3
        updates = jax.tree.map(lambda g: jnp.where(out, 0, -0.1 * g), grads)
        return updates, Impatient(state.count + 1, out & jnp.asarray(who))

    return optax.GradientTransformationExtraArgs(init, update)


@pytest.mark.parametrize("stop", [None, jgd.stop.plateau()])
def test_a_rule_that_finds_no_step_has_stalled(stop):
    fit = cases.fit(three_steps(), None, epochs=8, stop=stop)
    assert (fit.status, fit.epochs) == (STATUS.STALLED, 4)
    assert "found no step" in jgd.explain(fit)
    expected = cases.fit(jgd.sgd(0.1), None, epochs=3)
    np.testing.assert_allclose(fit.params["weights"], expected.params["weights"], rtol=1e-4)


def test_any_word_of_a_chain_of_rules_counts_and_what_only_bears_the_name_does_not():
    chained = optax.chain(optax.trace(0.0), three_steps(np.array([False, True])))

    def loss(params, example):
        return (params["stalled"] - example) ** 2

    def descend(rule, **options):
        start, rows = {"stalled": jnp.array(0.0)}, jnp.ones(3)
        return jgd.batch_descent(jgd.objective(loss), start, rows, rule=rule, epochs=6, **options)

    stalled = descend(chained)
    assert stalled.status == STATUS.STALLED
    assert "found no step" in jgd.explain(stalled)
    assert descend(jgd.sgd(0.1, momentum=0.5)).status == STATUS.EPOCHS_DONE
    converged = descend(chained, stop=jgd.stop.gradient_norm(1.1))
    assert (converged.status, converged.epochs) == (STATUS.CONVERGED, 4)
    assert descend(optax.chain(chained, optax.scale(jnp.inf))).status == STATUS.DIVERGED


def test_plateau_waits_for_its_patience():
    fit = cases.fit(jgd.sgd(0.0), None, epochs=50, stop=jgd.stop.plateau(patience=7))
    assert fit.status == STATUS.STALLED
    assert fit.epochs == 8  # the first epoch sets the mark


def test_plateau_lets_a_falling_loss_run():
    fit = cases.fit(jgd.sgd(0.01), None, epochs=50, stop=jgd.stop.plateau(patience=2, tolerance=1e-6))
    assert fit.status == STATUS.EPOCHS_DONE
    assert (np.diff(fit.history.loss) < 0).all()


@pytest.mark.exhaustive
def test_convergence_counts_before_a_plateau_and_divergence_before_both():
    tests = (jgd.stop.plateau(patience=1, tolerance=1.0), jgd.stop.gradient_norm(1e9))
    assert cases.fit(jgd.sgd(0.1), None, stop=tests).status == STATUS.CONVERGED
    assert cases.fit(jgd.sgd(jnp.nan), None, stop=tests[:1]).status == STATUS.DIVERGED
    assert cases.fit(jgd.sgd(0.1), None, epochs=5, stop=tests[:1]).status == STATUS.STALLED


def test_each_lane_stops_on_its_own():
    rates = jnp.array([1.0, 1e-9, jnp.inf, 0.5])
    stop = jgd.stop.gradient_norm(0.02)
    lanes = jax.vmap(lambda rule: cases.fit(rule, None, epochs=100, stop=stop))(jgd.sgd(rates))
    assert lanes.status.tolist() == [
        STATUS.CONVERGED,
        STATUS.EPOCHS_DONE,
        STATUS.DIVERGED,
        STATUS.CONVERGED,
    ]
    for lane, rate in enumerate(rates):
        alone = cases.fit(jgd.sgd(rate), None, epochs=100, stop=stop)
        assert lanes.epochs[lane] == alone.epochs
        np.testing.assert_allclose(
            lanes.params["weights"][lane], alone.params["weights"], rtol=1e-5, atol=1e-6
        )


def test_tolerances_are_lanes():
    tolerances = jnp.array([0.2, 0.02])
    lanes = jax.vmap(
        lambda t: cases.fit(jgd.sgd(1.0), None, epochs=100, stop=jgd.stop.gradient_norm(t))
    )(tolerances)
    assert (lanes.status == STATUS.CONVERGED).all()
    assert lanes.epochs[0] < lanes.epochs[1]


def test_a_fit_that_has_ended_stays_ended():
    stop = jgd.stop.gradient_norm(0.02)
    first = cases.fit(jgd.sgd(1.0), None, epochs=100, stop=stop)
    again = cases.fit(jgd.sgd(1.0), None, epochs=10, stop=stop, state=first.state)
    assert again.status == STATUS.CONVERGED
    assert again.epochs == 0
    np.testing.assert_array_equal(again.params["weights"], first.params["weights"])
    assert "had ended before" in jgd.explain(again)


def test_explain_says_what_happened_in_numbers():
    fit = cases.fit(jgd.sgd(0.5), None, epochs=7)
    text = jgd.explain(fit)
    assert text.startswith("EPOCHS_DONE after 7 of 7 epochs")
    assert f"loss {fit.history.loss[0]:.4g} -> {fit.history.loss[6]:.4g}" in text
    assert "learning rate 0.5" in text


def test_explain_notices_a_loss_that_rose():
    x = jnp.array([[10.0]])

    def square(params, example):
        return jnp.sum((params * example - 1) ** 2)

    fit = jgd.batch_descent(jgd.objective(square), jnp.zeros(1), x, rule=jgd.sgd(0.0101), epochs=5)
    assert fit.status == STATUS.EPOCHS_DONE
    assert "higher than at the start" in jgd.explain(fit)


@pytest.mark.parametrize(
    ("floor", "advice"), [(1e-7, "as good as converged"), (0.5, "Lower the learning")]
)
def test_explain_tells_a_line_search_that_broke_down_at_the_floor(floor, advice):
    fit = cases.fit(jgd.sgd(0.5), None, epochs=5)
    norms = fit.history.gradient_norm.at[3].set(floor).at[4].set(jnp.nan)
    broken = fit._replace(status=STATUS.DIVERGED, history=fit.history._replace(gradient_norm=norms))
    assert advice in jgd.explain(broken)


def test_explain_counts_lanes():
    rates = jnp.array([0.1, jnp.inf, 0.1, jnp.inf])
    lanes = jax.vmap(lambda rule: cases.fit(rule, None))(jgd.sgd(rates))
    text = jgd.explain(lanes)
    assert text.startswith("4 fits:")
    assert "2 EPOCHS_DONE (lanes 0, 2)" in text
    assert "2 DIVERGED (lanes 1, 3)" in text


def test_explain_tells_why_lanes_have_stalled():
    def train(who, patience):
        return cases.fit(
            three_steps(who),
            None,
            epochs=8,
            evaluate=lambda params, validation: jnp.zeros(()),
            stop=jgd.stop.validation(patience),
        )

    fits = jax.vmap(train)(jnp.array([True, False, False]), jnp.array([99.0, 2.0, 99.0]))
    text = jgd.explain(fits)
    assert "1 STALLED (lanes 0). The rule found no step" in text
    assert "1 STALLED (lanes 1). The score on validation data" in text
    assert "1 EPOCHS_DONE (lanes 2)" in text


@pytest.mark.parametrize(
    ("rule", "loss", "stop", "sentence"),
    [
        (jgd.sgd(1e-7), cases.loss, jgd.stop.plateau(), "the learning rate is too small"),
        (jgd.sgd(1e-12), cases.loss, None, "the learning rate is too small"),
        (jgd.sgd(0.1), cases.loss, None, "If the loss is still falling"),
        (jgd.sgd(0.1), lambda params, example: 0 * params["bias"], None, "The gradient is zero"),
        (jgd.sgd(0.25), lambda p, example: 1 + (p["bias"] - 1) ** 2, None, "as good as converged"),
        (jgd.sgd(0.2), lambda p, example: 1 + (p["bias"] - 0.3) ** 2, None, "as good as converged"),
        (jgd.sgd(0.3), lambda params, example: jnp.abs(params["bias"] - 1), None, "fell no more"),
        (jgd.sgd(optax.exponential_decay(0.1, 1, 0.3)), cases.loss, None, "decayed too fast"),
        (jgd.armijo(1e30), cases.loss, None, "The last step was refused"),
        (jgd.adam(0.0), cases.loss, None, "The learning rate was 0 at the end"),
        (jgd.polyak(1e3), cases.loss, None, "not above its minimum: lower that"),
        (jgd.adam(jnp.nan), cases.loss, None, "The learning rate is NaN"),
    ],
)
def test_explain_tells_what_stands_still_and_why(rule, loss, stop, sentence):
    fit = jgd.batch_descent(
        jgd.objective(loss), cases.params(), cases.data(), rule=rule, epochs=40, stop=stop
    )
    assert sentence in jgd.explain(fit), jgd.explain(fit)


def test_lanes_are_told_apart_by_what_each_of_them_wants():
    rates = jnp.array([1e-12, 1e-9, 6.0, 30.0, 60.0, jnp.inf])
    fits = jax.vmap(lambda rule: cases.fit(rule, None, epochs=60))(jgd.sgd(rates))
    text = jgd.explain(fits)
    alone = [jgd.explain(cases.fit(jgd.sgd(rate), None, epochs=60)) for rate in rates]
    for lanes, status, advice in (
        ("0, 1", "EPOCHS_DONE", "Loss and gradient are hardly smaller"),
        ("2", "EPOCHS_DONE", "The loss falls no more, and the gradient norm is below a thousandth"),
        ("3, 4", "EPOCHS_DONE", "The loss is higher than at the start"),
        ("5", "DIVERGED", "Loss, gradient or parameters ceased"),
    ):
        assert f"{status} (lanes {lanes}). {advice}" in text
        assert all(advice in alone[int(lane)] for lane in lanes.split(", "))


def test_no_epoch_is_no_fault():
    assert "No epoch was asked for" in jgd.explain(cases.fit(jgd.sgd(0.1), None, epochs=0))
    none = jax.vmap(lambda rule: cases.fit(rule, None, epochs=0))(jgd.sgd(jnp.ones(3)))
    assert "3 EPOCHS_DONE (lanes 0, 1, 2). No epoch was asked for" in jgd.explain(none)


def test_explain_refuses_a_traced_fit():
    with pytest.raises(ValueError, match="outside of jit"):
        jax.jit(lambda rate: len(jgd.explain(cases.fit(jgd.sgd(rate), None))))(0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jgd.stop.gradient_norm(-1.0), "tolerance is -1.0"),
        (lambda: jgd.stop.plateau(patience=0), "patience is 0"),
        (lambda: jgd.stop.plateau(tolerance=-0.1), "tolerance is -0.1"),
        (lambda: jgd.stop.relative_gradient_norm(1.0), "a number from 0 to below 1"),
        (lambda: jgd.stop.relative_gradient_norm(jnp.nan), "tolerance is"),
        (lambda: jgd.stop.relative_gradient_norm("1e-3"), "tolerance is '1e-3'"),
        (lambda: jgd.stop.gradient_norm("small"), "tolerance is 'small'"),
    ],
)
def test_bad_numbers_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()

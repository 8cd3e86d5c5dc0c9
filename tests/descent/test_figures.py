"""What `explain` makes of a diagnosis, and what the wording makes of numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jgd
from jgd.descent.figures import _steps_per_digit
from jgd.wording import count, figure, listed
from tests import cases

STATUS = jgd.Status
FOUND = jgd.Diagnosis(
    gradient_norm=0.0,
    sharpness=10.0,
    smallest_curvature=-2.0,
    max_learning_rate=0.2,
    best_learning_rate=0.1998,
    condition_number=1000.0,
    standardized_condition_number=10.0,
    noise_scale=50.0,
    num_examples=400,
    place="slope",
)


@functools.cache
def run():
    return cases.fit(jgd.sgd(0.5), None)


def ended(status, rate, losses=(2.0, 1.0, 0.5), name="sgd"):
    """A fit of that ending."""
    fit, rule_state = run(), cases.RULES[name](rate).init(cases.params())
    return fit._replace(
        status=jnp.asarray(status, jnp.int32),
        history=fit.history._replace(loss=jnp.asarray(losses, float)),
        state=fit.state._replace(rule_state=rule_state),
    )


@pytest.mark.parametrize(
    ("status", "rate", "changes", "wanted"),
    [
        (
            STATUS.DIVERGED,
            0.6,
            {},
            "0.6 is 3 times the largest stable one of the diagnosis, 0.2; a good",
        ),
        (STATUS.DIVERGED, 0.1, {}, "is below the largest stable one of the diagnosis, 0.2, so look"),
        (STATUS.EPOCHS_DONE, 0.6, {}, "That the loss fell all the same"),
        (STATUS.EPOCHS_DONE, 0.001, {}, "is 180 times smaller than a good constant one"),
        (
            STATUS.EPOCHS_DONE,
            0.18,
            {},
            "condition number 1,000 each digit of the loss costs about 640 steps",
        ),
        (STATUS.EPOCHS_DONE, 0.01, {}, "steps at the learning rate 0.18, and 12,000 at 0.01."),
        (STATUS.STALLED, 0.18, {}, "would lower the condition number 100 times, to 10"),
        (
            STATUS.STALLED,
            0.18,
            {"place": "saddle"},
            "a saddle (gradient norm 0, curvature from -2 to 10)",
        ),
        (STATUS.STALLED, 0.18, {"noise_scale": 900.0}, "noise scale is 900 examples"),
        (STATUS.CONVERGED, 0.18, {"separable": True}, "so there is no minimum"),
    ],
)
def test_a_diagnosis_adds_numbers(status, rate, changes, wanted):
    fit = ended(status, rate)
    text = jgd.explain(fit, FOUND._replace(**changes))
    assert text.startswith(jgd.explain(fit) + "\n")
    assert wanted in text


def test_nothing_is_added_where_nothing_is_to_be_said():
    fit = ended(STATUS.CONVERGED, 0.18)
    assert jgd.explain(fit, FOUND) == jgd.explain(fit)


def test_learning_rates_of_other_units_are_not_compared():
    assert "times the largest" not in jgd.explain(ended(STATUS.DIVERGED, 9.0, name="adam"), FOUND)
    assert "times the largest" not in jgd.explain(ended(STATUS.DIVERGED, 0.3, name="momentum"), FOUND)
    assert "times the largest" in jgd.explain(ended(STATUS.DIVERGED, 0.5, name="momentum"), FOUND)


def test_the_last_rate_of_a_schedule_is_not_judged():
    for schedule in (optax.constant_schedule(9.0), optax.linear_schedule(1.0, 0.0, 3)):
        fit = ended(STATUS.EPOCHS_DONE, schedule)
        text = jgd.explain(fit, FOUND)
        assert "largest stable" not in text
        assert "learning rate 0.18" not in text
    assert "times smaller" not in jgd.explain(ended(STATUS.EPOCHS_DONE, 0.0), FOUND)


def test_the_pace_of_batch_descent_is_told_of_it_alone():
    assert "steps at the learning rate" in jgd.explain(ended(STATUS.EPOCHS_DONE, 0.18), FOUND)
    for name in ("momentum", "adam"):
        assert "steps at" not in jgd.explain(ended(STATUS.EPOCHS_DONE, 0.18, name=name), FOUND)
    fit = ended(STATUS.EPOCHS_DONE, 0.01)
    in_batches = fit._replace(state=fit.state._replace(key=jax.random.key(0)))
    text = jgd.explain(in_batches, FOUND)
    assert "steps at" not in text
    assert "times smaller" not in text
    high = ended(STATUS.DIVERGED, 0.6)
    high = high._replace(state=high.state._replace(key=jax.random.key(0)))
    assert "of batch descent is 0.18, of small batches a lower one" in jgd.explain(high, FOUND)


def test_a_rate_that_the_diagnosis_warned_of_is_named():
    found = FOUND._replace(best_learning_rate=0.01)
    text = jgd.explain(ended(STATUS.DIVERGED, 0.15), found)
    assert "0.15 is 15 times as high as the diagnosis would have it: a good constant one is 0.01" in text


def test_a_saddle_that_was_left_is_not_spoken_of():
    fit, found = ended(STATUS.EPOCHS_DONE, 0.18), FOUND._replace(place="saddle", loss=2.0)
    assert "saddle" not in jgd.explain(fit, found)
    assert "at a saddle" in jgd.explain(fit, found._replace(loss=0.5))


def test_a_condition_number_that_stays_infinite_is_not_lowered():
    found = FOUND._replace(condition_number=np.inf, standardized_condition_number=np.inf)
    assert "Standardised" not in jgd.explain(ended(STATUS.EPOCHS_DONE, 0.18), found)


def test_lanes_above_the_stable_learning_rate_are_counted():
    fits = [ended(STATUS.DIVERGED, 0.9), ended(STATUS.EPOCHS_DONE, 0.4), ended(STATUS.EPOCHS_DONE, 0.1)]
    text = jgd.explain(jax.tree.map(lambda *x: jnp.stack(x), *fits), FOUND)
    assert "2 of 3 learning rates are above the largest stable one of the diagnosis, 0.2; 1 of" in text


def test_steps_of_a_digit_are_those_of_a_parabola():
    distance = (1 - 0.01) ** _steps_per_digit(0.01)
    np.testing.assert_allclose(distance**2, 0.1, rtol=0.02)


def test_explain_refuses_what_is_no_diagnosis():
    with pytest.raises(ValueError, match=r"diagnosis is dict, but a Diagnosis is wanted"):
        jgd.explain(ended(STATUS.EPOCHS_DONE, 0.1), {})


def test_numbers_in_sentences_have_two_digits():
    numbers = (0, 1, 0.164, 9.97, 20_990, 99_999, 2.13e5, 3.4e-5, -0.05, np.inf, np.nan)
    wanted = ["0", "1", "0.16", "10", "21,000", "1e5", "2.1e5", "3.4e-5", "-0.05", "infinite", "unknown"]
    assert [figure(number) for number in numbers] == wanted
    assert (count(1, "row"), count(2000, "row")) == ("1 row", "2,000 rows")
    assert listed([1, 2, 3], 2) == "1, 2 and 1 more"

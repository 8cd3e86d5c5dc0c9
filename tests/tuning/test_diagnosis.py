"""The numbers of a diagnosis against NumPy and real runs; its sentences on what goes wrong."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from jgd.tuning.pace import epochs_per_digit
from jgd.wording import figure
from tests import problems

KEY = jax.random.key(0)
DIVERGED, DONE = jgd.Status.DIVERGED, jgd.Status.EPOCHS_DONE


def bowl(params, example):
    """Curvatures, a slope and a height, all from the example: every kind of place is one of these."""
    bend, pull, height = example["bend"], example["pull"], example["height"]
    return bend @ jnp.square(params) / 2 + pull @ params + height


BOWL = jgd.objective(bowl)


def place(bend, pull=(0.0, 0.0), height=1.0, params=(0.0, 0.0), objective=BOWL, **options):
    """The diagnosis of a bowl of three equal examples."""
    example = {"bend": bend, "pull": pull, "height": height}
    data = {name: jnp.asarray([value] * 3, float) for name, value in example.items()}
    return jgd.diagnose(objective, jnp.array(params), data, key=KEY, **options)


def gradients(params, data):
    x, y = (np.asarray(a, np.float64) for a in (data["x"], data["y"]))
    return 2 * (x @ np.asarray(params, np.float64) - y)[:, None] * x


def test_numbers_are_those_of_numpy():
    loss, params, data, _ = problems.least_squares()
    found = jgd.diagnose(jgd.objective(loss), params, data, key=KEY)
    x = np.asarray(data["x"], np.float64)
    values = np.linalg.eigvalsh(2 * x.T @ x / len(x))
    condition, root = values[-1] / values[0], np.sqrt(values[-1] / values[0])
    grads = gradients(params, data)
    scaled = x / x.std(axis=0)
    wanted = {
        "loss": np.mean((x @ np.asarray(params, np.float64) - data["y"]) ** 2),
        "gradient_norm": np.linalg.norm(grads.mean(axis=0)),
        "sharpness": values[-1],
        "smallest_curvature": values[0],
        "max_learning_rate": 2 / values[-1],
        "best_learning_rate": 2 / (values[-1] + values[0]),
        "condition_number": condition,
        "momentum": ((root - 1) / (root + 1)) ** 2,
        "momentum_learning_rate": (2 / (np.sqrt(values[-1]) + np.sqrt(values[0]))) ** 2,
        "standardized_condition_number": np.linalg.cond(scaled.T @ scaled),
        "noise_scale": np.trace(np.cov(grads.T, bias=True)) / np.sum(grads.mean(axis=0) ** 2),
        "feature_scale_ratio": x.std(axis=0).max() / x.std(axis=0).min(),
    }
    for name, number in wanted.items():
        np.testing.assert_allclose(getattr(found, name), number, rtol=1e-5, err_msg=name)
    assert (found.num_params, found.num_examples, found.place) == (4, 23, "slope")


def near_the_minimum():
    """Objectives with the params of their minimum, and the data."""
    loss, _, data, minimiser = problems.least_squares()
    yield jgd.objective(loss), minimiser, data
    loss, params, data, _ = problems.logistic_regression()
    objective = jgd.objective(loss, jgd.penalties.l2(0.1))
    rule = jgd.sgd(1.0, momentum=0.9)
    yield objective, jgd.batch_descent(objective, params, data, rule=rule, epochs=300).params, data


def test_the_learning_rate_is_stable_below_and_not_above():
    for objective, minimum, data in near_the_minimum():
        found = jgd.diagnose(objective, minimum, data, key=KEY)
        start = jax.tree.map(lambda p: p + 1e-3 * jnp.cos(jnp.arange(p.size)).reshape(p.shape), minimum)

        def norms(rate, objective=objective, start=start, data=data):
            fit = jgd.batch_descent(objective, start, data, rule=jgd.sgd(rate), epochs=60)
            return fit.history.gradient_norm

        below, above = jax.vmap(norms)(found.max_learning_rate * jnp.array([0.95, 1.05]))
        # 0.9 and 1.1 to the power of 59, along the steepest direction.
        assert below[-1] < 0.2 * below[0]
        assert above[-1] > 10 * above[0]


def test_descent_keeps_the_pace_that_the_condition_number_promises():
    """Six digits at the best constant rate, and with the momentum and its rate, from the minimum off."""
    with problems.x64():
        loss, _, data, minimiser = problems.least_squares(jnp.float64)
        objective = jgd.objective(loss)
        found = jgd.diagnose(objective, minimiser, data, key=KEY)
        lowest = float(jgd.value(objective, minimiser, data))
        start = minimiser + jnp.array([1.0, -1.0, 0.5, 0.25])
        rates = jnp.array([found.best_learning_rate, found.momentum_learning_rate])
        momenta = jnp.array([0.0, found.momentum])
        plain, heavy = epochs_per_digit(found.condition_number)
        fits = jax.vmap(
            lambda rate, momentum: jgd.batch_descent(
                objective, start, data, rule=jgd.sgd(rate, momentum=momentum), epochs=int(6 * plain) + 1
            )
        )(rates, momenta)
        above = np.asarray(fits.history.loss) - lowest
    assert above[0, -1] <= 1e-6 * above[0, 0]
    assert above[0, int(4 * plain)] > 1e-6 * above[0, 0]
    # Momentum loses a factor of the order of the number of steps, squared.
    assert above[1, int(12 * heavy)] <= 1e-6 * above[1, 0]
    assert int(12 * heavy) < 4 * plain


PLACES = {
    "saddle": ({"bend": (1.0, -2.0)}, "A saddle", "by -2"),
    "maximum": ({"bend": (-1.0, -2.0)}, "A maximum", "by -1 or more"),
    "minimum": ({"bend": (1.0, 2.0)}, "at a minimum", "no curvature below 1"),
    "constant": ({"bend": (0.0, 0.0)}, "loss is flat here", "gradient of exactly 0"),
    "plateau": ({"bend": (1e-9, 0.0), "pull": (0.0, 1e-9)}, "A plateau", "gradient norm 1e-9"),
}


@pytest.mark.parametrize("name", PLACES)
def test_places_where_descent_does_not_move_are_known(name):
    arguments, *wanted = PLACES[name]
    found = place(**arguments)
    assert found.place == name
    for words in wanted:
        assert words in found.advice[0]


@pytest.mark.parametrize(("bend", "advice"), [(-0.5, "Descent leaves it by itself"), (-0.02, "needs")])
def test_how_long_descent_stays_at_a_saddle_is_told(bend, advice):
    arguments = {"bend": (1.0, bend), "pull": (0.0, 1e-5)}
    sentence = place(**arguments).advice[0]
    assert advice in sentence
    foretold = int(re.search(r"some (\d+) epochs", sentence)[1])
    data = {**{name: jnp.asarray([x]) for name, x in arguments.items()}, "height": jnp.ones(1)}
    fit = jgd.batch_descent(BOWL, jnp.zeros(2), data, rule=jgd.sgd(1.0), epochs=1000)
    left = int(np.argmax(np.asarray(fit.history.loss) < 0.99))
    assert left == pytest.approx(foretold, rel=0.05, abs=1)


def test_far_from_where_a_loss_curves_no_learning_rate_is_called_stable():
    def loss(params, example):
        return jgd.losses.huber(1.0)(params, example)

    found = jgd.diagnose(jgd.objective(loss), jnp.array(100.0), jnp.arange(3.0), key=KEY)
    assert found.max_learning_rate == np.inf
    assert any("no learning rate can be told to be stable" in sentence for sentence in found.advice)


def test_a_fit_without_residuals_is_at_a_minimum_though_its_loss_is_rounding():
    loss, params, data, _ = problems.least_squares()
    data = {"x": data["x"], "y": data["x"] @ jnp.array([1.0, -2.0, 0.5, 3.0])}
    objective = jgd.objective(loss)
    rule = jgd.diagnose(objective, params, data, key=KEY).best_learning_rate
    fit = jgd.batch_descent(objective, params, data, rule=jgd.sgd(rule), epochs=3000)
    found = jgd.diagnose(objective, fit.params, data, key=KEY)
    assert found.place == "minimum"
    assert not any("float32" in sentence for sentence in found.advice)


def test_a_slope_is_not_taken_for_a_saddle_nor_for_a_minimum():
    assert place(bend=(1.0, -2.0), params=(0.0, 0.1)).place == "slope"
    assert place(bend=(1.0, 1e-6), pull=(0.0, 1e-2)).place == "slope"  # far to go along a flat direction


@pytest.mark.parametrize(
    ("arguments", "falls"),
    [
        ({"bend": (0.0, 0.0), "pull": (1.0, 0.0)}, True),
        ({"bend": (1.0, -1.0)}, True),
        ({"bend": (1.0, 1.0), "pull": (1.0, 0.0), "height": -5.0}, False),
    ],
)
def test_an_objective_without_a_minimum_is_followed_down(arguments, falls):
    found = place(**arguments)
    assert any("no minimum in sight" in sentence for sentence in found.advice) == falls
    assert any("Learning rate" in sentence for sentence in found.advice) != falls


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"bend": (1.0, 1e-9), "params": (1.0, 1.0)}, "is 1e9, beyond the 8.4e6 that float32 resolves"),
        ({"bend": (1.0, 1.0), "pull": (1e30, 0.0), "params": (1e30, 0.0)}, "float32 overflows"),
        ({"bend": (1e-30, 0.0), "height": 0.0, "params": (1e-30, 0.0)}, "float32 underflows"),
        ({"bend": (3e38, 3e38), "params": (1e-38, 0.0)}, "2 / sharpness is 6.7e-39"),
    ],
)
def test_digits_that_float32_has_not_got(arguments, words):
    assert any(words in sentence for sentence in place(**arguments).advice)


def test_a_gradient_that_float32_rounds_is_measured_against_float64():
    loss, _, data, _ = problems.least_squares()
    params = jnp.array([1.0, 0.0, 0.0, 0.01])
    x = data["x"][:3].at[:, 0].add(1e5)
    data = {"x": x, "y": x @ params + 0.08}
    found = jgd.diagnose(jgd.objective(loss), params, data, key=KEY)
    wrong = [sentence for sentence in found.advice if "has not the digits for this gradient" in sentence]
    own = jgd.value_and_gradient(jgd.objective(loss), params, data)[1]
    exact = gradients(params, data).mean(axis=0)
    share = 100 * np.linalg.norm(own - exact) / np.linalg.norm(exact)
    assert f"off by {figure(share)}%" in wrong[0]
    assert any("Column 0 of data['x'] is far from 0: mean 1e5" in sentence for sentence in found.advice)


def kinked(params, example):
    return jnp.abs(params[0] - example[0]) + 0.01 * jnp.square(params[0]) / 2


def test_a_step_over_kinks_sees_more_curvature_than_the_hessian():
    rows = jnp.asarray(np.random.default_rng(5).uniform(1, 3, size=(50, 1)), jnp.float32)
    found = jgd.diagnose(jgd.objective(kinked), jnp.zeros(1), rows, key=KEY)
    np.testing.assert_allclose(found.sharpness, 0.01, rtol=1e-5)
    # From 0 with a slope of -1: a step of 100 reaches beyond all kinks, where the slope is 1 + 1.
    (sentence,) = (sentence for sentence in found.advice if sentence.startswith("Learning rate:"))
    assert "as if the sharpness were 0.03" in sentence
    # The first fourth of it that does not reach the kinks, which begin at 1.
    assert "Begin with 0.39." in sentence
    assert "best constant" not in sentence


@pytest.mark.exhaustive
def test_a_minimum_of_columns_that_repeat_is_a_minimum():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4))
    x = np.column_stack([x, x[:, 0] + x[:, 1]])
    data = {"x": jnp.asarray(x), "y": jnp.asarray(x.sum(axis=1) + rng.normal(size=50))}
    objective = jgd.objective(problems.least_squares()[0])
    fit = jgd.batch_descent(objective, jnp.zeros(5), data, rule=jgd.sgd(0.25), epochs=2000)
    lowest = np.square(x @ np.linalg.lstsq(x, data["y"], rcond=None)[0] - data["y"]).mean()
    np.testing.assert_allclose(jgd.value(objective, fit.params, data), lowest, rtol=1e-5)
    found = jgd.diagnose(objective, fit.params, data, key=KEY)
    assert (found.place, found.num_flat) == ("minimum", 1)


@pytest.mark.exhaustive
def test_a_parameter_whose_gradients_cancel_is_not_called_unused():
    labels = jnp.arange(40) % 2

    def hinge(params, example):
        return jgd.losses.hinge(params["weight"] * example["x"] + params["bias"], example["y"])

    data = {"x": labels + jnp.sin(jnp.arange(40.0)), "y": labels}
    params = {"weight": jnp.zeros(()), "bias": jnp.zeros(())}
    found = jgd.diagnose(jgd.objective(hinge), params, data, key=KEY)
    assert not any("not used by the loss" in sentence for sentence in found.advice)
    idle = jgd.objective(lambda params, example: (params["weight"] - example["x"]) ** 2)
    found = jgd.diagnose(idle, params, data, key=KEY)
    assert any("params['bias'] are exactly 0" in sentence for sentence in found.advice)


@pytest.mark.exhaustive
def test_what_a_penalty_with_kinks_decides_is_not_called_flat():
    data = {"x": jnp.ones((10, 2)) * jnp.arange(10.0)[:, None], "y": jnp.arange(10.0)}
    loss = problems.least_squares()[0]
    for penalty, is_told in ((None, True), (jgd.penalties.l1(0.1), False)):
        found = jgd.diagnose(jgd.objective(loss, penalty), jnp.zeros(2), data, key=KEY)
        assert any("is flat" in sentence for sentence in found.advice) == is_told


def test_a_slope_along_what_does_not_curve_is_not_called_flat():
    objective = jgd.objective(lambda params, example: jnp.linalg.norm(params - example))
    found = jgd.diagnose(objective, jnp.zeros(2), jnp.ones((5, 2)), key=KEY)
    assert found.num_flat == 1
    assert not any("flat" in sentence for sentence in found.advice)


@pytest.mark.exhaustive
def test_where_a_step_sees_more_curvature_the_best_rate_is_the_one_to_begin_with():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    data = {"x": jnp.asarray(x), "y": jnp.asarray(rng.poisson(np.exp(x.sum(axis=1))))}
    objective = jgd.objective(lambda p, e: jgd.losses.poisson(e["x"] @ p, e["y"]))
    found = jgd.diagnose(objective, jnp.zeros(3), data, key=KEY)
    fits = jax.vmap(
        lambda rate: jgd.batch_descent(objective, jnp.zeros(3), data, rule=jgd.sgd(rate), epochs=50)
    )(jnp.array([found.best_learning_rate, 1 / found.sharpness]))
    assert fits.status[0] == jgd.Status.EPOCHS_DONE
    assert fits.history.gradient_norm[0, -1] < 0.1 * fits.history.gradient_norm[0, 0]
    assert fits.status[1] == jgd.Status.DIVERGED


@pytest.mark.exhaustive
def test_what_is_flat_on_a_sample_is_not_called_flat_on_all_examples():
    x = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    x[:, 1] = np.arange(500) == 7
    loss = problems.least_squares()[0]
    data = {"x": jnp.asarray(x), "y": jnp.asarray(x.sum(axis=1))}
    flat = {}
    for sample in (20, 500):
        found = jgd.diagnose(jgd.objective(loss), jnp.ones(2) / 2, data, key=KEY, sample=sample)
        flat[sample] = [sentence for sentence in found.advice if "directions" in sentence]
    assert "is flat on the 20 examples drawn" in flat[20][0]
    assert flat[500] == []


def test_flat_directions_are_counted_and_left_out():
    found = place(bend=(3.0, 0.0), params=(1.0, 0.0))
    assert (found.num_flat, found.condition_number) == (1, 1.0)
    assert any("1 of 2 directions is flat" in sentence for sentence in found.advice)


BENDS = jnp.array([[1.0, 2.0], [2.0, 5.0], [100.0, jnp.nan]])
WITH_NAN = {"bend": BENDS, "pull": jnp.ones((3, 2)), "height": jnp.ones(3)}


def test_rows_of_weight_0_are_as_if_not_there():
    found = jgd.diagnose(BOWL, jnp.zeros(2), WITH_NAN, key=KEY, weights=jnp.array([1.0, 1.0, 0.0]))
    without = jgd.diagnose(BOWL, jnp.zeros(2), jax.tree.map(lambda x: x[:2], WITH_NAN), key=KEY)
    np.testing.assert_allclose(found.sharpness, 3.5, rtol=1e-6)
    assert found[:-1] == pytest.approx(without[:-1], nan_ok=True)


def test_nan_in_the_data_is_located_and_left_out():
    found = jgd.diagnose(BOWL, jnp.zeros(2), WITH_NAN, key=KEY)
    assert "data['bend'] holds 1 number that is NaN or infinite (column 1, row 2)" in found.advice[0]
    assert "the 2 rows without" in found.advice[0]
    assert (found.num_examples, found.sharpness) == (2, 3.5)


def test_nan_everywhere_or_in_the_params_leaves_nothing_to_measure():
    data = {"bend": jnp.full((2, 2), jnp.nan), "pull": jnp.ones((2, 2)), "height": jnp.ones(2)}
    found = jgd.diagnose(BOWL, jnp.zeros(2), data, key=KEY)
    assert "No row is without" in found.advice[0]
    found = place(bend=(1.0, 1.0), params=(jnp.nan, 0.0))
    assert "1 of 2 numbers is NaN" in found.advice[0]
    assert "3 examples" in found.explain()
    assert np.isnan(found.sharpness)
    assert "nothing can be measured" in found.explain()


def edge(params, example):
    return jnp.log(params[0]) * example[0] + jnp.sqrt(params[1]) + jnp.abs(params[2]) ** 1.5


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ((0.0, 1.0, 1.0), "loss is NaN or infinite for 2 of 2 examples (rows 0, 1)"),
        ((1.0, 0.0, 1.0), "its gradient is not"),
        ((1.0, 1.0, 0.0), "second derivative is not"),
    ],
)
def test_edges_of_the_domain_are_told_apart(params, words):
    found = jgd.diagnose(jgd.objective(edge), jnp.array(params), jnp.ones((2, 1)), key=KEY)
    assert len(found.advice) == 1
    assert words in found.advice[0]


def test_labels_that_the_loss_does_not_know_are_a_sentence():
    loss, params, data, _ = problems.logistic_regression()
    data = {"x": data["x"], "y": jnp.where(data["y"], 1, -1)}
    found = jgd.diagnose(jgd.objective(loss), params, data, key=KEY)
    assert "labels run from -1 to 1" in found.advice[0]


def test_labels_that_are_all_the_same_are_seen():
    loss, params, data, _ = problems.logistic_regression()
    data = {"x": data["x"], "y": jnp.ones_like(data["y"])}
    found = jgd.diagnose(jgd.objective(loss), params, data, key=KEY)
    assert "data['y'] is 1 in all" in found.advice[-1]


def many(params, example):
    return jnp.sum(jnp.linspace(1.0, 50.0, 1100) * jnp.square(params)) * example / 2


@pytest.mark.exhaustive
def test_many_rows_are_sampled_and_of_many_params_the_ends_of_the_spectrum_are_sought():
    rows = jnp.asarray(np.random.default_rng(0).uniform(0.9, 1.1, 300), jnp.float32)
    objective, params = jgd.objective(many), jnp.ones(1100)
    found = jgd.diagnose(objective, params, rows, key=KEY, sample=100)
    assert (found.num_examples, found.num_sampled) == (300, 100)
    np.testing.assert_allclose(found.sharpness, 50, rtol=0.03)
    loss = np.mean(rows) * np.sum(np.linspace(1, 50, 1100)) / 2
    np.testing.assert_allclose(found.loss, loss, rtol=1e-5)
    assert found.condition_number <= 50.05
    assert "300 examples (100 of them drawn)" in found.explain()
    # The minimum is that of all rows, whatever the rows of the sample say.
    assert jgd.diagnose(objective, jnp.zeros(1100), rows, key=KEY, sample=100).place == "minimum"
    huge = jgd.diagnose(objective, params, rows.at[:].set(1e38), key=KEY, sample=100)
    assert "Over all 300 examples" in huge.advice[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample": 0}, "sample is 0"),
        ({"key": 3}, "key is 3"),
        ({"objective": bowl}, "objective is"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    given = {"objective": BOWL, "params": jnp.zeros(2), "data": jnp.ones((1, 2)), "key": KEY}
    with pytest.raises(ValueError, match=message):
        jgd.diagnose(**given | arguments)
    with pytest.raises(ValueError, match="outside of jit"):
        jax.jit(lambda p: jgd.diagnose(**given | {"params": p}).sharpness)(jnp.zeros(2))

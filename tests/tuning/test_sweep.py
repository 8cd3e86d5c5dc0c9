"""Sweeps against the same configurations trained one by one."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

import jgd
from jgd.program import call
from jgd.tuning.run import lifted
from tests import cases

ROWS = cases.data()
RATES = [0.001, 0.01, 0.1, 0.3]


def numbers(fit):
    return fit.params, fit.status, fit.epochs, fit.history, fit.state.rule_state


def assert_lanes_are_the_fits(found, train, rtol=1e-5):
    for place in range(len(found.configs)):
        came, expected = numbers(found.fit(place)), numbers(train(found.configs.config(place)))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6), came, expected)


def train(config):
    rule = jgd.sgd(config["learning_rate"], momentum=config.get("momentum", 0.5))
    return cases.fit(rule, config.get("batch_size", 8), data=ROWS)


@pytest.mark.parametrize(
    "axes",
    [
        pytest.param({"learning_rate": RATES}, marks=pytest.mark.exhaustive),
        pytest.param({"learning_rate": RATES, "momentum": [0.0, 0.9]}, marks=pytest.mark.exhaustive),
        pytest.param({"learning_rate": RATES, "batch_size": [1, 8, 37]}, marks=pytest.mark.exhaustive),
        {"learning_rate": RATES, "batch_size": jgd.static([None, 1, 8])},
        pytest.param({"learning_rate": jgd.static([0.1, 0.01])}, marks=pytest.mark.exhaustive),
        {"learning_rate": np.logspace(-3, -1, 70)},
    ],
    ids=str,
)
def test_lanes_are_the_fits_one_by_one(axes):
    assert_lanes_are_the_fits(jgd.sweep(train, jgd.grid(**axes)), train)


@pytest.mark.exhaustive
@pytest.mark.parametrize("lanes", [1, 2, 3, 100])
@pytest.mark.parametrize("devices", [1, pytest.param(2, marks=pytest.mark.two_devices)])
def test_any_number_of_lanes_at_once_gives_the_same(lanes, devices):
    mesh = jax.make_mesh((devices,), ("some name",), (AxisType.Explicit,))
    found = jgd.sweep(train, jgd.grid(learning_rate=[*RATES, 0.5]), lanes=lanes, mesh=mesh)
    assert_lanes_are_the_fits(found, train)


@pytest.mark.exhaustive
def test_lanes_of_keys_weights_and_penalties():
    def train(config):
        objective = jgd.objective(cases.loss, jgd.penalties.elastic_net(config["strength"]))
        options = {"key": config["key"], "weights": config["weights"], "data": ROWS}
        return cases.fit(jgd.sgd(0.05), 1, objective=objective, **options)

    folds = (np.arange(cases.NUM_EXAMPLES) % 3 != np.arange(3)[:, None]).astype(float)
    keys = jax.random.split(jax.random.key(0), 2)
    space = jgd.grid(strength=[0.0, 0.1], key=keys, weights=folds)
    assert_lanes_are_the_fits(jgd.sweep(train, space), train)


def test_a_lane_that_ends_early_is_as_alone():
    def train(config):
        stop = jgd.stop.gradient_norm(config["tolerance"])
        return cases.fit(jgd.sgd(0.5), None, stop=stop, epochs=60, data=ROWS)

    found = jgd.sweep(train, jgd.grid(tolerance=[1.0, 0.1, 0.05, 0.0]))
    assert_lanes_are_the_fits(found, train)
    assert len(set(np.asarray(found.fits.epochs))) == 4


def test_one_trace_serves_all_lanes_and_chunks():
    chex.clear_trace_counter()
    counted = chex.assert_max_traces(train, n=1)
    jgd.sweep(counted, jgd.grid(learning_rate=np.logspace(-3, -1, 9)), lanes=2)


def test_what_is_closed_over_is_no_constant_of_the_program():
    large = {name: jnp.concatenate([x] * 300) for name, x in ROWS.items()}
    one = lifted(
        lambda config: cases.fit(jgd.sgd(config["r"]), None, data=large), {"r": jnp.float32(0.1)}
    )
    config = {"r": jnp.float32(0.1)}
    program = jax.jit(functools.partial(call, one)).lower(one.closed_over, (config,))
    assert sum(x.nbytes for x in one.closed_over) > sum(x.nbytes for x in large.values())
    assert len(program.as_text()) < 150_000
    assert program.compile().memory_analysis().argument_size_in_bytes > 37 * 300 * 4 * 4


def test_the_best_has_the_highest_score_and_never_diverged():
    found = jgd.sweep(train, jgd.grid(learning_rate=[*RATES, np.inf]))
    losses = np.asarray(found.fits.history.loss[:, -1])
    best = found.best()
    assert found.fits.status[4] == jgd.Status.DIVERGED
    assert best.place == np.nanargmin(losses[:4])
    assert best.score == -losses[best.place]
    assert float(best.config["learning_rate"]) == np.float32(RATES[best.place])
    # Even where the score would have it so.
    worst = found.best(
        lambda fit: jnp.where(fit.status == jgd.Status.DIVERGED, 1e9, fit.history.loss[-1])
    )
    assert worst.place == np.nanargmax(losses[:4])
    scores = found.scores(lambda fit: jnp.where(fit.history.loss[-1] > losses[1], jnp.nan, 1.0))
    assert np.isneginf(scores[[0, 4]]).all()


def test_records_are_rows_of_a_table():
    found = jgd.sweep(train, jgd.grid(learning_rate=[0.1, np.inf], batch_size=jgd.static([1, None])))
    rows = found.records()
    assert [row["batch_size"] for row in rows] == [1, None, 1, None]
    assert [row["status"] for row in rows] == ["EPOCHS_DONE"] * 2 + ["DIVERGED"] * 2
    for place in (0, 1):
        fit = train(found.configs.config(place))
        assert rows[place]["epochs"] == 3
        np.testing.assert_allclose(rows[place]["loss"], fit.history.loss[-1], rtol=1e-5)
        np.testing.assert_allclose(
            rows[place]["gradient_norm"], fit.history.gradient_norm[-1], rtol=1e-5
        )
        assert rows[place]["score"] == -rows[place]["loss"]
    assert all(isinstance(row["learning_rate"], float) for row in rows)


def test_explain_counts_and_says_where():
    text = jgd.sweep(train, jgd.grid(learning_rate=[0.01, 0.1, np.inf], momentum=[0.0, 0.9])).explain()
    assert text.startswith("6 fits:")
    assert "4 EPOCHS_DONE (learning_rate 0.01 to 0.1)" in text
    assert "2 DIVERGED (learning_rate inf)" in text


@pytest.mark.exhaustive
def test_several_programs_have_no_fits_in_one():
    found = jgd.sweep(train, jgd.grid(learning_rate=[0.1], batch_size=jgd.static([1, 2])))
    with pytest.raises(ValueError, match=r"2 programs.*sweep.fit\(i\)"):
        _ = found.fits


SPACE = jgd.grid(learning_rate=RATES)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: jgd.sweep(train, {"learning_rate": RATES}), "jgd.grid"),
        (lambda: jgd.sweep(lambda config: config, SPACE), "returns dict, but a Fit"),
        (lambda: jgd.sweep(lambda config: train(config).params, SPACE), "returns dict, but a Fit"),
        (lambda: jgd.sweep(train, SPACE, lanes=0), "lanes is 0"),
        (lambda: jgd.sweep(train, SPACE, lanes=True), "lanes is True"),
        (
            lambda: jgd.sweep(train, SPACE, mesh=jax.make_mesh((1, 1, 1), ("a", "b", "c"))),
            "of one axis is wanted",
        ),
        (
            lambda: jgd.sweep(
                lambda config: cases.fit(jgd.sgd(0.1), int(config["learning_rate"])), SPACE
            ),
            "static",
        ),
        (
            lambda: jgd.sweep(
                lambda config: train([config][config["learning_rate"].astype(int)]), SPACE
            ),
            "static",
        ),
        (lambda: jgd.sweep(train, SPACE).fit(4), "from 0 to 3"),
        (lambda: jgd.sweep(train, SPACE).best(lambda fit: fit.params["weights"]), "scalar is wanted"),
        (lambda: jgd.sweep(train, SPACE).best(lambda fit: jnp.nan), "none of the 4 fits"),
        (lambda: jgd.sweep(train, jgd.grid(learning_rate=[np.inf])).best(), "1 DIVERGED"),
    ],
)
def test_bad_input_is_said(run, message):
    with pytest.raises(ValueError, match=message):
        run()

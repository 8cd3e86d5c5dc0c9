"""Population based training: its rounds one by one, from what it says of who went on from whom."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from tests import cases
from tests.tuning.test_sweep import numbers

ROWS = cases.data()
KEY = jax.random.key(3)
EXHAUSTIVE = pytest.mark.exhaustive
SPACE = jgd.grid(learning_rate=[np.inf, *np.logspace(-3, -0.5, 9)])


def train(config, epochs, state):
    rule = jgd.sgd(config["learning_rate"], momentum=config.get("momentum", 0.5))
    size = config.get("batch_size", 1)
    return cases.fit(rule, size, data=ROWS, epochs=epochs, state=state, key=config.get("key", KEY))


def trained(space=SPACE, **options):
    options = {"key": KEY, "rounds": 4, "epochs": 2} | options
    return jgd.population_based_training(train, space, **options)


def assert_close(came, expected):
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5),
        numbers(came),
        numbers(expected),
    )


@pytest.mark.parametrize(
    "space",
    [
        SPACE,
        pytest.param(
            jgd.grid(learning_rate=[0.01, 0.1, 0.3], momentum=[0.0, 0.9], batch_size=[1, 8, 30]),
            marks=EXHAUSTIVE,
        ),
        pytest.param(
            jgd.grid(learning_rate=[0.01, 0.1], key=jax.random.split(KEY, 3)), marks=EXHAUSTIVE
        ),
    ],
    ids=["diverged", "batch sizes", "keys"],
)
def test_members_are_the_fits_of_their_lineages_one_by_one(space):
    found = trained(space)
    for place in range(len(space)):
        fit, losses, norms = None, [], []
        for row in found.lineage(place):
            config = {name: values[row["round"], row["place"]] for name, values in found.configs.items()}
            fit = train(config, 2, None if fit is None else fit.state)
            losses.append(fit.history.loss)
            norms.append(fit.history.gradient_norm)
        history = fit.history._replace(
            loss=jnp.concatenate(losses), gradient_norm=jnp.concatenate(norms)
        )
        epochs = jnp.sum(~jnp.isnan(history.gradient_norm))
        lane = jax.tree.map(lambda x, place=place: x[place], found.fits)
        if int(lane.status) != jgd.Status.DIVERGED:
            assert_close(lane, fit._replace(history=history, epochs=epochs))
            assert float(-fit.history.loss[-1]) == pytest.approx(found.scores[-1, place], rel=1e-5)


@pytest.mark.exhaustive
def test_the_worst_copy_the_best_and_no_other():
    found = trained(rounds=6, epochs=1, exploit=0.3)
    rates = np.asarray(found.configs["learning_rate"])
    assert (found.parents[0] == np.arange(10)).all()
    moved = 0
    for round_ in range(1, 6):
        before, parents = found.scores[round_ - 1], found.parents[round_]
        order = np.argsort(-before, kind="stable")
        for place, parent in enumerate(parents):
            if parent == place:
                assert rates[round_, place] == rates[round_ - 1, place]
                continue
            moved += 1
            assert place in order[-3:] or np.isneginf(before[place])
            assert parent in order[:3]
            ratio = rates[round_, place] / rates[round_ - 1, parent]
            assert np.isclose(ratio, 1.25) or np.isclose(ratio, 0.8) or rates[round_, place] in rates[0]
    assert moved >= 5
    assert np.isneginf(found.scores[0, 0])
    assert found.parents[1, 0] != 0
    assert np.isfinite(found.scores[-1]).all()


@pytest.mark.exhaustive
def test_one_trace_for_the_first_round_and_one_for_the_others():
    chex.clear_trace_counter()
    counted = chex.assert_max_traces(train, n=2)
    jgd.population_based_training(counted, SPACE, key=KEY, rounds=5, epochs=1)


@EXHAUSTIVE
def test_whole_numbers_stay_whole_and_numbers_stay_in_their_range():
    space = jgd.grid(learning_rate=[0.001, 0.01, 0.1], batch_size=[1, 5, 37])
    found = trained(space, rounds=8, epochs=1, exploit=0.5, perturb=2.0)
    sizes, rates = np.asarray(found.configs["batch_size"]), np.asarray(found.configs["learning_rate"])
    assert sizes.dtype == np.int32
    assert (sizes >= 1).all()
    assert (sizes <= 37).all()
    assert len(np.unique(sizes)) > 3
    assert rates.min() >= np.float32(0.001)
    assert rates.max() <= np.float32(0.1)


@EXHAUSTIVE
def test_explore_may_be_ones_own():
    def half(key, config):
        return {"learning_rate": config["learning_rate"] / 2}

    found = trained(rounds=2, explore=half)
    copied = found.parents[1] != np.arange(10)
    rates = np.asarray(found.configs["learning_rate"])
    np.testing.assert_allclose(rates[1, copied], rates[0, found.parents[1, copied]] / 2)
    np.testing.assert_array_equal(rates[1, ~copied], rates[0, ~copied])


@EXHAUSTIVE
def test_one_that_has_ended_keeps_its_score_and_its_place():
    def until_done(config, epochs, state):
        rule, stop = jgd.sgd(config["learning_rate"]), jgd.stop.gradient_norm(0.05)
        return cases.fit(rule, None, data=ROWS, epochs=epochs, state=state, stop=stop)

    space = jgd.grid(learning_rate=[1e-4, 1e-3, 0.5, 1.0])
    found = jgd.population_based_training(until_done, space, key=KEY, rounds=4, epochs=20, exploit=0.25)
    assert found.fits.status[3] == jgd.Status.CONVERGED
    assert found.scores[-1, 3] == found.scores[1, 3]
    assert found.fits.epochs[3] < 40
    assert np.isfinite(found.scores).all()


@pytest.mark.exhaustive
def test_records_and_words():
    found = trained()
    rows = found.records()
    assert len(rows) == 40
    assert {"round", "place", "parent", "learning_rate", "score"} == set(rows[0])
    assert rows[13]["round"] == 1
    assert rows[13]["place"] == 3
    assert rows[13]["score"] == found.scores[1, 3]
    best = found.best
    assert best.place == np.argmax(found.scores[-1])
    assert best.config["learning_rate"] == found.configs["learning_rate"][-1, best.place]
    assert found.lineage(best.place)[-1]["place"] == best.place
    assert found.explain().startswith("10 members, 4 rounds: ")


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: trained({}), "jgd.grid"),
        (lambda: trained(jgd.grid(learning_rate=[0.1])), "space has 1 configuration"),
        (lambda: trained(jgd.grid(batch_size=jgd.static([1, 2]))), "static axes"),
        (lambda: trained(key=None), "key is None"),
        (lambda: trained(rounds=0), "rounds is 0"),
        (lambda: trained(epochs=1.5), "epochs is 1.5"),
        (lambda: trained(exploit=0.0), "exploit is 0.0"),
        (lambda: trained(exploit=0.6), "exploit is 0.6"),
        (lambda: trained(perturb=1.0), "perturb is 1.0"),
        (lambda: trained(explore=3), "explore is 3"),
        (lambda: trained(score=3), "score is 3"),
        (lambda: trained(score=lambda fit: fit.params), "one scalar is wanted"),
        (lambda: trained(score=lambda fit: jnp.nan).best, "no member has one"),
        (lambda: trained(explore=lambda key, config: {}), "explore returns"),
        (lambda: trained(lanes=0), "lanes is 0"),
    ],
)
def test_bad_input_is_said(run, message):
    with pytest.raises(ValueError, match=message):
        run()

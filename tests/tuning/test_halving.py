"""Successive halving against the same in plain Python, its fits one by one."""

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
EXHAUSTIVE = pytest.mark.exhaustive
RATES = np.logspace(-3, -0.5, 11)
SPACE = jgd.grid(learning_rate=RATES)


def train(config, epochs, state):
    rule = jgd.sgd(config["learning_rate"], momentum=0.5)
    return cases.fit(rule, config.get("batch_size", 1), data=ROWS, epochs=epochs, state=state)


def accuracy(fit):
    scores = ROWS["x"] @ fit.params["weights"] + fit.params["bias"]
    return jnp.mean((scores > 0) == ROWS["y"]) - 1e-3 * fit.history.loss[-1]


def halved_in_python(space, rungs, keep, score):
    """The rung that each reached, and the scores, of fits from the start to each rung."""
    alive = list(range(len(space)))
    reached, scores = np.zeros(len(space), int), np.full((len(space), len(rungs)), np.nan)
    for rung, epochs in enumerate(rungs):
        for place in alive:
            fit = train(space.config(place), epochs, None)
            found = float(score(fit))
            scores[place, rung] = -np.inf if fit.status == 3 or np.isnan(found) else found
            reached[place] = rung
        best = sorted(alive, key=lambda place: -scores[place, rung])
        alive = best[: max(1, int(keep * len(alive) + 1e-9))]
    return reached, scores


@pytest.mark.parametrize(
    ("rungs", "keep", "score"),
    [
        ((1, 2), 0.5, accuracy),
        pytest.param((1, 3, 9), 1 / 3, lambda fit: -fit.history.loss[-1], marks=EXHAUSTIVE),
        pytest.param((2, 3, 4), 1.0, accuracy, marks=EXHAUSTIVE),
        pytest.param((4,), 0.1, accuracy, marks=EXHAUSTIVE),
    ],
)
def test_each_rung_keeps_those_that_are_best_one_by_one(rungs, keep, score):
    found = jgd.successive_halving(train, SPACE, rungs=rungs, keep=keep, score=score)
    reached, scores = halved_in_python(SPACE, rungs, keep, score)
    np.testing.assert_array_equal(found.rungs, reached)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5)
    assert found.best.place == np.nanargmax(scores[:, -1])
    for place, rung in enumerate(reached):
        alone, lane = train(SPACE.config(place), rungs[rung], None), found.sweep.fit(place)
        history = jax.tree.map(lambda x, n=rungs[rung]: x[:n], lane.history)
        came = numbers(lane._replace(history=history))
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), came, numbers(alone)
        )
        assert np.isnan(lane.history.loss[rungs[rung] :]).all()


def test_all_rungs_are_one_program_and_each_is_traced_once():
    chex.clear_trace_counter()
    counted = chex.assert_max_traces(train, n=3)
    compiled = []
    compile_ = jax.stages.Lowered.compile

    def counting(lowered, *args, **kwargs):
        compiled.append(lowered)
        return compile_(lowered, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.stages.Lowered, "compile", counting)
        found = jgd.successive_halving(counted, SPACE, rungs=(1, 2, 4), lanes=4)
    assert found.epochs == (1, 2, 4)
    assert len(compiled) == 1


@pytest.mark.exhaustive
def test_what_diverged_is_never_kept_while_another_is_finite():
    space = jgd.grid(learning_rate=[np.inf, 1e30, 0.01, 0.1])
    found = jgd.successive_halving(train, space, rungs=(1, 2), keep=0.75, score=lambda fit: 1.0)
    assert np.isneginf(found.scores[:2, 0]).all()
    assert found.rungs[[2, 3]].tolist() == [1, 1]
    assert found.best.place == 2
    assert "DIVERGED" in found.explain()
    assert "4 reached 1 epoch, 3 reached 2 epochs" in found.explain()


@pytest.mark.exhaustive
def test_records_hold_the_rung_and_its_score():
    found = jgd.successive_halving(train, SPACE, rungs=(1, 3), keep=0.5)
    rows = found.records()
    assert [row["rung"] for row in rows] == found.rungs.tolist()
    assert [row["epochs"] for row in rows] == [(1, 3)[rung] for rung in found.rungs]
    at_end = found.scores[np.arange(len(rows)), found.rungs]
    np.testing.assert_array_equal([row["score"] for row in rows], at_end)


@pytest.mark.exhaustive
def test_seeds_and_batch_sizes_may_be_axes():
    space = jgd.grid(learning_rate=[0.01, 0.1], batch_size=[1, 4, 37])
    found = jgd.successive_halving(train, space, rungs=(1, 2), keep=0.5)
    reached, _ = halved_in_python(space, (1, 2), 0.5, lambda fit: -fit.history.loss[-1])
    np.testing.assert_array_equal(found.rungs, reached)


@pytest.mark.exhaustive
def test_scores_that_tell_nothing_are_said():
    batch = lambda config, epochs, state: cases.fit(  # noqa: E731
        jgd.sgd(config["learning_rate"]), None, data=ROWS, epochs=epochs, state=state
    )
    with pytest.warns(UserWarning, match="all fits of the first rung have the same score"):
        jgd.successive_halving(batch, SPACE)


@pytest.mark.exhaustive
def test_hyperband_is_the_published_table_of_halvings():
    draw = functools.partial(jgd.sample, learning_rate=jgd.log_uniform(1e-3, 1.0))
    found = jgd.hyperband(train, draw, key=jax.random.key(0), epochs=9)
    # The rule of Li et al. (2018), for R = 9 and eta = 3: ceil((s_max + 1) / (s + 1) * eta^s).
    assert [(len(b.configs), b.epochs) for b in found.brackets] == [
        (9, (1, 3, 9)),
        (5, (3, 9)),
        (3, (9,)),
    ]
    lasts = [b.scores[:, -1] for b in found.brackets]
    assert found.best.score == np.nanmax(np.concatenate(lasts))
    assert len(found.records()) == 17
    assert found.records()[-1]["bracket"] == 2
    assert found.explain().count("Bracket") == 3


def forgets(config, epochs, state):
    return cases.fit(jgd.sgd(config["learning_rate"]), 1, data=ROWS, epochs=epochs)


def runs_too_long(config, epochs, state):
    return train(config, 5, state)


HALVE = functools.partial(jgd.successive_halving, train, SPACE)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: HALVE(rungs=(1, 1)), "rungs is .*rise"),
        (lambda: HALVE(rungs=(3, 1)), "rungs is .*rise"),
        (lambda: HALVE(rungs=()), "rungs is"),
        (lambda: HALVE(rungs=(0, 1)), "rungs is"),
        (lambda: HALVE(rungs=(1.0, 2)), "rungs is"),
        (lambda: HALVE(rungs=5.5), "rungs is"),
        (lambda: HALVE(keep=0.0), "keep is 0.0"),
        (lambda: HALVE(keep=1.5), "keep is 1.5"),
        (lambda: HALVE(keep=np.nan), "keep is nan"),
        (lambda: HALVE(keep="half"), "keep is 'half'"),
        (lambda: HALVE(score=lambda fit: fit.params["weights"]), "one scalar is wanted"),
        (lambda: HALVE(score=3), "score is 3"),
        (lambda: HALVE(lanes=0), "lanes is 0"),
        (lambda: jgd.successive_halving(train, {}), "jgd.grid"),
        (lambda: jgd.successive_halving(forgets, SPACE), "does not use its state"),
        (lambda: jgd.successive_halving(runs_too_long, SPACE), "asked for 1 epochs"),
        (lambda: jgd.successive_halving(lambda config, epochs, state: config, SPACE), "a Fit is wanted"),
        (
            lambda: jgd.successive_halving(train, jgd.grid(batch_size=jgd.static([1, 2]))),
            r"static axes \['batch_size'\]",
        ),
        (lambda: HALVE(score=lambda fit: jnp.nan).best, "none of the fits that reached"),
        (lambda: jgd.hyperband(train, SPACE, key=jax.random.key(0), epochs=9), "draw is Space"),
        (lambda: jgd.hyperband(train, lambda key, num: SPACE, key=None, epochs=9), "key is None"),
        (
            lambda: jgd.hyperband(train, lambda k, n: SPACE, key=jax.random.key(0), epochs=0),
            "epochs is 0",
        ),
        (
            lambda: jgd.hyperband(train, lambda k, n: 3, key=jax.random.key(0), epochs=3),
            "jgd.grid",
        ),
        (
            lambda: jgd.hyperband(train, lambda k, n: SPACE, key=jax.random.key(0), epochs=9, keep=1),
            "keep is 1",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:all fits of the first rung")
def test_bad_input_is_said(run, message):
    with pytest.raises(ValueError, match=message):
        run()

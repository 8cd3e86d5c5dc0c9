"""Cross-validation against scikit-learn's folds and the fits one by one."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.model_selection import LeaveOneGroupOut

import jgd
from jgd.tuning.folds import fold_numbers
from tests import cases
from tests.tuning.test_sweep import numbers

ROWS = cases.data()
KEY = jax.random.key(0)
EXHAUSTIVE, TWO_DEVICES = pytest.mark.exhaustive, pytest.mark.two_devices
RATES = [0.01, 0.1, 0.3]


def train(config, weights):
    rule = jgd.sgd(config["learning_rate"], momentum=0.5)
    return cases.fit(rule, config.get("batch_size", 1), data=ROWS, weights=weights)


def score(params, held_out):
    return -jgd.value(cases.objective, params, held_out)


def validated(space, **options):
    return jgd.cross_validate(train, space, ROWS, **({"folds": 3, "key": KEY, "score": score} | options))


def assert_fits_are_those_one_by_one(found):
    for place in range(len(found.configs)):
        config = found.configs.config(place)
        for fold in range(found.scores.shape[1]):
            weights = jnp.asarray(found.folds != fold, float)
            alone = train(config, weights)
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
                numbers(found.fit(place, fold)),
                numbers(alone),
            )
            held_out = jax.tree.map(lambda x: x[found.folds == fold], ROWS)  # noqa: B023
            np.testing.assert_allclose(
                found.scores[place, fold], score(alone.params, held_out), rtol=1e-5
            )


SIDE_BY_SIDE = jgd.grid(learning_rate=RATES)
FOLD_BY_FOLD = jgd.grid(learning_rate=np.logspace(-3, -0.5, 33))


@pytest.mark.parametrize(
    ("space", "devices"),
    [
        pytest.param(SIDE_BY_SIDE, 1, marks=EXHAUSTIVE),
        pytest.param(SIDE_BY_SIDE, 2, marks=TWO_DEVICES),
        pytest.param(FOLD_BY_FOLD, 1, marks=EXHAUSTIVE),
        pytest.param(FOLD_BY_FOLD, 2, marks=TWO_DEVICES),
        pytest.param(
            jgd.grid(learning_rate=[0.1], batch_size=jgd.static([1, None])),
            2,
            marks=[EXHAUSTIVE, TWO_DEVICES],
        ),
        pytest.param(jgd.grid(learning_rate=jgd.static([0.1])), 1, marks=EXHAUSTIVE),
        pytest.param(
            jgd.grid(learning_rate=[0.1], batch_size=[1, 8]), 2, marks=[EXHAUSTIVE, TWO_DEVICES]
        ),
    ],
)
def test_fits_and_scores_are_those_one_by_one(space, devices):
    mesh = jax.make_mesh((devices,), ("lanes",))
    assert_fits_are_those_one_by_one(validated(space, mesh=mesh))


@pytest.mark.exhaustive
def test_one_trace_serves_all_folds_and_configurations():
    chex.clear_trace_counter()
    counted = chex.assert_max_traces(train, n=1)
    space = jgd.grid(learning_rate=np.logspace(-3, -1, 40))
    jgd.cross_validate(counted, space, ROWS, folds=4, key=KEY, score=score, lanes=8)


@pytest.mark.exhaustive
def test_mean_standard_error_and_best():
    found = validated(jgd.grid(learning_rate=[*RATES, np.inf]), folds=4)
    assert np.isneginf(found.scores[3]).all()
    assert np.isneginf(found.mean[3])
    assert np.isnan(found.standard_error[3])
    scores = found.scores[:3]
    np.testing.assert_allclose(found.mean[:3], scores.mean(1))
    np.testing.assert_allclose(found.standard_error[:3], scores.std(1, ddof=1) / 2)
    best = found.best
    assert best.place == np.argmax(scores.mean(1))
    assert best.score == found.mean[best.place]
    on_all = train(best.config, None)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), best.fit.params, on_all.params
    )
    assert found.best is best
    rows = found.records()
    assert [row["diverged"] for row in rows] == [0, 0, 0, 4]
    assert rows[1]["score_2"] == found.scores[1, 2]
    assert "4 DIVERGED (learning_rate inf)" in found.explain()
    assert f"number {best.place} (learning_rate" in found.explain()


def test_folds_are_stratified_as_evenly_as_can_be():
    labels = np.repeat([0, 1, 2], [50, 23, 7])
    rng = np.random.default_rng(0)
    rng.shuffle(labels)
    data = rng.normal(size=(80, 3)), labels
    numbers = fold_numbers(data, 5, KEY, None)
    table = np.array([np.bincount(labels[numbers == fold], minlength=3) for fold in range(5)])
    assert (table.max(0) - table.min(0) <= 1).all()
    assert np.ptp(table.sum(1)) <= 1
    assert (numbers != fold_numbers(data, 5, jax.random.key(1), None)).any()


@pytest.mark.parametrize(
    ("targets", "stratify", "is_stratified"),
    [
        (np.arange(60) % 2 == 0, None, True),
        ((np.arange(60) % 2).astype(float), None, True),
        (np.arange(60) % 2, False, False),
        (np.linspace(0, 1, 60), None, False),
        (np.linspace(0, 1, 60), np.arange(60) % 2, True),
    ],
)
def test_classes_are_found_where_there_are_some(targets, stratify, is_stratified):
    data = {"x": np.zeros((60, 2)), "target": targets}
    classes = np.arange(60) % 2
    tables = [
        np.bincount(classes[fold_numbers(data, 6, jax.random.key(seed), stratify) == 0], minlength=2)
        for seed in range(20)
    ]
    assert all(table.tolist() == [5, 5] for table in tables) == is_stratified


@pytest.mark.exhaustive
def test_given_folds_are_those_of_scikit_learn():
    groups = np.arange(cases.NUM_EXAMPLES) // 13
    found = validated(jgd.grid(learning_rate=[0.1]), folds=groups, key=None)
    x, y = map(np.asarray, (ROWS["x"], ROWS["y"]))
    for fold, (_, held_out) in enumerate(LeaveOneGroupOut().split(x, y, groups)):
        np.testing.assert_array_equal(np.flatnonzero(found.folds == fold), held_out)
    assert_fits_are_those_one_by_one(found)


SPACE = jgd.grid(learning_rate=RATES)
RARE = {"x": np.zeros((20, 2)), "y": np.array([0] * 10 + [1] * 7 + [2] * 3)}
OUT_OF_SIGHT = np.array([0, 1] * 8 + [0] + [1] * 3)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: validated(SPACE, folds=1), "folds is 1, but from 2 to 37"),
        (lambda: validated(SPACE, folds=38), "folds is 38, but from 2 to 37"),
        (lambda: validated(SPACE, folds=2.5), "folds is 2.5"),
        (lambda: validated(SPACE, folds="five"), "folds is 'five'"),
        (lambda: validated(SPACE, folds=np.zeros(37, int)), "without a gap"),
        (lambda: validated(SPACE, folds=np.arange(37) * 2), "without a gap"),
        (lambda: validated(SPACE, folds=np.zeros(36, int)), r"of shape \(36,\)"),
        (lambda: validated(SPACE, folds=np.zeros(37)), "float64, but an int"),
        (lambda: validated(SPACE, key=None), "key is None"),
        (lambda: validated(SPACE, key=3), "key is 3"),
        (lambda: validated(SPACE, score=None), "score is None"),
        (lambda: validated(SPACE, score=lambda params, rows: float(params["bias"])), "it is traced"),
        (lambda: validated(SPACE, score=lambda params, rows: np.sin(params["bias"])), "it is traced"),
        (lambda: validated(SPACE, score=lambda params, rows: params), "one scalar is wanted"),
        (lambda: validated(SPACE, score=lambda params, rows: rows["y"]), "one scalar is wanted"),
        (lambda: validated(SPACE, stratify=np.zeros(3)), r"stratify has shape \(3,\)"),
        (lambda: validated(SPACE, lanes=0), "lanes is 0"),
        (lambda: validated({}), "jgd.grid"),
        (lambda: validated(SPACE, score=lambda params, rows: jnp.nan).best, "no configuration"),
        (lambda: validated(SPACE).fit(3, 0), "from 0 to 2"),
        (
            lambda: jgd.cross_validate(
                lambda config, weights: train(config, None), SPACE, ROWS, folds=3, key=KEY, score=score
            ),
            "does not use its weights",
        ),
        (
            lambda: jgd.cross_validate(
                lambda config, weights: weights, SPACE, ROWS, folds=3, key=KEY, score=score
            ),
            "a Fit is wanted",
        ),
        (lambda: fold_numbers(RARE, 5, KEY, None), "class 2 of the targets has 3 examples"),
        (lambda: fold_numbers(RARE, OUT_OF_SIGHT, None, None), "class 2 is held out whole in fold 1"),
        (lambda: fold_numbers({"x": np.zeros(3), "y": np.zeros(4)}, 2, KEY, None), "examples"),
    ],
)
def test_bad_input_is_said(run, message):
    with pytest.raises(ValueError, match=message):
        run()

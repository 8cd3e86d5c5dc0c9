"""Metrics against scikit-learn, laws, under jit and vmap, and what they do with nonsense."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from sklearn import metrics as sk

import jgd
from jgd import metrics
from tests.problems import x64

pytestmark = pytest.mark.exhaustive

N, C = 60, 4
RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=N).round(1)  # with ties
LABELS = (SCORES + RNG.normal(size=N) > 0).astype(int)
CLASS_SCORES = RNG.normal(size=(N, C))
CLASSES = RNG.integers(C, size=N)
TARGETS = SCORES + RNG.normal(size=N)
WEIGHTS = RNG.uniform(size=N) * (RNG.uniform(size=N) > 0.2)
# name: (metric, predictions, truth, scikit-learn's)
PEERS = {
    "accuracy": (
        metrics.accuracy,
        SCORES,
        LABELS,
        lambda s, y, w: sk.accuracy_score(y, s > 0, sample_weight=w),
    ),
    "accuracy of classes": (
        metrics.accuracy,
        CLASS_SCORES,
        CLASSES,
        lambda s, y, w: sk.accuracy_score(y, s.argmax(axis=1), sample_weight=w),
    ),
    "log_loss": (
        metrics.log_loss,
        SCORES,
        LABELS,
        lambda s, y, w: sk.log_loss(y, special.expit(s), sample_weight=w),
    ),
    "log_loss of classes": (
        metrics.log_loss,
        CLASS_SCORES,
        CLASSES,
        lambda s, y, w: sk.log_loss(y, special.softmax(s, axis=1), sample_weight=w, labels=range(C)),
    ),
    "rmse": (
        metrics.rmse,
        SCORES,
        TARGETS,
        lambda p, y, w: np.sqrt(sk.mean_squared_error(y, p, sample_weight=w)),
    ),
    "r2": (metrics.r2, SCORES, TARGETS, lambda p, y, w: sk.r2_score(y, p, sample_weight=w)),
    "auc": (metrics.auc, SCORES, LABELS, lambda s, y, w: sk.roc_auc_score(y, s, sample_weight=w)),
}
TRACED = {metric: jax.jit(metric) for metric, *_ in PEERS.values()}
every_metric = pytest.mark.parametrize("name", PEERS)
of_labels = pytest.mark.parametrize("metric", [metrics.accuracy, metrics.log_loss, metrics.auc])


@every_metric
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
def test_it_is_that_of_scikit_learn(name, weights, double):
    metric, predictions, truth, peer = PEERS[name]
    with x64(double):
        found = metric(predictions, truth, weights)
        assert found.dtype == (jnp.float64 if double else jnp.float32)
        assert found.shape == ()
    rtol = 1e-13 if double else 2e-6
    np.testing.assert_allclose(found, peer(predictions, truth, weights), rtol=rtol)


@every_metric
def test_under_jit_and_vmap_it_is_the_same(name):
    metric, predictions, truth, _ = PEERS[name]
    lanes = jnp.stack([jnp.asarray(predictions), jnp.asarray(predictions[::-1])])
    weights = jnp.stack([jnp.asarray(WEIGHTS), jnp.ones(N)])
    found = jax.jit(jax.vmap(metric, in_axes=(0, None, 0)))(lanes, jnp.asarray(truth), weights)
    wanted = [metric(lane, truth, w) for lane, w in zip(lanes, weights, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@every_metric
def test_an_example_of_weight_0_is_not_there(name):
    metric, predictions, truth, _ = PEERS[name]
    counts = WEIGHTS != 0
    broken = np.where(counts if predictions.ndim == 1 else counts[:, None], predictions, np.nan)
    wrong = np.where(counts, truth, np.nan if truth.dtype == float else 99)
    np.testing.assert_array_equal(metric(broken, wrong, WEIGHTS), metric(predictions, truth, WEIGHTS))


@every_metric
def test_weights_are_known_up_to_a_factor(name):
    metric, predictions, truth, _ = PEERS[name]
    found = metric(predictions, truth, 7.0 * WEIGHTS)
    np.testing.assert_allclose(found, metric(predictions, truth, WEIGHTS), rtol=1e-5)


@every_metric
def test_what_cannot_be_told_is_nan(name):
    metric, predictions, truth, _ = PEERS[name]
    broken = predictions.copy()
    broken[3] = np.nan
    assert jnp.isnan(metric(broken, truth))
    # Traced, labels and weights cannot be judged before.
    right = truth.astype(float)
    wrong = np.where(np.arange(N) == 3, 2.5 if truth.dtype == int else np.nan, right)
    assert jnp.isnan(TRACED[metric](predictions, wrong, np.ones(N)))
    assert jnp.isnan(TRACED[metric](predictions, right, np.zeros(N)))


@of_labels
def test_labels_of_all_kinds(metric):
    wanted = metric(SCORES, LABELS)
    kinds = (LABELS == 1, 2 * LABELS - 1, LABELS.astype(float), LABELS.tolist(), LABELS.astype("u1"))
    for labels in kinds:
        np.testing.assert_array_equal(metric(SCORES, labels), wanted)
    traced = TRACED[metric](SCORES, 2.0 * LABELS - 1, np.ones(N))
    np.testing.assert_allclose(traced, wanted, rtol=1e-6)


@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.log_loss])
def test_two_classes_are_one_logit(metric):
    pairs = np.stack([np.zeros(N), SCORES], axis=1)
    np.testing.assert_allclose(
        metric(pairs, LABELS, WEIGHTS), metric(SCORES, LABELS, WEIGHTS), rtol=1e-6
    )
    np.testing.assert_allclose(metric(pairs, LABELS == 1), metric(SCORES, LABELS), rtol=1e-6)


def test_small_floats_and_whole_numbers_become_floats():
    half = jnp.asarray(SCORES, jnp.bfloat16)
    assert metrics.accuracy(half, LABELS).dtype == jnp.float32
    np.testing.assert_array_equal(
        metrics.log_loss(half, LABELS), metrics.log_loss(half.astype(float), LABELS)
    )
    np.testing.assert_array_equal(
        metrics.rmse(LABELS, CLASSES), metrics.rmse(LABELS.astype(float), CLASSES.astype(float))
    )
    assert metrics.auc(LABELS == 1, LABELS == 1) == 1


@pytest.mark.parametrize("scale", [1.0, 1e4, 1e30])
def test_log_loss_of_huge_scores(scale):
    scores, labels = scale * np.resize([1.0, -1.0], N), np.zeros(N)
    np.testing.assert_allclose(
        metrics.log_loss(scores, labels), np.logaddexp(0, [scale, -scale]).mean(), rtol=1e-6
    )
    pairs = scores[:, None] * np.array([0.0, 1.0])
    np.testing.assert_allclose(
        metrics.log_loss(pairs, labels), metrics.log_loss(scores, labels), rtol=1e-6
    )


def test_log_loss_is_the_mean_of_the_loss():
    losses = jax.vmap(jgd.losses.softmax)(jnp.asarray(CLASS_SCORES), jnp.asarray(CLASSES))
    np.testing.assert_allclose(metrics.log_loss(CLASS_SCORES, CLASSES), losses.mean(), rtol=1e-6)


def test_infinite_scores_are_scores():
    scores, labels = np.resize([np.inf, -np.inf, np.inf, 0.0], N), np.resize([1, 0, 0, 1], N)
    assert metrics.accuracy(scores, labels) == 0.5
    assert metrics.auc(scores, labels) == (1 + 0.5 + 1 + 0) / 4
    assert metrics.log_loss(scores, labels) == jnp.inf
    pairs = np.stack([scores, -scores], axis=1)
    assert metrics.accuracy(pairs, 1 - labels) == 0.75  # of equal scores the first
    assert metrics.precision_at_k(scores, labels, 7) == 4 / 7


def test_auc_is_the_share_of_pairs_in_order():
    ones, zeros = SCORES[LABELS == 1][:, None], SCORES[LABELS == 0]
    assert np.any(ones == zeros)
    wanted = np.mean((ones > zeros) + (ones == zeros) / 2)
    np.testing.assert_allclose(metrics.auc(SCORES, LABELS), wanted, rtol=1e-6)


def test_laws_of_auc():
    found = metrics.auc(SCORES, LABELS, WEIGHTS)
    np.testing.assert_allclose(metrics.auc(np.exp(SCORES) - 3, LABELS, WEIGHTS), found, rtol=1e-6)
    np.testing.assert_allclose(metrics.auc(-SCORES, LABELS, WEIGHTS), 1 - found, rtol=1e-6)
    np.testing.assert_allclose(metrics.auc(SCORES, 1 - LABELS, WEIGHTS), 1 - found, rtol=1e-6)
    order = np.random.default_rng(2).permutation(N)
    np.testing.assert_allclose(
        metrics.auc(SCORES[order], LABELS[order], WEIGHTS[order]), found, rtol=1e-6
    )
    assert metrics.auc(LABELS, LABELS) == 1
    assert metrics.auc(-LABELS, LABELS) == 0
    assert metrics.auc(jnp.zeros(N).at[::2].set(-0.0), LABELS) == 0.5


@pytest.mark.parametrize("label", [0, 1])
def test_auc_of_one_class_is_nan(label):
    assert jnp.isnan(metrics.auc(SCORES, np.full(N, label)))
    assert jnp.isnan(metrics.auc(SCORES, LABELS, (label == LABELS).astype(float)))


def test_laws_of_r2():
    assert abs(metrics.r2(np.full(N, TARGETS.mean()), TARGETS)) < 1e-6
    assert metrics.r2(TARGETS, TARGETS) == 1
    found = metrics.r2(SCORES, TARGETS)
    np.testing.assert_allclose(metrics.r2(8 * SCORES, 8 * TARGETS), found, rtol=1e-6)
    np.testing.assert_allclose(
        metrics.rmse(SCORES, TARGETS) ** 2, (1 - found) * TARGETS.var(), rtol=1e-5
    )


def test_r2_of_targets_far_from_0():
    targets = np.arange(1000.0) + 4_000_000  # exact in float32; their mean is not
    predictions = targets + np.where(np.arange(1000) % 2, 100, -100)
    wanted = sk.r2_score(targets, predictions)
    np.testing.assert_allclose(metrics.r2(predictions, targets), wanted, rtol=1e-5)


@pytest.mark.parametrize("weights", [None, np.ones(1000)])
def test_r2_of_a_constant_is_nan(weights):
    constant = np.full(1000, 0.1)  # whose sum is rounded
    assert jnp.isnan(metrics.r2(constant, constant, weights))
    assert jnp.isnan(metrics.r2(constant + 1, constant, weights))
    assert jnp.isnan(metrics.r2([1.0], [2.0]))
    assert jnp.isnan(metrics.r2(SCORES, TARGETS, np.eye(N)[0]))


def test_precision_at_k_is_that_of_a_sorted_list():
    k = 7
    scores = RNG.normal(size=(2, 3, N)).round(1)
    relevant = RNG.integers(2, size=(2, 3, N))
    order = np.argsort(-scores, axis=-1, kind="stable")[..., :k]
    wanted = np.take_along_axis(relevant, order, axis=-1).mean(axis=-1)
    np.testing.assert_allclose(metrics.precision_at_k(scores, relevant, k), wanted, rtol=1e-6)


def test_precision_at_k_under_jit_and_vmap():
    scores, relevant = np.stack([SCORES, -SCORES]), np.stack([LABELS, LABELS]) == 1
    at_5 = functools.partial(metrics.precision_at_k, k=5)
    found = jax.jit(jax.vmap(at_5))(scores, relevant)
    np.testing.assert_array_equal(found, at_5(scores, relevant))
    assert at_5(SCORES, LABELS) == found[0] > found[1]


def test_precision_at_k_of_nan_is_nan_in_its_row():
    scores = jnp.array([[jnp.nan, 1.0, 2.0], [0.0, 1.0, 2.0]])
    found = metrics.precision_at_k(scores, jnp.array([[0, 1, 1], [0, 1, 1]]), 2)
    np.testing.assert_array_equal(found, [np.nan, 1.0])


def evaluate(params, validation):
    x, y = validation
    scores = x @ params
    return {
        "accuracy": metrics.accuracy(scores, y),
        "auc": metrics.auc(scores, y),
        "log_loss": metrics.log_loss(scores, y),
    }


def loss(params, example):
    return jgd.losses.logistic(example[0] @ params, example[1])


def test_descend_evaluates_them_in_every_epoch():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(100 + N, 3))
    y = x @ [1.0, -2.0, 0.5] + rng.normal(size=100 + N) > 0
    train, test = (x[:100], y[:100]), (jnp.asarray(x[100:]), jnp.asarray(y[100:]))
    fit = jgd.batch_descent(
        jgd.objective(loss),
        jnp.zeros(3),
        train,
        rule=jgd.sgd(1.0),
        epochs=5,
        evaluate=evaluate,
        validation=test,
    )
    for name, value in evaluate(fit.params, test).items():
        found = fit.history.evaluation[name]
        assert found.shape == (5,)
        np.testing.assert_allclose(found[-1], value, rtol=1e-5)
    assert fit.history.evaluation["accuracy"][-1] > 0.8


PAIR = [metrics.rmse, metrics.r2]
ONE = [metrics.accuracy, metrics.log_loss, metrics.auc]
NONSENSE = {
    "a column of scores": (ONE, (SCORES[:, None], LABELS), r"scores have shape \(60, 1\).*x\[:, 0\]"),
    "a column of labels": (ONE, (SCORES, LABELS[:, None]), r"labels have shape \(60, 1\).*x\[:, 0\]"),
    "a column of predictions": (PAIR, (SCORES[:, None], TARGETS), r"predictions have shape \(60, 1\)"),
    "a column of targets": (PAIR, (SCORES, TARGETS[:, None]), r"targets have shape \(60, 1\)"),
    "two columns": (PAIR, (CLASS_SCORES, CLASS_SCORES), "over columns map"),
    "too few labels": (ONE, (SCORES, LABELS[:-1]), r"labels have shape \(59,\).*\(60,\) is wanted"),
    "one target": (PAIR, (SCORES, TARGETS[:1]), r"targets have shape \(1,\)"),
    "scalars": (ONE + PAIR, (1.0, 1.0), r"have shape \(\)"),
    "nothing": (ONE + PAIR, ([], []), "at least one example"),
    "one-hot rows": (ONE[:2], (CLASS_SCORES, np.eye(C)[CLASSES]), r"argmax\(axis=1\)"),
    "classes for auc": (ONE[2:], (CLASS_SCORES, CLASSES), r"auc: scores have shape \(60, 4\)"),
    "labels 1 and 2": (ONE, (SCORES, LABELS + 1), "labels hold 2, but 0 and 1, or -1 and"),
    "labels -1, 0 and 1": (ONE, (SCORES, np.arange(N) % 3 - 1), "labels hold 0, but"),
    "NaN for a label": (ONE, (SCORES, np.full(N, np.nan)), "labels hold nan"),
    "classes from 1": (
        ONE[:2],
        (CLASS_SCORES, CLASSES + 1),
        "labels hold 4, but classes 0 to 3, are",
    ),
    "no class": (ONE[:2], (CLASS_SCORES, CLASSES - 1), "labels hold -1"),
    "half a class": (ONE[:2], (CLASS_SCORES, CLASSES - 0.5), r"labels hold -?\d.5"),
    "words": (ONE, (SCORES, np.full(N, "cat")), r"labels have dtype <U3.*return_inverse"),
    "None": (PAIR, (None, TARGETS), "predictions have dtype object"),
    "complex numbers": (PAIR, (SCORES * 1j, TARGETS), "predictions have dtype complex128"),
    "too few weights": (ONE, (SCORES, LABELS, WEIGHTS[1:]), r"weights have shape \(59,\)"),
    "a column of weights": (PAIR, (SCORES, TARGETS, WEIGHTS[:, None]), r"weights have shape \(60, 1\)"),
    "no weight": (ONE + PAIR, (SCORES, LABELS, np.zeros(N)), "weights are all 0"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_named(name):
    functions, arguments, message = NONSENSE[name]
    for function in functions:
        with pytest.raises(ValueError, match=message):
            function(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((SCORES, LABELS, N + 1), "k is 61, but a Python int from 1 to N = 60"),
        ((SCORES, LABELS, 0), "k is 0"),
        ((SCORES, LABELS, 2.0), "k is 2.0"),
        ((SCORES, LABELS, True), "k is True"),
        ((SCORES, LABELS, jnp.array(2)), "it cannot be an array"),
        ((SCORES, LABELS[:, None], 2), r"relevant have shape \(60, 1\)"),
        ((CLASS_SCORES, LABELS, 2), r"relevant have shape \(60,\)"),
        ((SCORES, CLASSES, 2), "relevant hold [23], but"),
        ((1.0, 1.0, 1), "N = 0"),
        ((np.zeros((3, 0)), np.zeros((3, 0)), 1), "N = 0"),
    ],
)
def test_nonsense_for_precision_at_k_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.precision_at_k(*arguments)


def test_shapes_are_checked_under_jit_too():
    with pytest.raises(ValueError, match="labels have shape"):
        jax.jit(metrics.accuracy)(SCORES, LABELS[:, None])

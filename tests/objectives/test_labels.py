"""Targets that a loss cannot mean are found in the data, before any work is done."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from jax.tree_util import Partial

import jgd
from jgd import losses

NUM_EXAMPLES, NUM_FEATURES, NUM_CLASSES = 12, 3, 4
X = np.random.default_rng(0).normal(size=(NUM_EXAMPLES, NUM_FEATURES)).astype(np.float32)


def logistic(params, example):
    return losses.logistic(example["x"] @ params, example["y"])


def hinge(params, example):
    return losses.hinge(example["x"] @ params, example["y"])


def squared_hinge(params, example):
    return losses.squared_hinge(example["x"] @ params, example["y"])


def poisson(params, example):
    return losses.poisson(example["x"] @ params, example["y"])


def softmax(params, example):
    return losses.softmax(example["x"] @ params, example["y"])


def labels(*some, dtype=jnp.int32):
    """The labels again and again, one for each example."""
    return jnp.asarray(np.resize(some, NUM_EXAMPLES), dtype)


def start(loss):
    return jnp.full((NUM_FEATURES, NUM_CLASSES) if loss is softmax else NUM_FEATURES, 0.1, float)


def descend(loss, y, rule=None, **options):
    options = {"epochs": 1, "shuffle": False, "batch_size": 4} | options
    params = options.pop("params", None)
    return jgd.descend(
        jgd.objective(loss),
        start(loss) if params is None else params,
        {"x": jnp.asarray(X), "y": y},
        rule=rule or jgd.sgd(0.1),
        **options,
    )


class CountedRule:
    """A rule of optax that counts how often it was asked for a step."""

    def __init__(self):
        self.calls = 0
        rule = optax.sgd(0.1)
        self.rule = optax.GradientTransformation(rule.init, self.counted(rule.update))

    def counted(self, function):
        def wrapper(*arguments):
            self.calls += 1
            return function(*arguments)

        return wrapper


BAD = {
    "class C": (softmax, labels(0, 1, NUM_CLASSES), "from 0 to 4", "4 scores wants labels 0 to 3"),
    "class -1": (softmax, labels(0, -1), "from -1 to 0", "renumber the labels"),
    "class 255": (
        softmax,
        labels(0, 255, dtype=jnp.uint8),
        "from 0 to 255",
        "one output for each class",
    ),
    "float classes": (softmax, labels(0, 1, dtype=jnp.float32), "dtype float32", "y.astype(int)"),
    "bool classes": (softmax, labels(0, 1, dtype=bool), "dtype bool", "y.astype(int)"),
    "logistic of 2": (logistic, labels(1, 2), "from 1 to 2", "logistic wants labels 0 and 1"),
    "logistic of -1": (logistic, labels(-1, 1), "from -1 to 1", "(y == positive_label)"),
    "logistic of 1.5": (
        logistic,
        labels(0.0, 1.5, dtype=jnp.float32),
        "from 0.0 to 1.5 and are not all whole numbers",
        "(y == positive_label)",
    ),
    "logistic of infinity": (
        logistic,
        labels(0.0, np.inf, dtype=jnp.float32),
        "from 0.0 to inf",
        "logistic wants labels 0 and 1",
    ),
    "hinge of 0 and -1": (hinge, labels(0, -1, 1), "from -1 to 1", "map yours to one of these pairs"),
    "hinge of 3": (hinge, labels(1, 3), "from 1 to 3", "want labels 0 and 1, or -1 and +1"),
    "hinge of 1/2": (hinge, labels(0, 0.5, dtype=jnp.float16), "not all whole numbers", "-1 and +1"),
    "squared hinge of 2": (squared_hinge, labels(0, 2), "from 0 to 2", "one of these pairs"),
    "poisson of -1": (poisson, labels(3, -1), "from -1 to 3", "use squared_error or huber"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("batch_size", [None, 1])
def test_wrong_labels_are_found_before_any_work(case, batch_size):
    loss, y, came, way_out = BAD[case]
    counted = CountedRule()
    with pytest.raises(ValueError) as error:  # noqa: PT011
        descend(loss, y, counted.rule, batch_size=batch_size)
    assert came in str(error.value)
    assert way_out in str(error.value)
    assert counted.calls == 0


def test_work_is_done_where_the_labels_are_right():
    """The counter of the test above does count."""
    counted = CountedRule()
    descend(poisson, labels(0, 3), counted.rule)
    assert counted.calls > 0


def test_a_single_wrong_label_is_found():
    for position in (0, 5, NUM_EXAMPLES - 1):
        with pytest.raises(ValueError, match=r"labels run from 0 to 4"):
            descend(softmax, labels(0, 1).at[position].set(NUM_CLASSES))


GOOD = {
    logistic: [(0, 1), (0, 0), (1, 1)],
    hinge: [(0, 1), (-1, 1), (0, 0), (1, 1), (-1, -1)],
    squared_hinge: [(0, 1), (-1, 1)],
    poisson: [(0, 1, 7), (100, 3)],
    softmax: [(0, 1, 2, 3), (3, 3), (0, 0)],
}
KINDS = ["bool", "int8", "uint8", "int32", "bfloat16", "float32"]


@pytest.mark.parametrize("loss", GOOD, ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("dtype", KINDS)
def test_right_labels_of_every_dtype_pass(loss, dtype):
    if loss is softmax and not jnp.issubdtype(dtype, jnp.integer):
        with pytest.raises(ValueError, match="wants an integer class"):
            descend(loss, labels(0, 1, dtype=dtype), epochs=0)
        return
    for some in GOOD[loss]:
        if min(some) < 0 and dtype in ("bool", "uint8"):
            continue
        fit = descend(loss, labels(*some, dtype=dtype), epochs=0)
        assert int(fit.status) == jgd.Status.EPOCHS_DONE


@pytest.mark.parametrize("dtype", ["int8", "uint8", "bfloat16", "float32"])
def test_labels_of_every_dtype_train_the_same(dtype):
    wanted = descend(hinge, labels(0, 1, dtype=bool)).params
    assert float(jnp.abs(wanted - 0.1).max()) > 0.01
    came = descend(hinge, labels(0, 1, dtype=dtype)).params
    np.testing.assert_allclose(came, wanted, rtol=1e-6)


def test_probabilities_are_labels_of_logistic():
    fit = descend(logistic, labels(0.0, 0.3, 1.0, dtype=jnp.float32), epochs=0)
    assert int(fit.status) == jgd.Status.EPOCHS_DONE


def test_nan_is_left_to_the_descent():
    fit = descend(logistic, labels(0.0, np.nan, 1.0, dtype=jnp.float32))
    assert int(fit.status) == jgd.Status.DIVERGED


def test_labels_of_examples_that_do_not_count_are_not_judged():
    """Rows that fill up a batch are labelled with what means nothing."""
    padded, weights = labels(0, 1, 2, -1), jnp.asarray(np.resize([1.0, 1.0, 1.0, 0.0], NUM_EXAMPLES))
    fit = descend(softmax, padded, weights=weights)
    same = descend(softmax, jnp.maximum(padded, 0), weights=weights)
    np.testing.assert_array_equal(fit.params, same.params)
    with pytest.raises(ValueError, match="labels run from -1 to 2"):
        descend(softmax, padded, weights=weights + 1.0)


@pytest.mark.parametrize("loss", [hinge, softmax], ids=lambda loss: loss.__name__)
def test_labels_that_are_traced_are_not_judged(loss):
    wrong = labels(0, -7)
    params = jax.jit(lambda y: descend(loss, y).params)(wrong)
    assert params.shape == start(loss).shape
    lanes = jax.vmap(lambda y: descend(loss, y).params)(jnp.stack([labels(0, 1), wrong]))
    np.testing.assert_allclose(lanes[0], descend(loss, labels(0, 1)).params, rtol=1e-5)
    with pytest.raises(ValueError, match="labels run from -7 to 0"):
        descend(loss, wrong)


def test_labels_are_judged_where_only_numbers_are_mapped_over():
    rates = jnp.array([0.1, 0.2])
    train = jax.vmap(lambda rate, y: descend(logistic, y, jgd.sgd(rate)).params, in_axes=(0, None))
    assert train(rates, labels(0, 1)).shape == (2, NUM_FEATURES)
    with pytest.raises(ValueError, match="labels run from 1 to 2"):
        train(rates, labels(1, 2))


def as_tuple(params, example):
    x, y = example
    return losses.logistic(x @ params, y)


def nested_example(params, example):
    return losses.logistic(example["inputs"]["x"] @ params, example["targets"][0])


@pytest.mark.parametrize(
    ("loss", "make_data"),
    [
        (as_tuple, lambda y: (X, y)),
        (nested_example, lambda y: {"inputs": {"x": X}, "targets": [y]}),
    ],
)
def test_labels_are_found_in_every_pytree(loss, make_data):
    train = functools.partial(jgd.batch_descent, jgd.objective(loss), rule=jgd.sgd(0.1), epochs=0)
    train(start(loss), make_data(np.resize([0, 1], NUM_EXAMPLES)))
    with pytest.raises(ValueError, match="labels run from 0 to 2"):
        train(start(loss), make_data(np.resize([0, 2], NUM_EXAMPLES)))


def with_numbers(scale, offset, params, example):
    return losses.logistic(scale * (example["x"] @ params) + offset, example["y"])


def mapped_labels(y):
    return (y + 1) / 2


def of_mapped_labels(params, example):
    return losses.logistic(example["x"] @ params, mapped_labels(example["y"]))


def two_tasks(params, example):
    other = losses.squared_error(example["x"] @ params, example["y"])
    return other + losses.poisson(example["x"] @ params, 2) + losses.logistic(0.0, example["y"])


def sequence(params, example):
    """One label at each of three places, by a vmap within the loss."""
    return jnp.sum(jax.vmap(losses.logistic)(example["x"] * params, jnp.repeat(example["y"], 3)))


@pytest.mark.parametrize(
    "loss",
    [Partial(with_numbers, jnp.array(2.0), jnp.array(0.5)), two_tasks, sequence],
    ids=["numbers", "two losses", "vmap"],
)
def test_labels_are_found_in_losses_around_the_loss(loss):
    descend(loss, labels(0, 1), epochs=0)
    with pytest.raises(ValueError, match="labels run from 0 to 2"):
        descend(loss, labels(0, 2))


def test_it_is_the_target_that_is_judged_not_the_data():
    descend(of_mapped_labels, labels(-1, 1), epochs=0)
    with pytest.raises(ValueError, match=r"labels run from 0.5 to 1.5"):
        descend(of_mapped_labels, labels(0, 2))


def channels_first(params, example):
    """Scores [C, places], as of an image: the classes are not the last axis of the batch."""
    scores = (example["x"] @ params)[:, None] * jnp.array([1.0, -1.0])
    return jnp.sum(jax.vmap(losses.softmax, in_axes=(1, 0))(scores, jnp.repeat(example["y"], 2)))


def test_classes_are_counted_along_their_own_axis():
    params = jnp.full((NUM_FEATURES, NUM_CLASSES), 0.1, float)
    fit = descend(channels_first, labels(0, 1, 2, 3), params=params)
    assert int(fit.status) == jgd.Status.EPOCHS_DONE
    with pytest.raises(ValueError, match="softmax over 4 scores wants labels 0 to 3"):
        descend(channels_first, labels(0, 4), params=params)


@jax.jit
def within_jit(params, example):
    return logistic(params, example)


def within_cond(params, example):
    return lax.cond(example["x"][0] > 0, logistic, lambda p, e: 2 * logistic(p, e), params, example)


def within_scan(params, example):
    def step(total, x):
        return total + losses.logistic(x * params.sum(), example["y"]), None

    return lax.scan(step, 0.0, example["x"])[0]


def within_checkpoint(params, example):
    return jax.checkpoint(logistic)(params, example)


PLAIN = {
    within_jit: logistic,
    within_checkpoint: logistic,
    within_cond: lambda p, e: jnp.where(e["x"][0] > 0, 1, 2) * logistic(p, e),
    within_scan: lambda p, e: sum(losses.logistic(x * p.sum(), e["y"]) for x in e["x"]),
}


@pytest.mark.parametrize("loss", PLAIN, ids=lambda loss: loss.__name__)
def test_a_loss_within_other_functions_is_trained_all_the_same(loss):
    came, wanted = (descend(f, labels(0, 1), params=start(logistic)) for f in (loss, PLAIN[loss]))
    np.testing.assert_allclose(came.params, wanted.params, rtol=1e-5)
    assert float(jnp.abs(wanted.params - 0.1).max()) > 0.01


def namesake(name, arguments):
    """A user's own jitted function that bears the name of something within jgd."""

    def predict(*arguments):
        return -5.0 * sum(arguments)

    predict.__name__ = name
    predict = jax.jit(predict)

    def loss(params, example):
        return (predict(*[example["x"] @ params] * arguments) - example["y"]) ** 2

    return loss


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("probability", 1), ("binary_or_sign", 1), ("class_index", 2), ("not_negative", 2)],
)
def test_a_function_of_the_user_may_have_any_name(name, arguments):
    fit = descend(namesake(name, arguments), labels(0, 9))
    assert fit.params.shape == (NUM_FEATURES,)


POSITIVE = jnp.ones(())


def of_a_constant(params, example):
    return losses.logistic(example["x"] @ params, POSITIVE) + 0.0 * example["y"]


def test_a_target_may_be_a_constant_of_the_module():
    fit = descend(of_a_constant, labels(0, 9))
    np.testing.assert_allclose(fit.params, descend(logistic, labels(1)).params, rtol=1e-6)


def test_a_second_call_traces_nothing():
    traces = []

    def loss(params, example):
        traces.append(1)
        return logistic(params, example)

    descend(loss, labels(0, 1))
    assert traces
    traces.clear()
    descend(loss, labels(0, 1))
    descend(loss, labels(1, 0), jgd.sgd(0.3), params=jnp.ones(NUM_FEATURES))
    with pytest.raises(ValueError, match="labels run from 1 to 2"):
        descend(loss, labels(1, 2))
    assert traces == []


def test_weakly_typed_params_trace_nothing_new():
    """`jnp.full(3, 0.1)` is float32 like any other, though JAX marks it as weakly typed."""
    traces = []

    def loss(params, example):
        traces.append(1)
        return logistic(params, example)

    strong = jnp.full(NUM_FEATURES, 0.1, jnp.float32)
    weak = jnp.full(NUM_FEATURES, 0.1)
    assert (weak.dtype, weak.weak_type, strong.weak_type) == (strong.dtype, True, False)
    descend(loss, labels(0, 1), params=strong)
    traces.clear()
    descend(loss, labels(0, 1), params=weak)
    assert traces == []


def test_labels_are_found_within_a_nested_jit():
    def loss(params, example):
        return jax.jit(jax.jit(jgd.losses.logistic))(params * example["x"], example["y"])

    data = {"x": jnp.ones(4), "y": jnp.array([0.0, 1.0, 3.0, 1.0])}
    with pytest.raises(ValueError, match=r"labels run from 0\.0 to 3\.0"):
        jgd.batch_descent(jgd.objective(loss), jnp.ones(()), data, rule=jgd.sgd(0.1), epochs=1)


def test_large_and_close_labels_are_not_rounded_to_right_ones():
    with jax.enable_x64(True):
        for wrong in (2**32, 1 + 1e-9):
            data = {"x": jnp.ones(2), "y": jnp.array([0, wrong])}
            with pytest.raises(ValueError, match="labels run from 0"):
                jgd.batch_descent(
                    jgd.objective(lambda p, e: jgd.losses.logistic(p * e["x"], e["y"])),
                    jnp.ones(()),
                    data,
                    rule=jgd.sgd(0.1),
                    epochs=1,
                )

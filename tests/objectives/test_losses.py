"""Losses against closed forms in float64, finite differences, and other libraries."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special, stats
from sklearn import metrics

from jgd import losses
from tests.problems import x64

DELTA, QUANTILE = 1.5, 0.25  # exact in every dtype
ANY_NUMBER = (-1.5, 0.0, 0.75, 2.0)


class Truth(NamedTuple):
    """What a loss ought to be, in NumPy and float64.

    Attributes:
      loss: of jgd.
      value: `(prediction, target) -> loss`.
      slope: its derivative with respect to the prediction.
      targets: some that are right.
      size: `(prediction, target) -> ` the largest term that is rounded on the way to the value.
    """

    loss: Callable
    value: Callable
    slope: Callable
    targets: tuple
    size: Callable = lambda prediction, target: 0.0


def sign(target):
    return np.where(np.asarray(target) > 0, 1.0, -1.0)


def softmax_slope(prediction, target):
    return special.softmax(prediction) - np.eye(len(prediction))[int(target)]


TRUTHS = {
    "squared_error": Truth(
        losses.squared_error, lambda p, t: (p - t) ** 2, lambda p, t: 2 * (p - t), ANY_NUMBER
    ),
    "absolute_error": Truth(
        losses.absolute_error, lambda p, t: np.abs(p - t), lambda p, t: np.sign(p - t), ANY_NUMBER
    ),
    "huber": Truth(
        losses.huber(DELTA),
        lambda p, t: special.huber(DELTA, p - t),
        lambda p, t: np.clip(p - t, -DELTA, DELTA),
        ANY_NUMBER,
    ),
    "quantile": Truth(
        losses.quantile(QUANTILE),
        lambda p, t: np.where(t >= p, QUANTILE * (t - p), (1 - QUANTILE) * (p - t)),
        lambda p, t: np.where(t >= p, -QUANTILE, 1 - QUANTILE),
        ANY_NUMBER,
    ),
    "poisson": Truth(
        losses.poisson,
        lambda p, t: np.exp(p) - t * p,
        lambda p, t: np.exp(p) - t,
        (0, 1, 2, 7),
        lambda p, t: np.exp(p) + np.abs(t * p),
    ),
    "logistic": Truth(
        losses.logistic,
        lambda p, t: np.logaddexp(0, np.where(t > 0, -p, p)),
        lambda p, t: np.where(t > 0, -special.expit(-p), special.expit(p)),
        (0, 1),
    ),
    "softmax": Truth(
        losses.softmax,
        lambda p, t: special.logsumexp(p) - p[int(t)],
        softmax_slope,
        (0, 1, 2),
        lambda p, t: np.max(np.abs(p)),
    ),
    "hinge": Truth(
        losses.hinge,
        lambda p, t: np.maximum(0, 1 - sign(t) * p),
        lambda p, t: np.where(sign(t) * p < 1, -sign(t), 0.0),
        (-1, 1),
    ),
    "squared_hinge": Truth(
        losses.squared_hinge,
        lambda p, t: np.maximum(0, 1 - sign(t) * p) ** 2,
        lambda p, t: -2 * sign(t) * np.maximum(0, 1 - sign(t) * p),
        (0, 1),
    ),
}
every_loss = pytest.mark.parametrize("name", TRUTHS)


def target_of(name, target, dtype=None):
    """A target as the loss takes it: softmax wants integers."""
    return jnp.asarray(target, jnp.int32 if name == "softmax" else dtype)


def points(name, predictions):
    """Predictions and targets, each with each; the scores of softmax run from -p to p."""
    pairs = [(p, t) for p in predictions for t in TRUTHS[name].targets]
    scores = np.array([p for p, _ in pairs])
    scores = np.outer(scores, [1.0, 0.25, -1.0]) if name == "softmax" else scores
    return scores, np.array([t for _, t in pairs])


def generic(name):
    return points(name, np.random.default_rng(0).normal(scale=2.0, size=12))


def map_numpy(function, *arrays):
    return np.stack([function(*row) for row in zip(*arrays, strict=True)])


def map_loss(function, name, predictions, targets, dtype=None):
    """The function at every point, in one compiled program."""
    return jax.jit(jax.vmap(function))(jnp.asarray(predictions, dtype), target_of(name, targets, dtype))


def central_difference(function, x, step=1e-6):
    """The derivative of a function of a scalar or a vector, in float64; axes of x come last."""
    x = np.asarray(x, np.float64)
    directions = np.eye(x.size).reshape(x.size, *x.shape) * step
    slopes = np.stack([(function(x + d) - function(x - d)) / (2 * step) for d in directions], axis=-1)
    return slopes.reshape((*slopes.shape[:-1], *x.shape))


@every_loss
def test_value_is_the_closed_form(name):
    truth, (predictions, targets) = TRUTHS[name], generic(name)
    with x64():
        values = map_loss(truth.loss, name, predictions, targets)
    wanted = map_numpy(truth.value, predictions, targets)
    np.testing.assert_allclose(values, wanted, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("loss", "other", "targets"),
    [
        (losses.squared_error, optax.squared_error, ANY_NUMBER),
        (losses.huber(0.75), functools.partial(optax.huber_loss, delta=0.75), ANY_NUMBER),
        (losses.logistic, optax.sigmoid_binary_cross_entropy, (0.0, 0.3, 1.0)),
        (losses.hinge, optax.hinge_loss, (-1.0, 1.0)),
        (losses.softmax, optax.softmax_cross_entropy_with_integer_labels, (0, 1, 2)),
        (
            losses.absolute_error,
            lambda p, t: metrics.mean_absolute_error([t], [p]),
            ANY_NUMBER,
        ),
        (
            losses.quantile(0.875),
            lambda p, t: metrics.mean_pinball_loss([t], [p], alpha=0.875),
            ANY_NUMBER,
        ),
        (
            losses.poisson,
            lambda p, t: -stats.poisson.logpmf(t, np.exp(p)) - special.gammaln(t + 1),
            (0, 1, 5),
        ),
        (losses.logistic, lambda p, t: metrics.log_loss([t], [special.expit(p)], labels=[0, 1]), (0, 1)),
        (losses.hinge, lambda p, t: metrics.hinge_loss([t, -1], [p, -3.0]) * 2, (-1, 1)),
    ],
)
def test_value_is_that_of_other_libraries(loss, other, targets):
    rng = np.random.default_rng(1)
    shape = (3,) if loss is losses.softmax else ()
    with x64():
        for target in targets:
            prediction = jnp.asarray(rng.normal(scale=2.0, size=shape))
            np.testing.assert_allclose(
                loss(prediction, jnp.asarray(target)), other(prediction, target), rtol=1e-9
            )


@every_loss
def test_gradient_is_that_of_the_closed_form(name):
    truth, (predictions, targets) = TRUTHS[name], generic(name)
    with x64():
        slopes = map_loss(jax.grad(truth.loss), name, predictions, targets)
    wanted = map_numpy(
        lambda p, t: central_difference(lambda q: truth.value(q, t), p), predictions, targets
    )
    np.testing.assert_allclose(slopes, wanted, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["squared_error", "poisson", "logistic", "softmax", "squared_hinge"])
def test_second_derivative_is_that_of_the_closed_form(name):
    truth, (predictions, targets) = TRUTHS[name], generic(name)
    with x64():
        curvatures = map_loss(jax.hessian(truth.loss), name, predictions, targets)
    wanted = map_numpy(
        lambda p, t: central_difference(lambda q: truth.slope(q, t), p), predictions, targets
    )
    np.testing.assert_allclose(curvatures, wanted, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "second",
    [
        jax.hessian,
        lambda f: jax.grad(jax.grad(f)),
        lambda f: jax.jacfwd(jax.jacfwd(f)),
        lambda f: jax.jacrev(jax.jacfwd(f)),
    ],
    ids=["hessian", "grad of grad", "forward of forward", "reverse of forward"],
)
def test_second_derivative_of_logistic(second):
    predictions = np.array([0.0, -0.0, -30.0, -3.0, 1e-3, 2.0, 30.0], np.float32)
    wanted = special.expit(predictions.astype(float)) * special.expit(-predictions.astype(float))
    for target in (0, 1):
        targets = np.full(len(predictions), target)
        curvatures = map_loss(second(losses.logistic), "logistic", predictions, targets)
        assert curvatures[:2].tolist() == [0.25, 0.25]
        np.testing.assert_allclose(curvatures, wanted, rtol=2e-6)


HUGE = {
    "float32": (1e4, 1e30),
    "bfloat16": (1e4, 1e30),
    "float16": (1e4, 3e4),  # twice 3e4 is still a float16
}


@pytest.mark.exhaustive
@every_loss
@pytest.mark.parametrize("dtype", HUGE)
def test_derivatives_are_right_where_the_prediction_is_huge(name, dtype):
    predictions, targets = points(name, [sign * size for size in HUGE[dtype] for sign in (1, -1)])
    slopes = map_loss(jax.grad(TRUTHS[name].loss), name, predictions, targets, dtype)
    assert slopes.dtype == dtype
    assert jnp.isfinite(slopes).all(), slopes
    slopes = np.asarray(slopes, np.float64)
    if name == "poisson":
        # The exponential has no number there; the slope goes up or down, and that is all.
        assert (slopes[predictions > 0] > 1e3).all()
        slopes, predictions, targets = (x[predictions < 0] for x in (slopes, predictions, targets))
    rounded = np.asarray(jnp.asarray(predictions, dtype), np.float64)
    wanted = map_numpy(TRUTHS[name].slope, rounded, targets)
    np.testing.assert_allclose(slopes, wanted, rtol=4 * float(jnp.finfo(dtype).eps))


@pytest.mark.parametrize("prediction", [80.0, 86.0, 87.0, 88.0, 100.0, 200.0])
def test_poisson_has_a_positive_slope_beyond_the_largest_exponent(prediction):
    slope = float(jax.grad(losses.poisson)(prediction, 3))
    assert np.exp(80.0) * 0.99 < slope < np.finfo(np.float32).max
    if prediction < 86:
        np.testing.assert_allclose(slope, np.exp(prediction), rtol=1e-4)


@pytest.mark.parametrize("name", ["absolute_error", "huber", "quantile", "logistic", "softmax", "hinge"])
def test_value_is_finite_where_the_prediction_is_huge(name):
    predictions, targets = points(name, [1e4, -1e4, 1e30, -1e30])
    values = map_loss(TRUTHS[name].loss, name, predictions, targets, "float32")
    wanted = map_numpy(TRUTHS[name].value, predictions, targets)
    np.testing.assert_allclose(values, wanted, rtol=1e-6)


GRID = np.concatenate([np.linspace(-80, 80, 401), np.geomspace(1e-6, 1, 50), [0.0]])


@every_loss
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_value_is_within_a_few_ulps(name, dtype):
    truth, resolution = TRUTHS[name], jnp.finfo(dtype)
    in_range = np.abs(GRID) < (9 if (name, dtype) == ("poisson", "float16") else 100)
    predictions, targets = points(name, GRID[in_range])
    values = map_loss(truth.loss, name, predictions, targets, dtype)
    rounded = np.asarray(jnp.asarray(predictions, dtype), np.float64)
    wanted = map_numpy(truth.value, rounded, targets)
    size = np.maximum(wanted, map_numpy(truth.size, rounded, targets))
    # Below the smallest normal number nothing is promised.
    allowed = 4 * float(resolution.eps) * size + float(resolution.tiny)
    error = np.abs(np.asarray(values, np.float64) - wanted)
    worst = np.argmax(error / allowed)
    assert error[worst] <= allowed[worst], (rounded[worst], targets[worst], values[worst], wanted[worst])


@pytest.mark.parametrize(("prediction", "target"), [(20.0, 1), (-20.0, 0), (80.0, 1), (-80.0, 0)])
@pytest.mark.parametrize("compiled", [False, True])
def test_tails_of_logistic_keep_their_digits(prediction, target, compiled):
    value_and_slope = jax.value_and_grad(losses.logistic)
    value, slope = (jax.jit(value_and_slope) if compiled else value_and_slope)(prediction, target)
    tail = np.exp(-abs(prediction))
    np.testing.assert_allclose(value, np.log1p(tail), rtol=1e-6)
    np.testing.assert_allclose(abs(slope), tail / (1 + tail), rtol=1e-6)


def logistic_of_a_probability(prediction, target):
    return np.logaddexp(0, prediction) - target * prediction


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, TRUTHS[name].value) for name in TRUTHS if name not in ("logistic", "softmax")),
        ("logistic", logistic_of_a_probability),
    ],
)
def test_gradient_with_respect_to_the_target(name, value):
    predictions = np.random.default_rng(2).normal(scale=2.0, size=16)
    targets = np.tile([0.2, 0.7], 8)
    with x64():
        slopes = map_loss(jax.grad(TRUTHS[name].loss, argnums=1), name, predictions, targets)
    wanted = map_numpy(lambda p, t: central_difference(lambda u: value(p, u), t), predictions, targets)
    np.testing.assert_allclose(slopes, wanted, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("prediction", [-3.1, -0.4, 0.3, 2.7])
def test_gradient_with_respect_to_the_number_of_a_loss(prediction):
    def pinball(q, p):
        return np.maximum(q * (0.1 - p), (q - 1) * (0.1 - p))

    with x64():
        slope = jax.grad(lambda d: losses.huber(d)(prediction, 0.1))(0.8)
        wanted = central_difference(lambda d: special.huber(d, prediction - 0.1), 0.8)
        np.testing.assert_allclose(slope, wanted, rtol=1e-7, atol=1e-9)
        slope = jax.grad(lambda q: losses.quantile(q)(prediction, 0.1))(0.8)
        np.testing.assert_allclose(
            slope, central_difference(lambda q: pinball(q, prediction), 0.8), rtol=1e-7
        )


@pytest.mark.parametrize(
    ("make", "others", "value"),
    [
        (losses.huber, (1, 0.5, np.float32(0.25), jnp.array(2.0)), lambda d: special.huber(d, 4.0)),
        (losses.quantile, (0.9, 0.5, np.float32(0.25), jnp.array(0.125)), lambda q: (1 - q) * 4.0),
    ],
)
def test_another_number_traces_nothing(make, others, value):
    chex.clear_trace_counter()
    apply = jax.jit(chex.assert_max_traces(lambda loss, p, t: loss(p, t), n=1))
    for number in others:
        np.testing.assert_allclose(apply(make(number), 5.0, 1.0), value(float(number)), rtol=1e-6)


@pytest.mark.parametrize("make", [losses.huber, losses.quantile])
def test_numbers_are_mapped_over(make):
    numbers = jnp.array([0.1, 0.5, 0.9])
    mapped = jax.vmap(lambda loss: loss(3.0, 1.0))(make(numbers))
    assert mapped.tolist() == [float(make(number)(3.0, 1.0)) for number in numbers]
    inside = jax.vmap(lambda number: make(number)(3.0, 1.0))(numbers)
    assert inside.tolist() == mapped.tolist()


@every_loss
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_value_and_gradient_have_the_dtype_of_the_prediction(name, dtype):
    targets = ["int8", "uint8", "int32", "int64"]
    targets += [] if name == "softmax" else ["bool", "float16", "float32", "float64"]
    with x64():
        prediction = jax.ShapeDtypeStruct((3,) if name == "softmax" else (), dtype)
        for target_dtype in targets:
            target = jax.ShapeDtypeStruct((), target_dtype)
            value, slope = jax.eval_shape(jax.value_and_grad(TRUTHS[name].loss), prediction, target)
            assert (value.shape, value.dtype) == ((), dtype), target_dtype
            assert (slope.shape, slope.dtype) == (prediction.shape, dtype), target_dtype


@pytest.mark.parametrize("name", ["logistic", "hinge", "squared_hinge"])
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "float16", "float32"])
def test_labels_of_every_dtype_mean_the_same(name, dtype):
    for label in (0, 1):
        prediction = jnp.array(0.3)
        came = TRUTHS[name].loss(prediction, jnp.asarray(label, dtype))
        np.testing.assert_allclose(came, TRUTHS[name].value(0.3, label), rtol=1e-6)
    if dtype not in ("bool", "uint8") and name != "logistic":
        zero, minus_one = (TRUTHS[name].loss(0.3, jnp.asarray(s, dtype)) for s in (0, -1))
        assert float(zero) == float(minus_one)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
def test_softmax_takes_every_integer(dtype):
    scores = np.array([0.1, 0.5, -0.2])
    came = losses.softmax(jnp.asarray(scores), jnp.asarray(2, dtype))
    np.testing.assert_allclose(came, TRUTHS["softmax"].value(scores, 2), rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in TRUTHS if name != "softmax"])
def test_a_prediction_of_several_numbers_costs_the_sum(name):
    truth = TRUTHS[name]
    prediction, target = np.array([[0.3, -1.2], [2.5, 0.1]]), np.array([[0, 1], [1, 0]])
    wanted = truth.value(prediction, target).sum()
    np.testing.assert_allclose(
        truth.loss(jnp.asarray(prediction), jnp.asarray(target)), wanted, rtol=1e-6
    )


@every_loss
def test_no_derivative_needs_a_scatter_or_gather(name):
    loss = TRUTHS[name].loss
    prediction = jnp.ones(3) if name == "softmax" else jnp.ones(())
    program = str(jax.make_jaxpr(jax.grad(loss))(prediction, target_of(name, 1)))
    assert "scatter" not in program
    assert "gather" not in program


@every_loss
def test_target_may_be_closed_over_under_jit(name):
    """The values of a concrete target are known while the prediction is traced."""
    prediction, target = np.array([0.5, 1.5, -1.0]), target_of(name, 1)
    prediction = jnp.asarray(prediction if name == "softmax" else 0.5)
    came = jax.jit(lambda p: TRUTHS[name].loss(p, target))(prediction)
    np.testing.assert_allclose(came, TRUTHS[name].value(np.asarray(prediction), 1), rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in TRUTHS if name != "softmax"])
@pytest.mark.parametrize("shapes", [((1,), ()), ((), (1,)), ((3,), (2,)), ((2, 1), (2,))])
def test_shapes_that_differ_are_an_error(name, shapes):
    with pytest.raises(ValueError, match=rf"^{name}: prediction has shape") as error:
        TRUTHS[name].loss(jnp.ones(shapes[0]), jnp.ones(shapes[1]))
    assert f"prediction has shape {shapes[0]} and target has shape {shapes[1]}" in str(error.value)
    assert "predicts a scalar" in str(error.value)


@pytest.mark.parametrize(
    ("loss", "prediction", "target", "came", "way_out"),
    [
        (losses.logistic, 0.0, 2, "labels run from 2 to 2", "labels 0 and 1; map yours"),
        (losses.logistic, 0.0, -1, "labels run from -1 to -1", "labels 0 and 1; map yours"),
        (losses.logistic, 0.0, 1.5, "from 1.5 to 1.5 and are not all whole", "labels 0 and 1"),
        (losses.hinge, 0.0, 3, "labels run from 3 to 3", "hinge and squared_hinge want labels 0 and 1"),
        (losses.hinge, 0.0, 0.5, "not all whole numbers", "map yours to one of these pairs"),
        (losses.squared_hinge, 0.0, -2, "labels run from -2 to -2", "-1 and +1"),
        (losses.hinge, (0.0, 0.0, 0.0), (0, -1, 1), "labels run from -1 to 1", "one of these pairs"),
        (losses.poisson, 0.0, -1, "labels run from -1 to -1", "use squared_error or huber"),
        (losses.softmax, (0.0, 1.0), 2, "labels run from 2 to 2", "2 scores wants labels 0 to 1"),
        (losses.softmax, (0.0, 1.0), -1, "labels run from -1 to -1", "renumber the labels"),
        (losses.softmax, (0.0, 1.0), 1.0, "dtype float32 and shape ()", "y.astype(int)"),
        (losses.softmax, (0.0, 1.0), True, "dtype bool", "y.astype(int)"),
        (losses.softmax, (0.0, 1.0), (0, 1), "shape (2,)", "y.argmax(-1)"),
        (losses.softmax, 0.0, 1, "prediction has shape ()", "Give the model C outputs"),
        (losses.softmax, ((0.0, 1.0),), 1, "prediction has shape (1, 2)", "Give the model C outputs"),
    ],
)
def test_wrong_target_is_an_error(loss, prediction, target, came, way_out):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        loss(jnp.asarray(prediction), jnp.asarray(target))
    assert came in str(error.value)
    assert way_out in str(error.value)


@pytest.mark.parametrize("number", [0, -1.0, float("nan"), "wide", None])
def test_wrong_delta_is_an_error(number):
    with pytest.raises(ValueError, match=r"^huber: delta is .*, but a number above 0 is wanted"):
        losses.huber(number)


@pytest.mark.parametrize("number", [0, 1, -0.1, 90, float("nan"), "median", None])
def test_wrong_quantile_is_an_error(number):
    with pytest.raises(ValueError, match=r"^quantile: q is .*, but a number between 0 and 1"):
        losses.quantile(number)

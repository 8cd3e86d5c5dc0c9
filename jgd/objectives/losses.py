"""The loss of one prediction against one target.

Each loss maps a prediction and a target of the same shape to a scalar. A prediction of several
numbers costs the sum over them (softmax excepted, where the scores belong together). Derivatives
stay finite where the prediction is huge, and none needs a scatter, so that XLA folds the loop
around them.
"""

import functools

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.tree_util import Partial

from jgd.objectives import labels
from jgd.objectives.linear_form import named_loss
from jgd.tree import require_number


def squared_error(prediction, target):
    """Squared error: `(prediction - target)²`.

    The derivative is twice the residual, so the mean over examples has the gradient
    `(2/N) Xᵀ(Xw - y)` for a linear model.

    Args:
      prediction: float scalar, or an array that is summed over.
      target: number or array of the same shape.

    Returns:
      A float scalar.

    Raises:
      ValueError: the shapes differ.

    >>> float(squared_error(3.0, 1.0))
    4.0

    Source: Legendre (1805); Gauss (1809).
    """
    return _squared_error(*_pair("squared_error", prediction, target))


@named_loss("squared_error")
def _squared_error(prediction, target):
    return jnp.sum(jnp.square(prediction - target))


def absolute_error(prediction, target):
    """Absolute error: `|prediction - target|`, minimised by the median.

    Args:
      prediction: float scalar, or an array that is summed over.
      target: number or array of the same shape.

    Returns:
      A float scalar.

    Raises:
      ValueError: the shapes differ.

    >>> float(absolute_error(3.0, 1.0))
    2.0

    Source: Laplace (1774).
    """
    return _absolute_error(*_pair("absolute_error", prediction, target))


@named_loss("absolute_error")
def _absolute_error(prediction, target):
    return jnp.sum(jnp.abs(prediction - target))


def huber(delta=1.0):
    """Huber loss: `e²/2` where `|e| <= delta`, else `delta (|e| - delta/2)`.

    Args:
      delta: size of the error from which an example counts as an outlier, in units of the target.
        A leaf of the loss: another value compiles nothing.

    Returns:
      A loss `f(prediction, target) -> scalar`.

    Raises:
      ValueError: delta is not above 0; the shapes of prediction and target differ.

    >>> float(huber(1.0)(3.0, 0.0))
    2.5

    Source: Huber (1964), Annals of Mathematical Statistics 35(1), eq. 3.9.
    """
    delta = require_number("huber: delta", delta, lambda d: d > 0, "a number above 0")
    return Partial(_huber, delta)


def _huber(delta, prediction, target):
    return _huber_of_pair(delta, *_pair("huber", prediction, target))


@named_loss("huber")
def _huber_of_pair(delta, prediction, target):
    error = prediction - target
    delta = delta.astype(error.dtype)
    pull = jnp.clip(error, -delta, delta)
    return jnp.sum(pull * (error - pull / 2))


def quantile(q=0.5):
    """Pinball loss: `q e` where `e = target - prediction >= 0`, else `(q - 1) e`.

    Args:
      q: the quantile that the prediction shall estimate, between 0 and 1.
        A leaf of the loss: another value compiles nothing.

    Returns:
      A loss `f(prediction, target) -> scalar`.

    Raises:
      ValueError: q is not between 0 and 1; the shapes of prediction and target differ.

    >>> round(float(quantile(0.9)(0.0, 1.0)), 6)
    0.9

    Source: Koenker and Bassett (1978), Econometrica 46(1).
    """
    q = require_number(
        "quantile: q", q, lambda q: (q > 0) & (q < 1), "a number between 0 and 1, both excluded"
    )
    return Partial(_quantile, q)


def _quantile(q, prediction, target):
    return _quantile_of_pair(q, *_pair("quantile", prediction, target))


@named_loss("quantile")
def _quantile_of_pair(q, prediction, target):
    error = target - prediction
    q = q.astype(error.dtype)
    return jnp.sum(jnp.where(error >= 0, q * error, (q - 1) * error))


def poisson(prediction, target):
    """Negative log-likelihood of a count: `exp(prediction) - target * prediction`.

    The prediction is the logarithm of the rate; `log(target!)` is left out, for it does not
    depend on the prediction. Beyond the largest exponent of the dtype the exponential goes on as
    its tangent, so that the derivative stays finite and keeps its sign.

    Args:
      prediction: float scalar, the logarithm of the expected count, or an array that is summed over.
      target: count >= 0, of the same shape.

    Returns:
      A float scalar.

    Raises:
      ValueError: the shapes differ; a concrete target is below 0.

    >>> round(float(poisson(0.0, 2)), 6)
    1.0

    Source: Nelder and Wedderburn (1972), J. R. Statist. Soc. A 135(3).
    """
    return _poisson(*_pair("poisson", prediction, target, "not_negative"))


@named_loss("poisson")
def _poisson(prediction, target):
    largest = jnp.asarray(jnp.log(jnp.finfo(prediction.dtype).max) - 2, prediction.dtype)
    rate = jnp.exp(jnp.minimum(prediction, largest))
    tangent = jnp.exp(largest) * jax.nn.relu(prediction - largest)
    return jnp.sum(rate + tangent - target * prediction)


def logistic(prediction, target):
    """Logistic loss of a label 0 or 1: `log(1 + exp(prediction)) - target * prediction`.

    The derivative is `sigmoid(prediction) - target`, exact in both tails. A target between 0 and 1
    is taken as the probability of label 1.

    Args:
      prediction: float scalar, the log-odds of label 1, or an array that is summed over.
      target: label 0 or 1 (bool, integer or float), of the same shape.

    Returns:
      A float scalar.

    Raises:
      ValueError: the shapes differ; a concrete target is outside 0..1.

    >>> round(float(logistic(0.0, 1)), 6)
    0.693147

    Source: Cox (1958), J. R. Statist. Soc. B 20(2).
    """
    return _logistic(*_pair("logistic", prediction, target, "probability"))


@named_loss("logistic")
def _logistic(prediction, target):
    return jnp.sum(_log_odds_loss(prediction, target))


@jax.custom_jvp
def _log_odds_loss(x, y):
    """`relu(x) - y x + log(1 + exp(-|x|))`, which overflows nowhere."""
    return jax.nn.relu(x) - y * x + _log1p(jnp.exp(-jnp.abs(x)))


def _log1p(e):
    """`log(1 + e)` for e from 0 to 1, without the two branches of XLA's log1p."""
    if e.dtype == jnp.float64:
        return jnp.log1p(e)
    # log(1 + e) = 2 artanh(z): for e <= 1 eight terms of the series are exact to float32.
    z = e / (2 + e)
    series = jnp.full_like(z, 1 / 15)
    for odd in (13, 11, 9, 7, 5, 3, 1):
        series = series * z * z + jnp.asarray(1 / odd, e.dtype)
    return 2 * z * series


@functools.partial(_log_odds_loss.defjvp, symbolic_zeros=True)
def _logistic_jvp(primals, tangents):
    (x, y), (x_dot, y_dot) = primals, tangents
    slope = 0 if isinstance(x_dot, SymbolicZero) else _logistic_slope(x, y) * x_dot
    return _log_odds_loss(x, y), slope - (0 if isinstance(y_dot, SymbolicZero) else x * y_dot)


@jax.custom_jvp
def _logistic_slope(x, y):
    """`sigmoid(x) - y`, with all its digits in both tails; it shares its exponential with the value."""
    e = jnp.exp(-jnp.abs(x))
    return jnp.where(x > 0, 1 - y, -y) + jnp.where(x > 0, -e, e) / (1 + e)


@_logistic_slope.defjvp
def _logistic_slope_jvp(primals, tangents):
    # By hand, for autodiff through |x| would give a second derivative of 0 at 0.
    (x, y), (x_dot, y_dot) = primals, tangents
    e = jnp.exp(-jnp.abs(x))
    return _logistic_slope(x, y), e / jnp.square(1 + e) * x_dot - y_dot


def softmax(prediction, target):
    """Cross-entropy of a class: `log(sum(exp(prediction))) - prediction[target]`.

    The derivative is `softmax(prediction) - one_hot(target)`.

    Args:
      prediction: float array [C], one score for each class.
      target: integer scalar, the class, from 0 to C - 1.

    Returns:
      A float scalar.

    Raises:
      ValueError: the prediction is not a vector; the target is not an integer scalar; a concrete
        target is outside 0..C-1.

    >>> round(float(softmax(jnp.zeros(4), 2)), 6)
    1.386294

    Source: Bridle (1990), NATO ASI Series F 68.
    """
    prediction, target = _float(prediction), jnp.asarray(target)
    if prediction.ndim != 1:
        raise ValueError(
            f"softmax: prediction has shape {prediction.shape}, but one example wants a vector [C] "
            "of scores, one for each class. Give the model C outputs; for one score use logistic."
        )
    if target.ndim != 0 or not jnp.issubdtype(target.dtype, jnp.integer):
        raise ValueError(
            f"softmax: target has dtype {target.dtype} and shape {target.shape}, but one example "
            "wants an integer class. Convert labels with y.astype(int), one-hot rows with "
            "y.argmax(-1)."
        )
    return _softmax(prediction, labels.mark("class_index", target, prediction.shape[0]))


@named_loss("softmax")
def _softmax(prediction, target):
    chosen = jnp.arange(prediction.shape[0]) == target
    return jax.nn.logsumexp(prediction) - jnp.sum(jnp.where(chosen, prediction, 0))


def hinge(prediction, target):
    """Hinge loss of a support vector machine: `max(0, 1 - s * prediction)`.

    `s` is -1 or +1: a target 0 or -1 is the one class, a target 1 the other.

    Args:
      prediction: float scalar, the signed score, or an array that is summed over.
      target: label 0 or 1, or -1 or +1 (bool, integer or float), of the same shape.

    Returns:
      A float scalar.

    Raises:
      ValueError: the shapes differ; a concrete target is another number.

    >>> float(hinge(0.5, 1)), float(hinge(0.5, 0))
    (0.5, 1.5)

    Source: Cortes and Vapnik (1995), Machine Learning 20(3).
    """
    return _hinge(*_pair("hinge", prediction, target, "binary_or_sign"))


@named_loss("hinge")
def _hinge(prediction, target):
    return jnp.sum(_shortfall(prediction, target))


def squared_hinge(prediction, target):
    """Squared hinge loss: `max(0, 1 - s * prediction)²`, smooth where hinge has its kink.

    `s` is -1 or +1: a target 0 or -1 is the one class, a target 1 the other.

    Args:
      prediction: float scalar, the signed score, or an array that is summed over.
      target: label 0 or 1, or -1 or +1 (bool, integer or float), of the same shape.

    Returns:
      A float scalar.

    Raises:
      ValueError: the shapes differ; a concrete target is another number.

    >>> float(squared_hinge(0.5, 1)), float(squared_hinge(0.5, 0))
    (0.25, 2.25)

    Source: Cortes and Vapnik (1995), Machine Learning 20(3).
    """
    return _squared_hinge(*_pair("squared_hinge", prediction, target, "binary_or_sign"))


@named_loss("squared_hinge")
def _squared_hinge(prediction, target):
    return jnp.sum(jnp.square(_shortfall(prediction, target)))


def _shortfall(prediction, target):
    """What the margin lacks to 1."""
    return jax.nn.relu(1 - jnp.where(target > 0, prediction, -prediction))


def _pair(name, prediction, target, demand=None):
    """Prediction and target as floats of one dtype and one shape, the target marked."""
    prediction, target = _float(prediction), jnp.asarray(target)
    if prediction.shape != target.shape:
        raise ValueError(
            f"{name}: prediction has shape {prediction.shape} and target has shape {target.shape}, "
            "but one example wants the same shape for both. A model of one output predicts a "
            "scalar (w @ x, with w of shape [D]), not an array of length 1."
        )
    if demand is not None:
        target = labels.mark(demand, target)
    return prediction, target.astype(prediction.dtype)


def _float(prediction):
    prediction = jnp.asarray(prediction)
    return prediction if jnp.issubdtype(prediction.dtype, jnp.floating) else prediction.astype(float)

"""Convex conjugates of the losses: what is left in the inequality of Fenchel and Young.

    excess(z, alpha) = phi(z) + phi*(alpha) - alpha z >= 0

It is 0 where alpha is a derivative of phi at z. Each is written as a sum of terms that are not negative,
so that nothing cancels where it is small.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from jgd.objectives import losses

relu = jax.nn.relu


class Convex(NamedTuple):
    """A convex loss of `jgd.losses`.

    Attributes:
      loss: `(*numbers) -> (prediction, target) -> scalar`.
      excess: `(*numbers, z, alpha, target)`, of the shape of z, or a scalar.
      domain: `(*numbers, target) -> (least, most)` alpha of a loss that is piecewise linear, where the
        derivative does not tell alpha at the kinks; None of a smooth one.
    """

    loss: Callable
    excess: Callable
    domain: Callable | None = None


def _squared_error(z, alpha, y):
    return jnp.square(z - y - alpha / 2)


def _huber(delta, z, alpha, y):
    pull = jnp.clip(z - y, -delta, delta)
    return jnp.square(pull - alpha) / 2 + (pull - alpha) * (z - y - pull)


def _squared_hinge(z, alpha, y):
    sign = jnp.where(y > 0, 1, -1)
    margin, pull = 1 - sign * z, -sign * alpha
    return jnp.square(relu(margin) - pull / 2) + pull * relu(-margin)


def _hinge(z, alpha, y):
    sign = jnp.where(y > 0, 1, -1)
    margin, pull = 1 - sign * z, -sign * alpha
    return relu(margin) * (1 - pull) + pull * relu(-margin)


def _hinge_domain(y):
    return jnp.where(y > 0, -1.0, 0.0), jnp.where(y > 0, 0.0, 1.0)


def _quantile(q, z, alpha, y):
    error = z - y
    return relu(error) * (1 - q - alpha) + relu(-error) * (q + alpha)


def _quantile_domain(q, y):
    return jnp.full_like(y, -q), jnp.full_like(y, 1 - q)


def _absolute_error(z, alpha, y):
    error = z - y
    return relu(error) * (1 - alpha) + relu(-error) * (1 + alpha)


def _absolute_domain(y):
    return jnp.full_like(y, -1.0), jnp.full_like(y, 1.0)


def _logistic(z, alpha, y):
    return _divergence(y + alpha, jax.nn.sigmoid(z), jax.nn.softplus(-z)) + _divergence(
        1 - y - alpha, jax.nn.sigmoid(-z), jax.nn.softplus(z)
    )


def _softmax(z, alpha, y):
    chosen = (jnp.arange(len(z)) == y).astype(z.dtype)
    logs = jax.nn.log_softmax(z)
    return jnp.sum(_divergence(chosen + alpha, jnp.exp(logs), -logs))


def _poisson(z, alpha, y):
    rate, mean = jnp.exp(z), relu(y + alpha)
    return _divergence(mean, rate, -z) - mean + rate


def _divergence(b, p, minus_log_p):
    """`b log(b / p)`, with all digits where b is near p, and where p is too small for a float."""
    b = relu(b)  # a share that rounding has put below 0
    ratio = (b - p) / jnp.where(p > 0, p, 1)
    is_near = (p > 0) & (jnp.abs(ratio) < 0.5)
    near = b * jnp.log1p(jnp.where(is_near, ratio, 0))
    return jnp.where(is_near, near, xlogy(b, b) + b * minus_log_p)


CONVEX = {
    "squared_error": Convex(lambda: losses.squared_error, _squared_error),
    "huber": Convex(losses.huber, _huber),
    "logistic": Convex(lambda: losses.logistic, _logistic),
    "softmax": Convex(lambda: losses.softmax, _softmax),
    "poisson": Convex(lambda: losses.poisson, _poisson),
    "squared_hinge": Convex(lambda: losses.squared_hinge, _squared_hinge),
    "hinge": Convex(lambda: losses.hinge, _hinge, _hinge_domain),
    "absolute_error": Convex(lambda: losses.absolute_error, _absolute_error, _absolute_domain),
    "quantile": Convex(losses.quantile, _quantile, _quantile_domain),
}

"""Problems that know their answer, made with NumPy in float64; and float64 switched on for one test.

Each problem is small, seeded and generic: nothing in it is zero, equal or orthogonal by accident.
"""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jgd


class Problem(NamedTuple):
    """An objective to be minimised.

    Attributes:
      loss: `(params, example) -> scalar`.
      params: where to start.
      data: pytree of arrays [N, ...].
      minimiser: params of the smallest mean loss, where a closed form is known; else None.
    """

    loss: Callable
    params: Any
    data: Any
    minimiser: Any = None


def x64(on: bool = True):
    """Context in which arrays may be float64; outside of it the suite stays in float32."""
    return jax.enable_x64(True) if on else contextlib.nullcontext()


def square(params, example):
    return jgd.losses.squared_error(example["x"] @ params, example["y"])


def least_squares(dtype=jnp.float32, num_examples=23, seed=0) -> Problem:
    """Params are a vector [4]."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_examples, 4)) * np.array([0.5, 1.0, 1.5, 2.0])
    y = x @ np.array([1.0, -2.0, 0.5, 3.0]) + rng.normal(size=num_examples)
    minimiser = np.linalg.lstsq(x, y, rcond=None)[0]
    return _cast(dtype, square, rng.normal(size=4), {"x": x, "y": y}, minimiser)


def quadratic_form(params, example):
    return jnp.sum(example["curvature"] * jnp.square(params - example["centre"])) / 2


def quadratic(dtype=jnp.float32, num_examples=5, seed=1) -> Problem:
    """Params are a vector [6]; each example is a parabola with an axis of its own for each of them."""
    rng = np.random.default_rng(seed)
    curvature = rng.uniform(0.1, 3.0, size=(num_examples, 6))
    centre = rng.normal(size=(num_examples, 6))
    minimiser = (curvature * centre).sum(axis=0) / curvature.sum(axis=0)
    data = {"curvature": curvature, "centre": centre}
    return _cast(dtype, quadratic_form, rng.normal(size=6), data, minimiser)


def log_odds(params, example):
    prediction = example["x"] @ params["linear"]["weights"] + params["linear"]["bias"]
    return jgd.losses.logistic(prediction, example["y"])


def logistic_regression(dtype=jnp.float32, num_examples=40, seed=2) -> Problem:
    """Params are a nested dict; labels are bools."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_examples, 3))
    y = x @ np.array([1.0, -2.0, 0.5]) + rng.normal(size=num_examples) > 0
    params = {"linear": {"weights": rng.normal(size=3), "bias": np.array(0.3)}}
    return _cast(dtype, log_odds, params, {"x": x, "y": y})


def network_error(params, example):
    prediction = jgd.models.mlp.predict(params, example["x"], jnp.tanh)
    return jgd.losses.squared_error(prediction, example["y"])


def network(dtype=jnp.float32, num_examples=30, sizes=(3, 8, 5, None), seed=3) -> Problem:
    """A small tanh network with one output; params are a nested dict."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_examples, sizes[0]))
    params = jgd.models.mlp.init(jax.random.key(seed), sizes)
    params = jax.tree.map(lambda p: np.asarray(p, np.float64) + 0.1 * rng.normal(size=p.shape), params)
    return _cast(dtype, network_error, params, {"x": x, "y": np.sin(x.sum(axis=1))})


def _cast(dtype, loss, params, data, minimiser=None) -> Problem:
    def leaf(x):
        return jnp.asarray(x) if x.dtype == bool else jnp.asarray(x, dtype)

    return Problem(loss, *jax.tree.map(leaf, (params, data)), minimiser)

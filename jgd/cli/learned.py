"""A model of a table: from its columns to predictions in the units of the target."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgd import choices
from jgd.models.model import Model
from jgd.tables import Schema, Target, feature_names

LOSSES: dict[str, dict[str, Callable]] = {
    "regression": choices.REGRESSION_LOSSES,
    "binary": choices.BINARY_LOSSES,
    "multiclass": choices.MULTICLASS_LOSSES,
}
ROWS = 65_536  # that are predicted at once: hidden layers of all of them might not fit the memory


class Learned(NamedTuple):
    """What a model predicts from what, without its params.

    Attributes:
      schema: the columns.
      target: what is predicted.
      hidden: units of hidden layers; () is the linear model.
      activation: of hidden units.
      loss: its name.
      center: of the target in its own units, where the prediction of the model is 0.
      scale: of the target in its own units, by one of the model's.
    """

    schema: Schema
    target: Target
    hidden: tuple[int, ...]
    activation: str
    loss: str
    center: float
    scale: float


def model_of(learned: Learned) -> Model:
    """The model: `init(key, inputs, outputs)` and `predict(params, inputs)`."""
    return choices.model_named(learned.hidden, learned.activation)


def start_of(learned: Learned, key: Any) -> Any:
    """The params where training starts."""
    outputs = len(learned.target.classes) if learned.target.task == "multiclass" else None
    return model_of(learned).init(key, len(feature_names(learned.schema)), outputs)


def loss_of(learned: Learned) -> Callable:
    """`(prediction, target) -> scalar`."""
    return LOSSES[learned.target.task][learned.loss]


def labels_of(learned: Learned, y: np.ndarray) -> np.ndarray:
    """The target as the loss wants it.

    Args:
      learned: the model.
      y: [N], from `jgd.tables.encode_target`.

    Returns:
      [N] numbers, in the units of the model for regression; for several classes with a loss for two
      [N, C], one-hot rows.
    """
    task = learned.target.task
    if task == "regression":
        return ((y.astype(float) - learned.center) / learned.scale).astype(np.float32)
    if task == "multiclass" and learned.loss != "log_loss":
        return np.eye(len(learned.target.classes), dtype=np.float32)[y]
    return y


def scores(learned: Learned, params: Any, x: Any) -> np.ndarray:
    """What the model says, before it is a prediction: [N], of several classes [N, C]."""
    predict = model_of(learned).predict
    # Short last parts are filled up, so that one program serves all.
    size = min(ROWS, len(x))
    parts = []
    for first in range(0, len(x), size):
        part = np.asarray(x[first : first + size])
        padded = np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)])
        parts.append(np.asarray(_scores(predict, params, padded), float)[: len(part)])
    return np.concatenate(parts)


@functools.partial(jax.jit, static_argnums=0)
def _scores(predict, params, x):
    return jax.vmap(predict, in_axes=(None, 0))(params, x)


def values(learned: Learned, scores: np.ndarray) -> np.ndarray:
    """Predictions: numbers in the units of the target, or the places of classes, [N]."""
    if learned.target.task == "binary":
        return (scores > 0).astype(np.int64)
    if learned.target.task == "multiclass":
        return scores.argmax(axis=1)
    if learned.loss == "poisson":
        return np.exp(np.minimum(scores, 700.0))
    return scores * learned.scale + learned.center


def probabilities(learned: Learned, scores: np.ndarray) -> np.ndarray | None:
    """[N, C]; None for regression and for losses that know of none, hinge and squared hinge."""
    if learned.target.task == "regression" or learned.loss != "log_loss":
        return None
    if learned.target.task == "binary":
        ones = np.exp(-np.logaddexp(0, -scores))
        return np.stack([np.exp(-np.logaddexp(0, scores)), ones], axis=1)
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def mean_loss(loss: Callable, params: Any, held: Any) -> dict[str, jax.Array]:
    """What is recorded of rows held out, after each epoch."""
    each = functools.partial(loss, params)
    is_large = len(held["x"]) > ROWS
    losses = jax.lax.map(each, held, batch_size=ROWS) if is_large else jax.vmap(each)(held)
    return {"held_out_loss": jnp.mean(losses)}

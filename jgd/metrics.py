"""How good predictions are: numbers for people, inside of a compiled program.

All of them run under `jit` and `vmap`, as `evaluate` of a descent and as the score of a search. Means
are weighted as in scikit-learn, `sum_i w_i value_i / sum_i w_i`; an example of weight 0 is as if it were
not there, its NaN included. What cannot be told is NaN: where a score or a prediction that counts is
NaN, where a traced label is none, where no example counts.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgd.objectives.checks import checked_weights
from jgd.tree import is_whole


def accuracy(scores: Any, labels: Any, weights: Any = None) -> jax.Array:
    """Share of right decisions: `mean_i [decision_i = label_i]`.

    The decision is `score > 0` for one score, a logit, and `argmax_c score_c` for several; among equal
    ones the first.

    Args:
      scores: [N], or [N, C] with one score for each class.
      labels: [N]: 0 and 1 or -1 and +1 for scores [N], whole numbers 0 to C - 1 for scores [N, C].
      weights: [N] or None.

    Returns:
      A float scalar from 0 to 1.

    Raises:
      ValueError: shapes do not agree; concrete labels are other numbers; all weights are 0.

    >>> float(accuracy(jnp.array([2.0, -1.0, 0.5, -3.0]), jnp.array([1, 0, 0, 0])))
    0.75

    Source: Sokolova and Lapalme (2009), Information Processing and Management 45(4), table 2.
    """
    return _accuracy(*_labelled("accuracy", scores, labels, weights, most_axes=2))


@jax.jit
def _accuracy(scores, labels, weights):
    decisions = scores > 0 if scores.ndim == 1 else jnp.argmax(scores, axis=1)
    labels = _known(labels, weights, *scores.shape[1:])
    is_nan = jnp.isnan(labels) | jnp.isnan(scores.reshape(len(scores), -1)).any(axis=1)
    return _mean(jnp.where(is_nan, jnp.nan, decisions == labels), weights)


def log_loss(scores: Any, labels: Any, weights: Any = None) -> jax.Array:
    """Mean negative log-likelihood of the labels: `-mean_i log p(label_i | scores_i)`.

    The scores are logits, not probabilities: `p = sigmoid(score)` of label 1 for one score,
    `p = softmax(scores)` for several. Of probabilities give the logarithm: `jnp.log(p)` where they are
    [N, C], `jnp.log(p) - jnp.log1p(-p)` where they are [N].

    Args:
      scores: [N], or [N, C] with one score for each class.
      labels: [N]: 0 and 1 or -1 and +1 for scores [N], whole numbers 0 to C - 1 for scores [N, C].
      weights: [N] or None.

    Returns:
      A float scalar >= 0, in nats; `log(C)` is what knows nothing.

    Raises:
      ValueError: shapes do not agree; concrete labels are other numbers; all weights are 0.

    >>> round(float(log_loss(jnp.zeros((2, 4)), jnp.array([3, 0]))), 6)
    1.386294

    Source: Good (1952), J. R. Statist. Soc. B 14(1).
    """
    return _log_loss(*_labelled("log_loss", scores, labels, weights, most_axes=2))


@jax.jit
def _log_loss(scores, labels, weights):
    labels = _known(labels, weights, *scores.shape[1:])
    if scores.ndim == 1:
        return _mean(jax.nn.softplus((1 - 2 * labels) * scores), weights)
    is_label = jnp.arange(scores.shape[1]) == labels[:, None]
    losses = jax.nn.logsumexp(scores, axis=1) - jnp.sum(jnp.where(is_label, scores, 0), axis=1)
    return _mean(jnp.where(jnp.isnan(labels), jnp.nan, losses), weights)


def rmse(predictions: Any, targets: Any, weights: Any = None) -> jax.Array:
    """Root of the mean squared error: `sqrt(mean_i (prediction_i - target_i)²)`.

    Args:
      predictions: [N].
      targets: [N].
      weights: [N] or None.

    Returns:
      A float scalar >= 0, in units of the target.

    Raises:
      ValueError: shapes do not agree; all weights are 0.

    >>> float(rmse(jnp.array([1.0, 2.0]), jnp.array([2.0, 9.0])))
    5.0

    Source: Gauss (1823), Theoria combinationis, the mean error.
    """
    return _rmse(*_rows("rmse: predictions", predictions, "rmse: targets", targets, weights))


@jax.jit
def _rmse(predictions, targets, weights):
    return jnp.sqrt(_mean(jnp.square(predictions - targets), weights))


def r2(predictions: Any, targets: Any, weights: Any = None) -> jax.Array:
    """Coefficient of determination: `R² = 1 - mean_i (prediction_i - target_i)² / variance of targets`.

    1 is perfect, 0 is what the mean of these targets would reach, below 0 is worse than that.

    Args:
      predictions: [N].
      targets: [N].
      weights: [N] or None; the mean and the variance are weighted.

    Returns:
      A float scalar <= 1; NaN where all targets that count are equal (scikit-learn says 1 or 0).

    Raises:
      ValueError: shapes do not agree; all weights are 0.

    >>> float(r2(jnp.array([1.0, 2.0, 2.0]), jnp.array([1.0, 2.0, 3.0])))
    0.5

    Source: Wright (1921), Journal of Agricultural Research 20(7).
    """
    return _r2(*_rows("r2: predictions", predictions, "r2: targets", targets, weights))


@jax.jit
def _r2(predictions, targets, weights):
    counts = weights != 0
    highest = jnp.max(targets, where=counts, initial=-jnp.inf)
    lowest = jnp.min(targets, where=counts, initial=jnp.inf)
    spread = targets - _mean(targets, weights)
    spread -= _mean(spread, weights)  # of targets far from 0 the first mean is rounded coarsely
    error, variance = (_mean(jnp.square(x), weights) for x in (predictions - targets, spread))
    return jnp.where(highest == lowest, jnp.nan, 1 - error / variance)


def auc(scores: Any, labels: Any, weights: Any = None) -> jax.Array:
    """Area under the ROC curve: `P(score of a 1 > score of a 0) + P(they are equal) / 2`.

    By one sort, in O(N log N). Any increasing function of the scores gives the same.

    Args:
      scores: [N], logits, probabilities or any other numbers.
      labels: [N], 0 and 1 or -1 and +1.
      weights: [N] or None.

    Returns:
      A float scalar from 0 to 1, 0.5 for scores that know nothing; NaN where only one class is there.

    Raises:
      ValueError: shapes do not agree; concrete labels are other numbers; all weights are 0.

    >>> float(auc(jnp.array([0.1, 0.4, 0.4, 0.8]), jnp.array([0, 0, 1, 1])))
    0.875

    Source: Hanley and McNeil (1982), Radiology 143(1); ties by Mann and Whitney (1947).
    """
    return _auc(*_labelled("auc", scores, labels, weights, most_axes=1))


@jax.jit
def _auc(scores, labels, weights):
    labels = _known(labels, weights)
    is_nan = jnp.any((weights != 0) & jnp.isnan(scores + labels))
    scores = jnp.where(weights != 0, scores, 0)
    # Sorted are numbers of places alone: carrying weights and labels along would take twice the time.
    order = jnp.argsort(scores)
    scores, labels, weights = scores[order], labels[order], weights[order]
    # Where the scores equal to this one begin: what lies before is below it.
    is_new = jnp.concatenate([jnp.ones(1, bool), scores[1:] != scores[:-1]])
    begin = jax.lax.cummax(jnp.where(is_new, jnp.arange(len(scores)), 0))
    classes = jnp.where(labels == jnp.array([[0], [1]]), weights, 0)
    sums = jnp.pad(jnp.cumsum(classes, axis=1), ((0, 0), (1, 0)))
    below = sums[:, begin] / sums[:, -1:]  # [2, N], the share of each class
    # P(1 above 0) - P(0 above 1) leaves equal scores out, and half of it and a half counts them half.
    zeros_above, ones_above = jnp.sum(classes * below[::-1], axis=1) / jnp.sum(classes, axis=1)
    return jnp.where(is_nan, jnp.nan, (1 + ones_above - zeros_above) / 2)


def precision_at_k(scores: Any, relevant: Any, k: int) -> jax.Array:
    """Share of relevant items among the k of the highest scores: `#{relevant in the top k} / k`.

    Args:
      scores: [..., N], e.g. of N items for each of several users; of equal ones the first count first.
      relevant: [..., N], 1 or True where an item is relevant, else 0, or -1.
      k: number of items that are shown, a Python int from 1 to N.

    Returns:
      Floats [...] from 0 to 1.

    Raises:
      ValueError: shapes do not agree; k does not fit; concrete numbers of `relevant` are others.

    >>> float(precision_at_k(jnp.array([0.1, 0.9, 0.5, 0.7]), jnp.array([1, 1, 0, 0]), 2))
    0.5

    Source: Manning, Raghavan and Schütze (2008), Introduction to Information Retrieval, section 8.4.
    """
    scores = _floats("precision_at_k: scores", scores)
    relevant = _floats("precision_at_k: relevant", relevant)
    _check_shape("precision_at_k: relevant", relevant, scores.shape)
    num_items = scores.shape[-1] if scores.ndim else 0
    if not is_whole(k) or not 1 <= k <= num_items:
        raise ValueError(
            f"precision_at_k: k is {k!r}, but a Python int from 1 to N = {num_items} is wanted. It "
            "shapes the program, so it cannot be an array."
        )
    _check_labels("precision_at_k: relevant", relevant, 1.0)
    return _precision_at_k(scores, relevant, int(k))


@functools.partial(jax.jit, static_argnums=2)
def _precision_at_k(scores, relevant, k):
    _, places = jax.lax.top_k(scores, k)
    shares = jnp.take_along_axis(_known(relevant, 1.0), places, axis=-1).mean(axis=-1)
    return jnp.where(jnp.isnan(scores.min(axis=-1)), jnp.nan, shares)


def _mean(values, weights):
    return jnp.sum(jnp.where(weights != 0, weights * values, 0)) / jnp.sum(weights)


def _known(labels, weights, num_classes=None):
    """The labels as classes, 0 and 1 where no number is given; NaN for what is none."""
    return jnp.where(_is_label(labels, weights, num_classes), jnp.maximum(labels, 0), jnp.nan)


def _is_label(labels, weights, num_classes=None):
    if num_classes is not None:
        return (labels >= 0) & (labels < num_classes) & (labels == labels.round())
    lower = 0 - ((labels == -1) & (weights != 0)).any()  # among -1 and +1 a 0 is no label
    return (labels == 1) | (labels == lower)


def _labelled(name, scores, labels, weights, most_axes):
    rows = _rows(f"{name}: scores", scores, f"{name}: labels", labels, weights, most_axes)
    _check_labels(f"{name}: labels", *rows[1:], *rows[0].shape[1:])
    return rows


def _rows(first_name, first, second_name, second, weights, most_axes=1):
    """Both as floats and the weights, ones where there are none; ValueError where they do not fit."""
    first, second = _floats(first_name, first), _floats(second_name, second)
    if not first.size or (first.ndim != 1 and (first.ndim != most_axes or first.shape[1] == 1)):
        wanted = "[N], or [N, C] with C >= 2 classes," if most_axes == 2 else "[N]"
        raise ValueError(
            f"{first_name} have shape {first.shape}, but {wanted} with at least one example is wanted. "
            "A column becomes a vector by x[:, 0]; over columns map: jax.vmap(metric, in_axes=1)(a, b)."
        )
    _check_shape(second_name, second, first.shape[:1])
    weights = checked_weights(weights, len(first))
    return first, second, jnp.ones(len(first)) if weights is None else weights


def _floats(name, x):
    """As floats, of float32 at least: the numbers of metrics are few, and people read them."""
    x = x if isinstance(x, jax.Array) else np.asarray(x)
    if x.dtype.kind in "OUSMmc":
        raise ValueError(
            f"{name} have dtype {x.dtype}, but real numbers are wanted. Words are numbered by "
            "np.unique(x, return_inverse=True)[1], objects become numbers by np.asarray(x, float)."
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.result_type(float))
    return jnp.asarray(x, jnp.promote_types(jnp.asarray(x).dtype, jnp.float32))


def _check_shape(name, x, wanted):
    if x.shape != wanted:
        raise ValueError(
            f"{name} have shape {x.shape}, but {wanted} is wanted, a number for each example. A column "
            "becomes a vector by x[:, 0], one-hot rows become classes by x.argmax(axis=1)."
        )


def _check_labels(name, labels, weights, num_classes=None):
    if any(isinstance(x, jax.core.Tracer) for x in (labels, weights)):
        return  # else judged by NumPy, for each operation of JAX would be compiled first
    labels, weights = np.asarray(labels), np.asarray(weights)
    if (wrong := labels[(weights != 0) & ~_is_label(labels, weights, num_classes)]).size:
        wanted = "0 and 1, or -1 and +1" if num_classes is None else f"classes 0 to {num_classes - 1}"
        raise ValueError(
            f"{name} hold {wrong[0]:g}, but {wanted}, are wanted. Map yours to them: y == positive for "
            "two classes, np.unique(y, return_inverse=True)[1] for several."
        )

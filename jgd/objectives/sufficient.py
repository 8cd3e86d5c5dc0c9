"""Least squares by its sufficient statistics: a problem of N examples as a problem of one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import cho_factor, cho_solve
from jax.tree_util import Partial

from jgd.objectives.checks import checked_weights
from jgd.objectives.objective import Objective, objective
from jgd.objectives.penalties import Penalty
from jgd.objectives.sums import wide
from jgd.tree import all_finite, on_automatic_axes

BLOCK = 1024  # rows that are taken at once: enough for a fast product, and few enough for the cache


class Statistics(NamedTuple):
    """What least squares knows of its data.

    A row is z = (x - centre, 1), of P = D + 1 numbers. Another centre and another reference would give
    the same objective, but for the digits: with these, what is small near the minimum is no difference
    of large numbers.

    Attributes:
      gram: [1, P, P], mean of w z zᵀ.
      moment: [1, P] or [1, P, C], mean of w z r, where r are the residuals at the reference.
      square: [1], mean of w r², summed over the outputs.
      centre: [1, D], mean of x over the examples that count.
      reference: [1, P] or [1, P, C], weights and bias near the minimum.
    """

    gram: jax.Array
    moment: jax.Array
    square: jax.Array
    centre: jax.Array
    reference: jax.Array


def sufficient_statistics(
    x: Any, y: Any, weights: Any = None, penalty: Penalty | None = None
) -> tuple[Objective, Statistics]:
    """Linear least squares as a problem of one example, on which a step costs D² instead of N D.

        J(params) = sum_i w_i |y_i - x_i weights - bias|² / #{i: w_i != 0} + penalty(params)
                  = r² - 2 m·d + d·G d + penalty(params)

    where d leads from a reference near the minimum to the params, and `G = XᵀX`, `m = Xᵀr` and
    `r² = rᵀr` are means over the examples: X less its mean, with a column of ones for the bias, and
    the residuals r at the reference. The data are read three times, block by block, and not copied.
    Descent on the statistics takes the steps that it would take on x and y.

    Digits. G has the square of the condition number of X, and float32 rounds it by 6e-8. About y itself
    that moves the minimum by up to 6e-8 times the square; about the reference most of it comes back.
    With condition numbers 1, 1e2, 1e3 and 1e4 the minimum was off by 3e-8, 4e-7, 3e-4 and 0.3 of its
    length, where the plain sum over 20,000 x 100 examples was off by 3e-8, 3e-7, 3e-5 and 7e-4, and XᵀX
    and Xᵀy by 1e-7, 7e-5, 7e-3 and 0.3. So up to 1e2 nothing is lost; from 4e3 on (the square times
    6e-8 reaches 1) G may curve downwards, and a long descent diverges. The way out is to lower the
    condition number, by `jgd.features.standardize(x)` before or by a penalty, or to have x and y in
    float64 (`jax.config.update("jax_enable_x64", True)`). A mean of x 100 deviations from 0 cost a digit
    (1e-4 for 1e-5); where the data want a bias and the params have none, digits go as about y itself.

    Args:
      x: [N, D]. Whole numbers become floats, block by block.
      y: [N], or [N, C] for several outputs; in units of the prediction.
      weights: [N] or None. An example of weight 0 is as if it were not there. May be mapped over by
        `jax.vmap`: the folds of a cross-validation, in one program.
      penalty: from `jgd.penalties`, or None.

    Returns:
      The objective and its data, a `Statistics` with a leading axis of 1, for `jgd.batch_descent`,
      `jgd.value` and the like. Params are those of `jgd.models.linear`, with or without a bias, or an
      array of the weights alone: [D], or [D, C] for several outputs.

    Raises:
      ValueError: x is not [N, D] or y not [N] or [N, C], N differs or is 0, they hold no numbers, the
        weights do not fit, or a sum is not finite. Later: the params do not fit.

    >>> x, y = jnp.array([[0.0], [1.0], [2.0]]), jnp.array([1.0, 3.0, 5.0])
    >>> objective, data = sufficient_statistics(x, y)
    >>> params = jgd.models.linear.init(jax.random.key(0), 1)
    >>> fit = jgd.batch_descent(objective, params, data, rule=jgd.sgd(0.3), epochs=100)
    >>> round(float(fit.params["weights"][0]), 4), round(float(fit.params["bias"]), 4)
    (2.0, 1.0)

    Source: Fisher (1922), Phil. Trans. R. Soc. A 222, for sufficiency; Björck (1996), Numerical Methods
    for Least Squares Problems, chapter 2, for the digits that XᵀX loses and residuals bring back.
    """
    x, y = _numbers("x", x, (2,), "[N, D]"), _numbers("y", y, (1, 2), "[N] or [N, C]")
    if len(x) != len(y):
        raise ValueError(
            f"x has {len(x)} examples and y has {len(y)}, but one target for each row of x is wanted. "
            "Is x transposed?"
        )
    checked = checked_weights(weights, len(x))
    statistics, is_finite = _statistics(x, y, jnp.ones(len(x)) if checked is None else checked)
    if not isinstance(is_finite, jax.core.Tracer):
        _check_finite(np.asarray(is_finite), x.shape[1])
    return objective(_loss, penalty), statistics


def _loss(params, statistics: Statistics):
    """`|r - Z step|²`, where step leads from the reference to the params."""
    gram, moment, square, centre, reference = statistics
    weights, bias = _weights_and_bias(params, reference.shape)
    step = weights - reference[:-1]
    step_of_mean = bias - reference[-1] + _product(centre, step)
    step = jnp.concatenate([step, step_of_mean[None]])
    return _square_norm(gram, step) - 2 * jnp.sum(moment * step) + square


def _weights_and_bias(params, shape):
    """The two parts, for a reference of this shape; a bias of 0 where there is none."""
    parts = params if isinstance(params, Mapping) else {"weights": params}
    wanted = {"weights": (shape[0] - 1, *shape[1:]), "bias": shape[1:]}
    shapes = {name: jax.tree.map(jnp.shape, part) for name, part in parts.items()}
    if "weights" not in shapes or any(shapes[name] != wanted.get(name) for name in shapes):
        raise ValueError(
            f"params have the shapes {shapes}, but the statistics want {wanted}, with or without the "
            f"bias, or an array {wanted['weights']} of the weights alone. "
            "jgd.models.linear.init(key, D, outputs) makes them; outputs is None where y is [N]."
        )
    return parts["weights"], parts.get("bias", jnp.zeros(wanted["bias"]))


@jax.custom_jvp
def _square_norm(gram, step):
    """`step · gram step`, whose derivative needs no second product, for the gram is symmetric."""
    return jnp.sum(step * _product(gram, step))


@_square_norm.defjvp
def _square_norm_jvp(primals, tangents):
    (gram, step), (gram_dot, step_dot) = primals, tangents
    pulled = _product(gram, step)
    change = 2 * jnp.sum(pulled * step_dot) + jnp.sum(step * _product(gram_dot, step))
    return jnp.sum(step * pulled), change


def _product(a, b):
    # Accelerators would round the factors to 10 bits or fewer.
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


@jax.jit
def _statistics(x, y, weights) -> tuple[Statistics, jax.Array]:
    """The statistics, and whether the squares of each column of x, 1 and y have a finite sum."""
    rows = x, y if y.ndim == 2 else y[:, None], weights
    dtype = wide(jnp.result_type(x, y, float))
    count = jnp.maximum(jnp.sum(weights != 0), 1).astype(dtype)
    size = x.shape[1] + 1

    centre = _mean_over_blocks(_sums, rows, count)
    products = _mean_over_blocks(Partial(_products, centre), rows, count)
    gram = (products + products.T)[:size, :size] / 2
    solution = _near_minimum(gram, products[:size, size:])
    reference = solution.at[-1].add(-centre @ solution[:-1])
    moment, square = _mean_over_blocks(Partial(_residual_products, centre, reference), rows, count)
    shape = (size, *y.shape[1:])
    statistics = Statistics(gram, moment.reshape(shape), square, centre, reference.reshape(shape))
    return jax.tree.map(lambda s: s[None], statistics), jnp.isfinite(jnp.diagonal(products))


def _sums(x, y, weights):
    """Sum of the rows of x; all that count weigh the same, lest weights of both signs cancel."""
    return jnp.sum(x, axis=0)


def _products(centre, x, y, weights):
    """Sum of w v vᵀ over the rows v = (x - centre, 1, y)."""
    rows = jnp.concatenate([x - centre[None], jnp.ones((len(x), 1), x.dtype), y], axis=1)
    return _product((weights[:, None] * rows).T, rows)


def _residual_products(centre, reference, x, y, weights):
    """Sums of w z r and of w r², with the residuals r at the reference."""
    residuals = y - (_product(x, reference[:-1]) + reference[-1:])
    weighted = weights[:, None] * residuals
    # The short factor goes first: XLA on the CPU is slow at a long one times a short one.
    moment = _product(weighted.T, x - centre[None]).T
    return jnp.concatenate([moment, jnp.sum(weighted, axis=0)[None]]), jnp.sum(weighted * residuals)


def _near_minimum(gram, moment):
    """About `gram⁻¹ moment`, for columns of any scale; 0 where the gram has no Cholesky factor."""
    diagonal = jnp.diagonal(gram)
    scale = 1 / jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1))[:, None]
    scaled = scale * gram * scale.T
    # Columns that depend on each other leave eigenvalues of 0, rounded to either side.
    rounding = 2 * jnp.finfo(gram.dtype).eps * jnp.max(jnp.sum(jnp.abs(scaled), axis=0))
    factor = cho_factor(scaled + rounding * jnp.eye(len(gram), dtype=gram.dtype))
    solution = scale * cho_solve(factor, scale * moment)
    return jnp.where(all_finite(solution), solution, 0)


def _mean_over_blocks(function, arrays, count):
    """`function(x, y, weights)`, summed over blocks of the rows and divided by the count."""
    num_examples = len(arrays[0])
    block = min(BLOCK, num_examples)

    def of_block(position):
        # The last block begins early enough to be whole; rows seen before then weigh nothing.
        start = jnp.minimum(position * block, num_examples - block)
        x, y, weights = (lax.dynamic_slice_in_dim(a, start, block) for a in arrays)
        fresh = start + jnp.arange(block) >= position * block
        weights = jnp.where(fresh, weights, 0).astype(count.dtype)
        x, y = (jnp.where(weights[:, None] != 0, a.astype(count.dtype), 0) for a in (x, y))
        return function(x, y, weights)

    def add(sums, position):
        # Compensated: what an addition rounds away is kept for the next.
        total, lost = sums
        term = jax.tree.map(jnp.subtract, of_block(position), lost)
        new = jax.tree.map(jnp.add, total, term)
        return (new, jax.tree.map(lambda n, t, x: (n - t) - x, new, total, term)), None

    zeros = jax.tree.map(
        lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(of_block, jnp.zeros((), int))
    )
    (total, _), _ = lax.scan(add, (zeros, zeros), jnp.arange(-(-num_examples // block)))
    return jax.tree.map(lambda s: s / count, total)


def _numbers(name: str, array: Any, ndims: tuple[int, ...], wanted: str) -> jax.Array:
    """`array` of real numbers; ValueError where it is something else, or of another shape."""
    if not hasattr(array, "dtype"):
        try:
            array = np.asarray(array)
        except ValueError as error:
            raise ValueError(
                f"{name} is {type(array).__name__} of no even shape, but {wanted} is wanted. "
                "Are all rows of one length?"
            ) from error
    kinds = jnp.floating, jnp.integer, jnp.bool_
    if not any(jnp.issubdtype(array.dtype, kind) for kind in kinds):
        raise ValueError(
            f"{name} has dtype {array.dtype}, but real numbers are wanted. "
            "Encode text, dates and categories as numbers first."
        )
    if array.ndim not in ndims or array.shape[0] == 0:
        raise ValueError(
            f"{name} has shape {array.shape}, but {wanted} with at least one example is wanted. "
            "A single feature is a column: x[:, None]."
        )
    return on_automatic_axes(jnp.asarray(array))


def _check_finite(is_finite: np.ndarray, num_features: int) -> None:
    """ValueError unless the squares of each column of x, 1 and y have a finite sum."""
    if is_finite.all():
        return
    columns = np.flatnonzero(~is_finite).tolist()
    if num_features in columns:
        what = "weights hold"
    elif columns[0] < num_features:
        what = f"columns {[c for c in columns if c < num_features]} of x hold"
    else:
        what = "y holds"
    raise ValueError(
        f"{what} NaN or infinity, or numbers whose squares overflow, so that the sums over the examples "
        "are not finite. Fill them, give these rows the weight 0, or scale them down."
    )

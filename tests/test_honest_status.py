"""A status is never fooled: on 200 random problems, and on those that break a descent.

CONVERGED is judged by gradients that NumPy computes in float64 from the params of the fit, and may
miss the tolerance by the rounding of a gradient in float32 alone.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import jgd
from tests.cases import marks

STATUS = jgd.Status
LANES, EXAMPLES, FEATURES = 50, 12, 3
ROUNDING = 2.0**-24  # the largest relative error of one operation in float32
VARIANTS = {
    "batch": (None, 150, False, jgd.sgd),
    "batch with l1": (None, 150, True, jgd.sgd),
    "stochastic": (1, 60, False, jgd.sgd),
    "minibatch with l1": (5, 60, True, jgd.sgd),
    "batch, Barzilai-Borwein": (None, 60, False, jgd.barzilai_borwein),
    "minibatch with l1, Armijo": (5, 60, True, functools.partial(jgd.armijo, memory=3)),
}  # batch size, epochs, penalty, rule
EVERY_VARIANT = [
    pytest.param(name, marks=marks(name, ("batch", "minibatch with l1"))) for name in VARIANTS
]


def loss(kind, params, example):
    """Least squares, logistic regression, or a sine, which is not convex."""
    z, y = example["x"] @ params, example["y"]
    return jnp.select(
        [kind == 0, kind == 1], [(z - y) ** 2, jnp.logaddexp(z, 0.0) - y * z], (jnp.sin(z) - y) ** 2
    )


class Problems(NamedTuple):
    """Random problems, all leaves [K, ...] in float32."""

    kind: np.ndarray
    x: np.ndarray
    y: np.ndarray
    params: np.ndarray
    rate: np.ndarray
    strength: np.ndarray
    absolute: np.ndarray
    relative: np.ndarray


def problems(seed, stochastic, penalised):
    """Of every condition and scale, with learning rates from far too small to unstable."""
    rng = np.random.default_rng(seed)
    shape = LANES, EXAMPLES, FEATURES
    kind = np.array([0, 1, 0, 2])[np.arange(LANES) % 4]
    condition, scale = (
        10 ** rng.uniform(0, 2, size=(LANES, 1)),
        10 ** rng.uniform(-2, 2, size=(LANES, 1)),
    )
    spread = scale * condition ** np.linspace(0, -0.5, FEATURES)
    x = rng.normal(size=shape) * spread[:, None]
    solution, params = rng.normal(size=(2, LANES, FEATURES)) / scale
    z = np.einsum("knd,kd->kn", x, solution)
    noisy = z + rng.normal(size=z.shape) * (rng.uniform(size=(LANES, 1)) < 0.5)
    y = np.select([kind[:, None] == 0, kind[:, None] == 1], [noisy, noisy > 0], np.sin(noisy))
    squares = np.sum(x**2, axis=2)
    curvature = 2 * (squares.max(axis=1) if stochastic else squares.mean(axis=1))
    sensible = rng.uniform(size=LANES) < 0.5
    rate = 10 ** np.where(sensible, rng.uniform(-1, 0, LANES), rng.uniform(-4, 3, LANES)) / curvature
    strength = 10 ** rng.uniform(-3, -1, size=LANES) * scale[:, 0] * penalised
    shares = 10 ** rng.uniform(-3, -0.7, size=LANES)
    drawn = Problems(kind, x, y, params, rate, strength, shares, shares)
    drawn = Problems(*(np.asarray(leaf, np.float32) for leaf in drawn))
    # A half is judged by a share of the first gradient, the rest by that many units of it.
    by_share = rng.uniform(size=LANES) < 0.5
    norms = [true_norm(drawn, lane, drawn.params[lane])[0] for lane in range(LANES)]
    absolute = np.where(by_share, 0, shares * norms).astype(np.float32)
    return drawn._replace(absolute=absolute, relative=np.where(by_share, drawn.relative, 0))


def true_norm(given, lane, params):
    """The norm of the proximal gradient in float64, and how far that of float32 may lie from it.

    With u = 2^-24: a sum of n products errs by (n + 2) u times the sum of their sizes, an elementary
    function by 8 u; an error of z moves the slope of a loss by its curvature times as much.
    """
    kind, x, y, strength = (
        given.kind[lane],
        *(np.asarray(leaf[lane], np.float64) for leaf in (given.x, given.y, given.strength)),
    )
    w, u = np.asarray(params, np.float64), ROUNDING
    z, size_of_z = x @ w, np.abs(x) @ np.abs(w)
    with np.errstate(over="ignore"):
        slope, curvature, size = {
            0: (2 * (z - y), 2.0, 2 * (size_of_z + np.abs(y))),
            1: (1 / (1 + np.exp(-z)) - y, 0.25, 1 + np.abs(y)),
            2: (2 * (np.sin(z) - y) * np.cos(z), 4 + 2 * np.abs(y), 2 + 2 * np.abs(y)),
        }[int(kind)]
    error_of_slope = curvature * (FEATURES + 2) * u * size_of_z + 8 * u * size
    gradient = slope @ x / EXAMPLES
    error = (error_of_slope + (EXAMPLES + 2) * u * np.abs(slope)) @ np.abs(x) / EXAMPLES
    target = w - gradient
    shrunk = np.sign(target) * np.maximum(np.abs(target) - strength, 0) if strength else target
    proximal = w - shrunk
    rounding = 4 * u * (np.abs(w) + np.abs(gradient) + strength) if strength else 0.0
    norm = np.linalg.norm(proximal)
    return norm, np.linalg.norm(error + rounding) + (FEATURES + 4) * u * norm


@functools.cache
def fitted(variant):
    batch_size, epochs, penalised, rule = VARIANTS[variant]
    given = problems(list(VARIANTS).index(variant), batch_size is not None, penalised)

    @jax.jit
    @jax.vmap
    def train(one):
        penalty = jgd.penalties.l1(one.strength) if penalised else None
        return jgd.descend(
            jgd.objective(Partial(loss, one.kind), penalty),
            one.params,
            {"x": one.x, "y": one.y},
            rule=rule(one.rate),
            batch_size=batch_size,
            epochs=epochs,
            key=jax.random.key(0),
            stop=(
                jgd.stop.gradient_norm(one.absolute),
                jgd.stop.relative_gradient_norm(one.relative),
            ),
        )

    # Of all examples, exactly, however few an estimate would be made of.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jgd.descent.epoch.GRADIENT_SAMPLE", EXAMPLES // 3)
        return given, jax.tree.map(np.asarray, train(given)._replace(state=None))


@pytest.mark.parametrize("variant", EVERY_VARIANT)
def test_converged_params_meet_the_tolerance_in_float64(variant):
    given, fits = fitted(variant)
    converged = np.flatnonzero(fits.status == STATUS.CONVERGED)
    assert len(converged) >= 10
    shares_of_rounding = []
    for lane in converged:
        norm, rounding = true_norm(given, lane, fits.params[lane])
        first, rounding_of_first = true_norm(given, lane, given.params[lane])
        relative, absolute = (float(t[lane]) for t in (given.relative, given.absolute))
        tolerance = absolute or relative * first
        rounding += relative * rounding_of_first + 4 * ROUNDING * tolerance
        assert norm <= tolerance + rounding, f"lane {lane}: {norm} > {tolerance} + {rounding}"
        shares_of_rounding.append(rounding / tolerance)
    assert np.median(shares_of_rounding) < 0.01  # else the bound would forgive everything


@pytest.mark.parametrize("variant", EVERY_VARIANT)
def test_a_loss_that_is_finite_and_falls_has_not_diverged(variant):
    _, fits = fitted(variant)
    diverged = np.flatnonzero(fits.status == STATUS.DIVERGED)
    assert len(diverged) >= 3 or VARIANTS[variant][3] is not jgd.sgd
    assert np.isfinite(fits.params).all()
    for lane in diverged:
        losses = fits.history.loss[lane, : fits.epochs[lane]]
        assert not (np.isfinite(losses).all() and (np.diff(losses) < 0).all())


class Hard(NamedTuple):
    """`square (w - centre)^2 + slope w + wave cos w` for each of 8 examples, and where it starts."""

    square: float
    slope: float
    wave: float
    centre: float
    start: float


NAN, INF = float("nan"), float("inf")
HARD = {
    "no gradient at the start": (Hard(1, 0, 0, 2, 2), STATUS.CONVERGED, "The gradient is zero"),
    "a maximum at the start": (Hard(-1, 0, 0, 0, 0), STATUS.CONVERGED, "The gradient is zero"),
    "a constant loss": (Hard(0, 0, 0, 0, 1), STATUS.CONVERGED, "The gradient is zero"),
    "not convex": (Hard(0, 0, 1, 0, 0.1), STATUS.CONVERGED, "The gradient of the obj"),
    "a line down without end": (Hard(0, 1, 0, 0, 0), STATUS.EPOCHS_DONE, "All epochs were run"),
    "a parabola down": (Hard(-1, 0, 0, 0, 1), STATUS.DIVERGED, "it has no minimum"),
    "minus infinity at once": (Hard(0, -INF, 0, 0, 1), STATUS.DIVERGED, "in the first epoch"),
    "NaN in the data": (Hard(1, 0, 0, NAN, 1), STATUS.DIVERGED, "in the first epoch"),
    "infinity in the data": (Hard(1, 0, 0, INF, 1), STATUS.DIVERGED, "in the first epoch"),
    "NaN in the params": (Hard(1, 0, 0, 0, NAN), STATUS.DIVERGED, "in the first epoch"),
}


def hard_loss(params, e):
    return e.square * (params - e.centre) ** 2 + e.slope * params + e.wave * jnp.cos(params)


def mean_hard_loss(params, rows):
    return jnp.mean(hard_loss(params, rows))


@functools.cache
def hard_fits(variant):
    @jax.vmap
    def train(one):
        rows = jax.tree.map(lambda x: jnp.broadcast_to(x, 8), one)
        return jgd.descend(
            jgd.objective(hard_loss),
            one.start,
            rows,
            rule=jgd.sgd(0.25),
            batch_size={"batch": None, "stochastic": 1, "minibatch": 3}[variant],
            epochs=150,
            key=jax.random.key(0),
            stop=(
                jgd.stop.gradient_norm(1e-3),
                jgd.stop.relative_gradient_norm(1e-3),
                jgd.stop.plateau(),
                jgd.stop.validation(score=jnp.negative),
            ),
            evaluate=mean_hard_loss,
        )

    lanes = [
        jnp.asarray(column, jnp.float32) for column in np.array([case[0] for case in HARD.values()]).T
    ]
    return train(Hard(*lanes))


@pytest.mark.parametrize(
    "variant", ["batch", pytest.param("stochastic", marks=pytest.mark.exhaustive), "minibatch"]
)
def test_what_breaks_a_descent_ends_with_a_status_and_a_sentence(variant):
    """With every stop test at once."""
    fits = hard_fits(variant)
    assert jgd.explain(fits).startswith(f"{len(HARD)} fits:")
    for lane, (name, (_, status, sentence)) in enumerate(HARD.items()):
        fit = jax.tree.map(lambda x: x[lane], fits)  # noqa: B023
        text = jgd.explain(fit)
        assert (name, text.partition(" ")[0]) == (name, status.name)
        assert sentence in text, name
        assert np.isfinite(fit.params) or name == "NaN in the params"

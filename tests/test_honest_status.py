"""No status says what is not so: CONVERGED and DIVERGED over random problems, and hostile losses."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from jgd.descent import epoch

STATUS = jgd.Status
EPS = np.finfo(np.float32).eps
LANES, ROWS, COLUMNS = 50, 24, 3


def bent(params, example):
    """Half a square of the error of a linear prediction, or of its tanh, which is not convex."""
    z = example["x"] @ params
    return jnp.square(jnp.where(example["bends"], jnp.tanh(z), z) - example["y"]) / 2


class Problems(NamedTuple):
    """Lanes [K] of problems, float32.

    Attributes:
      data: x [K, N, D], y [K, N], bends [K, N].
      start: [K, D].
      rates: learning rates [K].
      stability: [K], rates times the largest curvature: plain gradient descent on a parabola is stable
        below 2.
      absolute: tolerances of the gradient norm [K]; 0 in lanes that are stopped by the other test.
      relative: tolerances of the relative gradient norm [K].
      strengths: of the l1 penalty [K].
    """

    data: dict
    start: np.ndarray
    rates: np.ndarray
    stability: np.ndarray
    absolute: np.ndarray
    relative: np.ndarray
    strengths: np.ndarray


def random_problems(seed, with_l1, tests):
    """Condition numbers up to 1e4, scales from 0.01 to 100, rates from far too small to unstable."""
    rng = np.random.default_rng(seed)
    spread = np.geomspace(1, 10 ** rng.uniform(0, 2, size=LANES), COLUMNS).T
    scale = 10 ** rng.uniform(-2, 2, size=LANES)
    x = rng.normal(size=(LANES, ROWS, COLUMNS)) * (scale[:, None] / spread)[:, None]
    bends = np.broadcast_to((np.arange(LANES) % 2 == 1)[:, None], (LANES, ROWS))
    y = np.einsum("knd,kd->kn", x, rng.normal(size=(LANES, COLUMNS)) / scale[:, None])
    y = np.where(bends, np.tanh(y), y) + 0.3 * rng.normal(size=(LANES, ROWS))
    start = rng.normal(size=(LANES, COLUMNS)) / scale[:, None]
    largest = np.linalg.eigvalsh(np.einsum("knd,kne->kde", x, x) / ROWS)[:, -1]
    stability = 10 ** np.where(
        rng.random(LANES) < 0.5, rng.uniform(-0.5, 1, LANES), rng.uniform(-4, 0, LANES)
    )
    data = {"x": x.astype(np.float32), "y": y.astype(np.float32), "bends": bends}
    start = start.astype(np.float32)
    strengths = scale * 10 ** rng.uniform(-3, -1, size=LANES) * with_l1
    strengths = strengths.astype(np.float32)
    tolerances = 10 ** rng.uniform(-5, 0, size=LANES)
    by_norm = np.array([tests[lane // 2 % len(tests)] == "absolute" for lane in range(LANES)])
    first, _ = true_norm(data, start, strengths)
    return Problems(
        data,
        start,
        *(np.float32(a) for a in (stability / largest, stability)),
        absolute=np.float32(np.where(by_norm, tolerances * first, 0)),
        relative=np.float32(np.where(by_norm, 0, tolerances)),
        strengths=strengths,
    )


def true_norm(data, params, strengths):
    """Norms [K] of the (proximal) gradient in float64, and what float32 may be off by.

    With `A = sum_j |x_j p_j|`, z is off by at most `D eps A`, tanh and the difference by a few eps more,
    and the sum over N examples by `N eps` of the sum of sizes; where the slope of tanh is rounded too,
    its error is that of z, times the error of the prediction. So a coordinate of the gradient is off by
    at most `2 (N + D + 10) eps mean_i |x_ij| (A_i + |y_i| + 1) (1 + A_i)`, without the last two ones on
    a parabola. The proximal map is no expansion, but adds and subtracts params: `4 eps (|p| + |g|)`.
    """
    x, y, params, strengths = (np.asarray(a, float) for a in (data["x"], data["y"], params, strengths))
    bends = data["bends"]
    z = np.einsum("knd,kd->kn", x, params)
    sizes = np.einsum("knd,kd->kn", np.abs(x), np.abs(params))
    error = np.where(bends, np.tanh(z), z) - y
    slope = np.where(bends, 1 / np.cosh(np.clip(z, -300, 300)) ** 2, 1)
    grads = np.mean((error * slope)[..., None] * x, axis=1)
    sizes = (sizes + np.abs(y) + bends) * (1 + bends * sizes)
    off = 2 * (ROWS + COLUMNS + 10) * EPS * np.mean(np.abs(x) * sizes[..., None], axis=1)
    target = params - grads
    shrunk = np.sign(target) * np.maximum(np.abs(target) - strengths[:, None], 0)
    kinks = (strengths > 0)[:, None]
    off = off + 4 * EPS * np.where(kinks, np.abs(params) + np.abs(grads), 0)
    return tuple(np.linalg.norm(a, axis=1) for a in (np.where(kinks, params - shrunk, grads), off))


@functools.partial(jax.jit, static_argnames=("batch_size", "with_l1", "tests"))
@functools.partial(jax.vmap, in_axes=(0, None, None, None))
def descend(problem, batch_size, with_l1, tests):
    stops = {
        "absolute": jgd.stop.gradient_norm(problem.absolute),
        "relative": jgd.stop.relative_gradient_norm(problem.relative),
    }
    return jgd.descend(
        jgd.objective(bent, jgd.penalties.l1(problem.strengths) if with_l1 else None),
        problem.start,
        problem.data,
        rule=jgd.sgd(problem.rates),
        batch_size=batch_size,
        epochs=300,
        key=jax.random.key(0),
        stop=tuple(stops[name] for name in tests),
    )


# In mini-batches each test alone must ask for the gradient of all examples.
@pytest.mark.parametrize(
    ("batch_size", "with_l1", "tests"),
    [
        (None, False, ("absolute", "relative")),
        (None, True, ("absolute", "relative")),
        (7, False, ("absolute",)),
        (7, True, ("relative",)),
    ],
    ids=["batch", "batch-l1", "minibatch", "minibatch-l1"],
)
def test_converged_and_diverged_are_never_false(monkeypatch, batch_size, with_l1, tests):
    monkeypatch.setattr(epoch, "GRADIENT_SAMPLE", 5)  # else it would be all rows, asked for or not
    problems = random_problems(seed=2 * with_l1 + (batch_size is None), with_l1=with_l1, tests=tests)
    fits = jax.tree.map(np.asarray, descend(problems, batch_size, with_l1, tests)._replace(state=None))

    first, first_off = true_norm(problems.data, problems.start, problems.strengths)
    norms, off = true_norm(problems.data, fits.params, problems.strengths)
    allowed = np.maximum(problems.absolute, problems.relative * (first + first_off)) * (1 + 9 * EPS)
    converged = fits.status == STATUS.CONVERGED
    assert (norms <= allowed + off)[converged].all()
    for name in tests:
        lanes = converged & (getattr(problems, name) > 0)
        assert (off < allowed / 2)[lanes].sum() >= 3  # where rounding could not hide a false report

    diverged = fits.status == STATUS.DIVERGED
    assert diverged.sum() >= 2
    losses = fits.history.loss
    for lane in np.flatnonzero(diverged):
        met = losses[lane, : fits.epochs[lane]]
        assert not (np.isfinite(met).all() and (np.diff(met) < 0).all())
    if batch_size is None and not with_l1:
        stable = (problems.stability < 1.9) & ~problems.data["bends"][:, 0]
        assert stable.sum() >= 10
        assert not diverged[stable].any()


# Curvature, slope, height and wave of the loss; where it starts; the status, in all variants.
HOSTILE = {
    "zero gradient at the start": ([1, 0, 0, 0], 0, STATUS.CONVERGED),
    "constant": ([0, 0, 3, 0], 1, STATUS.CONVERGED),
    "unbounded": ([0, -1, 0, 0], 0, STATUS.EPOCHS_DONE),
    "not convex": ([0.1, 0, 0, 1], 1, STATUS.CONVERGED),
    "nan in the data": ([np.nan, 0, 0, 0], 1, STATUS.DIVERGED),
    "infinity in the data": ([0, np.inf, 0, 0], 1, STATUS.DIVERGED),
    "nan in the params": ([1, 0, 0, 0], np.nan, STATUS.DIVERGED),
}


def hostile(params, form):
    curvature, slope, height, wave = form
    values = curvature * jnp.square(params) + slope * params + wave * jnp.sin(3 * params)
    return jnp.sum(values) + height


def evaluate(params, data):
    return -jnp.mean(jax.vmap(hostile, (None, 0))(params, data))


def with_all_tests(form, start, batch_size):
    return jgd.descend(
        jgd.objective(hostile),
        jnp.broadcast_to(start, (2,)),
        jnp.broadcast_to(form, (5, 4)),
        rule=jgd.sgd(0.05),
        batch_size=batch_size,
        epochs=100,
        key=jax.random.key(0),
        stop=(
            jgd.stop.gradient_norm(1e-4),
            jgd.stop.relative_gradient_norm(1e-5),
            jgd.stop.plateau(),
            jgd.stop.validation(),
        ),
        evaluate=evaluate,
    )


def check_told(fit, status):
    text = jgd.explain(fit)
    assert fit.status == status, text
    assert text.startswith(f"{status.name} ")
    headline, advice = text.split("\n", 1)
    assert headline.endswith(".")
    assert len(advice) > 40
    assert advice.endswith((".", ")"))


@pytest.mark.parametrize("batch_size", [None, 1, 3], ids=["batch", "stochastic", "minibatch"])
def test_every_hostile_loss_has_an_end_and_a_sentence(batch_size):
    forms, starts, statuses = zip(*HOSTILE.values(), strict=True)
    train = functools.partial(with_all_tests, batch_size=batch_size)
    lanes = jax.vmap(train)(jnp.asarray(forms, jnp.float32), jnp.asarray(starts, jnp.float32))
    for lane, status in enumerate(statuses):
        check_told(jax.tree.map(lambda x, lane=lane: x[lane], lanes), status)
    assert f"{len(HOSTILE)} fits" in jgd.explain(lanes)


@pytest.mark.parametrize("name", ["nan in the data", "nan in the params"])
def test_numbers_that_are_not_finite_are_told_without_lanes_too(name):
    form, start, status = HOSTILE[name]
    check_told(with_all_tests(jnp.asarray(form, jnp.float32), jnp.float32(start), None), status)

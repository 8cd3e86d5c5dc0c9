"""Penalties of several numbers together, and sets: laws of proximal maps, and solvers of SciPy."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

import jgd
from jgd import penalties
from tests.problems import x64

LABELS = [0, 0, 2, 1, 2, 2]
MAKERS = {
    "group_l1": functools.partial(penalties.group_l1, 0.4, groups=LABELS),
    "group_l1 of rows": functools.partial(penalties.group_l1, 0.4),
    "nuclear": functools.partial(penalties.nuclear, 0.4),
    "nonnegative": penalties.nonnegative,
    "box": functools.partial(penalties.box, -0.5, 0.7),
    "l2_ball": functools.partial(penalties.l2_ball, 0.8),
    "l1_ball": functools.partial(penalties.l1_ball, 0.9),
    "simplex": functools.partial(penalties.simplex, 1.2),
}
SETS = [name for name in MAKERS if not name.startswith(("group", "nuclear"))]
every_penalty = pytest.mark.parametrize("name", MAKERS)
every_set = pytest.mark.parametrize("name", SETS)
TRUTHS = {
    "group_l1": lambda p: (
        0.4
        * sum(
            np.sqrt(np.sum(rows)) * np.linalg.norm(p[rows])
            for rows in (np.array(LABELS) == label for label in range(3))
        )
        if p.ndim == 1
        else 0.4
        * sum(
            np.sqrt(np.sum(rows) * p.shape[1]) * np.linalg.norm(p[rows])
            for rows in (np.array(LABELS) == label for label in range(3))
        )
    ),
    "group_l1 of rows": lambda p: 0.4 * np.sqrt(p.shape[1]) * np.linalg.norm(p, axis=1).sum(),
    "nuclear": lambda p: 0.4 * np.linalg.norm(p, "nuc"),
}


def points(seed, scale=1.0, num=200):
    return jnp.asarray(np.random.default_rng(seed).normal(scale=scale, size=(num, 6, 2)))


@pytest.mark.parametrize("name", TRUTHS)
def test_value_is_that_of_numpy(name):
    with x64():
        for p in points(0, num=5):
            np.testing.assert_allclose(MAKERS[name]().value(p), TRUTHS[name](np.asarray(p)), rtol=1e-12)


@every_penalty
def test_prox_satisfies_its_defining_inequality(name):
    """`<p - prox(p), z - prox(p)> <= step (value(z) - value(prox(p)))` for every z."""
    penalty = MAKERS[name]()

    def excess(p, z, step):
        z = penalty.prox(z, 0.0) if name in SETS else z
        nearest = penalty.prox(p, step)
        gain = penalty.value(z) - penalty.value(nearest)
        return jnp.sum((p - nearest) * (z - nearest)) - step * gain, penalty.value(nearest)

    with x64():
        steps = jnp.asarray(np.random.default_rng(3).uniform(0.1, 2, 200))
        excesses, values = jax.jit(jax.vmap(excess))(points(1, 2.0), points(2), steps)
    assert np.isfinite(values).all()
    assert excesses.max() <= 1e-12
    assert excesses.min() < -0.1


@pytest.mark.exhaustive
@every_penalty
def test_prox_is_firmly_nonexpansive(name):
    penalty = MAKERS[name]()

    def slack(p, q):
        moved = penalty.prox(p, 0.7) - penalty.prox(q, 0.7)
        return jnp.sum((p - q) * moved) - jnp.sum(moved**2)

    with x64():
        slacks = jax.jit(jax.vmap(slack))(points(4), points(5, 0.5))
    assert slacks.min() >= -1e-12
    assert slacks.max() > 0.1


@every_set
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_projection_is_inside_and_stays(name, dtype):
    penalty = MAKERS[name]()
    with x64():
        p = points(6, 3.0).astype(dtype)
        p = p.at[:9].multiply(1e9)  # the rounding of huge numbers must not lead outside
        assert np.isposinf(jax.vmap(penalty.value)(p)).any()
        once = jax.vmap(lambda p: penalty.prox(p, 1.0))(p)
        assert once.dtype == dtype
        np.testing.assert_array_equal(jax.vmap(penalty.value)(once), 0)
        twice = jax.vmap(lambda p: penalty.prox(p, 1.0))(once)
        np.testing.assert_allclose(twice, once, atol=1e-6)


@pytest.mark.exhaustive
@every_penalty
def test_masks_leave_the_rest_alone(name):
    params = {"weights": points(7)[0].astype(jnp.float32), "bias": jnp.array([9.0, jnp.nan])}
    penalty = MAKERS[name](mask={"weights": True, "bias": False})
    came, alone = penalty.prox(params, 0.3), MAKERS[name]().prox(params["weights"], 0.3)
    np.testing.assert_array_equal(came["bias"], params["bias"])
    np.testing.assert_allclose(came["weights"], alone, rtol=1e-6)
    np.testing.assert_array_equal(penalty.value(params), MAKERS[name]().value(params["weights"]))


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in ("group_l1", "nuclear")])
def test_array_masks_choose_single_numbers(name):
    p = points(8)[0, :, :1].astype(jnp.float32)
    mask = np.array([1, 0, 1, 1, 0, 1], bool)[:, None]
    came = MAKERS[name](mask=mask).prox(p, 0.3)
    np.testing.assert_array_equal(came[~mask], p[~mask])
    wanted = MAKERS[name]().prox(p[mask][:, None], 0.3)
    np.testing.assert_allclose(came[mask], wanted[:, 0], rtol=1e-6)


@pytest.mark.exhaustive
@every_penalty
def test_derivatives_at_zero_and_on_the_edge_are_finite(name):
    for p in (jnp.zeros((6, 2)), MAKERS[name]().prox(points(9)[0].astype(jnp.float32), 0.0)):
        if name != "nuclear":  # no derivative where two singular values are equal
            _, tangent = jax.jvp(lambda p: MAKERS[name]().prox(p, 1.0), (p,), (jnp.ones_like(p),))
            assert np.isfinite(tangent).all()
    if name.startswith("group"):
        slopes = jax.jacobian(lambda p: MAKERS[name]().prox(p, 1.0))(jnp.zeros((6, 2)))
        np.testing.assert_array_equal(slopes, 0)


@pytest.mark.exhaustive
def test_numbers_are_mapped_over():
    p = jnp.array([1.0, -2.0, 0.5])
    radii = jnp.array([0.1, 1.0, 9.0])
    for make in (penalties.l1_ball, penalties.l2_ball, penalties.simplex, penalties.group_l1):
        came = jax.vmap(lambda penalty: penalty.prox(p, 1.0))(make(radii))
        wanted = [make(float(radius)).prox(p, 1.0) for radius in radii]
        np.testing.assert_allclose(came, jnp.stack(wanted), rtol=1e-6)
    boxes = penalties.box(-radii, 1.0)
    came = jax.vmap(lambda penalty: penalty.prox(p, 1.0))(boxes)
    np.testing.assert_allclose(came, np.clip(p, -radii[:, None], 1.0), rtol=1e-6)


WRONG = {
    "group_l1: strength": lambda: penalties.group_l1(-1.0),
    "group_l1: groups is": lambda: penalties.group_l1(1.0, groups=[0.5, 1.0]),
    "group_l1: groups has 0": lambda: penalties.group_l1(1.0, groups=np.zeros(0, int)),
    "group_l1: groups has 2 labels from -1": lambda: penalties.group_l1(1.0, groups=[-1, 0]),
    "group_l1: groups has 3 labels": lambda: penalties.group_l1(1.0, [0, 1, 1]).value(jnp.ones(2)),
    "nuclear: strength": lambda: penalties.nuclear(np.nan),
    "nuclear: a penalised": lambda: penalties.nuclear(1.0).value(jnp.ones(3)),
    "box: upper - lower": lambda: penalties.box(1.0, 0.5),
    "box: lower": lambda: penalties.box(np.nan, 0.5),
    "l2_ball: radius": lambda: penalties.l2_ball(0.0),
    "l1_ball: radius": lambda: penalties.l1_ball(-1.0),
    "simplex: total": lambda: penalties.simplex(np.inf),
    "mask leaves out all": lambda: penalties.simplex(mask=False).value(jnp.ones(3)),
    "mask holds": lambda: penalties.nonnegative(mask=1),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_numbers_are_errors(message):
    with pytest.raises(ValueError, match=f"^{message}"):
        WRONG[message]()


def square(params, example):
    return jgd.losses.squared_error(params @ example[0], example[1])


@pytest.mark.parametrize("batch_size", [None, 40])
def test_descent_ends_at_the_minimum_within_the_set(batch_size):
    """Against the solvers of SciPy; a start outside is projected, and said."""
    rng = np.random.default_rng(0)
    with x64():
        x = jnp.asarray(rng.normal(size=(40, 3)))
        y = x @ jnp.array([1.0, -1.0, 0.2]) + 0.1
        wanted = {
            "nonnegative": optimize.nnls(np.asarray(x), np.asarray(y))[0],
            "box": optimize.lsq_linear(x, y, (-0.5, 0.7), tol=1e-12).x,
            "simplex": _on_the_simplex(np.asarray(x), np.asarray(y), 1.2),
        }
        for name, solution in wanted.items():
            with pytest.warns(UserWarning, match="params lie outside"):
                fit = jgd.descend(
                    jgd.objective(square, MAKERS[name]()), jnp.full(3, -9.0), (x, y), rule=jgd.sgd(0.2),
                    batch_size=batch_size, epochs=400, key=jax.random.key(0),
                    stop=jgd.stop.gradient_norm(1e-9),
                )  # fmt: skip
            assert fit.status == jgd.Status.CONVERGED
            np.testing.assert_allclose(fit.params, solution, atol=1e-7)


def _on_the_simplex(x, y, total):
    equality = {"type": "eq", "fun": lambda p: p.sum() - total}
    start, bounds = np.full(3, total / 3), [(0, None)] * 3
    cost = lambda p: np.mean((x @ p - y) ** 2)  # noqa: E731
    return optimize.minimize(cost, start, bounds=bounds, constraints=equality, tol=1e-14).x


def test_a_start_inside_is_not_spoken_of_and_nan_diverges():
    objective = jgd.objective(square, penalties.box(-1.0, 1.0))
    data = jnp.ones((4, 3)), jnp.ones(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = jgd.batch_descent(objective, jnp.zeros(3), data, rule=jgd.sgd(0.1), epochs=2)
        assert np.isfinite(fit.history.loss).all()
        bad = jgd.batch_descent(objective, jnp.full(3, jnp.nan), data, rule=jgd.sgd(0.1), epochs=2)
        # Of what is traced nobody knows; it is projected all the same.
        starts = jnp.array([[5.0, 5.0, 5.0], [0.0, 0.0, 0.0]])
        both = jax.vmap(lambda p: jgd.batch_descent(objective, p, data, rule=jgd.sgd(0.1), epochs=2))(
            starts
        )
    assert bad.status == jgd.Status.DIVERGED
    np.testing.assert_array_equal(both.status, jgd.Status.EPOCHS_DONE)

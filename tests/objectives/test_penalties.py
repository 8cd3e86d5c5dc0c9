"""Penalties against NumPy, and their proximal operators against the definition."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from jgd import penalties
from tests.problems import x64

RATIO = 0.25
MAKERS = {
    "l1": penalties.l1,
    "l2": penalties.l2,
    "elastic_net": functools.partial(penalties.elastic_net, l1_ratio=RATIO),
}
TRUTHS = {
    "l1": lambda strength, p: strength * np.abs(p).sum(),
    "l2": lambda strength, p: strength / 2 * np.square(p).sum(),
    "elastic_net": lambda strength, p: (
        strength * (RATIO * np.abs(p).sum() + (1 - RATIO) / 2 * np.square(p).sum())
    ),
}
every_penalty = pytest.mark.parametrize("name", MAKERS)


def tree(seed=0, dtype=None):
    rng = np.random.default_rng(seed)
    params = {"layer": {"weights": rng.normal(size=(3, 2)), "bias": rng.normal(size=2)}}
    return jax.tree.map(lambda p: jnp.asarray(p, dtype), params | {"scale": rng.normal()})


ROWS = np.array([[True, False], [False, True], [True, True]])
MASKS = {
    "all": (True, {"layer": {"weights": True, "bias": True}, "scale": True}),
    "none": (False, {"layer": {"weights": False, "bias": False}, "scale": False}),
    "prefix": (
        {"layer": True, "scale": False},
        {"layer": {"weights": True, "bias": True}, "scale": False},
    ),
    "full": (
        {"layer": {"weights": True, "bias": False}, "scale": True},
        {"layer": {"weights": True, "bias": False}, "scale": True},
    ),
    "array": (
        {"layer": {"weights": ROWS, "bias": False}, "scale": np.array(True)},
        {"layer": {"weights": ROWS, "bias": False}, "scale": True},
    ),
    "jax array": (
        {"layer": {"weights": jnp.asarray(ROWS), "bias": jnp.array([False, True])}, "scale": False},
        {"layer": {"weights": ROWS, "bias": np.array([False, True])}, "scale": False},
    ),
}


def penalised(params, full_mask):
    """The penalised numbers in one vector."""
    parts = jax.tree.map(lambda m, p: np.asarray(p)[np.broadcast_to(m, p.shape)], full_mask, params)
    return np.concatenate([np.ravel(part) for part in jax.tree.leaves(parts)])


@every_penalty
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("strength", [0, 0.7])
def test_value_is_that_of_numpy(name, mask, strength):
    given, full = MASKS[mask]
    with x64():
        params = tree()
        value = MAKERS[name](strength, mask=given).value(params)
        assert value.shape == ()
        np.testing.assert_allclose(value, TRUTHS[name](strength, penalised(params, full)), rtol=1e-14)


@every_penalty
def test_without_a_mask_everything_is_penalised(name):
    params = tree()
    wanted = TRUTHS[name](0.7, penalised(params, MASKS["all"][1]))
    np.testing.assert_allclose(MAKERS[name](0.7).value(params), wanted, rtol=1e-6)


@every_penalty
def test_only_smooth_penalties_say_so(name):
    assert MAKERS[name](1.0).smooth is (name == "l2")


def test_gradient_of_l2_is_strength_times_params():
    params = tree()
    grads = jax.grad(penalties.l2(0.3, mask={"layer": True, "scale": False}).value)(params)
    wanted = {"layer": jax.tree.map(lambda p: 0.3 * p, params["layer"]), "scale": jnp.zeros(())}
    chex.assert_trees_all_close(grads, wanted, rtol=1e-6)


@every_penalty
@pytest.mark.parametrize(("strength", "step"), [(0.5, 1.0), (2.0, 0.3), (3.0, 1.5), (0.0, 1.0)])
def test_prox_minimises_its_definition(name, strength, step):
    """`argmin_z |z - p|²/2 + step * value(z)`, number by number, for a bracket and a 1e-8 search."""
    points = np.linspace(-4, 4, 33)

    def cost(z, p):
        return (z - p) ** 2 / 2 + step * TRUTHS[name](strength, np.array([z]))

    wanted = []
    for p in points:
        candidates = [
            optimize.minimize_scalar(cost, bounds=side, args=(p,), options={"xatol": 1e-9}).x
            for side in ((-5, 0), (0, 5))
        ]
        wanted.append(min([0.0, *candidates], key=lambda z, p=p: cost(z, p)))
    with x64():
        came = MAKERS[name](strength).prox(jnp.asarray(points), step)
    np.testing.assert_allclose(came, wanted, atol=1e-6)


@every_penalty
def test_prox_costs_no_more_than_any_other_point(name):
    """The same definition with `value` of the penalty itself, on a whole pytree and with a mask."""
    penalty, step = MAKERS[name](0.8, mask={"layer": True, "scale": False}), 0.6

    def cost(z, params):
        distances = jax.tree.map(lambda a, b: jnp.sum(jnp.square(a - b)), z, params)
        return sum(jax.tree.leaves(distances)) / 2 + step * penalty.value(z)

    with x64():
        params = tree()
        nearest = penalty.prox(params, step)
        lowest = cost(nearest, params)
        for seed in range(1, 30):
            for size in (1e-3, 1e-1, 1.0):
                other = jax.tree.map(lambda z, d, size=size: z + size * d, nearest, tree(seed))
                assert cost(other, params) > lowest


@every_penalty
def test_prox_is_firmly_nonexpansive(name):
    """`<x - y, prox(x) - prox(y)> >= |prox(x) - prox(y)|²`."""
    rng = np.random.default_rng(1)
    with x64():
        x, y = (jnp.asarray(rng.normal(scale=s, size=(300, 5))) for s in (2.0, 1.0))
        strengths, steps = (jnp.asarray(rng.uniform(0, 2, size=300)) for _ in range(2))

        def gap(strength, step, a, b):
            prox = functools.partial(MAKERS[name](strength).prox, step=step)
            moved = prox(a) - prox(b)
            return jnp.dot(a - b, moved) - jnp.dot(moved, moved)

        gaps = np.asarray(jax.vmap(gap)(strengths, steps, x, y))
    assert gaps.min() >= -1e-12
    assert gaps.max() > 1.0


@pytest.mark.parametrize("name", ["l1", "elastic_net"])
def test_prox_of_a_kink_makes_zeros(name):
    came = MAKERS[name](1.0).prox(jnp.array([0.1, -0.2, 0.0, 3.0]), 1.0)
    assert came[:3].tolist() == [0.0, 0.0, 0.0]
    assert came[3] > 0


@every_penalty
@pytest.mark.parametrize("mask", [mask for mask in MASKS if mask != "all"])
def test_unpenalised_params_come_back_bit_by_bit(name, mask):
    given, full = MASKS[mask]
    odd = tree(dtype=jnp.float32)
    # Numbers that arithmetic would change: -0.0, a subnormal one, infinity and NaN.
    odd["layer"]["weights"] = odd["layer"]["weights"].at[0, 1].set(-0.0).at[1, 0].set(1e-42)
    odd["layer"]["bias"] = jnp.array([jnp.nan, 2.0])
    odd["scale"] = jnp.array(-jnp.inf) if full["scale"] is False else odd["scale"]
    came = MAKERS[name](0.5, mask=given).prox(odd, 0.3)
    whole = MAKERS[name](0.5).prox(odd, 0.3)

    def compare(m, p, q, w):
        m = np.broadcast_to(m, p.shape)
        bits = [np.asarray(x).view(np.uint32) for x in (p, q, w)]
        np.testing.assert_array_equal(bits[1][~m], bits[0][~m])
        np.testing.assert_array_equal(bits[1][m], bits[2][m])

    jax.tree.map(compare, full, odd, came, whole)


@every_penalty
def test_another_strength_or_step_traces_nothing(name):
    chex.clear_trace_counter()
    params = tree()
    apply = jax.jit(
        chex.assert_max_traces(lambda penalty, p, step: (penalty.value(p), penalty.prox(p, step)), n=1)
    )
    mask = {"layer": True, "scale": False}
    for strength in (0.5, 1, np.float32(2.0), jnp.array(0.0)):
        value, _ = apply(MAKERS[name](strength, mask=mask), params, 0.1 * float(strength))
        wanted = TRUTHS[name](float(strength), penalised(params, MASKS["prefix"][1]))
        np.testing.assert_allclose(value, wanted, rtol=1e-6)


@every_penalty
@pytest.mark.parametrize("inside", [True, False])
def test_strengths_are_mapped_over(name, inside):
    params, strengths = tree(), jnp.array([0.0, 0.1, 1.0, 10.0])

    def apply(penalty):
        return penalty.value(params), penalty.prox(params, 0.5)

    if inside:
        came = jax.vmap(lambda strength: apply(MAKERS[name](strength)))(strengths)
    elif name == "elastic_net":
        ratios = jnp.full(4, RATIO)
        came = jax.vmap(apply)(penalties.elastic_net(strengths, ratios))
    else:
        came = jax.vmap(apply)(MAKERS[name](strengths))
    one_by_one = [apply(MAKERS[name](float(strength))) for strength in strengths]
    chex.assert_trees_all_close(
        came, jax.tree.map(lambda *rows: jnp.stack(rows), *one_by_one), rtol=1e-6
    )


def test_an_elastic_net_of_one_ratio_is_mapped_over_its_strengths():
    params, strengths = jnp.array([1.0, -2.0, 0.1]), jnp.array([0.1, 1.0])
    came = jax.vmap(lambda penalty: penalty.value(params))(penalties.elastic_net(strengths, RATIO))
    wanted = [TRUTHS["elastic_net"](strength, np.asarray(params)) for strength in (0.1, 1.0)]
    np.testing.assert_allclose(came, wanted, rtol=1e-6)


@pytest.mark.parametrize("name", ["l1", "l2"])
@pytest.mark.parametrize("num_strengths", [2, 4])
def test_an_array_mask_is_shared_by_the_strengths(name, num_strengths):
    """Where the mask is as long as there are strengths, it must not be dealt out to them."""
    params, mask = jnp.array([1.0, -2.0, 0.5, 3.0]), np.array([True, False, True, False])
    strengths = jnp.arange(1.0, num_strengths + 1)
    came = jax.vmap(lambda penalty: penalty.value(params))(MAKERS[name](strengths, mask=mask))
    wanted = [TRUTHS[name](float(strength), np.asarray(params)[mask]) for strength in strengths]
    np.testing.assert_allclose(came, wanted, rtol=1e-6)


@every_penalty
def test_strength_has_a_derivative(name):
    params = jnp.array([1.0, -2.0])
    slope = jax.grad(lambda strength: MAKERS[name](strength).value(params))(0.5)
    np.testing.assert_allclose(slope, TRUTHS[name](1.0, np.asarray(params)), rtol=1e-6)


@every_penalty
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
@pytest.mark.parametrize("mask", ["all", "array"])
def test_dtypes_are_kept(name, dtype, mask):
    with x64():
        penalty = MAKERS[name](jnp.float32(0.5), mask=MASKS[mask][0])
        params, step = tree(dtype=dtype), jnp.float32(0.1)
        came = penalty.value, penalty.prox, jax.grad(penalty.value)
        shapes = [jax.eval_shape(f, params, *([step] if f is penalty.prox else [])) for f in came]
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype(dtype)}
    assert shapes[0].shape == ()
    chex.assert_trees_all_equal_shapes(*shapes[1:], params)


@every_penalty
def test_each_leaf_keeps_its_own_dtype(name):
    params = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2, jnp.float32)}
    came = MAKERS[name](0.5).prox(params, 0.1)
    assert (came["a"].dtype, came["b"].dtype) == (jnp.bfloat16, jnp.float32)


@every_penalty
@pytest.mark.parametrize("strength", [-1.0, float("nan"), "strong", None, np.array([0.1, -0.1])])
def test_wrong_strength_is_an_error(name, strength):
    with pytest.raises(ValueError, match=rf"^{name}: strength is .*, but a number >= 0 is wanted"):
        MAKERS[name](strength)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan"), "half"])
def test_wrong_ratio_is_an_error(ratio):
    with pytest.raises(ValueError, match=r"^elastic_net: l1_ratio is .*, but a number from 0 to 1"):
        penalties.elastic_net(1.0, ratio)


@every_penalty
@pytest.mark.parametrize(
    "mask", [{"layer": 1.0, "scale": True}, "layer", 1, {"scale": np.array([0, 1])}]
)
def test_mask_of_something_else_than_bools_is_an_error(name, mask):
    with pytest.raises(ValueError, match=r"^mask holds .*, but True, False or an array of bools"):
        MAKERS[name](1.0, mask=mask)


@every_penalty
@pytest.mark.parametrize(
    "mask",
    [
        {"layer": True},
        {"layer": True, "scale": True, "other": False},
        {"layer": {"weights": True}, "scale": True},
        [True, False],
        {"layer": True, "scale": {"deeper": True}},
    ],
)
def test_mask_of_another_structure_is_an_error(name, mask):
    penalty = MAKERS[name](1.0, mask=mask)
    with pytest.raises(ValueError, match=r"^mask has the structure .* no prefix of the structure"):
        penalty.value(tree())
    with pytest.raises(ValueError, match=r"^mask has the structure .* no prefix of the structure"):
        penalty.prox(tree(), 0.1)


@every_penalty
@pytest.mark.parametrize("shape", [(3,), (2, 4), (1, 4), (4, 4)])
def test_array_mask_of_another_shape_is_an_error(name, shape):
    """A mask that is larger than the parameter would blow up the parameter."""
    penalty = MAKERS[name](1.0, mask=np.ones(shape, bool))
    with pytest.raises(ValueError, match="mask"):
        penalty.prox(jnp.ones(4), 0.1)
    with pytest.raises(ValueError, match="mask"):
        penalty.value(jnp.ones(4))


@every_penalty
def test_strength_may_be_closed_over_under_jit(name):
    strength, params = jnp.array(0.5), jnp.array([1.0, -2.0])
    came = jax.jit(lambda p: MAKERS[name](strength).value(p))(params)
    np.testing.assert_allclose(came, TRUTHS[name](0.5, np.asarray(params)), rtol=1e-6)

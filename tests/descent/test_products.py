"""Products of vectors in parallel, against NumPy in float64 and against the function as it was."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jgd.descent.products import vector_product, with_parallel_products
from tests.problems import x64

EPSILON = np.finfo(np.float32).eps / 2  # the largest relative error of one rounding
LENGTHS = [
    *range(1, 20),
    *range(30, 36),
    *range(60, 71),
    100,
    127,
    128,
    129,
    300,
    784,
    1000,
    5000,
    100_003,
]


def vectors(length, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, length)).astype(np.float32)


def products_left(function, *args):
    """How many products of vectors the function leaves to XLA."""
    return str(jax.make_jaxpr(with_parallel_products(function))(*args)).count("dot_general")


def assert_unchanged(function, *args, rtol=1e-5):
    """The rewritten function has the structure, dtypes and numbers of the function."""
    expected, came = function(*args), with_parallel_products(function)(*args)
    assert jax.tree.structure(came) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(came), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(3))
def test_errors_are_no_larger_than_those_of_a_sum_by_halves(seed):
    """Roundings on the way of one term: its product, log2(D) sums, a few for what no slice holds."""
    for length in LENGTHS:
        x, w = vectors(length, seed)
        terms = x.astype(np.float64) * w.astype(np.float64)
        bound = (1 + np.ceil(np.log2(length)) + 8) * EPSILON * np.sum(np.abs(terms))
        assert abs(float(vector_product(jnp.asarray(x), jnp.asarray(w))) - terms.sum()) <= bound


@pytest.mark.exhaustive
@pytest.mark.parametrize("length", LENGTHS)
def test_every_term_counts_once(length):
    """Whole numbers below 2^24 are summed without any rounding, in whatever order."""
    x = np.random.default_rng(length).integers(-9, 10, size=length).astype(np.float32)
    w = np.random.default_rng(length + 1).integers(-9, 10, size=length).astype(np.float32)
    assert vector_product(jnp.asarray(x), jnp.asarray(w)) == np.dot(x.astype(int), w.astype(int))


def test_an_empty_product_is_zero():
    assert vector_product(jnp.zeros(0), jnp.zeros(0)) == 0


@pytest.mark.parametrize("length", [3, 65, 129, 1000])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_comes_through(length, bad):
    product = jax.jit(vector_product)
    for place in {0, 1, length // 2, length - 2, length - 1}:
        x, w = np.ones((2, length), np.float32)
        x[place] = bad
        np.testing.assert_array_equal(product(x, w), np.float32(bad))
    x[[0, length - 1]] = np.inf, -np.inf
    assert np.isnan(product(x, w))


@jax.custom_vjp
def own_gradient(x, w):
    return x @ w


own_gradient.defvjp(lambda x, w: (x @ w, (x, w)), lambda kept, g: (3 * g * kept[1], 5 * g * kept[0]))


def in_a_nested_jit(x, w):
    return jax.jit(lambda x, w: jax.jit(jnp.dot)(x, w) + x[0])(x, w)


def of_a_custom_derivative(x, w):
    return jax.grad(lambda w: jax.nn.relu(x @ w) + own_gradient(x, w))(w)


def in_a_branch(x, w):
    return lax.cond(x[0] > 0, lambda: x @ w, lambda: w @ w) + x @ x


def in_a_scan(x, w):
    return lax.scan(lambda total, _: (total * 0.5 + x @ w, total), x @ x, length=3)


def in_a_while(x, w):
    return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + x @ w), (0, x @ x))


def in_a_checkpoint(x, w):
    return jax.checkpoint(lambda x: x @ w)(x) * (x @ w)


def several_results(x, w):
    return {"product": x @ w, "nothing": None, "as it came": x, "constant": 2.0 * jnp.ones(3)}, (w @ w,)


def with_constants(x, w):
    return x @ np.linspace(0, 1, 300, dtype=np.float32) + jnp.arange(300.0) @ w


FUNCTIONS = {
    f.__name__: f
    for f in (
        in_a_nested_jit,
        of_a_custom_derivative,
        in_a_branch,
        in_a_scan,
        in_a_while,
        in_a_checkpoint,
        several_results,
        with_constants,
    )
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_stays_what_it_was(name):
    assert_unchanged(FUNCTIONS[name], *map(jnp.asarray, vectors(300)))


def test_an_unused_argument_stays_one():
    assert_unchanged(lambda x, w, unused: x @ w, *map(jnp.asarray, vectors(300)), jnp.arange(3))


def test_a_python_number_stays_a_number():
    assert_unchanged(lambda x, w, scale: scale * (x @ w), *map(jnp.asarray, vectors(300)), 2.0)


def test_keys_go_through():
    x = jnp.asarray(vectors(300)[0])
    assert_unchanged(lambda key, x: x @ jax.random.normal(key, (300,)), jax.random.key(0), x)


@pytest.mark.parametrize("name", ["in_a_nested_jit", "with_constants", "several_results"])
def test_no_product_is_left_to_xla(name):
    assert products_left(FUNCTIONS[name], *vectors(300)) == 0


def of_matrices(x, w):
    return x.reshape(10, 30) @ w[:30], x[:30] @ w.reshape(30, 10), jnp.outer(x, w)


def with_a_precision(x, w):
    return jnp.dot(x, w, precision="highest")


def with_a_wanted_dtype(x, w):
    return jnp.dot(x, w, preferred_element_type=jnp.bfloat16)


def of_integers(x, w):
    return (100 * x).astype(int) @ (100 * w).astype(int)


def of_half_precision(x, w):
    return x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)


@pytest.mark.parametrize(
    "function", [of_matrices, with_a_precision, with_a_wanted_dtype, of_integers, of_half_precision]
)
def test_other_products_are_left_alone(function):
    x, w = map(jnp.asarray, vectors(300))
    expected = str(jax.make_jaxpr(function)(x, w)).count("dot_general")
    assert products_left(function, x, w) == expected > 0
    assert_unchanged(function, x, w, rtol=0)


def test_a_precision_of_the_context_is_kept():
    with jax.default_matmul_precision("highest"):
        assert products_left(jnp.dot, *vectors(300)) == 1


def test_float64_is_left_alone():
    with x64():
        x, w = map(jnp.asarray, vectors(300).astype(np.float64))
        assert products_left(jnp.dot, x, w) == 1
        assert_unchanged(jnp.dot, x, w, rtol=0)
        narrow = x.astype(jnp.float32), w.astype(jnp.float32)
        assert_unchanged(lambda x, w: jnp.dot(x, w, preferred_element_type=jnp.float64), *narrow, rtol=0)


def test_arrays_of_an_outer_jit_or_vmap_may_be_closed_over():
    x, w = map(jnp.asarray, vectors(300))

    def outer(x):
        return with_parallel_products(lambda w: jax.jit(lambda w: x @ w)(w) + x[0])(w)

    expected = np.dot(x.astype(float), w) + x[0]
    np.testing.assert_allclose(jax.jit(outer)(x), expected, rtol=1e-5)
    np.testing.assert_allclose(
        jax.vmap(outer)(jnp.stack([x, 2 * x])), [expected, 2 * expected], rtol=1e-5
    )
    np.testing.assert_allclose(jax.grad(outer)(x), w.at[0].add(1), rtol=1e-6)


@pytest.mark.parametrize(
    "function",
    [pytest.param(jnp.dot, marks=pytest.mark.exhaustive), of_a_custom_derivative, in_a_scan],
)
def test_derivatives_and_lanes_go_through(function):
    x, w = map(jnp.asarray, vectors(300))
    rewritten = with_parallel_products(function)
    for transform in (jax.jacfwd, jax.jacrev, lambda f: jax.vmap(f, (0, None))):
        first = jnp.stack([x, -x]) if transform not in (jax.jacfwd, jax.jacrev) else x
        came, expected = transform(rewritten)(first, w), transform(function)(first, w)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), came, expected)

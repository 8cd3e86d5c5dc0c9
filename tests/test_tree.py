"""Small things about pytrees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgd.tree import norm


@pytest.mark.parametrize("size", [1.0, 1e-30, 1e30])
def test_norm_is_that_of_numpy_at_every_size(size):
    a, b = np.array([3.0, -4.0]), np.array([[12.0]])
    tree = {"a": jnp.asarray(a * size, jnp.float32), "b": jnp.asarray(b * size, jnp.float32)}
    np.testing.assert_allclose(norm(tree), np.linalg.norm([3.0, -4.0, 12.0]) * size, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_norm_lets_nothing_that_is_not_finite_pass(bad):
    assert not np.isfinite(norm([jnp.zeros(3), jnp.array([0.0, bad])]))


def test_norm_of_zero_is_zero_with_derivative_zero():
    assert norm(jnp.zeros(3)) == 0
    np.testing.assert_array_equal(jax.grad(norm)(jnp.zeros(3)), np.zeros(3))
    np.testing.assert_allclose(jax.grad(norm)(jnp.array([3.0, 4.0])), [0.6, 0.8], rtol=1e-6)

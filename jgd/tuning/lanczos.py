"""Lanczos iteration: the extremes of a symmetric matrix from its products with vectors.

All basis vectors are kept and each new one is made orthogonal to them again, for in floating point the
iteration would otherwise find the same eigenvalue over and over (Paige 1971).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jgd.tree import all_finite, norm


class Tridiagonal(NamedTuple):
    """A symmetric matrix A in an orthonormal basis Q of a subspace: `A Q = Q T + rest`.

    Attributes:
      diagonal: [m], of T.
      beside: [m], what stands beside it; the last number leads out of the subspace.
      basis: [m, P], the rows are those of Qᵀ.
      dropped: [m, m], lower triangle of QᵀAQ - T. Exact arithmetic leaves 0 there: it is a measure of
        the rounding in the products.
    """

    diagonal: jax.Array
    beside: jax.Array
    basis: jax.Array
    dropped: jax.Array


class Ritz(NamedTuple):
    """Eigenvalues and eigenvectors of T: approximations to those of A.

    Attributes:
      values: [m], ascending.
      vectors: [m, m], column i belongs to value i, in the basis.
    """

    values: jax.Array
    vectors: jax.Array


def lanczos(product: Callable, start: jax.Array, steps: int) -> Tridiagonal:
    """`steps` steps of the Lanczos iteration with full reorthogonalisation.

    Where the vectors found so far span an invariant subspace (a multiple of the identity does so at
    once), it goes on with one orthogonal to them: P steps find every eigenvalue as often as it occurs.

    Args:
      product: `vector [P] -> A vector [P]`, linear, A symmetric.
      start: [P], drawn at random, so that no eigenvector is orthogonal to it.
      steps: m, from 1 to P.

    Returns:
      A `Tridiagonal`.

    Source: Lanczos (1950), J. Res. Natl. Bur. Stand. 45(4); Parlett (1998), The Symmetric Eigenvalue
    Problem, chapter 13.
    """
    eps, tiny = jnp.finfo(start.dtype).eps, jnp.finfo(start.dtype).tiny

    def orthogonal(basis, vector):
        coefficients = jnp.matmul(basis, vector, precision=lax.Precision.HIGHEST)
        return vector - jnp.matmul(coefficients, basis, precision=lax.Precision.HIGHEST), coefficients

    def step(carry, place):
        basis, vector, scale = carry
        basis = basis.at[place].set(vector)
        rest, coefficients = orthogonal(basis, product(vector))
        scale = jnp.maximum(scale, jnp.abs(coefficients[place]) + norm(rest))
        is_invariant = norm(rest) <= 4 * eps * scale
        # The axis that lies within the subspace least: at least (P - m) / P of its square is outside.
        axis = jnp.argmin(jnp.sum(jnp.square(basis), axis=0))
        rest = jnp.where(is_invariant, (jnp.arange(start.size) == axis).astype(start.dtype), rest)
        for _ in range(2):
            rest, _ = orthogonal(basis, rest)
        length = norm(rest)
        beside = jnp.where(is_invariant, 0, length)
        carry = basis, rest / jnp.maximum(length, tiny), scale
        return carry, (coefficients[place], beside, coefficients)

    basis = jnp.zeros((steps, start.size), start.dtype)
    carry = basis, start / norm(start), jnp.zeros((), start.dtype)
    (basis, _, _), (diagonal, beside, projected) = lax.scan(step, carry, jnp.arange(steps))
    dropped = projected - jnp.diag(diagonal) - jnp.diag(beside[:-1], -1)
    return Tridiagonal(diagonal, beside, basis, dropped)


def ritz(found: Tridiagonal) -> Ritz:
    """Eigenvalues and eigenvectors of T; NaN where T holds a number that is not finite."""
    beside = found.beside[:-1]
    matrix = jnp.diag(found.diagonal) + jnp.diag(beside, 1) + jnp.diag(beside, -1)
    sound = all_finite(matrix)  # LAPACK may search for the eigenvalues of NaN without end
    values, vectors = jnp.linalg.eigh(jnp.where(sound, matrix, 0))
    return Ritz(jnp.where(sound, values, jnp.nan), jnp.where(sound, vectors, jnp.nan))

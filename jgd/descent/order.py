"""Which examples form step t: the order of examples as a function.

Position p of epoch e is example `order(key, e, N)[p]`. The order is a keyed bijection of 0..N-1, so
that nothing is sorted, nothing but the key and the epoch is remembered, and a fit resumes exactly.
"""

import numbers
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

ROUNDS = 24
CHUNK_BYTES = 2**20  # rows that are gathered at once: they shall stay in the second-level cache
MAX_CHUNK_ROWS = 8192


def order(key: jax.Array, epoch, num_examples: int) -> jax.Array:
    """The order in which the examples of an epoch are visited: a random permutation of 0..N-1.

    A swap-or-not network. Each round pairs x with `(k - x) mod N`, k random, and swaps the two or
    not by a random bit of the pair; so every round is a bijection, for any N.

    Args:
      key: PRNG key.
      epoch: number of the epoch, an integer; each epoch has an order of its own.
      num_examples: N.

    Returns:
      int32 [N], a permutation.

    Raises:
      ValueError: N is below 1.

    >>> sorted(order(jax.random.key(0), 3, 5).tolist())
    [0, 1, 2, 3, 4]

    Source: Hoang, Morris and Rogaway (2012), "An enciphering scheme based on a card shuffle".
    """
    if not isinstance(num_examples, numbers.Integral) or num_examples < 1:
        raise ValueError(f"num_examples is {num_examples!r}, but a whole number >= 1 is wanted.")
    return example_at(key, epoch, jnp.arange(num_examples), num_examples)


def example_at(key: jax.Array, epoch, position, num_examples) -> jax.Array:
    """The example at a position of the order, or at many.

    Args:
      key: PRNG key.
      epoch: number of the epoch.
      position: integer array, each from 0 to N - 1.
      num_examples: N, an int or a traced integer.

    Returns:
      int32 array of the shape of `position`.

    >>> whole = order(jax.random.key(0), 3, 5)
    >>> bool(example_at(jax.random.key(0), 3, jnp.array(2), 5) == whole[2])
    True
    """
    num = jnp.asarray(num_examples, jnp.uint32)
    # Hashed on, not drawn by `jax.random.bits`, whose code takes longer to compile than all else.
    seed = jax.random.key_data(jax.random.fold_in(key, epoch)).ravel()
    rounds = jnp.arange(ROUNDS, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)
    pivots, round_keys = _hash(seed[0] ^ rounds) % num, _hash(seed[-1] + rounds)

    def swap_or_not(x, pivot_and_key):
        pivot, round_key = pivot_and_key
        partner = jnp.where(x > pivot, pivot + num - x, pivot - x)
        swap = _hash(jnp.maximum(x, partner) ^ round_key) >> 31 == 1
        return jnp.where(swap, partner, x), None

    start = jnp.asarray(position, jnp.uint32)
    return lax.scan(swap_or_not, start, (pivots, round_keys))[0].astype(jnp.int32)


def _hash(x):
    """The finaliser of MurmurHash3 (Appleby 2011): every bit of x reaches every bit."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


class Plan(NamedTuple):
    """How the positions of an epoch are cut: chunks of steps of batches. All static.

    Attributes:
      num_examples: N.
      batch_size: B, examples of one step.
      steps: steps of one chunk.
      chunks: chunks of an epoch.
    """

    num_examples: int
    batch_size: int
    steps: int
    chunks: int

    @property
    def num_positions(self) -> int:
        """N and the padding behind it: every chunk has the same shape, so there is one loop."""
        return self.batch_size * self.steps * self.chunks


def plan(num_examples: int, batch_size: int, bytes_per_example: int) -> Plan:
    """Cut an epoch into chunks of about `CHUNK_BYTES`, without padding where the numbers allow it.

    Args:
      num_examples: N.
      batch_size: B.
      bytes_per_example: size of one example in `data`.

    Returns:
      The plan of an epoch.

    >>> plan(100_000, 1, 400)
    Plan(num_examples=100000, batch_size=1, steps=2500, chunks=40)
    """
    num_steps = -(-num_examples // batch_size)
    rows = min(MAX_CHUNK_ROWS, max(CHUNK_BYTES // max(bytes_per_example, 1), 1))
    fewest = -(-num_steps // max(rows // batch_size, 1))
    divisors = (c for c in range(fewest, min(2 * fewest, num_steps) + 1) if num_steps % c == 0)
    chunks = next(divisors, fewest)
    return Plan(num_examples, batch_size, -(-num_steps // chunks), chunks)

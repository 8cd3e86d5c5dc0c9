"""Which examples form step t: the order of examples as a function.

Position p of epoch e is example `order(key, e, N)[p]`. The order is a keyed bijection of 0..N-1, so
that nothing is sorted, nothing but the key and the epoch is remembered, and a fit resumes exactly.
"""

import functools
import numbers
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

ROUNDS = 24
CHUNK_BYTES = 2**20  # rows that are gathered at once: they shall stay in the second-level cache
MAX_CHUNK_ROWS = 8192
FEWEST_CHUNK_STEPS = 8  # fewer are not worth a loop of their own


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
    return _through_rounds(key, epoch, position, num_examples, reverse=False)


def position_of(key: jax.Array, epoch, example, num_examples) -> jax.Array:
    """The position of an example in the order, or of many: the inverse of `example_at`.

    Each round is its own inverse, so the inverse of all is the same rounds from the last to the first. A
    device that holds some of the rows finds their places with no word from the others.

    Args:
      key: PRNG key.
      epoch: number of the epoch.
      example: integer array, each from 0 to N - 1.
      num_examples: N, an int or a traced integer.

    Returns:
      int32 array of the shape of `example`.

    >>> whole = order(jax.random.key(0), 3, 5)
    >>> position_of(jax.random.key(0), 3, whole, 5).tolist()
    [0, 1, 2, 3, 4]
    """
    return _through_rounds(key, epoch, example, num_examples, reverse=True)


def _through_rounds(key, epoch, x, num_examples, *, reverse: bool) -> jax.Array:
    num = jnp.asarray(num_examples, jnp.uint32)
    # Hashed, not drawn by `jax.random`, whose code takes longer to compile than all else.
    words = [*_key_data(key).ravel(), jnp.asarray(epoch, jnp.uint32)]
    rounds = jnp.arange(ROUNDS, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)
    pivots, round_keys = _hash(_digest(words, 1) ^ rounds) % num, _hash(_digest(words, 2) + rounds)

    def swap_or_not(x, pivot_and_key):
        pivot, round_key = pivot_and_key
        partner = jnp.where(x > pivot, pivot + num - x, pivot - x)
        swap = _hash(jnp.maximum(x, partner) ^ round_key) >> 31 == 1
        return jnp.where(swap, partner, x), None

    start = jnp.asarray(x, jnp.uint32)
    rounds_of_all = (pivots, round_keys)
    return lax.scan(swap_or_not, start, rounds_of_all, reverse=reverse)[0].astype(jnp.int32)


def _key_data(key):
    is_typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(key) if is_typed else key


def _digest(words, salt: int):
    """One word from many; keys that differ in a word, or epochs of one key, have different ones."""
    return functools.reduce(lambda digest, word: _hash(digest ^ word), words, jnp.uint32(salt))


def _hash(x):
    """The finaliser of MurmurHash3 (Appleby 2011): every bit of x reaches every bit."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


class Plan(NamedTuple):
    """How the positions of an epoch are cut: chunks of steps of batches, and a rest. All static.

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
    def rows(self) -> int:
        """Rows of one chunk."""
        return self.steps * self.batch_size

    @property
    def rests(self) -> list[tuple[int, int, int]]:
        """What the chunks leave over, as (first position, steps, batch size): steps that fill no
        chunk, then the examples that fill no batch."""
        first = self.rows * self.chunks
        steps, last = divmod(self.num_examples - first, self.batch_size)
        rests = [(first, steps, self.batch_size), (self.num_examples - last, 1, last)]
        return [rest for rest in rests if rest[1] * rest[2]]


def plan(num_examples: int, batch_size: int, bytes_per_example: int) -> Plan:
    """Cut an epoch into chunks of about `CHUNK_BYTES`, with no steps left over if numbers allow it.

    Args:
      num_examples: N.
      batch_size: B, at most N.
      bytes_per_example: size of one example in `data`.

    Returns:
      The plan of an epoch.

    >>> plan(100_000, 1, 400)
    Plan(num_examples=100000, batch_size=1, steps=2500, chunks=40)
    >>> plan(10, 4, 400).rests
    [(8, 1, 2)]
    """
    full_steps = num_examples // batch_size
    rows = min(MAX_CHUNK_ROWS, max(CHUNK_BYTES // max(bytes_per_example, 1), 1))
    most_steps = min(rows // batch_size, full_steps)
    if most_steps < FEWEST_CHUNK_STEPS:
        return Plan(num_examples, batch_size, 1, full_steps)
    fewest = -(-full_steps // most_steps)
    divisors = (c for c in range(fewest, min(2 * fewest, full_steps) + 1) if full_steps % c == 0)
    chunks = next(divisors, full_steps // most_steps)
    return Plan(num_examples, batch_size, min(full_steps // chunks, most_steps), chunks)

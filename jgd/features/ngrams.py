"""Texts as the numbers of the buckets that their n-grams fall into."""

import functools
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgd.features.texts import as_texts, check_count, padded, words_of
from jgd.tree import is_whole

MOST_BUCKETS = 2**31 - 1  # ids are int32
CHUNK = 2**16  # characters or words at once, so that what is computed of them stays in the cache
BASE = 0xD1342543DE82EF95  # of the polynomial: odd and without a pattern
GOLDEN = 0x9E3779B97F4A7C15  # 2⁶⁴ / golden ratio: keeps the lengths apart


class NGrams(NamedTuple):
    """Statistics of the training part.

    Attributes:
      length: L, ids of a text.
    """

    length: int


def hashing(
    texts: Any,
    buckets: int = 2**14,
    ngrams: tuple[int, int] = (3, 5),
    unit: str = "character",
    length: int | None = None,
) -> tuple[Callable[[Any], jax.Array], NGrams]:
    """Bucket of each n-gram of a text: `hash(n-gram) * buckets // 2³²`, for a hash of 32 bits.

    No vocabulary is kept, so that nothing is unseen: misspelt and new words share n-grams with those
    that they look like. n-grams that share a bucket share their weights; of K different ones about
    K² / (2 buckets) pairs do. The hash is the same on every machine, in every process and Python.

    Args:
      texts: N of str, the training part: a list, an array, a column of a table.
      buckets: whole number from 1 to 2³¹ - 1: ids are 0 to buckets - 1.
      ngrams: (shortest, longest), whole numbers >= 1: how many units make an n-gram.
      unit: "character": the text in lower case, a space before and after it, so that beginning and end
        have n-grams of their own. "word": its words in lower case, as `tokenize` has them.
      length: L, ids of a text, whole number >= 1; longer texts are cut at their end. None: those of the
        longest training text. Where a single one is much longer than others, give a length.

    Returns:
      The transform, a function on the host of N texts to int32 ids [N, L], padded with -1, and the
      statistics. The ids of a text are ordered by where the n-gram begins, the shorter first.

    Raises:
      ValueError: texts is a single str, holds something else than str, or nothing; no text is long
        enough for an n-gram; another argument is not what is said above. The transform: likewise of its
        texts; those too short for an n-gram are all -1.

    >>> transform, statistics = hashing(["Anna", "Joanna"], buckets=1000, ngrams=(3, 3))
    >>> statistics
    NGrams(length=6)
    >>> transform(["Anna", "Joanna"]).tolist()  # both end in "ann", "nna", "na "
    [[313, 876, 768, 425, -1, -1], [966, 770, 393, 876, 768, 425]]

    Source: Weinberger, Dasgupta, Langford, Smola and Attenberg (2009), Feature Hashing for Large Scale
    Multitask Learning, ICML; Karp and Rabin (1987) for the hash; Steele, Lea and Flood (2014), Fast
    Splittable Pseudorandom Number Generators, figure 16, for its mixing.
    """
    found = as_texts(texts)
    check_count("buckets", buckets)
    if buckets > MOST_BUCKETS:
        raise ValueError(
            f"buckets is {buckets:,}, but at most {MOST_BUCKETS:,} are wanted: ids are int32."
        )
    shortest, longest = _checked_ngrams(ngrams)
    if unit not in ("character", "word"):
        raise ValueError(f'unit is {unit!r}, but "character" or "word" is wanted.')
    if length is not None:
        check_count("length", length)
    counts = _counts([len(_units(text, unit)) for text in found], shortest, longest)
    if not counts.any():
        raise ValueError(
            f"texts hold no n-gram of {shortest} {unit}s or more: all of them are shorter. Lower the "
            f"shortest of ngrams={ngrams!r}."
        )
    statistics = NGrams(int(length or counts.max()))
    return functools.partial(_hash, statistics, int(buckets), (shortest, longest), unit), statistics


def _hash(statistics: NGrams, buckets: int, ngrams: tuple[int, int], unit: str, texts) -> jax.Array:
    rows = []
    for chunk in _chunks([_units(text, unit) for text in as_texts(texts)]):
        sizes = np.array([len(units) for units in chunk])
        hashes = _hashes(_codes(chunk, unit), sizes, *ngrams)
        ids = ((hashes >> 32) * buckets) >> 32  # the upper half will do, and does not overflow
        rows.append(padded(ids, _counts(sizes, *ngrams), statistics.length))
    return jnp.asarray(np.concatenate(rows))


def _checked_ngrams(ngrams) -> tuple[int, int]:
    try:
        shortest, longest = ngrams
        if not (is_whole(shortest) and is_whole(longest) and 1 <= shortest <= longest):
            raise ValueError
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"ngrams is {ngrams!r}, but (shortest, longest) is wanted, whole numbers with "
            "1 <= shortest <= longest. For a single length n: (n, n)."
        ) from error
    return int(shortest), int(longest)


def _units(text: str, unit: str) -> str | list[str]:
    return f" {text.lower()} " if unit == "character" else words_of(text)


def _codes(chunk: list, unit: str) -> np.ndarray:
    """A number for each unit of the texts, one text after the other."""
    if unit == "character":
        points = "".join(chunk).encode("utf-32-le", "surrogatepass")
        return np.frombuffer(points, "<u4").astype(np.uint64)
    crcs = [zlib.crc32(word.encode("utf-8", "surrogatepass")) for words in chunk for word in words]
    return np.array(crcs, np.uint64)


def _counts(sizes, shortest: int, longest: int) -> np.ndarray:
    """How many n-grams texts of these sizes have: `sum_n max(size - n + 1, 0)`."""
    sizes = np.asarray(sizes)
    fitting = np.clip(sizes - shortest + 1, 0, longest - shortest + 1)  # lengths n that fit in
    return fitting * (sizes - shortest + 1) - fitting * (fitting - 1) // 2


def _chunks(texts: list) -> Iterator[list]:
    chunk: list = []
    total = 0
    for units in texts:
        if chunk and total + len(units) > CHUNK:
            yield chunk
            chunk, total = [], 0
        chunk.append(units)
        total += len(units)
    yield chunk


def _hashes(codes: np.ndarray, sizes: np.ndarray, shortest: int, longest: int) -> np.ndarray:
    """64 bits for each n-gram: of all that begin at a unit, the shorter first, then of the next unit."""
    lengths = np.arange(shortest, min(longest, sizes.max()) + 1)
    found = np.empty((len(codes), len(lengths)), np.uint64)
    sums = np.zeros(len(codes), np.uint64)
    for n in range(1, shortest + len(lengths)):
        sums *= BASE
        # At the end sums lack units; no n-gram of that length begins there.
        sums[: max(len(codes) - n + 1, 0)] += codes[n - 1 :]
        if n >= shortest:
            found[:, n - shortest] = _mixed(sums + (n * GOLDEN) % 2**64)
    room = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(codes))  # units up to the end of the text
    return found[room[:, None] >= lengths]


def _mixed(x: np.ndarray) -> np.ndarray:
    """Every bit of the result depends on every bit of x."""
    x ^= x >> 30
    x *= 0xBF58476D1CE4E5B9
    x ^= x >> 27
    x *= 0x94D049BB133111EB
    x ^= x >> 31
    return x

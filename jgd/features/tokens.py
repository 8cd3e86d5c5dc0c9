"""Texts as the numbers of their words."""

import functools
import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgd.features.texts import as_texts, check_count, padded, words_of


class Vocabulary(NamedTuple):
    """Statistics of the training part.

    Attributes:
      words: the word of id i is `words[i]`: by falling frequency, equally frequent ones by alphabet.
      length: L, ids of a text.
    """

    words: tuple[str, ...]
    length: int


def tokenize(
    texts: Any, length: int | None = None, min_count: int = 1
) -> tuple[Callable[[Any], jax.Array], Vocabulary]:
    """Ids of the words of each text: `ids[n, l] = i` where its l-th known word is `words[i]`.

    Words are runs of letters, digits and underscores, in lower case. Those that are not in the
    vocabulary are left out and the rest moves up, so that -1 stands at the end of a text alone.

    Args:
      texts: N of str, the training part: a list, an array, a column of a table.
      length: L, ids of a text, whole number >= 1; longer texts are cut. None: those of the longest
        training text.
      min_count: whole number >= 1: how often a word occurs in the training part to be in the vocabulary.

    Returns:
      The transform, a function on the host of N texts to int32 ids [N, L], padded with -1, and the
      statistics.

    Raises:
      ValueError: texts is a single str, holds something else than str, or nothing; length or min_count
        is not a whole number >= 1; no word is that frequent. The transform: likewise of its texts.

    >>> transform, vocabulary = tokenize(["The cat sat.", "The cat: the end"])
    >>> vocabulary
    Vocabulary(words=('the', 'cat', 'end', 'sat'), length=4)
    >>> transform(["The black cat", ""]).tolist()
    [[0, 1, -1, -1], [-1, -1, -1, -1]]

    Source: Manning, Raghavan and Schütze (2008), Introduction to Information Retrieval, section 2.2.
    """
    found = [words_of(text) for text in as_texts(texts)]
    if length is not None:
        check_count("length", length)
    check_count("min_count", min_count)
    counts = Counter(itertools.chain.from_iterable(found))
    kept = {word: number for word, number in counts.items() if number >= min_count}
    if not kept:
        raise ValueError(
            f"min_count is {min_count}, but the most frequent word occurs "
            f"{max(counts.values(), default=0)} times in texts, so no word is left. Lower min_count, or "
            "see whether the texts hold words."
        )
    ordered = tuple(sorted(kept, key=lambda word: (-kept[word], word)))
    longest = max(sum(word in kept for word in words) for words in found)
    vocabulary = Vocabulary(ordered, int(length or longest))
    return functools.partial(_tokenize, vocabulary), vocabulary


def _tokenize(vocabulary: Vocabulary, texts) -> jax.Array:
    number_of = {word: number for number, word in enumerate(vocabulary.words)}
    ids = [[number_of[word] for word in words_of(text) if word in number_of] for text in as_texts(texts)]
    flat = np.array(list(itertools.chain.from_iterable(ids)), np.int32)
    return jnp.asarray(padded(flat, [len(numbers) for numbers in ids], vocabulary.length))

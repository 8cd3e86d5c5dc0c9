"""What is done with texts before they become numbers."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jgd.tree import is_whole

WORD = re.compile(r"\w+")
PADDING = -1  # the id of no word, at the end of a text


def as_texts(texts: Any) -> list[str]:
    """The texts as a list; ValueError where they are none."""
    dimensions = getattr(texts, "ndim", 1)
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise ValueError(
            f"texts is a single {type(texts).__name__}, {texts!r:.60}, but a sequence of str is wanted. "
            "Of a single text make a list: [text]."
        )
    if dimensions != 1:  # of a table one would get the names of its columns
        raise ValueError(
            f"texts is a {type(texts).__name__} of {dimensions} dimensions, but a sequence of str is "
            "wanted. Choose one column of it."
        )
    found = list(texts)
    if not found:
        raise ValueError("texts is empty, but at least one text is wanted. Is a filter too strict?")
    for position, text in enumerate(found):
        if not isinstance(text, str):
            raise ValueError(
                f"texts holds {text!r:.60} of type {type(text).__name__} at position {position}, but "
                'str is wanted. Put "" in the place of a missing text, and make others text: str(value).'
            )
    return found


def words_of(text: str) -> list[str]:
    """The words of a text in lower case: letters, digits and underscores without a break."""
    return WORD.findall(text.lower())


def check_count(name: str, number: Any) -> None:
    """ValueError unless it is a whole number >= 1."""
    if not is_whole(number) or number < 1:
        raise ValueError(
            f"{name} is {number!r}, but a whole number >= 1 is wanted. It shapes the result, so it is a "
            "Python int, not an array."
        )


def padded(ids: np.ndarray, counts: Sequence[int] | np.ndarray, length: int) -> np.ndarray:
    """Ids of one text after the other, `counts` of them each, as int32 [N, length] padded with -1."""
    counts = np.asarray(counts)
    kept = np.minimum(counts, length)
    if np.any(kept < counts):
        place = np.arange(len(ids)) - np.repeat(np.cumsum(counts) - counts, counts)
        ids = ids[place < length]
    result = np.full((len(counts), length), PADDING, np.int32)
    result[np.arange(length) < kept[:, None]] = ids
    return result

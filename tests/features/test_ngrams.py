"""Hashed n-grams against n-grams that are cut out one by one."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn.feature_extraction.text import HashingVectorizer

from jgd import features
from jgd.features import ngrams as module

TEXTS = ["Anna", "", "the cat", "a", "Ünïcode 😀 text", "the cat sat on the mat", "x" * 50, "\0\ud800b"]


def cut_out(text, unit, shortest, longest):
    """All n-grams, by where they begin."""
    units = f" {text.lower()} " if unit == "character" else text.lower().split()
    places = [(start, n) for start in range(len(units)) for n in range(shortest, longest + 1)]
    return [tuple(units[start : start + n]) for start, n in places if start + n <= len(units)]


def splitmix_of(gram, buckets):
    """The hash in Python's whole numbers: polynomial, length, the mixing of SplitMix64, bucket."""
    x = 0
    for unit in gram:
        code = ord(unit) if len(unit) == 1 else zlib.crc32(unit.encode())
        x = (x * 0xD1342543DE82EF95 + code) % 2**64
    x = (x + len(gram) * 0x9E3779B97F4A7C15) % 2**64
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
    return ((x ^ x >> 31) >> 32) * buckets >> 32


@pytest.mark.parametrize("ngrams", [(1, 1), (1, 3), (3, 5), (2, 40), (5, 10**9)])
@pytest.mark.parametrize("buckets", [1, 1000, 2**14, 2**31 - 1])
def test_every_ngram_of_characters_is_there_in_order(ngrams, buckets):
    transform, statistics = features.hashing(TEXTS, buckets, ngrams)
    wanted = [cut_out(text, "character", ngrams[0], min(ngrams[1], 60)) for text in TEXTS]
    assert statistics == features.NGrams(max(map(len, wanted)))
    ids = transform(TEXTS)
    assert isinstance(ids, jax.Array)
    assert ids.dtype == jnp.int32
    assert ids.shape == (len(TEXTS), statistics.length)
    for row, grams in zip(ids.tolist(), wanted, strict=True):
        hashes = [splitmix_of(gram, buckets) for gram in grams]
        assert row == hashes + [-1] * (len(row) - len(hashes))


@pytest.mark.parametrize("ngrams", [(1, 1), (1, 2), (2, 3)])
def test_every_ngram_of_words_is_there_in_order(ngrams):
    texts = ["the cat sat on the mat", "the CAT", "", "cat", "naïve words here"]
    ids = features.hashing(texts, 10_000, ngrams, unit="word")[0](texts)
    for row, text in zip(ids.tolist(), texts, strict=True):
        hashes = [splitmix_of(gram, 10_000) for gram in cut_out(text, "word", *ngrams)]
        assert row == hashes + [-1] * (len(row) - len(hashes))


def test_as_many_ngrams_as_scikit_learn_finds():
    texts = [text for text in TEXTS if "\0" not in text]
    for unit, analyzer, ngrams in (("character", "char", (3, 5)), ("word", "word", (1, 2))):
        other = HashingVectorizer(
            analyzer=analyzer, ngram_range=ngrams, norm=None, alternate_sign=False, token_pattern=r"\w+"
        )
        ends = " " if unit == "character" else ""
        wanted = other.transform([ends + text + ends for text in texts]).sum(axis=1)
        if unit == "character":  # it takes several spaces for one
            wanted[1] = 0
        ids = features.hashing(texts, ngrams=ngrams, unit=unit)[0](texts)
        np.testing.assert_array_equal((ids >= 0).sum(axis=1), np.ravel(wanted))


def test_longer_texts_are_cut_at_their_end():
    whole = features.hashing(TEXTS)[0](TEXTS)
    for length in (1, 5, 1000):
        transform, statistics = features.hashing(TEXTS, length=length)
        assert statistics.length == length
        ids = transform(TEXTS)
        shared = min(length, whole.shape[1])
        np.testing.assert_array_equal(ids[:, :shared], whole[:, :shared])
        assert (ids[:, shared:] == -1).all()


def test_beginning_and_end_have_ngrams_of_their_own():
    transform, _ = features.hashing(["joanna"], ngrams=(3, 3))
    anna, joanna, ann = (set(row) - {-1} for row in transform(["anna", "joanna", "ann"]).tolist())
    assert len(anna & joanna) == 3  # "ann", "nna", "na "
    assert len(anna & ann) == 2  # " an", "ann"
    assert len(joanna & ann) == 1


def test_texts_are_hashed_alike_whatever_stands_beside_them(monkeypatch):
    texts = [f"text number {n} of many" for n in range(50)]
    transform, _ = features.hashing(texts)
    wanted = transform(texts)
    np.testing.assert_array_equal(jnp.concatenate([transform([text]) for text in texts]), wanted)
    for chunk in (1, 40, 100):
        monkeypatch.setattr(module, "CHUNK", chunk)
        np.testing.assert_array_equal(transform(texts), wanted)


def test_the_hash_is_the_same_everywhere():
    characters = features.hashing(["a cat"], ngrams=(2, 2))[0](["a cat"])
    assert characters.tolist() == [[10825, 9525, 6556, 3426, 4187, 15196]]
    words = features.hashing(["a cat"], ngrams=(1, 2), unit="word")[0](["a cat"])
    assert words.tolist() == [[2831, 7909, 1326]]


@pytest.mark.parametrize("buckets", [7, 1000, 2**14])
@pytest.mark.parametrize("unit", ["character", "word"])
def test_buckets_are_evenly_used(buckets, unit):
    """Chi-square of different n-grams, which are alike: numbers in decimal."""
    texts = [str(n) for n in range(100_000, 200_000)]
    ngrams = (8, 8) if unit == "character" else (1, 1)
    ids = np.asarray(features.hashing(texts, buckets, ngrams, unit)[0](texts)).ravel()
    assert stats.chisquare(np.bincount(ids, minlength=buckets)).pvalue > 1e-3
    # Also in their sequence: neighbours are independent.
    pairs = np.bincount(ids[:-1] % 7 * 7 + ids[1:] % 7, minlength=49).reshape(7, 7)
    assert stats.chi2_contingency(pairs).pvalue > 1e-3


def test_ngrams_of_different_lengths_are_kept_apart():
    ids = features.hashing(["\0\0\0\0"], 2**31 - 1, (1, 4))[0](["\0\0\0\0"])
    assert len(set(ids[0].tolist())) == 2 + 3 + 3 + 3


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"buckets": 0}, r"^buckets is 0, but a whole number >= 1"),
        ({"buckets": 1e4}, r"^buckets is 10000.0, but a whole number"),
        ({"buckets": 2**31}, r"^buckets is 2,147,483,648, but at most 2,147,483,647"),
        ({"ngrams": 3}, r"^ngrams is 3, but \(shortest, longest\).*\(n, n\)"),
        ({"ngrams": (3,)}, r"^ngrams is \(3,\)"),
        ({"ngrams": (5, 3)}, r"^ngrams is \(5, 3\)"),
        ({"ngrams": (0, 3)}, r"^ngrams is \(0, 3\)"),
        ({"ngrams": (1.0, 3)}, r"^ngrams is \(1.0, 3\)"),
        ({"ngrams": "ab"}, r"^ngrams is 'ab'"),
        ({"ngrams": None}, r"^ngrams is None"),
        ({"unit": "byte"}, r"^unit is 'byte', but \"character\" or \"word\""),
        (
            {"ngrams": (100, 100)},
            r"^texts hold no n-gram of 100 characters or more.*ngrams=\(100, 100\)",
        ),
        ({"ngrams": (10, 12), "unit": "word"}, r"^texts hold no n-gram of 10 words"),
    ],
)
def test_arguments_that_are_none_are_an_error(arguments, wanted):
    with pytest.raises(ValueError, match=wanted):
        features.hashing(TEXTS, **arguments)

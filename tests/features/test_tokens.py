"""Words of texts against scikit-learn, and what is wanted of texts, also by `hashing`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from jgd import features

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "the dog, the DOG: 42 dogs!",
    "",
    "Überraschung — ein naïve_name, ein Café; ein Fuchs",
    "... !",
]


def random_texts(num_texts, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(f"w{n}" for n in rng.geometric(0.1, rng.integers(0, 30))) for _ in range(num_texts)]


@pytest.mark.parametrize("texts", [TEXTS, random_texts(200)])
def test_words_are_counted_as_scikit_learn_counts_them(texts):
    counts = CountVectorizer(token_pattern=r"\w+").fit(texts)
    transform, vocabulary = features.tokenize(texts)
    assert set(vocabulary.words) == set(counts.vocabulary_)
    ids = transform(texts)
    assert isinstance(ids, jax.Array)
    assert ids.dtype == jnp.int32
    came = np.stack(
        [np.bincount(row[row >= 0], minlength=len(vocabulary.words)) for row in np.asarray(ids)]
    )
    wanted = counts.transform(texts).toarray()[
        :, [counts.vocabulary_[word] for word in vocabulary.words]
    ]
    np.testing.assert_array_equal(came, wanted)
    # By falling frequency, then by alphabet.
    totals = wanted.sum(axis=0).tolist()
    order = [(-total, word) for total, word in zip(totals, vocabulary.words, strict=True)]
    assert order == sorted(order)
    assert vocabulary.length == wanted.sum(axis=1).max()


def test_the_words_stand_in_their_order():
    transform, vocabulary = features.tokenize(TEXTS)
    for text, row in zip(TEXTS[:2], np.asarray(transform(TEXTS[:2])), strict=True):
        came = [vocabulary.words[number] for number in row[row >= 0]]
        assert " ".join(came) == "".join(c for c in text.lower() if c not in ".,:!")


def test_unknown_words_are_left_out_and_the_rest_moves_up():
    transform, vocabulary = features.tokenize(["b a b", "a b"])
    assert vocabulary == features.Vocabulary(("b", "a"), 3)
    assert transform(["x a x x b", "x", "", "a"]).tolist() == [
        [1, 0, -1],
        [-1] * 3,
        [-1] * 3,
        [1, -1, -1],
    ]
    ids = np.asarray(transform(random_texts(20) + TEXTS))
    assert (np.diff((ids < 0).astype(int), axis=1) >= 0).all()


@pytest.mark.parametrize(("length", "wanted"), [(1, [[0], [1]]), (2, [[0, 1], [1, 0]]), (None, None)])
def test_longer_texts_are_cut(length, wanted):
    transform, vocabulary = features.tokenize(["b a b", "a b"], length)
    assert vocabulary.length == (length or 3)
    assert transform(["b a b", "a b"]).tolist() == (wanted or [[0, 1, 0], [1, 0, -1]])
    # Known words are what is counted: the unknown ones before them take no place.
    assert transform(["x y z a b b b"]).tolist()[0] == [1, 0, 0][: length or 3]


def test_rare_words_are_no_part_of_the_vocabulary():
    texts = ["a b c", "a b", "a"]
    for min_count, words in ((1, "abc"), (2, "ab"), (3, "a")):
        transform, vocabulary = features.tokenize(texts, min_count=min_count)
        assert vocabulary == features.Vocabulary(tuple(words), len(words))
        assert transform(["c b a"]).shape == (1, len(words))
    with pytest.raises(ValueError, match=r"^min_count is 4, .*occurs 3 times.*Lower"):
        features.tokenize(texts, min_count=4)
    with pytest.raises(ValueError, match=r"^min_count is 1, .*occurs 0 times.*hold words"):
        features.tokenize(["", "!?"])


FITS = [features.tokenize, features.hashing]


@pytest.mark.parametrize("fit", FITS)
def test_texts_are_anything_iterable_of_str(fit):
    wanted = fit(TEXTS)[0](TEXTS)
    array = np.array(TEXTS)
    for make in (
        tuple,
        iter,
        np.array,
        lambda texts: array.astype(object),
        dict.fromkeys,
        lambda t: list(array),
    ):
        np.testing.assert_array_equal(fit(make(TEXTS))[0](make(TEXTS)), wanted)
    pandas = pytest.importorskip("pandas")
    np.testing.assert_array_equal(fit(pandas.Series(TEXTS))[0](pandas.Series(TEXTS)), wanted)
    with pytest.raises(ValueError, match=r"^texts is a DataFrame of 2 dimensions.*one column"):
        fit(pandas.DataFrame({"text": TEXTS}))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        ("a text", r"^texts is a single str, 'a text', but a sequence.*\[text\]"),
        (np.str_("a text"), r"^texts is a single str_"),
        (b"a text", r"^texts is a single bytes"),
        (7, r"^texts is a single int, 7,"),
        (None, r"^texts is a single NoneType"),
        (np.array("a text"), r"^texts is a ndarray of 0 dimensions"),
        (np.array([["a", "b"]]), r"^texts is a ndarray of 2 dimensions"),
        ([], r"^texts is empty, but at least one"),
        (np.array([], str), r"^texts is empty"),
        (["a", "b", None], r"^texts holds None of type NoneType at position 2, .*\"\""),
        (["a", float("nan")], r"^texts holds nan of type float at position 1"),
        ([1, "a"], r"^texts holds 1 of type int at position 0"),
        ([["a", "b"]], r"^texts holds \['a', 'b'\] of type list at position 0"),
        ([b"a"], r"^texts holds b'a' of type bytes at position 0"),
        (np.ones(3), r"^texts holds np.float64\(1.0\) of type float64 at position 0"),
    ],
)
def test_what_is_no_sequence_of_texts_is_an_error(fit, texts, wanted):
    transform, _ = fit(TEXTS)
    for function in (fit, transform):
        with pytest.raises(ValueError, match=wanted):
            function(texts)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("number", [0, -1, 2.0, True, "3", np.array([1, 2])])
def test_a_length_that_is_none_is_an_error(fit, number):
    with pytest.raises(ValueError, match=r"^length is .*, but a whole number >= 1"):
        fit(TEXTS, length=number)
    with pytest.raises(ValueError, match=r"^min_count is .*, but a whole number >= 1"):
        features.tokenize(TEXTS, min_count=number)


@pytest.mark.parametrize("fit", FITS)
def test_a_length_of_numpy_is_a_length(fit):
    transform, statistics = fit(TEXTS, length=np.int64(4))
    assert type(statistics.length) is int
    assert transform(TEXTS).shape == (5, 4)

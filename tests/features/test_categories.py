"""One-hot columns against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import OneHotEncoder

from jgd import features
from tests.problems import x64

pytestmark = pytest.mark.exhaustive

RNG = np.random.default_rng(0)
NUMBERS, OTHERS = RNG.integers(-3, 4, size=(30, 3)), RNG.integers(-5, 6, size=(30, 3))
TEXT = RNG.choice(["red", "green", "Blau", "äöü", ""], size=(30, 3))
WORDS = RNG.choice(["red", "green", "Blau", "unseen", "äöü"], size=(30, 3))


@pytest.mark.parametrize(
    ("x", "others"),
    [
        (NUMBERS, OTHERS),
        (NUMBERS.astype(np.uint8), OTHERS.astype(np.uint8)),
        (NUMBERS / 10, OTHERS / 10),
        (NUMBERS > 0, OTHERS > 0),
        (NUMBERS.tolist(), OTHERS.tolist()),
        (NUMBERS.astype(object), OTHERS.astype(object)),
        (jnp.asarray(NUMBERS), jnp.asarray(OTHERS)),
        (TEXT, WORDS),
        (TEXT.astype(object), WORDS.astype(object)),
        (TEXT.tolist(), WORDS.tolist()),
    ],
)
def test_one_hot_is_that_of_scikit_learn(x, others):
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(np.asarray(x))
    transform, categories = features.one_hot(x)
    wanted = np.concatenate(encoder.categories_)
    came = np.asarray(categories.values, np.float32 if wanted.dtype == float else wanted.dtype)
    np.testing.assert_array_equal(came, wanted.astype(came.dtype))
    assert np.bincount(categories.columns).tolist() == [len(values) for values in encoder.categories_]
    for rows in (x, others):
        came = transform(rows)
        assert isinstance(came, jax.Array)
        assert came.dtype == jnp.float32
        np.testing.assert_array_equal(came, encoder.transform(np.asarray(rows)))


@pytest.mark.parametrize("x", [NUMBERS[:, 0], TEXT[:, 0], TEXT[:, 0].tolist(), NUMBERS[:, 0].tolist()])
def test_a_single_column_needs_no_second_axis(x):
    transform, categories = features.one_hot(x)
    table, same = features.one_hot(np.asarray(x)[:, None])
    np.testing.assert_array_equal(transform(x), table(np.asarray(x)[:, None]))
    np.testing.assert_array_equal(transform(x[3]), transform(x)[3])
    assert np.asarray(categories.columns).tolist() == [0] * len(same.values)


def test_the_transform_of_numbers_is_traceable():
    x = jnp.asarray(NUMBERS)
    transform, statistics = features.one_hot(x)
    wanted = transform(x)
    assert len(jax.tree.leaves(transform)) == len(statistics)
    np.testing.assert_array_equal(jax.jit(lambda transform, x: transform(x))(transform, x), wanted)
    np.testing.assert_array_equal(jax.vmap(transform)(x), wanted)
    np.testing.assert_array_equal(jax.jit(lambda: transform(NUMBERS))(), wanted)
    np.testing.assert_array_equal(transform(x.reshape(5, 6, 3)).reshape(30, -1), wanted)
    with pytest.raises(ValueError, match=r"^x is traced, .*outside of jit"):
        jax.jit(lambda x: features.one_hot(x)[0](x))(x)


@pytest.mark.parametrize("missing", [None, np.nan, float("nan"), np.float32("nan")])
def test_what_is_missing_or_unseen_is_0_in_its_block_and_is_counted(missing):
    transform, categories = features.one_hot([["a", 1.0], [missing, 2.0], ["b", missing]])
    assert categories.values == ("a", "b", 1.0, 2.0)
    came = transform([["b", 2], [missing, 1], ["c", missing], ["a", 7]])
    assert came.tolist() == [[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert (came.sum(axis=1) < 2).tolist() == [False, True, True, True]
    transform, categories = features.one_hot([3.0, missing, 1.0])
    assert categories.values.tolist() == [1.0, 3.0]
    assert transform([missing, 3, 2, 1]).tolist() == [[0, 0], [0, 1], [0, 0], [1, 0]]
    assert (
        jax.jit(transform)(jnp.array([np.nan, 3, 2, 1])).tolist()
        == transform([missing, 3, 2, 1]).tolist()
    )


def test_columns_of_pandas():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"colour": ["red", None, "blue"], "size": [1, 3, 2]})
    table["kind"] = table["colour"].astype("category")
    table["number"] = pandas.array([1, None, 2], dtype="Int64")
    table["word"] = pandas.array(["x", None, "y"], dtype="string")
    transform, categories = features.one_hot(table)
    assert categories.values == ("blue", "red", 1, 2, 3, "blue", "red", 1, 2, "x", "y")
    wanted = np.hstack([np.asarray(pandas.get_dummies(table[name].astype(object))) for name in table])
    np.testing.assert_array_equal(transform(table), wanted)
    for name in table:
        came = features.one_hot(table[name])[0](table[name])
        np.testing.assert_array_equal(came, pandas.get_dummies(table[name].astype(object)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_floats_of_every_length_know_each_other(dtype):
    values = jnp.array([0.1, 0.5, 0.3], dtype)
    transform, _ = features.one_hot(values)
    for x in (values, values.astype(jnp.float32), np.asarray(values), np.asarray(values, np.float64)):
        np.testing.assert_array_equal(transform(x), np.eye(3)[[0, 2, 1]])


def test_float64():
    with x64():
        values = np.array([1.0, 1.0 + 1e-12, 2.0**40 + 1])
        for x in (values, jnp.asarray(values)):
            came = features.one_hot(x)[0](x)
            assert came.dtype == jnp.float64
            np.testing.assert_array_equal(came, np.eye(3))


def test_whole_numbers_too_large_for_jax_are_unseen_or_an_error():
    transform, _ = features.one_hot(np.array([1, 2**31 - 1, 2**24, 2**24 + 1]))
    far = np.array([2**32 + 1, 2**40, 2**24 + 1, 1])  # wrapped around the first would be 1
    for x in (far, far.astype(float), far.astype(np.uint64), far.tolist(), far.astype(object)):
        assert transform(x).sum(axis=1).tolist() == [0, 0, 1, 1]
    assert transform(np.array([1.5, np.nan, np.inf, -np.inf])).sum() == 0
    for large in ([1, 2**40], [-(2**31), 1]):
        with pytest.raises(ValueError, match=r"^x holds numbers in column 0 .*int32.*astype\(str\)"):
            features.one_hot(large)
    assert features.one_hot([2**70, 1])[0]([1, 2**70]).tolist() == [[1, 0], [0, 1]]  # as floats


@pytest.mark.parametrize("other", [0.1 + 1e-12, 1e300, np.inf])
def test_floats_that_jax_cannot_tell_apart_are_an_error(other):
    with pytest.raises(ValueError, match=r"^x holds numbers in column 1 .*float32.*astype\(str\)"):
        features.one_hot(np.array([[1.0, 0.1], [2.0, other]]))
    assert features.one_hot([0.1, 0.2])[0](np.array([1e300, 0.2])).tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("x", "wanted"),
    [
        (["a", 1, "b"], r"^x mixes text and numbers in column 0: 'a' in row 0, 1 in row 1\. .*str"),
        ([["a", 1], ["b", "1"]], r"^x mixes text and numbers in column 1: '1' in row 1, 1 in row 0"),
        ([("a",), "b", [1]], r"^x holds \('a',\) of type tuple in row 0 of column 0"),
        ([[1], [2, 3]], r"^x holds \[1\] of type list in row 0"),
        ([b"a", b"b"], r"^x holds b'a' of type bytes"),
        (np.array([b"a"]), r"^x has dtype \|S1, but numbers or text are wanted.*astype\(str\)"),
        (np.array(["2020-01-01"], "M8[D]"), r"^x has dtype datetime64"),
        ([1j], r"^x holds 1j of type complex"),
        ([], r"^x has shape \(0,\), but \[N\] or \[N, D\]"),
        (np.ones((0, 2)), r"^x has shape \(0, 2\)"),
        (np.ones((2, 0)), r"^x has shape \(2, 0\)"),
        (np.ones((2, 2, 2)), r"^x has shape \(2, 2, 2\)"),
        ("red", r"^x has shape \(\), .*list of one"),
        (3.0, r"^x has shape \(\)"),
        (None, r"^x has shape \(\)"),
        ([[1.0, np.nan], [2.0, np.nan]], r"^x holds nothing but missing values in columns \[1\]"),
        ([None, np.nan], r"^x holds nothing but missing values in columns \[0\]"),
        (np.full(3, np.nan), r"^x holds nothing but missing values in columns \[0\]"),
        (np.arange(100_001), r"^one_hot: .* make 100,001 columns, .*measurements.*hashing"),
    ],
)
def test_what_has_no_categories_is_an_error(x, wanted):
    with pytest.raises(ValueError, match=wanted):
        features.one_hot(x)


def test_a_transform_wants_columns_like_those_of_the_training_part():
    text, numbers = features.one_hot(TEXT)[0], features.one_hot(NUMBERS)[0]
    for transform, x in ((text, TEXT), (numbers, NUMBERS)):
        for wrong in (x[:, :2], x[:, 0], x[0, 0]):
            with pytest.raises(ValueError, match=r"^x has shape .* D=3 features"):
                transform(wrong)
    with pytest.raises(ValueError, match=r"^x holds text, but the training part held numbers.*float"):
        numbers(TEXT)
    with pytest.raises(ValueError, match=r"^x holds numbers in column 0, but .* held text there"):
        text(NUMBERS)
    assert text(TEXT[:0]).shape == (0, 15)
    assert numbers(NUMBERS[:0]).shape == (0, 21)

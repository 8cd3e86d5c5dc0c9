"""Schemas and targets through JSON and back."""

import copy
import datetime
import json

import numpy as np
import polars as pl
import pytest

from jgd.tables import TableError, encode, from_json, infer_columns, infer_target, to_json

RNG = np.random.default_rng(0)
FRAME = pl.DataFrame(
    {
        "carat": [*RNG.normal(size=29).tolist(), None],
        "cut": RNG.choice(["Ideal", 'a "b"\n', "äöü", ""], 30),
        "when": [datetime.date(2020, 1, 1 + row) for row in range(30)],
        "y": RNG.normal(size=30),
    }
)
SCHEMA, _ = infer_columns(FRAME, "y")
STORED = to_json(SCHEMA, infer_target(FRAME, "cut"))
DAY, TIME = datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1, 5, 6, 7, 89)


@pytest.mark.parametrize(
    "classes",
    [
        ["a", "ä"],
        [True, False],
        [3, 5],
        [0.0, 1.0],
        [DAY, DAY + datetime.timedelta(1)],
        [TIME, TIME + datetime.timedelta(1)],
    ],
)
def test_what_is_stored_comes_back(classes):
    target = infer_target(pl.DataFrame({"t": classes}), "t", "classification")
    schema, back = from_json(json.loads(json.dumps(to_json(SCHEMA, target))))
    assert schema == SCHEMA
    assert back == target
    assert [type(value) for value in back.classes] == [type(value) for value in target.classes]


def test_a_schema_that_came_back_encodes_the_same():
    schema, _ = from_json(json.loads(json.dumps(STORED)))
    np.testing.assert_array_equal(encode(schema, FRAME)[0], encode(SCHEMA, FRAME)[0])


def test_a_target_may_be_wanting():
    assert from_json(to_json(SCHEMA)) == (SCHEMA, None)


def change(*path, value):
    stored = copy.deepcopy(STORED)
    place = stored
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return stored


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (None, "a dict with the list columns"),
        ([], "a dict with the list columns"),
        ({}, "a dict with the list columns"),
        (change("version", value=2), "version 2, but this jgd reads version 1. Update jgd"),
        (change("columns", value=[]), "no columns"),
        (change("columns", 0, value="x"), r"columns\[0\] lacks name"),
        (change("columns", 1, "values", value=None), r"columns\[1\] lacks values"),
        (change("columns", 1, "values", value=[1]), r"columns\[1\].values is"),
        (change("columns", 0, "kind", value="words"), r"columns\[0\].kind is 'words'"),
        (change("columns", 0, "mean", value=float("nan")), r"columns\[0\].mean is 'nan'"),
        (change("columns", 0, "scale", value=-1), r"columns\[0\].scale is '-1'"),
        (change("columns", 0, "missing", value=1), r"columns\[0\].missing is '1'"),
        (change("target", "task", value="ranking"), "target.task is 'ranking'"),
        (change("target", "classes", value=["a"]), "target.classes is"),
        (change("target", "classes", value=[{"date": "soon"}, "b"]), "target.classes holds"),
        (change("target", "classes", value=[{"color": "red"}, "b"]), "target.classes holds"),
    ],
)
def test_what_is_broken_is_named(stored, words):
    with pytest.raises(TableError, match=words):
        from_json(stored)

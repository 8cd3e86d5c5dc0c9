"""What a notebook shows: short, sound HTML, with the numbers of the result, of whatever leaves."""

import dataclasses
import functools
import html.parser
import logging
import pickle
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgd
from jgd.shown import LINE, LINES, Card, arrays, as_html, as_text, shown_as, sparkline

NAME = "<b>rate</b>"
X = np.random.default_rng(0).normal(size=(40, 3)).astype("f")
DATA = {"x": X, "y": X @ np.array([1.0, -2.0, 0.5], "f")}
OBJECTIVE = jgd.objective(lambda params, example: (example["x"] @ params["<w>"] - example["y"]) ** 2)
PARAMS = {"<w>": jnp.zeros(3)}
KEY = jax.random.key(0)
KINDS = [
    *("fit", "diverged", "none", "batch", "sweep", "static", "best", "cross_validation", "halving"),
    *("hyperband", "multistart", "range_test", "diagnosis", "shapes"),
]


def fit(rate, epochs=5, state=None, **options):
    rule = jgd.sgd(rate)
    return jgd.batch_descent(OBJECTIVE, PARAMS, DATA, rule=rule, epochs=epochs, state=state, **options)


def go_on(config, epochs, state):
    return jgd.minibatch_descent(
        OBJECTIVE, PARAMS, DATA, rule=jgd.sgd(config[NAME]), epochs=epochs, state=state, key=KEY
    )


def sweep(**axes):
    def train(config):
        return fit(config[NAME], config.get("epochs", 5))

    return jgd.sweep(train, jgd.grid(**{NAME: [0.01, 0.1, 100.0], **axes}))


def cross_validation():
    def score(params, held_out):
        return -jgd.value(OBJECTIVE, params, held_out)

    space = jgd.grid(**{NAME: [0.01, 0.1]})
    train = lambda config, weights: fit(config[NAME], weights=weights)  # noqa: E731
    return jgd.cross_validate(train, space, DATA, folds=2, key=KEY, score=score)


@functools.cache
def shown(kind):
    space = jgd.grid(**{NAME: [0.001, 0.01, 0.1]})
    draw = functools.partial(jgd.sample, **{NAME: jgd.log_uniform(1e-3, 0.1)})
    makers = {
        "fit": lambda: fit(0.1, 99, stop=jgd.stop.gradient_norm(1e-2)),
        "diverged": lambda: fit(1e30),
        "none": lambda: fit(0.1, 0),
        "batch": lambda: jax.vmap(fit)(jnp.array([0.01, 0.1, 1e30])),
        "sweep": sweep,
        "static": lambda: sweep(epochs=jgd.static([2, 4])),
        "best": lambda: shown("sweep").best(),
        "cross_validation": cross_validation,
        "halving": lambda: jgd.successive_halving(go_on, space, rungs=(1, 2)),
        "hyperband": lambda: jgd.hyperband(go_on, draw, key=KEY, epochs=3),
        "multistart": lambda: jgd.multistart(
            lambda params: jgd.batch_descent(OBJECTIVE, params, DATA, rule=jgd.sgd(0.1), epochs=50),
            lambda key: {"<w>": jax.random.normal(key, (3,))},
            KEY,
            4,
        ),
        "range_test": lambda: jgd.range_test(OBJECTIVE, PARAMS, DATA, num=8, epochs=1),
        "diagnosis": lambda: jgd.diagnose(OBJECTIVE, PARAMS, DATA, key=KEY),
        "shapes": lambda: jax.eval_shape(fit, 0.1),
    }
    return makers[kind]()


class Balanced(html.parser.HTMLParser):
    """Fails where a tag is not closed in its turn; keeps tags and texts."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], set(), []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        assert tag in {"line", "polyline", "circle", "rect"}

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.parametrize("kind", KINDS)
def test_text_is_short_and_html_is_sound(kind):
    text = repr(shown(kind))
    lines = text.split("\n")
    assert 1 <= len(lines) <= LINES
    assert max(map(len, lines)) <= LINE
    assert "not to be shown" not in text
    page = Balanced(shown(kind)._repr_html_())
    assert not page.tags & {"script", "style", "link", "w"}
    assert len(shown(kind)._repr_html_()) < 10_000
    title, _, head = lines[0].partition(": ")
    assert f"{title} {head}" in "".join(page.texts)


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_escaped(kind):
    text, page = repr(shown(kind)), shown(kind)._repr_html_()
    for name in (NAME, "<w>"):
        assert (name in text) == (name.replace("<", "&lt;").replace(">", "&gt;") in page)
        assert name not in page
    if kind in ("sweep", "static", "best", "halving", "hyperband", "cross_validation"):
        assert NAME in text


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_compiled(kind, caplog):
    found = shown(kind)
    with jax.log_compiles(), caplog.at_level(logging.DEBUG, "jax"):
        jnp.sin(np.float32(1)).block_until_ready()
        caplog.clear()
        repr(found)
        found._repr_html_()
    assert not [record for record in caplog.records if "ompil" in record.getMessage()]


def test_a_fit_is_told_in_its_numbers():
    found = shown("fit")
    text = repr(found)
    last = int(found.epochs) - 1
    assert text.startswith(f"Fit: CONVERGED after {last + 1} of 99 epochs\n")
    assert f"loss: {found.history.loss[0]:.4g} -> {found.history.loss[last]:.4g}\n" in text
    assert f"gradient norm: {found.history.gradient_norm[last]:.4g}\n" in text
    assert text.endswith("params: <w> float32[3] (3 numbers)")
    page = found._repr_html_()
    assert "<title>loss over" in page
    assert len(re.search(r'points="([^"]*)"', page)[1].split()) == last + 1


def test_ends_of_fits():
    assert repr(shown("diverged")).startswith("Fit: DIVERGED in epoch ")
    assert repr(shown("none")) == (
        "Fit: EPOCHS_DONE after 0 of 0 epochs\n  params: <w> float32[3] (3 numbers)"
    )
    assert "a batch of 3: 2 EPOCHS_DONE, 1 DIVERGED" in repr(shown("batch"))
    assert "params of each: <w> float32[3] (3 numbers)" in repr(shown("batch"))


@pytest.mark.parametrize("kind", ["sweep", "static", "cross_validation", "halving"])
def test_the_best_is_first(kind):
    found = shown(kind)
    best = found.best() if callable(found.best) else found.best
    first = next(line for line in repr(found).split("\n") if line.startswith("  number"))
    assert first.startswith(f"  number {best.place}, {NAME} {best.config[NAME]:.4g}")
    assert f"{abs(best.score):.4g}" in first


def test_searches_are_told_in_their_numbers():
    best = shown("hyperband").best
    assert f"best score {best.score:.4g}, of {NAME} {best.config[NAME]:.4g}" in repr(shown("hyperband"))
    starts = shown("multistart")
    assert f"minimum 0, score {starts.scores.max():.4g}, met by 4 starts" in repr(starts)
    found = shown("range_test")
    assert f"take {found.suggestion:.4g}" in repr(found)
    assert f"lowest J: {np.nanmin(found.losses):.4g}, at" in repr(found)
    diagnosis = shown("diagnosis")
    assert f"best {diagnosis.best_learning_rate:.4g}" in repr(diagnosis)
    assert len(re.findall("<li", diagnosis._repr_html_())) == min(len(diagnosis.advice), 6)
    assert repr(jgd.Diagnosis()) == "Diagnosis: 0 params, 0 examples; place: unknown"


def test_inside_of_programs():
    said = []

    def train(rate):
        found = fit(rate)
        said.extend([repr(found), found._repr_html_()])
        return found

    jax.jit(train)(0.1)
    jax.vmap(jax.jit(train))(jnp.array([0.1, 0.2]))
    assert len(said) >= 4
    assert all("not at hand" in text for text in said)
    assert said[0].endswith("params: <w> float32[3] (3 numbers)")
    jax.grad(lambda rate: train(rate).history.loss[-1])(0.1)
    assert said[-2].startswith("Fit: EPOCHS_DONE after 5 of 5 epochs\n  params")


class Hostile:
    """A leaf of which nothing can be asked."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __repr__(self):
        raise RuntimeError("repr")


LEAVES = [
    *(object(), None, "text", b"x", np.nan, -1, 10**400, 1j, True, np.array([]), np.zeros((2, 0))),
    *(np.array("a"), np.array([object()]), np.datetime64("2020-01-01"), Hostile(), (), {}, jnp.zeros(2)),
    *(jax.ShapeDtypeStruct((3,), float), KEY, jnp.zeros(3, jnp.bfloat16), np.full(4, np.inf), fit),
]


def assert_shown(found):
    assert len(repr(found).split("\n")) <= LINES
    Balanced(found._repr_html_())


@pytest.mark.parametrize("kind", ["fit", "batch", "shapes", "best", "range_test", "diagnosis"])
def test_any_leaf_is_survived(kind):
    found = shown(kind)
    leaves, tree = jax.tree.flatten(found)
    for leaf in LEAVES:
        assert_shown(jax.tree.unflatten(tree, [leaf] * len(leaves)))
        for place in range(len(leaves)):
            assert_shown(jax.tree.unflatten(tree, [*leaves[:place], leaf, *leaves[place + 1 :]]))


@pytest.mark.parametrize("kind", ["sweep", "cross_validation", "halving", "multistart"])
def test_searches_survive_the_leaves_of_their_fits(kind):
    found = shown(kind)
    fits = found.groups[0].fits if hasattr(found, "groups") else found.fits
    for leaf in LEAVES:
        spoiled = jax.tree.map(lambda x: leaf, fits)  # noqa: B023
        if hasattr(found, "groups"):
            assert_shown(dataclasses.replace(found, groups=(found.groups[0]._replace(fits=spoiled),)))
        else:
            assert_shown(dataclasses.replace(found, fits=spoiled))


def test_deleted_arrays():
    found = fit(0.1, 2)
    for x in jax.tree.leaves(found):
        x.delete()
    assert "not at hand" in repr(found)
    Balanced(found._repr_html_())


def test_it_is_the_pytree_that_it_was():
    found = shown("fit")
    assert isinstance(found, tuple)
    assert found._fields == ("params", "status", "epochs", "history", "state")
    chex.assert_trees_all_equal(jax.tree.map(lambda x: x, found), found)
    chex.assert_trees_all_equal(jax.jit(lambda x: x)(found), found)
    plain = found._replace(state=None)
    chex.assert_trees_all_equal(pickle.loads(pickle.dumps(plain)), plain)
    assert repr(pickle.loads(pickle.dumps(plain))) == repr(found)
    assert type(found)._replace(found, epochs=3).epochs == 3


def test_many_arrays_are_few_words():
    tree = {f"layer_{number}\n": np.zeros((2, 3)) for number in range(1000)}
    text = arrays(tree)
    assert text.endswith("and 996 more (6,000 numbers)")
    assert "\n" not in text
    assert arrays([]) == "none"
    assert arrays(np.zeros((5, 2)), batch=1) == "float64[2] (2 numbers)"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("values", "points"),
    [
        ([], 0),
        ([1.0], 0),
        ([np.nan, np.nan, 1.0], 0),
        ([1.0, 1.0], 2),
        ([1e308, -1e308, np.inf, 0.0], 3),
        ([5e-324, 1e308], 2),
        (np.linspace(3, 1, 1000), 90),
        (np.array([3, 2, 1], np.int8), 3),
        (jnp.array([3.0, 2.0, 1.0], jnp.bfloat16), 3),
        (np.zeros((2, 2)), 0),
        (None, 0),
    ],
)
def test_curves(values, points):
    with np.errstate(all="raise", under="ignore"):
        svg = sparkline(values, "<t>")
    Balanced(svg)
    found = re.search(r'points="([^"]*)"', svg)
    assert (len(found[1].split()) if found else 0) == points
    for x, y in re.findall(r"(\S+),(\S+)", found[1] if found else ""):
        assert 0 <= float(x) <= 180
        assert 0 <= float(y) <= 40


def test_what_raises_is_not_shown():
    @shown_as(lambda point: 1 / 0)
    class Point:
        pass

    assert repr(Point()) == "Point: not to be shown (ZeroDivisionError)"
    Balanced(Point()._repr_html_())


def test_long_texts_are_cut():
    card = Card("A", "b" * 1000, (("c", "d\ne"),) * 20, ("f",), (("g",),) * 9, notes=("h",))
    assert len(as_text(card).split("\n")) == LINES
    assert max(map(len, as_text(card).split("\n"))) == LINE
    Balanced(as_html(card))

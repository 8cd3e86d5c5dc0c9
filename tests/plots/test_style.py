"""One look of all pictures, which needs no colour, and files that are the same every time."""

import itertools
import re

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

import jgd
from jgd import plots
from jgd.plots.style import COLORS, LINES


def loss(params, example):
    return (params - example) ** 2


def train(config, epochs=4, state=None):
    rule = jgd.sgd(config["learning_rate"])
    data = jnp.array([1.0, 3.0])
    return jgd.batch_descent(
        jgd.objective(loss), jnp.array(0.0), data, rule=rule, epochs=epochs, state=state
    )


def test_settings_are_as_before_after_the_block():
    before = dict(mpl.rcParams)
    with plots.style():
        assert mpl.rcParams["svg.hashsalt"] == "jgd"
        assert dict(mpl.rcParams) != before
    assert dict(mpl.rcParams) == before


def brightness(color):
    """Relative luminance, as WCAG 2 defines it."""
    values = np.asarray(mpl.colors.to_rgb(color))
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_curves_differ_in_color_and_line_style_and_are_seen_on_white():
    assert len(set(COLORS)) == len(set(LINES)) == len(COLORS)
    for color in COLORS:
        assert 1.05 / (brightness(color) + 0.05) > 2, color


def test_lines_that_are_drawn_many_at_a_time_are_not_dashed():
    space = jgd.grid(learning_rate=jnp.logspace(-3, -1, 4))
    with plots.style():
        ax = plots.parallel_coordinates(jgd.sweep(train, space))
        assert {line.get_linestyle() for line in ax.lines if len(line.get_xdata()) > 1} == {"-"}
        ax = plots.halving_brackets(jgd.successive_halving(train, space, rungs=(2, 4)))
        curves = [line for line in ax.lines if line.get_label() != "_rung"]
        assert {line.get_linestyle() for line in curves} == {"-"}


def test_curves_of_one_picture_are_told_apart_in_grey(tmp_path):
    fits = {str(rate): train({"learning_rate": rate}) for rate in (0.01, 0.05, 0.1, 0.2)}
    with plots.style():
        lines = plots.learning_curves(fits).lines
        assert len({str((line.get_linestyle(), line._dash_pattern)) for line in lines}) == 4
    sweep = jgd.sweep(train, jgd.grid(learning_rate=[0.01, 0.1], momentum=[0.0, 0.5, 0.9]))
    with plots.style():
        drawn = plots.final_loss(sweep, "learning_rate").lines[:3]
    for one, other in itertools.combinations(drawn, 2):
        assert one.get_marker() != other.get_marker()


def figure():
    with plots.style():
        fig, ax = plt.subplots()
        ax.plot([1, 2, 3], [1, 4, 2], label="a_$name$_of_<b>")
        ax.fill_between([1, 2], [1, 2], alpha=0.2, hatch="//")
    return fig


def test_files_are_the_same_every_time_and_without_a_date(tmp_path):
    for folder in ("a", "b/c"):
        plots.save(figure(), tmp_path / folder, "curve")
    for kind in ("png", "svg"):
        first, second = ((tmp_path / folder / f"curve.{kind}").read_bytes() for folder in ("a", "b/c"))
        assert first == second
        assert not re.search(rb"(19|20)\d\d-\d\d-\d\d", first)
    assert Image.open(tmp_path / "a/curve.png").size == (810, 540)


def test_text_is_drawn_so_that_no_font_is_wanted(tmp_path):
    plots.save(figure(), tmp_path, "curve")
    assert "<text" not in (tmp_path / "curve.svg").read_text()


@pytest.mark.parametrize("name", ["", "a/b", "..", None])
def test_a_name_of_files_is_a_plain_one(tmp_path, name):
    with pytest.raises(ValueError, match=r"name is .* is wanted"):
        plots.save(plt.figure(), tmp_path, name)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"folder is .*file, which cannot be written to"):
        plots.save(plt.figure(), tmp_path / "file", "curve")


def test_names_of_columns_are_no_mathematics():
    found = jgd.path(
        lambda strength, params: jgd.batch_descent(
            jgd.objective(lambda p, x: jnp.sum((p - x) ** 2), jgd.penalties.l1(strength)),
            *(params, jnp.ones((2, 2))),
            rule=jgd.sgd(0.1),
            epochs=3,
        ),
        jnp.array([1.0, 0.1]),
        jnp.zeros(2),
    )
    ax = plots.coefficient_path(found, names=[r"cost_$\broken$", "$"])
    ax.figure.canvas.draw()  # as mathematics it would not be drawn
    assert jax.tree.leaves(found.params)[0].shape == (2, 2)

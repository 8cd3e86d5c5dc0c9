"""What stands on the pictures of sweeps, against the same descents computed by numpy."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import LogNorm

import jgd
from jgd import plots
from jgd.plots import columns
from tests.plots.helpers import curve, legend

pytestmark = pytest.mark.exhaustive

RATES, MOMENTA = [0.01, 0.1, 0.3, 1e30], [0.0, 0.9]
EPOCHS = 5
NOT_A_SWEEP: object = 1.0


def loss(params, example):
    return (params - example) ** 2


def train(config):
    return jgd.batch_descent(
        jgd.objective(loss),
        config.get("start", jnp.array(0.0)),
        jnp.array([1.0, 3.0]),
        rule=jgd.sgd(config["learning_rate"], momentum=config.get("momentum", 0.0)),
        epochs=EPOCHS,
    )


def final(rate, momentum=0.0, start=0.0):
    """J(p) = (p - 2)² + 1 at the start of the last epoch; infinity where it diverges."""
    params, trace = start, 0.0
    for _ in range(EPOCHS - 1):
        trace = momentum * trace + 2 * (params - 2)
        params -= rate * trace
    return (params - 2) ** 2 + 1 if rate < 1e30 else np.inf


def score(fit):
    return -((fit.params - 1.0) ** 2)


TABLE = np.array([[final(rate, momentum) for momentum in MOMENTA] for rate in RATES])


@pytest.fixture(scope="module")
def found():
    return jgd.sweep(train, jgd.grid(learning_rate=RATES, momentum=MOMENTA))


@pytest.fixture(scope="module")
def of_starts():
    """Six starts for each rate, which are vectors here: they have no place on an axis."""
    starts = jnp.array([[0.0], [1.0], [5.0], [9.0], [1e15], [1e25]])

    def train_start(config):
        return train({**config, "start": config["start"][0]})

    return jgd.sweep(train_start, jgd.grid(learning_rate=RATES[:3], start=starts))


@pytest.fixture(scope="module")
def of_names():
    def train_named(config):
        rate = config["learning_rate"] * {"slow": 0.1, "fast": 1.0}[config["pace"]]
        return train({"learning_rate": rate})

    space = jgd.grid(pace=jgd.static(["slow", "fast"]), learning_rate=[0.0, 0.01, 0.4])
    return jgd.sweep(train_named, space)


@pytest.fixture(scope="module")
def at_random():
    space = jgd.sample(
        jax.random.key(0),
        40,
        learning_rate=jgd.log_uniform(1e-4, 10.0),
        momentum=jgd.uniform(0.0, 0.9),
        start=jgd.uniform(-1.0, 1.0),
    )
    return jgd.sweep(train, space)


def with_fits(sweep, change):
    groups = tuple(group._replace(fits=change(group.fits)) for group in sweep.groups)
    return dataclasses.replace(sweep, groups=groups)


def all_diverged(sweep):
    return with_fits(sweep, lambda f: f._replace(status=jnp.full_like(f.status, jgd.Status.DIVERGED)))


def all_equal(sweep):
    def level(fits):
        losses = jnp.full_like(fits.history.loss, 0.5)
        return fits._replace(history=fits.history._replace(loss=losses), status=fits.status * 0)

    return with_fits(sweep, level)


def first_alone(sweep):
    space = dataclasses.replace(
        sweep.configs, axes={name: axis[np.arange(1)] for name, axis in sweep.configs.axes.items()}
    )
    group = sweep.groups[0]
    fits = jax.tree.map(lambda x: x[:1], group.fits)
    return jgd.Sweep(space, (group._replace(places=np.arange(1), fits=fits),))


def test_final_loss_has_a_line_for_each_combination_of_the_other_axes(found):
    ax = plots.final_loss(found, "learning_rate")
    for momentum, values in zip(("0", "0.9"), TABLE.T, strict=True):
        line = curve(ax, momentum)
        np.testing.assert_allclose(line.get_xdata(), RATES, rtol=1e-6)
        np.testing.assert_allclose(line.get_ydata()[:3], values[:3], rtol=1e-5)
        assert np.isnan(line.get_ydata()[3])
    assert ax.get_legend().get_title().get_text() == "momentum"
    assert legend(ax) == ["0", "0.9", "best", "diverged"]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_final_loss_marks_the_best_and_what_diverged_at_the_edge(found):
    ax = plots.final_loss(found, "learning_rate")
    best = np.unravel_index(np.argmin(TABLE), TABLE.shape)
    ((x, y),) = curve(ax, "best").get_xydata()
    assert (x, y) == pytest.approx((RATES[best[0]], TABLE[best]))
    crosses = curve(ax, "diverged")
    np.testing.assert_allclose(crosses.get_xydata(), [[1e30, 1.0]], rtol=1e-6)
    assert crosses.get_transform() == ax.get_xaxis_transform()


def test_final_loss_of_many_in_one_place_is_a_median_in_which_the_far_ones_count(of_starts):
    ax = plots.final_loss(of_starts, "learning_rate")
    table = [[final(rate, start=start) for start in (0, 1, 5, 9, 1e15, 1e25)] for rate in RATES[:3]]
    np.testing.assert_allclose(curve(ax, "median").get_ydata(), np.median(table, axis=1), rtol=1e-5)
    assert sum(len(line.get_xdata()) for line in ax.lines if line.get_marker() == ".") == 15
    assert curve(ax, "above the frame").get_xdata() == pytest.approx(RATES[:3])
    assert ax.get_ylim()[1] < 1e4


def test_final_loss_over_a_random_sample_is_points_and_medians_of_bins(at_random):
    ax = plots.final_loss(at_random, "learning_rate")
    losses = -at_random.scores()
    points = next(line for line in ax.lines if line.get_marker() == ".")
    assert len(points.get_xdata()) == np.isfinite(losses).sum()
    line = curve(ax, "median")
    lowest = np.argsort(at_random.configs.axes["learning_rate"])[:7]
    assert len(line.get_xdata()) == 40 // 6
    assert line.get_ydata()[0] == pytest.approx(np.median(losses[lowest]))


def test_final_loss_of_many_rates_and_nothing_else_is_a_line_through_all():
    rates = np.logspace(-3, -0.5, 40)
    ax = plots.final_loss(jgd.sweep(train, jgd.grid(learning_rate=rates)), "learning_rate")
    (line,) = (line for line in ax.lines if line.get_label() != "best")
    np.testing.assert_allclose(line.get_xydata(), [(rate, final(rate)) for rate in rates], rtol=1e-5)


def test_final_loss_has_a_line_for_each_combination_even_where_their_names_are_alike():
    space = jgd.grid(learning_rate=RATES[:3], momentum=[0.50001, 0.50002])
    ax = plots.final_loss(jgd.sweep(train, space), "learning_rate")
    assert legend(ax) == ["0.5", "0.5", "best"]
    assert len(ax.lines) == 3


def test_final_loss_draws_scores_where_there_is_a_score(found):
    ax = plots.final_loss(found, "learning_rate", score=score)
    params = np.asarray(found.fits.params)[[0, 2, 4]]
    np.testing.assert_allclose(curve(ax, "0").get_ydata()[:3], -((params - 1) ** 2), rtol=1e-6)
    assert (ax.get_ylabel(), ax.get_yscale()) == ("score", "linear")
    assert curve(ax, "diverged").get_ydata() == 0


def test_names_are_evenly_spaced_and_so_are_powers_with_a_zero(of_names):
    ax = plots.final_loss(of_names, "pace")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["slow", "fast"]
    np.testing.assert_allclose(curve(ax, "0.01").get_xydata(), [[0, final(0.001)], [1, final(0.01)]])
    ax = plots.final_loss(of_names, "learning_rate")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "0.01", "0.4"]


def cells(ax):
    return next(mesh for mesh in ax.collections if mesh.colorbar is not None)


def test_heat_map_holds_the_loss_of_each_cell(found):
    ax = plots.heat_map(found, "learning_rate", "momentum")
    mesh = cells(ax)
    np.testing.assert_allclose(mesh.get_array()[:, :3], TABLE.T[:, :3], rtol=1e-5)
    assert mesh.get_array().mask.tolist() == [[False] * 3 + [True]] * 2
    assert isinstance(mesh.norm, LogNorm)
    np.testing.assert_allclose(
        (mesh.norm.vmin, mesh.norm.vmax), (TABLE.min(), TABLE[:3].max()), rtol=1e-5
    )
    assert mesh.colorbar.ax.get_ylabel() == "final loss"
    np.testing.assert_array_equal(curve(ax, "diverged").get_xydata(), [[3, 0], [3, 1]])
    row, column = np.unravel_index(np.argmin(TABLE.T), TABLE.T.shape)
    (frame,) = ax.patches
    assert frame.get_xy() == (column - 0.5, row - 0.5)
    assert (
        ax.get_title() == f"Best at learning_rate {RATES[column]}, momentum {row and 0.9}\nX: diverged"
    )
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0", "0.9"]


def test_heat_map_shows_the_best_of_the_other_axes():
    space = jgd.grid(learning_rate=RATES, momentum=MOMENTA, start=[0.0, 1.5])
    ax = plots.heat_map(jgd.sweep(train, space), "momentum", "learning_rate")
    table = [[min(final(r, m), final(r, m, 1.5)) for m in MOMENTA] for r in RATES[:3]]
    np.testing.assert_allclose(cells(ax).get_array()[:3], table, rtol=1e-5)
    assert cells(ax).colorbar.ax.get_ylabel() == "final loss (best)"


def test_heat_map_of_a_random_sample_is_points(at_random):
    ax = plots.heat_map(at_random, "learning_rate", "momentum")
    losses, axes = -at_random.scores(), at_random.configs.axes
    points = cells(ax)
    wanted = np.stack([axes["learning_rate"], axes["momentum"], losses], axis=1)[np.isfinite(losses)]
    drawn = np.column_stack([points.get_offsets(), points.get_array()])
    np.testing.assert_allclose(drawn, wanted[np.argsort(-wanted[:, 2])], rtol=1e-6)
    assert len(curve(ax, "diverged").get_xdata()) == 40 - len(wanted)
    best = np.argmin(losses)
    assert curve(ax, "best").get_xdata()[0] == pytest.approx(float(axes["learning_rate"][best]))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")


def test_heat_map_of_many_values_labels_as_many_as_there_is_room_for():
    space = jgd.grid(learning_rate=np.logspace(-4, 0, 13), momentum=np.linspace(0, 0.9, 4))
    ax = plots.heat_map(jgd.sweep(train, space), "learning_rate", "momentum")
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert len(labels) == 13
    assert [text for text in labels if text] == ["0.0001", "0.001", "0.01", "0.1", "1"]


def test_parallel_coordinates_have_a_line_for_each_configuration(found):
    ax = plots.parallel_coordinates(found)
    assert [text.get_text() for text in ax.get_xticklabels()] == [
        "learning_rate",
        "momentum",
        "final loss",
    ]
    rates = np.log(np.asarray(RATES) / RATES[0]) / np.log(RATES[-1] / RATES[0])
    low, high = np.log([TABLE.min(), TABLE[:3].max()])
    ends = np.where(np.isinf(TABLE), 1.1, (np.log(TABLE) - low) / (high - low))
    wanted = [[rates[i], j, ends[i, j]] for i, j in itertools.product(range(4), range(2))]
    lines = [line for line in ax.lines if len(line.get_xdata()) == 3]
    drawn = [line.get_ydata() for line in lines]
    np.testing.assert_allclose(sorted(map(tuple, drawn)), sorted(map(tuple, wanted)), atol=1e-5)
    best = curve(ax, "best")
    np.testing.assert_allclose(best.get_ydata(), wanted[np.argmin(TABLE)], atol=1e-5)
    assert best.get_linewidth() == max(line.get_linewidth() for line in lines)
    assert best.get_zorder() == max(line.get_zorder() for line in lines)
    texts = [text.get_text() for text in ax.texts]
    assert texts == [
        "0.01",
        "1e+30",
        "0",
        "0.9",
        f"{TABLE.min():.3g}",
        f"{TABLE[:3].max():.3g}",
        "diverged",
    ]


def test_parallel_coordinates_name_names_and_leave_out_what_has_no_place(of_names, of_starts):
    texts = [text.get_text() for text in plots.parallel_coordinates(of_names).texts]
    assert texts[:5] == ["slow", "fast", "0", "0.01", "0.4"]
    ax = plots.parallel_coordinates(of_starts)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["learning_rate", "final loss"]
    assert ax.texts[-2].get_text().startswith("≥ ")


@pytest.mark.parametrize(
    ("values", "is_loss", "frame"),
    [
        ([1.0, 1.1, 1.2, 1.3, 1.4, 9.0], True, (1.0, 9.0, True)),
        ([1.0, 1.1, 1.2, 1.3, 1.4, 99.0], True, (1.0, 1.4, True)),
        ([1.0, 1.1, np.nan, 1e9, 1e10], True, (1.0, 1.1, True)),
        ([-1.0, 0.0, 1.0, 30.0], True, (-1.0, 30.0, False)),
        ([-1.0, 0.0, 1.0, 40.0], True, (-1.0, 1.0, False)),
        ([0.9, 0.8, 0.7, 0.1], False, (0.1, 0.9, False)),
        ([0.9, 0.8, 0.7, -9.0], False, (0.7, 0.9, False)),
        ([0.5, 0.5, 0.1], False, (0.1, 0.5, False)),
    ],
)
def test_frame_leaves_out_what_is_far_worse_than_the_median(values, is_loss, frame):
    assert columns.frame(np.asarray(values), is_loss) == frame


PICTURES = {
    "final loss": lambda sweep, **options: plots.final_loss(sweep, "learning_rate", **options),
    "heat map": lambda sweep, **options: plots.heat_map(sweep, "learning_rate", "momentum", **options),
    "parallel": plots.parallel_coordinates,
}


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("space", ["grid", "sample"])
@pytest.mark.parametrize("change", [all_diverged, all_equal, first_alone])
@pytest.mark.filterwarnings("error")
def test_degenerate_sweeps_are_drawn(found, at_random, picture, space, change):
    sweep = change({"grid": found, "sample": at_random}[space])
    for options in ({}, {"score": score}):
        ax = PICTURES[picture](sweep, **options)
        ax.figure.canvas.draw()


@pytest.mark.parametrize("picture", PICTURES)
def test_given_axes_are_drawn_on(found, picture):
    given = plots.parallel_coordinates(found).figure.add_subplot(3, 3, 9)
    assert PICTURES[picture](found, ax=given) is given


def test_what_scores_nan_is_not_said_to_have_diverged(found):
    ax = plots.final_loss(found, "learning_rate", score=lambda fit: fit.history.loss[-1] * jnp.nan)
    assert legend(ax)[-1] == "diverged or not finite"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda s: plots.final_loss(s, "momentum"),
            "axis is 'momentum', which is no axis.*learning_rate",
        ),
        (lambda s: plots.final_loss(s, "start"), r"'start', an axis of arrays of shape \(1,\).*arange"),
        (lambda s: plots.heat_map(s, "learning_rate", "start"), "y is 'start'"),
        (lambda s: plots.heat_map(s, "learning_rate", "learning_rate"), "x and y are both"),
        (
            lambda s: plots.final_loss(s, ["learning_rate"]),
            "axis is .*which is no axis",
        ),
        (lambda s: plots.parallel_coordinates(s.fits), "sweep is Fit"),
        (lambda s: plots.parallel_coordinates(s, score="accuracy"), "score is 'accuracy'"),
        (lambda s: plots.final_loss(NOT_A_SWEEP, "learning_rate"), "sweep is float"),
    ],
)
def test_errors_name_what_is_wrong(of_starts, call, words):
    with pytest.raises(ValueError, match=words):
        call(of_starts)


def test_keys_have_no_place():
    keys = jax.random.split(jax.random.key(0), 2)
    found = jgd.sweep(lambda config: train({"learning_rate": 0.1}), jgd.grid(key=keys))
    with pytest.raises(ValueError, match=r"PRNG keys.*there is none"):
        plots.final_loss(found, "key")
    with pytest.raises(ValueError, match=r"its axes, key, are arrays or PRNG keys.*learning_curves"):
        plots.parallel_coordinates(found)

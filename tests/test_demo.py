"""The demo, judged by scikit-learn and by the definition of its columns."""

import io

import jax
import matplotlib as mpl
import numpy as np
import pytest
from rich.console import Console
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.preprocessing import StandardScaler

import jgd

mpl.use("Agg")

from jgd import demo  # the backend comes first


@pytest.fixture(scope="module")
def raw():
    return demo.raw_split()


@pytest.fixture(scope="module")
def split(raw):
    return demo.standardized(raw)


@pytest.fixture(scope="module")
def done(raw):
    return demo.results(raw)


def test_split_holds_every_example_once_with_equal_shares_of_classes(raw):
    (x, y), parts = demo.load_breast_cancer(return_X_y=True), raw
    both = np.concatenate([part["x"] for part in parts])
    assert both.shape == x.shape
    np.testing.assert_allclose(np.sort(both, axis=0), np.sort(x, axis=0), rtol=1e-6)
    for part in parts:
        assert np.mean(part["y"]) == pytest.approx(y.mean(), abs=0.01)


def test_standardisation_is_that_of_the_training_part(raw, split):
    scaler = StandardScaler().fit(raw.train["x"])
    for part, raw_part in zip(split, raw, strict=True):
        np.testing.assert_allclose(part["x"], scaler.transform(raw_part["x"]), atol=1e-4)


def test_accuracy_and_loss_are_those_of_scikit_learn(split):
    # scikit-learn's parameters, judged by the functions of the demo.
    model = LogisticRegression().fit(split.train["x"], split.train["y"])
    params = {
        "weights": jax.numpy.asarray(model.coef_[0]),
        "bias": jax.numpy.asarray(model.intercept_[0]),
    }
    predicted = model.predict(split.test["x"])
    assert float(demo.accuracy(params, split.test)) == pytest.approx(
        accuracy_score(split.test["y"], predicted)
    )
    assert float(jgd.value(demo.OBJECTIVE, params, split.train)) == pytest.approx(
        log_loss(split.train["y"], model.predict_proba(split.train["x"])), rel=1e-4
    )


def test_every_variant_converges_and_predicts_as_well_as_scikit_learn(done, split):
    model = LogisticRegression().fit(split.train["x"], split.train["y"])
    reference = model.score(split.test["x"], split.test["y"])
    for row in (*done.apart, *done.together):
        assert row.status == jgd.Status.CONVERGED
        assert row.accuracy >= 0.96
        assert row.accuracy >= reference - 0.02


def test_gradient_at_the_result_is_as_small_as_the_stop_test_asks(done, split):
    x, y = (np.asarray(split.train[name], np.float64) for name in ("x", "y"))
    for fit in done.fits.values():
        scores = x @ np.asarray(fit.params["weights"], np.float64) + float(fit.params["bias"])
        residual = 1 / (1 + np.exp(-scores)) - y
        gradient = np.append(x.T @ residual, residual.sum()) / len(y)
        assert np.linalg.norm(gradient) <= demo.GRADIENT_TOLERANCE * 1.001


def test_one_program_for_all_finds_what_the_programs_apart_find(done):
    assert done.largest_difference < 1e-4
    for apart, together in zip(done.apart, done.together, strict=True):
        assert together.variant == apart.variant
        assert together.loss == pytest.approx(apart.loss, rel=1e-3)
        assert abs(together.epochs - apart.epochs) <= 1


def test_updates_are_steps_of_all_epochs(done):
    # 455 examples: 1 batch, 455 batches of 1, 15 batches of at most 32.
    assert [row.updates / row.epochs for row in done.apart] == [1, 455, 15]


def test_rows_are_those_of_the_fits(done, split):
    for row, fit in zip(done.apart, done.fits.values(), strict=True):
        predicted = np.asarray(split.test["x"]) @ fit.params["weights"] + fit.params["bias"] > 0
        assert row.accuracy == pytest.approx(accuracy_score(split.test["y"], predicted))
        assert row.epochs == fit.epochs
        assert row.seconds > 0
    assert [row.seconds for row in done.together] == [None] * 3


def test_raw_features_end_badly_and_the_advice_says_so(done):
    for name, fit in done.raw_fits.items():
        assert fit.status in (jgd.Status.STALLED, jgd.Status.DIVERGED)
        assert np.isfinite(fit.params["weights"]).all()
        told = [text.plain for text in demo.advice(done.raw_fits) if f"{name}: " in text.plain]
        assert len(told) == 1
        headline, what_to_do = jgd.explain(fit).split("\n")
        assert f"{name}: {headline}" in told[0]
        assert told[0].endswith(what_to_do)


def test_largest_difference_is_over_all_leaves():
    some = {"a": np.array([1.0, 2.0]), "b": np.array(0.0)}
    others = {"a": np.array([1.0, 2.5]), "b": np.array(-3.0)}
    assert demo.largest_difference(some, others) == 3.0


@pytest.mark.parametrize("width", [80, 120])
def test_table_shows_every_number_uncut(done, width):
    out = io.StringIO()
    Console(file=out, width=width).print(demo.table(done))
    text = out.getvalue()
    assert "…" not in text
    for row in done.apart:
        shown = [f"{row.updates}", f"{row.loss:.4f}", f"{row.accuracy:.1%}", "CONVERGED"]
        lines = [line for line in text.splitlines() if line.strip().startswith(row.variant)]
        assert len(lines) == 2
        assert all(word in line.split() for word in shown for line in lines)


def test_figure_has_the_curves_of_all_variants_on_both_scales(done):
    left, right = demo.figure(done.fits, done.raw_fits).axes
    for ax, fits in ((left, done.fits), (right, done.raw_fits)):
        lengths = {line.get_label(): np.shape(line.get_xydata())[0] for line in ax.lines}
        assert {name: lengths[name] for name in fits} == {n: int(f.epochs) for n, f in fits.items()}
    assert {text.get_text() for text in right.texts} == {
        jgd.Status(int(fit.status)).name for fit in done.raw_fits.values()
    }

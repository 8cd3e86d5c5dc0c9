"""The autoencoder against principal components."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from jgd.sklearn import GDTransformer


@pytest.fixture(scope="module")
def x():
    return StandardScaler().fit_transform(load_iris().data)


def test_a_linear_one_spans_the_principal_components(x):
    model = GDTransformer(2, batch_size=None, max_iter=1000, tol=1e-6, random_state=0).fit(x)
    pca = PCA(2).fit(x)
    told_again = pca.inverse_transform(pca.transform(x))
    assert -model.score(x) == pytest.approx(np.mean((told_again - x) ** 2), rel=0.02)
    assert_allclose(model.inverse_transform(model.transform(x)), told_again, atol=0.2)


def test_set_output_names_the_codes(x):
    model = GDTransformer(2, max_iter=1, tol=None).set_output(transform="polars").fit(x)
    assert model.transform(x).columns == ["gdtransformer0", "gdtransformer1"]


@pytest.mark.exhaustive
def test_layers_that_bend_tell_more_than_components():
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 400)
    circle = np.stack([np.cos(angle), np.sin(angle), np.cos(angle) * np.sin(angle)], axis=1)
    options = {"rule": "adam", "learning_rate": 0.01, "max_iter": 200, "tol": None, "random_state": 0}
    bent = GDTransformer(1, hidden_layer_sizes=(32,), **options).fit(circle)
    straight = GDTransformer(1, **options).fit(circle)
    assert -bent.score(circle) < -0.5 * straight.score(circle)


def test_bad_sizes_are_said(x):
    with pytest.raises(ValueError, match="n_components is 0"):
        GDTransformer(0).fit(x)
    model = GDTransformer(2, max_iter=1, tol=None).fit(x)
    with pytest.raises(ValueError, match=r"codes \[N, 2\]"):
        model.inverse_transform(x)

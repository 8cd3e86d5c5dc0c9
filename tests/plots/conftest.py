"""No window is opened, and no figure outlives its test."""

import matplotlib as mpl
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt  # the backend comes first


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")

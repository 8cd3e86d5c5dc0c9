"""The pictures want matplotlib, and say so."""

import importlib
import sys

import pytest


def test_missing_matplotlib_is_said_with_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "jgd.plots")
    with pytest.raises(ImportError, match=r"pip install 'jgd\[plot\]'"):
        importlib.import_module("jgd.plots")

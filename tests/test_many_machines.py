"""The code of docs/many_machines.md runs, and all of its ways find the same params."""

import numpy as np
import pytest

from tests import scripts


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("error")
def test_the_page_runs():
    names = scripts.run_page("many_machines.md")
    assert names["fit"].epochs == 40
    np.testing.assert_allclose(names["fit"].params, [1.0, -2.0, 0.5], atol=0.01)
    assert sorted(folder.name for folder in names["run"].iterdir())

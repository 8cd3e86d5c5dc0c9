"""Language in its quick form, and its references against counts made by hand."""

import numpy as np
import pytest

pytest.importorskip("names", reason="pip install 'jgd[experiments]'")
language = pytest.importorskip("language", reason="pip install 'jgd[experiments]'")


def test_counts_of_buckets():
    ids = np.array([[3, 5, 3, -1], [-1, -1, -1, -1]])
    came = language.counts(ids).toarray()
    assert came.shape == (2, language.BUCKETS)
    assert {int(i): int(came[0, i]) for i in np.flatnonzero(came[0])} == {3: 2, 5: 1}
    assert not came[1].any()


@pytest.mark.exhaustive
def test_quick_form(tmp_path):
    found = language.run(quick=True)
    ours, _, seconds = found.rows
    assert 0.7 < ours.ours[0] <= 1
    assert 0.7 < ours.theirs[0] <= 1
    assert seconds.ours[0] > 0
    assert all(row.reached is None for row in found.rows)
    found.draw(tmp_path / "language.png")
    assert (tmp_path / "language.png").stat().st_size > 10_000

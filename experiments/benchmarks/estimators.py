"""How much faster is `GDClassifierCV` than `GridSearchCV` over the same estimator, and is it the same?

Softmax regression on digits, 8 learning rates x 8 strengths of l2, 5 folds, with the fit of the best on
all examples; on one device, against one process. All programs are compiled before, for both alike.
"""

import time

import jax
import numpy as np
from harness import Competitor, Figure, compare, save
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from jgd.sklearn import GDClassifier, GDClassifierCV, training
from jgd.sklearn.tasks import task_of

# name -> (batch size, epochs, the largest learning rate: beyond, rounding errors grow from step to step)
WORK = {
    "one example a step, 1 epoch": (1, 1, 0.04),
    "one example a step, 5 epochs": (1, 5, 0.04),
    "32 examples a step, 20 epochs": (32, 20, 0.2),
    "all examples a step, 20 epochs": (None, 20, 0.2),
}
PEER = "GridSearchCV"
AIM, MOST_APART, MOST_MILLISECONDS, ROUNDS = 20, 1e-5, 2, 3


def main() -> None:
    x, y = load_digits(return_X_y=True)
    x = x / 16
    rows, apart = [], 0.0
    for name, (batch_size, epochs, rate) in WORK.items():
        estimator = GDClassifier(batch_size=batch_size, max_iter=epochs, tol=None, random_state=0)
        grid = {"learning_rate": np.geomspace(rate / 100, rate, 8), "alpha": np.logspace(-5, -1, 8)}
        ours, peer = GDClassifierCV(estimator, grid), GridSearchCV(estimator, grid)
        competitors = [
            Competitor("GDClassifierCV", lambda: ours.fit(x, y).best_score_),  # noqa: B023
            Competitor(PEER, lambda: peer.fit(x, y).best_score_),  # noqa: B023
        ]
        rows.append(compare(f"64 configurations x 5 folds, {name}", competitors, {PEER: AIM}, ROUNDS))
        found, expected = (search.cv_results_["mean_test_score"] for search in (ours, peer))
        apart = max(
            apart, np.abs(found - expected).max(), np.abs(ours.predict(x) != peer.predict(x)).max()
        )
    figures = [
        Figure("largest difference of a mean score", apart, "", MOST_APART),
        Figure("of a fit beside its compiled program", overhead(x, y), "ms", MOST_MILLISECONDS),
        Figure("programs compiled by a fit of a clone", compiled_by_a_clone(x, y), "", 0),
    ]
    save("How much faster is GDClassifierCV than GridSearchCV?", "search", rows, figures=figures)


def overhead(x, y) -> float:
    """Milliseconds of `fit` beside the compiled program, the fastest of each."""
    model = GDClassifier(max_iter=1, tol=None, learning_rate=0.1, random_state=0).fit(x, y)
    task = task_of(model, *model._checked(x, y, None, True))
    task = task._replace(data=jax.device_put(task.data))
    whole, program = [], []
    for _ in range(50):
        same = clone(model)
        start = time.perf_counter()
        same.fit(x, y)
        whole.append(time.perf_counter() - start)
        start = time.perf_counter()
        jax.block_until_ready(training.run(task))
        program.append(time.perf_counter() - start)
    return 1000 * (min(whole) - min(program))


def compiled_by_a_clone(x, y) -> int:
    """Programs, of a clone with another learning rate, strength and seed."""
    model = GDClassifier(max_iter=1, tol=None, learning_rate=0.1, random_state=0).fit(x, y)
    before = training._run._cache_size()
    clone(model).set_params(learning_rate=0.2, alpha=0.1, random_state=1).fit(x, y)
    return training._run._cache_size() - before


if __name__ == "__main__":
    main()

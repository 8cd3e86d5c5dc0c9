"""How fast is a cross-validated grid, against scikit-learn's `GridSearchCV`?

64 learning rates of stochastic logistic regression, 5 stratified folds, 10 epochs, 100,000 x 100;
accuracy on the fold held out. jgd is timed with all tracing and compiling of the call; `GridSearchCV`
runs two processes over 8 of the rates, and what counts is the time for one of them.
"""

import jax

jax.config.update("jax_num_cpu_devices", 2)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import problems  # noqa: E402
from harness import Competitor, Figure, compare, save  # noqa: E402
from sklearn.linear_model import SGDClassifier  # noqa: E402
from sklearn.model_selection import GridSearchCV, PredefinedSplit  # noqa: E402

import jgd  # noqa: E402

NUM_EXAMPLES, NUM_FEATURES, FOLDS, EPOCHS = 100_000, 100, 5, 10
RATES = np.logspace(-4, -1, 64)
PEER_RATES = RATES[::8]
AIM, MOST_APART = 25, 0.005


def main() -> None:
    data = problems.classification(NUM_EXAMPLES, NUM_FEATURES)
    found = validated(data)
    peer = _grid_search(data, found.folds)
    apart = np.abs(peer.fit(*map(np.asarray, data)).cv_results_["mean_test_score"] - found.mean[::8])
    size = f"{NUM_EXAMPLES:,} x {NUM_FEATURES}"
    work = f"{len(RATES)} learning rates x {FOLDS} folds x {EPOCHS} epochs, {size}"
    row = compare(
        work,
        [
            Competitor("jgd", lambda: validated(data).scores, units=len(RATES)),
            Competitor(
                "GridSearchCV, two processes",
                lambda: peer.fit(*map(np.asarray, data)).cv_results_["mean_test_score"],
                units=len(PEER_RATES),
            ),
        ],
        {"GridSearchCV, two processes": AIM},
    )
    error = float(np.max(found.standard_error))
    figures = [
        Figure(
            "largest difference of a mean accuracy from that of scikit-learn",
            apart.max(),
            "",
            MOST_APART,
        ),
        Figure("largest standard error of such a mean", error, ""),
    ]
    save("How fast is a cross-validated grid?", "configuration", [row], figures=figures)


def accuracy(params, held_out):
    inputs, labels = held_out
    scores = jax.vmap(jgd.models.linear.predict, (None, 0))(params, inputs)
    return jnp.mean((scores > 0) == (labels > 0.5))


def validated(data):
    params = jgd.models.linear.init(None, NUM_FEATURES)

    def train(config, weights):
        return jgd.stochastic_descent(
            problems.LOGISTIC,
            params,
            data,
            rule=jgd.sgd(config["learning_rate"]),
            epochs=EPOCHS,
            key=jax.random.key(0),
            weights=weights,
        )

    space = jgd.grid(learning_rate=RATES)
    return jgd.cross_validate(train, space, data, folds=FOLDS, key=jax.random.key(1), score=accuracy)


def _grid_search(data, folds) -> GridSearchCV:
    """The same folds, without the refit, which `validated` does not ask for either."""
    model = SGDClassifier(
        loss="log_loss",
        penalty=None,
        learning_rate="constant",
        max_iter=EPOCHS,
        tol=None,
        random_state=0,
    )
    return GridSearchCV(model, {"eta0": PEER_RATES}, cv=PredefinedSplit(folds), n_jobs=2, refit=False)


if __name__ == "__main__":
    main()

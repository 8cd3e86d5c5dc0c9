"""What does a configuration cost in a sweep, against one after the other, and what do two cores bring?

256 configurations, learning rate x momentum, of a network 784-128-10 in batches of 128 on 5,000
images, with all tracing and compiling of the sweep; one after the other, each is a call that is compiled
already. 64 learning rates of stochastic logistic regression, over two CPU devices and over one: the
marginal epoch.
"""

import functools
import warnings

import jax

jax.config.update("jax_num_cpu_devices", 2)

import network  # noqa: E402
import numpy as np  # noqa: E402
import problems  # noqa: E402
from harness import Competitor, compare, save  # noqa: E402
from joblib import Parallel, delayed  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402

import jgd  # noqa: E402

EPOCHS, PEER_EPOCHS, PEER_FITS = 5, 6, 4
SPACE = jgd.grid(learning_rate=np.logspace(-3, -1, 16), momentum=np.linspace(0, 0.95, 16))
ONE_BY_ONE = range(0, len(SPACE), 16)
NUM_RATES, LONG, SHORT = 64, 22, 2


def main() -> None:
    rows = [_networks(network.images())]
    rows += [_devices(*size) for size in ((100_000, 20), (100_000, 100), (20_000, 784))]
    save("What does a configuration cost in a sweep?", "epoch and configuration", rows)


def _networks(data):
    train = functools.partial(_train, jgd.models.mlp.init(jax.random.key(0), network.SIZES), data)
    swept = Competitor("jgd.sweep", lambda: jgd.sweep(train, SPACE).fits, units=len(SPACE) * EPOCHS)
    one_by_one = Competitor(
        "one after the other",
        lambda: [train(SPACE.config(place)) for place in ONE_BY_ONE],
        units=len(ONE_BY_ONE) * EPOCHS,
    )
    work = f"{len(SPACE)} configurations of an MLP {'-'.join(map(str, network.SIZES))}"
    aims = {"one after the other": 1.2, "MLPClassifier": 3, "MLPClassifier, two processes": 3}
    return compare(work, [swept, one_by_one, *_classifiers(data)], aims)


def _train(params, data, config):
    return jgd.minibatch_descent(
        network.OBJECTIVE,
        params,
        data,
        rule=jgd.sgd(config["learning_rate"], config["momentum"]),
        batch_size=network.TRAINING.batch_size,
        epochs=EPOCHS,
        key=jax.random.key(0),
    )


def _classifiers(data) -> list[Competitor]:
    """scikit-learn with all cores in one fit, and with a fit on each core: marginal epochs."""
    inputs, labels = map(np.asarray, data)

    def alone(epochs):
        return _fit(inputs, labels, epochs)

    def two(epochs):
        return Parallel(n_jobs=2)(delayed(_fit)(inputs, labels, epochs) for _ in range(PEER_FITS))

    return [
        Competitor(
            name,
            functools.partial(run, PEER_EPOCHS),
            units=fits * PEER_EPOCHS,
            idle=functools.partial(run, 1),
            idle_units=fits,
        )
        for name, run, fits in (
            ("MLPClassifier", alone, 1),
            ("MLPClassifier, two processes", two, PEER_FITS),
        )
    ]


def _fit(inputs, labels, epochs):
    model = MLPClassifier(
        network.SIZES[1:-1], activation="relu", solver="sgd", alpha=0,
        batch_size=network.TRAINING.batch_size, learning_rate_init=0.01, momentum=0.9,
        nesterovs_momentum=False, max_iter=epochs, tol=0, n_iter_no_change=epochs + 1, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(inputs, labels).loss_curve_


def _devices(num_examples: int, num_features: int):
    data = problems.classification(num_examples, num_features)
    params = jgd.models.linear.init(None, num_features)
    space = jgd.grid(learning_rate=np.logspace(-4, -1, NUM_RATES))

    def swept(mesh, epochs):
        def train(config):
            return jgd.stochastic_descent(
                problems.LOGISTIC,
                params,
                data,
                rule=jgd.sgd(config["learning_rate"]),
                epochs=epochs,
                key=jax.random.key(0),
            )

        return jgd.sweep(train, space, mesh=mesh).fits

    competitors = [
        Competitor(
            name,
            functools.partial(swept, mesh, LONG),
            units=NUM_RATES * LONG,
            idle=functools.partial(swept, mesh, SHORT),
            idle_units=NUM_RATES * SHORT,
        )
        for name, mesh in (
            ("two devices", None),
            ("one device", jax.make_mesh((1,), ("lanes",))),
        )
    ]
    work = f"{NUM_RATES} learning rates, {num_examples:,} x {num_features}"
    return compare(work, competitors, {"one device": 1.6})


if __name__ == "__main__":
    main()

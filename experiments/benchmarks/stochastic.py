"""How fast is stochastic descent, alone and in a sweep, against compiled Cython?

Logistic regression, one example at a time, shuffled, against the marginal epoch of scikit-learn's
`SGDClassifier` (a fit of many epochs less a fit of one).
"""

import jax

jax.config.update("jax_num_cpu_devices", 2)

import jax.numpy as jnp  # noqa: E402
import problems  # noqa: E402
from harness import Competitor, compare, save  # noqa: E402

import jgd  # noqa: E402

EPOCHS = 5
SIZES = {(100_000, 20): (3, 40), (100_000, 100): (5, 60), (20_000, 784): (5, 40)}


def main() -> None:
    rows = []
    for (num_examples, num_features), (alone, in_sweep) in SIZES.items():
        data = problems.classification(num_examples, num_features)
        size = f"{num_examples:,} x {num_features}"
        peer = problems.sgd_classifier(*data)
        rows.append(compare(f"stochastic, {size}", [_alone(data), peer], {peer.name: alone}))
        for lanes, cores in ((64, 1), (64, 2), (256, 2)):
            aims = {peer.name: in_sweep} if lanes == 64 else {}
            work = f"{lanes} learning rates on {cores} core{'s' * (cores - 1)}, {size}"
            rows.append(compare(work, [_sweep(data, lanes, cores), peer], aims))
    save("How fast is stochastic descent against compiled Cython?", "epoch and configuration", rows)


def _alone(data) -> Competitor:
    params = jgd.models.linear.init(None, data[0].shape[1])
    rule, key = jgd.sgd(0.01), jax.random.key(0)

    def run():
        return jgd.stochastic_descent(problems.LOGISTIC, params, data, rule=rule, epochs=EPOCHS, key=key)

    return Competitor("jgd", run, units=EPOCHS)


def _sweep(data, lanes: int, cores: int) -> Competitor:
    params = jgd.models.linear.init(None, data[0].shape[1])
    key = jax.random.key(0)

    @jax.jit
    def fits(rules, data):
        return jax.vmap(
            lambda rule: jgd.stochastic_descent(
                problems.LOGISTIC, params, data, rule=rule, epochs=EPOCHS, key=key
            )
        )(rules)

    rules = jgd.sgd(jnp.logspace(-4, -1, lanes))
    if cores > 1:
        rules = problems.over_devices(rules)
    return Competitor("jgd", lambda: fits(rules, data), units=EPOCHS * lanes)


if __name__ == "__main__":
    main()

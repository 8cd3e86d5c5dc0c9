"""How fast is mini-batch descent against the loops that people write with optax, torch and numpy?

Logistic regression on 100,000 x 100, shuffled, the mean loss of every epoch recorded by all. The
peers with a loop in Python run one epoch at a time, those in one program several.
"""

import functools

import jax

jax.config.update("jax_num_cpu_devices", 2)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
import problems  # noqa: E402
from harness import Competitor, compare, save  # noqa: E402
from problems import Training  # noqa: E402

import jgd  # noqa: E402

NUM_EXAMPLES, NUM_FEATURES, LANES, SWEEP_EPOCHS = 100_000, 100, 64, 2
AIMS = {
    "optax scan": 3,
    "optax Python loop": 8,
    "torch loop": 30,
    "torch loop, one thread": 30,
}
BATCH_SIZES = {32: AIMS, 30: {}, 128: {}}


def main() -> None:
    data = problems.classification(NUM_EXAMPLES, NUM_FEATURES)
    data_everywhere = problems.on_all_devices(data)
    rows = []
    for batch_size, aims in BATCH_SIZES.items():
        work = f"mini-batch {batch_size}, {NUM_EXAMPLES:,} x {NUM_FEATURES}"
        alone = Training(batch_size, epochs=5, learning_rate=0.01)
        once = alone._replace(epochs=1)
        scan = problems.optax_scan(mean_loss, _params(), data, alone)
        peers = [scan, _optax_loop(data, once), _numpy_loop(data, once)]
        peers += problems.torch_loops(_torch_model, data, once, fused=False)
        present = {peer.name: aims[peer.name] for peer in peers if peer.name in aims}
        rows.append(compare(work, [_jgd(data, alone), *peers], present))
        sweep = alone._replace(epochs=SWEEP_EPOCHS)
        lanes = [_jgd_sweep(data_everywhere, sweep), _optax_sweep(data_everywhere, sweep), scan]
        rows.append(compare(f"64 learning rates, {work}", lanes))
    notes = [] if "torch loop" in rows[0].seconds else [problems.NO_TORCH]
    save(
        "How fast is mini-batch descent against the loops that people write?",
        "epoch and configuration",
        rows,
        notes,
    )


def _params():
    return jgd.models.linear.init(None, NUM_FEATURES)


def mean_loss(params, inputs, labels):
    """Of a batch, batched by hand."""
    logits = inputs @ params["weights"] + params["bias"]
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, labels))


def _jgd(data, training: Training) -> Competitor:
    params, rule, key = _params(), jgd.sgd(training.learning_rate), jax.random.key(0)

    def run():
        return jgd.minibatch_descent(
            problems.LOGISTIC,
            params,
            data,
            rule=rule,
            batch_size=training.batch_size,
            epochs=training.epochs,
            key=key,
        )

    return Competitor("jgd", run, units=training.epochs)


def _learning_rates():
    return problems.over_devices(jnp.logspace(-4, -1, LANES))


def _jgd_sweep(data, training: Training) -> Competitor:
    params, rates, key = _params(), _learning_rates(), jax.random.key(0)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None, None, None))
    def fits(rate, params, data, key):
        return jgd.minibatch_descent(
            problems.LOGISTIC,
            params,
            data,
            rule=jgd.sgd(rate),
            batch_size=training.batch_size,
            epochs=training.epochs,
            key=key,
        )

    return Competitor("jgd", lambda: fits(rates, params, data, key), units=training.epochs * LANES)


def _optax_sweep(data, training: Training) -> Competitor:
    params, rates, key = _params(), _learning_rates(), jax.random.key(0)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(None, 0, None, None, None))
    def fits(params, rate, key, inputs, labels):
        return problems.optax_fit(
            params,
            rate,
            key,
            inputs,
            labels,
            mean_loss=mean_loss,
            momentum=None,
            batch_size=training.batch_size,
            epochs=training.epochs,
        )

    units = training.epochs * LANES
    return Competitor("optax scan, 64 lanes", lambda: fits(params, rates, key, *data), units=units)


def _optax_loop(data, training: Training) -> Competitor:
    rule, rng = optax.sgd(training.learning_rate), np.random.default_rng(0)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(carry, inputs, labels, index):
        params, state, total = carry
        loss, grads = jax.value_and_grad(mean_loss)(params, inputs[index], labels[index])
        updates, state = rule.update(grads, state)
        return optax.apply_updates(params, updates), state, total + len(index) * loss

    def run():
        params = _params()
        state, losses = rule.init(params), []
        for _ in range(training.epochs):
            order = rng.permutation(NUM_EXAMPLES).astype(np.int32)
            carry = params, state, jnp.zeros(())
            for start in range(0, NUM_EXAMPLES, training.batch_size):
                carry = step(carry, *data, order[start : start + training.batch_size])
            params, state, total = carry
            losses.append(total / NUM_EXAMPLES)
        return params, losses

    return Competitor("optax Python loop", run, units=training.epochs)


def _numpy_loop(data, training: Training) -> Competitor:
    (inputs, labels), rng = map(np.asarray, data), np.random.default_rng(0)

    def run():
        weights, bias = np.zeros(NUM_FEATURES, np.float32), np.float32(0)
        losses = []
        for _ in range(training.epochs):
            order, total = rng.permutation(NUM_EXAMPLES), 0.0
            for start in range(0, NUM_EXAMPLES, training.batch_size):
                index = order[start : start + training.batch_size]
                batch, target = inputs[index], labels[index]
                logits = batch @ weights + bias
                small = np.exp(-np.abs(logits))
                total += np.sum(np.maximum(logits, 0) - target * logits + np.log1p(small))
                residual = np.where(logits > 0, 1, small) / (1 + small) - target
                rate = np.float32(training.learning_rate / len(index))
                weights -= rate * (residual @ batch)
                bias -= rate * np.sum(residual)
            losses.append(total / NUM_EXAMPLES)
        return weights, bias, losses

    return Competitor("numpy loop", run, units=training.epochs)


def _torch_model(torch):
    model, loss = torch.nn.Linear(NUM_FEATURES, 1), torch.nn.BCEWithLogitsLoss()
    return model, lambda predictions, labels: loss(predictions[:, 0], labels)


if __name__ == "__main__":
    main()

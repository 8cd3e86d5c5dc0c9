"""The problems and the peers that several benchmarks share."""

import functools
import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from harness import Competitor
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from sklearn.linear_model import SGDClassifier

import jgd

PEER_EPOCHS = 6
NO_TORCH = "torch is not installed in this environment, so its columns are left out."


def logistic_loss(params, example):
    inputs, label = example
    return jgd.losses.logistic(jgd.models.linear.predict(params, inputs), label)


LOGISTIC = jgd.objective(logistic_loss)


def classification(num_examples: int, num_features: int, seed: int = 0) -> tuple[jax.Array, jax.Array]:
    """Gaussian features and labels 0/1 of a noisy plane, float32."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((num_examples, num_features), dtype=np.float32)
    scores = inputs @ rng.standard_normal(num_features, dtype=np.float32)
    noise = rng.logistic(scale=0.5, size=num_examples)
    return jnp.asarray(inputs), jnp.asarray(scores + noise > 0, jnp.float32)


def sgd_classifier(inputs, labels) -> Competitor:
    """The marginal epoch of scikit-learn's SGD."""
    inputs, labels = np.asarray(inputs), np.asarray(labels, int)

    def fit(epochs: int):
        model = SGDClassifier(
            loss="log_loss", penalty=None, learning_rate="constant", eta0=0.01,
            max_iter=epochs, tol=None, shuffle=True, random_state=0,
        )  # fmt: skip
        model.fit(inputs, labels)

    return Competitor(
        "SGDClassifier",
        functools.partial(fit, PEER_EPOCHS),
        units=PEER_EPOCHS,
        idle=functools.partial(fit, 1),
        idle_units=1,
    )


def over_devices(tree: Any) -> Any:
    """The leaves laid over all devices along their first axis."""
    mesh = Mesh(np.asarray(jax.devices()), ("lanes",))
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec("lanes")))


def on_all_devices(tree: Any) -> Any:
    """The leaves whole on each device, so that no call has to copy them there."""
    mesh = Mesh(np.asarray(jax.devices()), ("lanes",))
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


class Training(NamedTuple):
    """Mini-batch descent that competitors share: shuffled, every example once an epoch, losses recorded.

    Attributes:
      batch_size: B; the last batch of an epoch may be smaller.
      epochs: of one run.
      learning_rate: a number.
      momentum: a number, or None.
    """

    batch_size: int
    epochs: int
    learning_rate: float
    momentum: float | None = None


@functools.partial(jax.jit, static_argnames=("mean_loss", "momentum", "batch_size", "epochs"))
def optax_fit(params, learning_rate, key, inputs, labels, *, mean_loss, momentum, batch_size, epochs):
    """Params and the mean loss of each epoch: a whole training in one program, by optax alone."""
    rule = optax.sgd(learning_rate, momentum)
    num_examples = len(inputs)
    whole = num_examples // batch_size * batch_size

    def step(carry, index):
        params, state, total = carry
        batch = (x.at[index].get(mode="promise_in_bounds") for x in (inputs, labels))
        loss, grads = jax.value_and_grad(mean_loss)(params, *batch)
        updates, state = rule.update(grads, state)
        return (optax.apply_updates(params, updates), state, total + len(index) * loss), None

    def epoch(carry, key):
        order = jax.random.permutation(key, num_examples)
        carry, _ = jax.lax.scan(step, (*carry, 0.0), order[:whole].reshape(-1, batch_size))
        if whole < num_examples:
            carry, _ = step(carry, order[whole:])
        *position, total = carry
        return tuple(position), total / num_examples

    (params, _), losses = jax.lax.scan(epoch, (params, rule.init(params)), jax.random.split(key, epochs))
    return params, losses


def optax_scan(mean_loss: Callable, params: Any, data: Any, training: Training) -> Competitor:
    """optax in one jitted scan; `mean_loss(params, inputs, labels)` is that of a batch."""
    key = jax.random.key(0)
    numbers = training._asdict()
    rate = numbers.pop("learning_rate")
    fit = functools.partial(optax_fit, mean_loss=mean_loss, **numbers)
    return Competitor("optax scan", lambda: fit(params, rate, key, *data), units=training.epochs)


def torch_loops(make_model: Callable, data: Any, training: Training, fused: bool) -> list[Competitor]:
    """The loop over batches that torch users write, with all cores and with one; none without torch.

    Args:
      make_model: torch -> (module, mean loss of predictions and labels).
      data: inputs and labels.
      training: what is done.
      fused: the form of torch's SGD that was measured to be the faster one here.

    Returns:
      Competitors.
    """
    if importlib.util.find_spec("torch") is None:
        return []
    import torch

    inputs, labels = (torch.from_numpy(np.array(x)) for x in data)

    def run(threads: int):
        torch.set_num_threads(threads)
        model, mean_loss = make_model(torch)
        rule = torch.optim.SGD(
            model.parameters(), training.learning_rate, training.momentum or 0.0, fused=fused
        )
        losses = []
        for _ in range(training.epochs):
            total = torch.zeros(())
            for index in torch.randperm(len(inputs)).split(training.batch_size):
                loss = mean_loss(model(inputs[index]), labels[index])
                rule.zero_grad()
                loss.backward()
                rule.step()
                total += len(index) * loss.detach()
            losses.append(total / len(inputs))
        return [float(loss) for loss in losses]

    threads = torch.get_num_threads()
    return [
        Competitor("torch loop", functools.partial(run, threads), units=training.epochs),
        Competitor("torch loop, one thread", functools.partial(run, 1), units=training.epochs),
    ]

"""The compiled function behind every estimator: names are its structure, numbers are traced.

It is compiled for a `Setup` and the shapes of the data, never for an estimator: a clone, another penalty
strength or another learning rate runs the program that is there.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from jgd import choices
from jgd.descent import stop
from jgd.descent.epoch import State
from jgd.descent.loop import Fit, descend
from jgd.models.model import Model
from jgd.objectives.objective import objective

LOSSES = {
    "regression": choices.REGRESSION_LOSSES,
    "binary": choices.BINARY_LOSSES,
    "multiclass": choices.MULTICLASS_LOSSES,
    "reconstruction": choices.REGRESSION_LOSSES,
}


class Setup(NamedTuple):
    """What decides the program of a training.

    Attributes:
      losses: "regression", "binary" or "multiclass": where a loss is looked up; "reconstruction" is that
        of an autoencoder.
      loss: its name; None where it is given as a function.
      penalty: its name; None where there is none, or it is given.
      rule: its name; None where it is given.
      has_rate: whether the learning rate is a number.
      has_momentum: whether there is a momentum.
      hidden: units of the hidden layers.
      activation: of hidden units.
      bias: whether there is an intercept.
      outputs: of the model; None for a scalar.
      batch_size: None for all examples.
      epochs: the most that are run.
      shuffle: whether each epoch has an order of its own.
      patience: epochs; None runs all of them.
      validates: whether it stops by examples held out.
    """

    losses: str
    loss: str | None
    penalty: str | None
    rule: str | None
    has_rate: bool
    has_momentum: bool
    hidden: tuple[int, ...]
    activation: str
    bias: bool
    outputs: int | None
    batch_size: int | None
    epochs: int
    shuffle: bool
    patience: int | None
    validates: bool


class Task(NamedTuple):
    """A training: what decides its program, and what goes into it.

    Attributes:
      setup: a `Setup`.
      numbers: name -> number: learning_rate, momentum, alpha, l1_ratio, tol, seed.
      given: "loss", "penalty" or "rule" -> what was given as an object in the place of a name.
      data: `{"x": [N, D], "y": [N] or [N, T]}`.
      weights: [N] or None.
      held: `(data, weights)` held out, or None.
    """

    setup: Setup
    numbers: dict[str, Any]
    given: dict[str, Any]
    data: dict[str, Any]
    weights: Any
    held: tuple | None


def run(task: Task, start: Any = None) -> Fit:
    """Train.

    Args:
      task: a `Task`.
      start: params to start from; or the `State` of a training to go on with; None starts anew.

    Returns:
      A `Fit` whose state has no key; it comes of the seed.
    """
    return _run(task.setup, *task[1:], start)


def check_start(task: Task, params: Any) -> None:
    """ValueError where params of an earlier fit, if there are any, are not those of this task."""
    if params is None:
        return
    init = functools.partial(model_of(task.setup).init, inputs=task.data["x"].shape[1])
    wanted = jax.eval_shape(functools.partial(init, outputs=task.setup.outputs), jax.random.key(0))
    if jax.tree.map(jnp.shape, params) != jax.tree.map(lambda s: s.shape, wanted):
        raise ValueError(
            "warm_start and partial_fit go on from the last fit, but the features, the outputs or the "
            "layers are no longer those of it. Start anew: warm_start=False, or a clone."
        )


def memory_of(task: Task) -> tuple:
    """What must be the same for a rule to go on with what it remembers."""
    setup = task.setup._replace(batch_size=task.setup.batch_size and 1, epochs=1)
    # The table of saga has a place for each example.
    examples = len(task.data["x"]) if setup.rule == "saga" or "rule" in task.given else None
    return setup, jax.tree.structure(task.given), examples, jnp.zeros(()).dtype


def train(setup: Setup, numbers, given, data, weights, held, start) -> Fit:
    """What `run` compiles; for lanes, in which numbers are traced."""
    key = jax.random.key(numbers["seed"])
    model = model_of(setup)
    loss = choices.example_loss(_loss(setup, given), model.predict)
    if start is None:
        start = model.init(key, data["x"].shape[1], setup.outputs)
    state = start._replace(key=key) if isinstance(start, State) else None
    params = start if state is None else start.params
    fit = descend(
        objective(loss, _penalty(setup, numbers, given, params)),
        params,
        data,
        rule=_rule(setup, numbers, given),
        batch_size=setup.batch_size,
        epochs=setup.epochs,
        key=key,
        weights=weights,
        shuffle=setup.shuffle,
        stop=_stops(setup, numbers),
        evaluate=Partial(_mean_loss, loss) if setup.validates else None,
        validation=held,
        state=state,
    )
    return fit._replace(state=fit.state._replace(key=None))


_run = functools.partial(jax.jit, static_argnums=0)(train)


def model_of(setup: Setup) -> Model:
    """The model of a training."""
    if setup.losses == "reconstruction":
        return choices.autoencoder_named(setup.hidden, setup.activation)
    return choices.model_named(setup.hidden, setup.activation, setup.bias)


def _loss(setup: Setup, given: dict) -> Callable:
    return given["loss"] if setup.loss is None else LOSSES[setup.losses][setup.loss]


def _penalty(setup: Setup, numbers: dict, given: dict, params: Any) -> Any:
    if "penalty" in given:
        return given["penalty"]
    return choices.penalty_named(setup.penalty, numbers["alpha"], numbers["l1_ratio"], params)


def _rule(setup: Setup, numbers: dict, given: dict) -> Any:
    if setup.rule is None:
        return given["rule"]
    rate = numbers["learning_rate"] if setup.has_rate else "auto"
    momentum = numbers["momentum"] if setup.has_momentum else None
    return choices.rule_named(setup.rule, rate, momentum, setup.batch_size is None)


def _stops(setup: Setup, numbers: dict) -> tuple:
    if setup.patience is None:
        return ()
    if setup.validates:
        return (stop.validation(setup.patience, numbers["tol"], score=jnp.negative),)
    return stop.relative_gradient_norm(numbers["tol"]), stop.plateau(setup.patience, numbers["tol"])


def _mean_loss(loss, params, held):
    data, weights = held
    losses = jax.vmap(loss, in_axes=(None, 0))(params, data)
    return jnp.mean(losses) if weights is None else jnp.sum(weights * losses) / jnp.sum(weights)

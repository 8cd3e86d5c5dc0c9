"""What a person names by a word or a number: losses, penalties, rules, models.

For the command line and the scikit-learn estimators. Names are structure and decide which program is
compiled; the numbers beside them may be traced.
"""

import difflib
import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from jgd.convex.accelerated import accelerated
from jgd.convex.coordinate import coordinate
from jgd.convex.primal_dual import primal_dual
from jgd.convex.variance_reduced import katyusha, saga, svrg
from jgd.descent.armijo import armijo
from jgd.descent.barzilai_borwein import barzilai_borwein
from jgd.descent.polyak import polyak
from jgd.descent.rules import adagrad, adam, rmsprop, sgd
from jgd.models.linear import linear
from jgd.models.mlp import mlp
from jgd.models.model import Model
from jgd.objectives import losses, penalties
from jgd.objectives.penalties.penalty import Penalty
from jgd.tree import as_partial

REGRESSION_LOSSES: dict[str, Callable] = {
    "squared_error": losses.squared_error,
    "absolute_error": losses.absolute_error,
    "huber": losses.huber(),
    "quantile": losses.quantile(),
    "poisson": losses.poisson,
}
BINARY_LOSSES: dict[str, Callable] = {
    "log_loss": losses.logistic,
    "hinge": losses.hinge,
    "squared_hinge": losses.squared_hinge,
}
# Of hinge and squared hinge the target is a row of 0 and 1: each class against all others, summed.
MULTICLASS_LOSSES: dict[str, Callable] = {**BINARY_LOSSES, "log_loss": losses.softmax}

PENALTIES = ("l1", "l2", "elastic_net", "group_l1", "nuclear", "nonnegative")
# Those to which a learning rate can be given; of all but the first four "auto" leaves it to them.
RATED_RULES: dict[str, Callable] = {
    "sgd": sgd,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "armijo": armijo,
    "barzilai_borwein": barzilai_borwein,
    "accelerated": accelerated,
    "svrg": svrg,
    "saga": saga,
    "katyusha": katyusha,
}
USUAL_RATES = {"adagrad": 0.1, "rmsprop": 0.001, "adam": 0.001}
RULES: dict[str, Callable] = {
    **RATED_RULES,
    "polyak": polyak,
    "coordinate": coordinate,
    "primal_dual": primal_dual,
}
FULL_BATCH_RULES = ("barzilai_borwein", "accelerated", "coordinate", "primal_dual")
ACTIVATIONS: dict[str, Callable] = {
    "relu": mlp.predict,  # the same function in every fit, for a program is known by it
    "tanh": functools.partial(mlp.predict, activation=jnp.tanh),
    "logistic": functools.partial(mlp.predict, activation=jax.nn.sigmoid),
}


def example_loss(loss: Callable, predict: Callable) -> Partial:
    """The loss of one example `{"x": [D], "y": ...}`: `loss(predict(params, x), y)`.

    Args:
      loss: `(prediction, target) -> scalar`.
      predict: `(params, inputs) -> prediction`.

    Returns:
      `(params, example) -> scalar`.
    """
    return Partial(_example_loss, as_partial(loss), as_partial(predict))


def _example_loss(loss, predict, params, example):
    return loss(predict(params, example["x"]), example["y"])


def model_named(hidden: tuple[int, ...], activation: str = "relu", bias: bool = True) -> Model:
    """The linear model, or with hidden layers the multi-layer perceptron.

    Args:
      hidden: numbers of units; () is the linear model.
      activation: "relu", "tanh" or "logistic", of hidden units.
      bias: whether the linear model has an intercept.

    Returns:
      A `Model`, whose `init` is `(key, inputs, outputs)`; outputs None predicts a scalar.

    Raises:
      ValueError: there is no activation of that name.
    """
    check_named("activation", activation, ACTIVATIONS)
    if not hidden:
        return Model(functools.partial(linear.init, bias=bias), linear.predict)
    start = None if activation == "relu" else jax.nn.initializers.glorot_normal()

    def init(key, inputs, outputs=None):
        return mlp.init(key, (inputs, *hidden, outputs), initializer=start)

    return Model(init, ACTIVATIONS[activation])


def autoencoder_named(hidden: tuple[int, ...], activation: str = "tanh") -> Model:
    """A model that predicts its own inputs from a few numbers: a code.

    Args:
      hidden: numbers of units of the encoder's layers, the code last; the decoder mirrors it.
      activation: "relu", "tanh" or "logistic", of all layers but the code and the result.

    Returns:
      A `Model`, whose `init` is `(key, inputs, outputs)` and takes no notice of the outputs, for they
      are the inputs. Its params are `{"encoder": ..., "decoder": ...}`, each those of an `mlp`.

    Raises:
      ValueError: there is no activation of that name.

    Source: Baldi and Hornik (1989), Neural Networks 2(1): without hidden layers it finds the subspace
    of the largest principal components.
    """
    check_named("activation", activation, ACTIVATIONS)
    start = None if activation == "relu" else jax.nn.initializers.glorot_normal()

    def init(key, inputs, outputs=None):
        keys = jax.random.split(key)
        return {
            "encoder": mlp.init(keys[0], (inputs, *hidden), initializer=start),
            "decoder": mlp.init(keys[1], (*hidden[::-1], inputs), initializer=start),
        }

    return Model(init, AUTOENCODERS[activation])


def _reconstruct(predict, params, inputs):
    return predict(params["decoder"], predict(params["encoder"], inputs))


AUTOENCODERS = {name: functools.partial(_reconstruct, predict) for name, predict in ACTIVATIONS.items()}


def penalty_named(name: str | None, strength: Any, l1_ratio: Any, params: Any) -> Penalty | None:
    """The penalty of that name on the weights of a model; its intercepts are left alone.

    Args:
      name: one of `PENALTIES`, or None.
      strength: number >= 0; `nonnegative` has none.
      l1_ratio: share of l1 in the elastic net.
      params: of the model, whose intercepts are called "bias".

    Returns:
      A `Penalty`, or None.

    Raises:
      ValueError: there is none of that name.
    """
    if name is None:
        return None
    check_named("penalty", name, PENALTIES)
    mask = jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key != "bias", params)
    if name == "elastic_net":
        return penalties.elastic_net(strength, l1_ratio, mask=mask)
    if name == "nonnegative":
        return penalties.nonnegative(mask=mask)
    return getattr(penalties, name)(strength, mask=mask)


def rule_named(name: str, learning_rate: Any, momentum: Any, is_batch: bool) -> Any:
    """The rule, or the method for convex problems, of that name.

    Args:
      name: one of `RULES`.
      learning_rate: a number; "auto" is the usual one of the rule, and with `sgd` steps that choose
        their own length: `barzilai_borwein` over all examples, `armijo` over a few.
      momentum: of `sgd`, a number or None.
      is_batch: whether a step is over all examples.

    Raises:
      ValueError: there is none of that name, or the numbers do not fit it.
    """
    check_rule(name, learning_rate, momentum, is_batch)
    if isinstance(learning_rate, str):
        if name == "sgd":
            return barzilai_borwein() if is_batch else armijo()
        return RULES[name](USUAL_RATES[name]) if name in USUAL_RATES else RULES[name]()
    return sgd(learning_rate, momentum) if name == "sgd" else RULES[name](learning_rate)


def check_rule(name: str, learning_rate: Any, momentum: Any, is_batch: bool) -> None:
    """ValueError where there is no rule of that name, or the numbers do not fit it.

    Args:
      name, learning_rate, momentum, is_batch: see `rule_named`.
    """
    check_named("rule", name, RULES)
    is_auto = isinstance(learning_rate, str)
    if is_auto and learning_rate != "auto":
        raise ValueError(f'learning_rate is {learning_rate!r}, but a number > 0 or "auto" is wanted.')
    if name in FULL_BATCH_RULES and not is_batch:
        raise ValueError(
            f"rule {name} takes all examples at once, but a batch size is given. Leave it out: "
            "batch_size=None."
        )
    if momentum is not None and (name != "sgd" or is_auto):
        raise ValueError(
            f"momentum is given, but it belongs to sgd with a learning rate that is a number; here the "
            f"rule is {name} and the learning rate {learning_rate}."
        )
    if not is_auto and name not in RATED_RULES:
        raise ValueError(
            f'{name} has no learning rate, so leave it "auto"; or take one of {", ".join(RATED_RULES)}.'
        )


def check_named(what: str, name: Any, names: Iterable[str]) -> None:
    """ValueError, with the nearest names, where there is none of that name."""
    names = list(names)
    if isinstance(name, str) and name in names:
        return
    near = difflib.get_close_matches(str(name), names, 1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{what} is {name!r}, but one of {', '.join(names)} is wanted.{meant}")

"""The trainings of `jgd sweep`, as lanes: one configuration is what `jgd fit` does with its numbers."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import jgd
from jgd import choices
from jgd.cli.axes import Axis
from jgd.cli.learned import loss_of, model_of, start_of
from jgd.cli.options import Options, penalty_of
from jgd.cli.problem import Problem, key_of, problem_of, rule_of, settled, training_options
from jgd.tuning.space import Space

LINEAR = "linear"
KEPT = 1 / 3  # of a rung goes on to the next
FEWEST = 2  # epochs of a rung: that of the first epoch of batch descent is the loss of the start


class Lanes(NamedTuple):
    """What is trained.

    Attributes:
      problem: of the first configuration; the others share its rows.
      variants: `(model, rule) -> Problem`, for what makes a program of its own.
      space: the configurations.
      penalty: name of the axis of its strength, or None.
    """

    problem: Problem
    variants: dict[tuple, Problem]
    space: Space
    penalty: str | None


def lanes_of(options: Options, axes: list[Axis], space: Space, folds: int | None = None) -> Lanes:
    """Read the table once, and make of it a problem for each model and rule.

    Args:
      options: those of the first values of all axes.
      axes: what is tried.
      space: of these axes.
      folds: how many there will be, if any.

    Raises:
      ValueError: a value does not suit the others.
    """
    problem = problem_of(options)
    num = len(problem.y_train)
    if folds is not None and folds > num:
        raise ValueError(f"--folds is {folds}, but there are {num:,} rows: --folds {min(num, 5)}")
    static = {axis.name: axis.values for axis in axes if axis.is_static}
    variants = {}
    for model in static.get("model", (None,)):
        for rule in static.get("rule", (None,)):
            variants[model, rule] = _variant(problem, model, rule)
    name = penalty_of(options.penalty)[0]
    return Lanes(problem, variants, space, name if name in space.axes else None)


def units_of_model(model: str) -> tuple[int, ...]:
    """Hidden layers of a value of the axis `model`: `linear`, or `mlp 64,32`."""
    return () if model == LINEAR else tuple(map(int, model.removeprefix("mlp ").split(",")))


def train(lanes: Lanes, config: dict, epochs: int, state: Any = None, weights: Any = None) -> jgd.Fit:
    """Train one configuration, whose numbers may be traced; see `jgd.descend`."""
    problem = lanes.variants[config.get("model"), config.get("rule")]
    name, strength, ratio = penalty_of(problem.options.penalty)
    if lanes.penalty is not None:
        strength = config[lanes.penalty]
    penalty = choices.penalty_named(name, strength, ratio, problem.params)
    objective = jgd.objective(problem.objective.loss, penalty)
    more = training_options(problem)
    return jgd.descend(
        objective,
        problem.params,
        problem.train,
        rule=_rule(problem._replace(objective=objective), config, weights),
        epochs=epochs,
        state=state,
        weights=weights,
        **{**more, "batch_size": config.get("batch_size", more["batch_size"])},
    )


def swept(lanes: Lanes, show: bool) -> jgd.Sweep:
    """All configurations, with a bar, judged by rows held out."""
    options = lanes.problem.options
    # Each part of a training tells the rates again where nobody gave them.
    chunk = max(options.epochs // 5, 1) if _is_auto(lanes) else None
    return jgd.sweep_with_progress(
        functools.partial(train, lanes),
        lanes.space,
        epochs=options.epochs,
        chunk=chunk,
        score=score_of(lanes.problem),
        show=show,
    )


def halved(lanes: Lanes) -> jgd.Halving:
    """All configurations a little, the best of them for longer."""
    epochs = lanes.problem.options.epochs
    rungs = sorted({max(FEWEST, epochs // 9), max(FEWEST, epochs // 3), epochs})
    return jgd.successive_halving(
        functools.partial(train, lanes),
        lanes.space,
        rungs=[rung for rung in rungs if rung <= epochs],
        keep=KEPT,
        score=score_of(lanes.problem),
    )


def cross_validated(lanes: Lanes, folds: int) -> jgd.CrossValidation:
    """All configurations without each fold, judged by it."""
    problem = lanes.problem
    classes = False if problem.target.task == "regression" else problem.y_train
    return jgd.cross_validate(
        lambda config, weights: train(lanes, config, problem.options.epochs, weights=weights),
        lanes.space,
        problem.train,
        folds=folds,
        key=key_of(problem.options, "order"),
        score=functools.partial(_score_of_fold, list(lanes.variants.values())),
        stratify=classes,
    )


def score_of(problem: Problem) -> Any:
    """`Fit -> scalar`: the loss of rows held out below 0; None, the loss trained on, without any."""
    return None if problem.held is None else _held_out_score


def _held_out_score(fit: jgd.Fit) -> jax.Array:
    assert fit.history.evaluation is not None
    return -fit.history.evaluation["held_out_loss"][jnp.maximum(fit.epochs, 1) - 1]


def _score_of_fold(variants: list[Problem], params: Any, held: Any) -> jax.Array:
    """Models that differ in what they predict with have other params."""
    structure: Any = jax.tree.structure(params)
    alike = (v for v in variants if jax.tree.structure(v.params) == structure)
    loss = next(alike).objective.loss
    return -jnp.mean(jax.vmap(loss, in_axes=(None, 0))(params, held))


def _variant(problem: Problem, model: str | None, rule: str | None) -> Problem:
    options = problem.options
    if model is not None:
        hidden = units_of_model(model)
        options = options._replace(hidden=hidden, model="mlp" if hidden else LINEAR)
    if rule is not None:
        options = options._replace(rule=rule)
    if options.variant == "minibatch" and options.rule in choices.FULL_BATCH_RULES:
        options = options._replace(variant=None)
    options = settled(options, problem.target)
    learned = problem.learned._replace(hidden=options.hidden)
    params = start_of(learned, key_of(options, "start"))
    loss = choices.example_loss(loss_of(learned), model_of(learned).predict)
    return problem._replace(
        options=options, learned=learned, params=params, objective=jgd.objective(loss)
    )


def _rule(problem: Problem, config: dict, weights: Any) -> Any:
    options = problem.options
    rate = config.get("learning_rate", options.learning_rate)
    if isinstance(rate, str):
        if weights is None or options.rule != "sgd":
            return rule_of(problem)
        size = options.batch_size
        return jgd.auto_rule(
            problem.objective,
            problem.params,
            problem.train,
            batch_size=None if size is None else min(size, len(problem.y_train)),
            key=key_of(options, "rule"),
            weights=weights,
        )
    momentum = config.get("momentum", options.momentum)
    return choices.rule_named(options.rule, rate, momentum, options.variant == "batch")


def _is_auto(lanes: Lanes) -> bool:
    rates = {problem.options.learning_rate for problem in lanes.variants.values()}
    return "auto" in rates and "learning_rate" not in lanes.space.axes

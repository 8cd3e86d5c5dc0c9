"""From a table and options to what is minimised."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

import jgd
from jgd import choices, tables
from jgd.cli.learned import Learned, labels_of, loss_of, mean_loss, model_of, start_of
from jgd.cli.options import LOSSES, USUAL_BATCH_SIZE, USUAL_HIDDEN, Options, penalty_of
from jgd.descent.verdict import Stop
from jgd.wording import count

SAMPLE, MANY = 20_000, 100_000  # of so many rows the rate is told by a sample


class Problem(NamedTuple):
    """What is minimised, on which rows.

    Attributes:
      options: with nothing left open.
      learned: columns, target and model.
      names: [D], of the features.
      notes: sentences on the data.
      train: `{"x": [N, D], "y": [N] or [N, C]}`, the target as the loss wants it.
      held: the same of the rows held out, or None.
      y_train: [N], the target as `jgd.tables.encode_target` gives it.
      y_held: [M], the same of the rows held out.
      objective: from `jgd.objective`.
      params: where it starts.
      checksum: of the rows.
    """

    options: Options
    learned: Learned
    names: list[str]
    notes: list[str]
    train: dict[str, Any]
    held: dict[str, Any] | None
    y_train: np.ndarray
    y_held: np.ndarray
    objective: Any
    params: Any
    checksum: int

    @property
    def target(self) -> tables.Target:
        return self.learned.target

    @property
    def schema(self) -> tables.Schema:
        return self.learned.schema


def problem_of(options: Options) -> Problem:
    """Read the table, leave out rows without a target, hold rows out, and make numbers of columns.

    Of regression the target is standardised by the rows that are trained on (not with the loss poisson),
    so that losses are in units of its variance; predictions are in its own units again.

    Args:
      options: from `options_of`.

    Returns:
      The problem.

    Raises:
      TableError: the table, or what is asked of it, cannot be used.
      ValueError: a choice does not suit the task.
    """
    frame = tables.read_table(options.table, options.separator)
    target = tables.infer_target(frame, options.target, options.task)
    options = settled(options, target)
    notes = []
    if target.missing:
        lacking = count(target.missing, "row")
        notes.append(f"Left out {lacking} without a value of {target.name}.")
        frame = frame.filter(tables.has_target(frame, target))
    y = tables.encode_target(target, frame)
    classes = None if target.task == "regression" else y
    rows, held_rows = tables.split_rows(len(y), options.validation, options.seed, classes)
    training = frame[rows] if len(held_rows) else frame
    schema, said = tables.infer_columns(training, target.name, options.drop)
    x, _ = tables.encode(schema, training)
    notes += said
    learned = Learned(schema, target, options.hidden, options.activation, options.loss or "", 0.0, 1.0)
    if target.task == "regression" and options.loss != "poisson":
        trained = y[rows].astype(float)
        learned = learned._replace(center=float(trained.mean()), scale=float(trained.std()) or 1.0)
    held = None
    if len(held_rows):
        held_x, said = tables.encode(schema, frame[held_rows])
        notes += [f"In the rows held out: {note[0].lower()}{note[1:]}" for note in said]
        held = {"x": jnp.asarray(held_x), "y": jnp.asarray(labels_of(learned, y[held_rows]))}
    params = start_of(learned, key_of(options, "start"))
    loss = choices.example_loss(loss_of(learned), model_of(learned).predict)
    name, strength, ratio = penalty_of(options.penalty)
    return Problem(
        options=options,
        learned=learned,
        names=tables.feature_names(schema),
        notes=notes,
        train={"x": jnp.asarray(x), "y": jnp.asarray(labels_of(learned, y[rows]))},
        held=held,
        y_train=y[rows],
        y_held=y[held_rows],
        objective=jgd.objective(loss, choices.penalty_named(name, strength, ratio, params)),
        params=params,
        checksum=zlib.crc32(y.tobytes(), zlib.crc32(x.data)),
    )


def settled(options: Options, target: tables.Target) -> Options:
    """The options with nothing left open; ValueError where one does not suit the task."""
    losses = LOSSES[target.task]
    if options.loss not in (None, *losses):
        raise ValueError(
            f"--loss is {options.loss}, but {target.name} is {target.task}, for which one of "
            f"{', '.join(losses)} is wanted.\nTake one of these, or say what it is: --task"
        )
    is_mlp = options.model == "mlp" or bool(options.hidden)
    takes_all = options.rule in choices.FULL_BATCH_RULES
    variant = options.variant
    if variant is None:
        variant = "batch" if takes_all and options.batch_size is None else "minibatch"
    if takes_all and variant != "batch":
        raise ValueError(
            f"--rule {options.rule} takes all rows at once, but --variant is {variant}. "
            "Take --variant batch."
        )
    sizes = {"batch": None, "stochastic": 1, "minibatch": options.batch_size or USUAL_BATCH_SIZE}
    _check_rule(options, variant == "batch")
    return options._replace(
        task=target.task,
        loss=options.loss or losses[0],
        model="mlp" if is_mlp else "linear",
        hidden=(options.hidden or USUAL_HIDDEN) if is_mlp else (),
        variant=variant,
        batch_size=sizes[variant],
    )


def _check_rule(options: Options, is_batch: bool) -> None:
    rate, rule = options.learning_rate, options.rule
    if options.momentum is not None and (rule != "sgd" or rate == "auto"):
        raise ValueError(
            f"--momentum is given, but --rule is {rule} and --learning-rate {rate}. It belongs to sgd "
            "with a number: --rule sgd --learning-rate 0.01"
        )
    if rate != "auto" and rule in choices.RULES and rule not in choices.RATED_RULES:
        raise ValueError(
            f"--rule {rule} chooses the length of its steps itself, but --learning-rate is {rate}. "
            f"Leave it out, or take one of {', '.join(choices.RATED_RULES)}."
        )
    choices.check_rule(rule, rate, options.momentum, is_batch)


def rule_of(problem: Problem) -> Any:
    """The rule; that of sgd with the learning rate auto looks at the problem, which takes seconds."""
    options = problem.options
    if options.rule != "sgd" or options.learning_rate != "auto":
        return choices.rule_named(
            options.rule, options.learning_rate, options.momentum, options.variant == "batch"
        )
    num, rows = len(problem.y_train), problem.train
    size = options.batch_size
    if num > MANY:
        chosen = np.sort(np.random.default_rng(options.seed).choice(num, SAMPLE, replace=False))
        rows = jax.tree.map(lambda part: part[chosen], rows)
        num = SAMPLE
    size = None if size is None else min(size, num)
    return jgd.auto_rule(
        problem.objective, problem.params, rows, batch_size=size, key=key_of(options, "rule")
    )


def training_options(problem: Problem) -> dict[str, Any]:
    """The options of `jgd.train` and `jgd.descend`, but for the rule and the epochs."""
    options = problem.options
    size = options.batch_size
    stop: tuple[Stop, ...] = ()
    if options.patience:
        stop = (
            jgd.stop.relative_gradient_norm(options.tolerance),
            jgd.stop.plateau(options.patience, options.tolerance),
        )
    evaluation = {}
    if problem.held is not None:
        evaluation = {
            "evaluate": Partial(mean_loss, problem.objective.loss),
            "validation": problem.held,
        }
    return {
        "batch_size": None if size is None else min(size, len(problem.y_train)),
        "key": None if size is None else key_of(options, "order"),
        "stop": stop,
        **evaluation,
    }


def key_of(options: Options, part: str) -> Any:
    """A key for each part that draws, all of them of one seed."""
    return jax.random.fold_in(jax.random.key(options.seed), ("start", "rule", "order").index(part))

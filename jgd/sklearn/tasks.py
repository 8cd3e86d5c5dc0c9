"""From the parameters of an estimator to a `Task`: each is checked, and what is held out is drawn."""

import functools
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
import optax
from jax.tree_util import Partial
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from jgd import choices
from jgd.descent.checks import checked_rule
from jgd.descent.method import Method
from jgd.objectives.penalties.penalty import Penalty
from jgd.sklearn.training import Setup, Task
from jgd.tree import as_partial, is_whole


def as_known(loss: Callable) -> Partial:
    """A loss whose function is known by its identity, and whose bound numbers are leaves."""
    if isinstance(loss, functools.partial) and not isinstance(loss, Partial):
        return Partial(loss.func, *loss.args, **loss.keywords)
    return as_partial(loss)


# name -> (whether a number is right, what is wanted)
NUMBERS = {
    "alpha": (lambda x: 0 <= x < np.inf, "a number >= 0"),
    "l1_ratio": (lambda x: 0 <= x <= 1, "a number from 0 to 1"),
    "learning_rate": (lambda x: 0 < x < np.inf, 'a number > 0 or "auto"'),
    "momentum": (lambda x: 0 <= x < 1, "a number from 0 to below 1 or None"),
    "tol": (lambda x: 0 <= x < 1, "a number from 0 to below 1 or None"),
    "validation_fraction": (lambda x: 0 < x < 1, "a share between 0 and 1"),
}
ABSENT = {"learning_rate": "auto", "momentum": None, "tol": None}
AS_PYTREE = {"loss": as_known, "penalty": lambda penalty: penalty, "rule": checked_rule}
HELD_OUT = "the examples that early_stopping holds out"
COUNTS = ("n_components", "batch_size", "max_iter", "n_iter_no_change")
FLAGS = ("early_stopping", "fit_intercept", "shuffle", "warm_start")
MOST = 10**7  # epochs, each of which has a place in the history


def task_of(
    estimator: Any,
    losses: str,
    outputs: int | None,
    data: dict,
    weights: Any,
    is_partial: bool = False,
) -> Task:
    """The training that an estimator asks for.

    Args:
      estimator: whose parameters are read.
      losses: see `Setup`.
      outputs: of the model; None for a scalar.
      data: `{"x": [N, D], "y": ...}`.
      weights: [N] or None; brought to a mean of 1.
      is_partial: whether it is one epoch of `partial_fit`, which stops by nothing and holds nothing out.

    Raises:
      ValueError: a parameter does not fit; the message names it and the way out.
    """
    seed = seed_of(estimator)
    held = None
    if estimator.early_stopping and not is_partial:
        kept, left_out = held_out(estimator, data["y"], losses, seed)
        part, part_weights = rows_of(data, weights, left_out)
        held = part, normalized(part_weights, HELD_OUT)
        data, weights = rows_of(data, weights, kept)
    setup, given = setup_of(estimator, losses, outputs, len(data["x"]), is_partial)
    return Task(setup, numbers_of(estimator, seed), given, data, normalized(weights), held)


def seed_of(estimator: Any) -> int:
    """An int as it is; from anything else that scikit-learn takes, one that is drawn."""
    seed = estimator.random_state
    if is_whole(seed) and 0 <= seed < 2**32:
        return int(seed)
    return check_random_state(seed).randint(2**31 - 1)


def setup_of(
    estimator: Any, losses: str, outputs: int | None, num: int, is_partial: bool
) -> tuple[Setup, dict]:
    """What decides the program of the estimator on so many examples, and the objects among that."""
    named, given = {}, {}
    for part in ("loss", "penalty", "rule"):
        choice = getattr(estimator, part)
        named[part] = choice if choice is None or isinstance(choice, str) else None
        if choice is not None and not isinstance(choice, str):
            given[part] = AS_PYTREE[part](choice)
    size = estimator.batch_size
    stops = not is_partial and (estimator.tol is not None or estimator.early_stopping)
    setup = Setup(
        losses=losses,
        **named,
        has_rate=estimator.learning_rate != "auto",
        has_momentum=estimator.momentum is not None,
        hidden=tuple(int(units) for units in estimator._hidden()),
        activation=estimator.activation,
        bias=bool(getattr(estimator, "fit_intercept", True)),
        outputs=outputs,
        batch_size=None if size is None else int(min(size, num)),
        epochs=1 if is_partial else int(estimator.max_iter),
        shuffle=bool(estimator.shuffle),
        patience=int(estimator.n_iter_no_change) if stops else None,
        validates=bool(estimator.early_stopping) and not is_partial,
    )
    return setup, given


def numbers_of(estimator: Any, seed: int) -> dict[str, Any]:
    """What is traced; 1 stands where there is no number."""
    found = {name: getattr(estimator, name) for name in ("alpha", "l1_ratio", *ABSENT)}
    absent = {name: 1.0 for name, value in ABSENT.items() if found[name] in (value, None)}
    absent["tol"] = 0.0 if found["tol"] is None else found["tol"]
    numbers_found = {name: np.float32(x) for name, x in {**found, **absent}.items()}
    return {**numbers_found, "seed": np.uint32(seed)}


def held_out(estimator: Any, y: Any, losses: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the examples to learn from and of those held out, the classes in equal parts."""
    classes = None
    if losses in ("binary", "multiclass"):
        classes = y if y.ndim == 1 else y.argmax(axis=1)
    share = estimator.validation_fraction
    try:
        kept, held = train_test_split(
            np.arange(len(y)), test_size=share, random_state=seed, stratify=classes
        )
    except ValueError as error:
        raise ValueError(
            f"early_stopping cannot hold out a share of {share} of {len(y)} examples ({error}). Take "
            "early_stopping=False, another validation_fraction, or more examples of each class."
        ) from error
    return kept, held


def rows_of(data: dict, weights: Any, rows: np.ndarray) -> tuple[dict, Any]:
    part = {name: array[rows] for name, array in data.items()}
    return part, None if weights is None else weights[rows]


def normalized(weights: Any, where: str = "the examples to learn from") -> Any:
    """Weights whose mean over those that are not 0 is 1, so that a weight of 2 is an example twice.

    Raises:
      ValueError: one is below 0 or not finite, or all are 0.
    """
    if weights is None:
        return None
    weights = np.asarray(weights, np.float64)
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.any()):
        raise ValueError(
            f"sample_weight and class_weight make weights from {weights.min():g} to {weights.max():g} "
            f"of {where}, but finite numbers >= 0 are wanted, and not all of them 0."
        )
    weights = weights / weights.max()
    return np.asarray(weights * (np.count_nonzero(weights) / weights.sum()), np.float32)


def check_parameters(estimator: Any) -> None:
    """ValueError where a parameter of the estimator does not fit."""
    given = vars(estimator)  # get_params reads the signature anew each time
    for name, (is_right, wanted) in NUMBERS.items():
        number = given[name]
        if name in ABSENT and (number is None if ABSENT[name] is None else number == ABSENT[name]):
            continue
        is_number = isinstance(number, numbers.Real) and not isinstance(number, bool)
        if not is_number or not is_right(_as_float32(number)):
            raise ValueError(f"{name} is {number!r}, but {wanted} is wanted.")
    for name in given.keys() & set(COUNTS):
        if not (given[name] is None and name == "batch_size") and not _is_count(given[name]):
            way_out = " or None, which takes all examples at once," if name == "batch_size" else ""
            raise ValueError(
                f"{name} is {given[name]!r}, but a whole number from 1 to {MOST:,}{way_out} is wanted."
            )
    for name in given.keys() & set(FLAGS):
        if not isinstance(given[name], bool | np.bool_):
            raise ValueError(f"{name} is {given[name]!r}, but True or False is wanted.")
    hidden = given["hidden_layer_sizes"]
    if not isinstance(hidden, tuple | list) or not all(map(_is_count, hidden)):
        raise ValueError(
            f"hidden_layer_sizes is {hidden!r}, but a tuple of whole numbers >= 1 is wanted, e.g. "
            "(64,); () is the linear model."
        )
    _check_pieces(given)


def _check_pieces(given: dict) -> None:
    """Objects in the place of names, and names that hang together with numbers."""
    for part, is_right, wanted in (
        ("loss", callable, "a name or a function (prediction, target) -> scalar"),
        ("penalty", lambda x: isinstance(x, Penalty), "a name, None or a penalty of jgd.penalties"),
        ("rule", _is_rule, "a name or a rule of jgd or optax"),
    ):
        choice = given[part]
        if isinstance(choice, str) or (choice is None and part == "penalty"):
            continue
        if not is_right(choice):
            raise ValueError(f"{part} is {choice!r}, but {wanted} is wanted.")
    if given["hidden_layer_sizes"] and not given.get("fit_intercept", True):
        raise ValueError(
            "fit_intercept is False, but hidden layers always have intercepts. Leave it True, or take "
            "the linear model: hidden_layer_sizes=()."
        )
    choices.check_named("activation", given["activation"], choices.ACTIVATIONS)
    if isinstance(given["penalty"], str):
        choices.check_named("penalty", given["penalty"], choices.PENALTIES)
    if isinstance(given["rule"], str):
        rate, momentum, is_batch = given["learning_rate"], given["momentum"], given["batch_size"] is None
        choices.check_rule(given["rule"], rate, momentum, is_batch)
    elif given["learning_rate"] != "auto" or given["momentum"] is not None:
        raise ValueError(
            "learning_rate or momentum is given beside a rule that has its own. Leave them out: "
            'learning_rate="auto", momentum=None.'
        )


def _is_rule(x: Any) -> bool:
    return isinstance(x, optax.GradientTransformation | Method)


def _is_count(x: Any) -> bool:
    return is_whole(x) and 1 <= x <= MOST


def _as_float32(number: Any) -> float:
    return float(np.float32(number)) if abs(number) <= np.finfo(np.float32).max else np.inf

"""Folds: which examples are held out together."""

from typing import Any

import jax
import numpy as np

from jgd.objectives.checks import check_data, check_key
from jgd.tree import is_whole

MOST_VALUES_OF_FLOATS = 2  # targets of more are numbers to be met, not classes


def fold_numbers(data: Any, folds: Any, key: jax.Array | None, stratify: Any) -> np.ndarray:
    """The fold in which each example is held out, [N], from 0.

    Args:
      data: pytree of arrays that share their leading axis N.
      folds: how many, an int; or an array [N] of their numbers.
      key: PRNG key of the draw.
      stratify: classes [N] that every fold shall hold in equal parts; None takes the one leaf of the
        data that looks like classes; False takes no classes.

    Raises:
      ValueError: an argument does not fit; the message names it and the way out.
    """
    num_examples = check_data(data)
    classes = _classes(data, num_examples, stratify)
    if not is_whole(folds):
        numbers = _given(folds, num_examples)
        _check_training_parts(numbers, classes)
        return numbers
    if not 2 <= folds <= num_examples:
        raise ValueError(
            f"folds is {folds}, but from 2 to {num_examples} of them, the number of examples in data, "
            "are wanted."
        )
    if key is None:
        raise ValueError(
            "key is None, but a PRNG key, by which the folds are drawn, is wanted: pass "
            "key=jax.random.key(0), or folds as an array of fold numbers [N]."
        )
    check_key(key)
    _check_held_out_parts(classes, folds, found_in_data=stratify is None)
    # Dealt out class by class, like cards, so that neither folds nor classes in them differ by more
    # than one example.
    by_class = np.lexsort((np.asarray(jax.random.uniform(key, (num_examples,))), classes))
    numbers = np.empty(num_examples, int)
    numbers[by_class] = np.arange(num_examples) % folds
    return numbers


def _classes(data: Any, num_examples: int, stratify: Any) -> np.ndarray:
    """A class for each example; one for all where they are not told apart."""
    if stratify is None:
        candidates = [x for x in map(np.asarray, jax.tree.leaves(data)) if _looks_like_classes(x)]
        classes = candidates[0] if len(candidates) == 1 else np.zeros(num_examples, int)
    elif stratify is False:
        classes = np.zeros(num_examples, int)
    else:
        classes = np.asarray(stratify)
        if classes.shape != (num_examples,):
            raise ValueError(
                f"stratify has shape {classes.shape}, but a class for each of the {num_examples} "
                "examples is wanted; None finds them in data, False deals the examples out as they come."
            )
    return classes


def _looks_like_classes(x: np.ndarray) -> bool:
    if x.ndim != 1 or x.dtype.kind not in "biuf":
        return False
    return x.dtype.kind != "f" or len(np.unique(x)) <= MOST_VALUES_OF_FLOATS


def _given(folds: Any, num_examples: int) -> np.ndarray:
    wanted = f"an int >= 2, or an array of fold numbers (ints from 0) of the {num_examples} examples"
    try:
        numbers = np.asarray(folds)
    except (TypeError, ValueError) as error:
        raise ValueError(f"folds is {folds!r}, but {wanted}, is wanted.") from error
    if numbers.dtype.kind not in "iu" or numbers.shape != (num_examples,):
        came = f"{folds!r}" if numbers.ndim == 0 else f"of shape {numbers.shape} and {numbers.dtype}"
        raise ValueError(f"folds is {came}, but {wanted}, is wanted.")
    found = np.unique(numbers)
    if len(found) < 2 or not np.array_equal(found, np.arange(len(found))):
        raise ValueError(
            f"folds holds the numbers {found[:10].tolist()}, but 0, 1, ... without a gap, two or more, "
            "are wanted: np.unique(folds, return_inverse=True)[1] makes them."
        )
    return numbers


def _check_held_out_parts(classes: np.ndarray, folds: int, found_in_data: bool) -> None:
    values, counts = np.unique(classes, return_counts=True)
    rarest = int(np.argmin(counts))
    if counts[rarest] < folds:
        what = "of the targets" if found_in_data else "of stratify"
        raise ValueError(
            f"folds is {folds}, but class {values[rarest]} {what} has {counts[rarest]} examples, so "
            f"that it would be missing from a fold. Take at most {max(counts[rarest], 2)} folds, join "
            "or leave out rare classes, or pass stratify=False to deal the examples out as they come "
            "(as for targets that are counts)."
        )


def _check_training_parts(numbers: np.ndarray, classes: np.ndarray) -> None:
    for fold in np.unique(numbers):
        missing = np.setdiff1d(classes, classes[numbers != fold])
        if len(missing):
            raise ValueError(
                f"folds: class {missing[0]} is held out whole in fold {fold}, and missing from what is "
                "trained on. Spread its examples over two folds or more, leave the class out, or pass "
                "stratify=False if these are no classes."
            )

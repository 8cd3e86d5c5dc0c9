"""What no descent gets over: numbers that are not finite, labels that the loss does not know."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgd.objectives.labels import check_targets
from jgd.tuning.columns import as_numpy
from jgd.tuning.hessian import Problem
from jgd.tuning.surroundings import slope_at
from jgd.wording import count, listed


def leaf_names(name: str, tree: Any) -> list[str]:
    """`data['x']` and the like, for each leaf."""
    return [name + jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


def unsound_params(params: Any) -> list[str]:
    """A sentence for each leaf of params that is not finite."""
    sentences = []
    for name, leaf in zip(leaf_names("params", params), jax.tree.leaves(params), strict=True):
        bad = int(np.sum(~np.isfinite(as_numpy(leaf))))
        if bad:
            sentences.append(
                f"{name}: {bad:,} of {count(leaf.size, 'number')} {_are(bad)} NaN or infinite, so "
                "nothing can be measured and no descent can start. Start elsewhere; a diverged fit "
                "keeps its last finite params."
            )
    return sentences


def label_troubles(problem: Problem) -> list[str]:
    """A sentence where a target is not what a loss of `jgd.losses` demands."""
    try:
        check_targets(problem.objective.loss, problem.params, problem.data, problem.weights)
    except ValueError as error:
        return [f"No descent can start: {error}"]
    return []


def sound_rows(problem: Problem) -> tuple[np.ndarray, list[str]]:
    """Which rows [N] count and are finite, and a sentence for each leaf of data that is not.

    Rows that are not finite are sound all the same where the loss and its gradient are: it may know
    what to do about NaN.
    """
    leaves = jax.tree.leaves(problem.data)
    counts = np.ones(leaves[0].shape[0], bool)
    names = leaf_names("data", problem.data)
    if problem.weights is not None:
        counts = np.asarray(problem.weights) != 0
        leaves, names = [*leaves, problem.weights], [*names, "weights"]
    sound, sentences = counts.copy(), []
    for name, leaf in zip(names, leaves, strict=True):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            continue
        bad = ~np.isfinite(as_numpy(leaf)) & counts.reshape(-1, *(1,) * (leaf.ndim - 1))
        if bad.any():
            sentences.append(_holds_nan(name, bad))
            sound &= ~bad.reshape(len(bad), -1).any(axis=1)
    if not sentences:
        return sound, []
    slope = slope_at(problem)
    if np.isfinite(slope.value) and np.isfinite(slope.norm):
        return counts, [f"{s} The loss copes with it: value and gradient are finite." for s in sentences]
    num_left = int(sound.sum())
    rest = (
        f"All that follows is of the {count(num_left, 'row')} without."
        if num_left
        else "No row is without, so nothing else can be measured."
    )
    cure = (
        "Drop columns that hold nothing else, fill the others (say, with the median of the column), or "
        "give the rows the weight 0."
    )
    return sound, [f"{s} {cure}" for s in sentences[:-1]] + [f"{sentences[-1]} {cure} {rest}"]


def _holds_nan(name: str, bad: np.ndarray) -> str:
    rows = np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))
    where = f"{'row' if len(rows) == 1 else 'rows'} {listed(list(rows))}"
    if bad.ndim == 2:
        columns = np.flatnonzero(bad.any(axis=0))
        where = f"{'column' if len(columns) == 1 else 'columns'} {listed(list(columns))}, {where}"
    num = int(bad.sum())
    return f"{name} holds {count(num, 'number')} that {_are(num)} NaN or infinite ({where})."


def same_everywhere(problem: Problem, rows: np.ndarray) -> list[str]:
    """A sentence for each leaf [N] with one value in all rows that count: such are no labels."""
    num = int(rows.sum())
    leaves = jax.tree.leaves(problem.data)
    sentences = []
    for name, leaf in zip(leaf_names("data", problem.data), leaves, strict=True):
        if leaf.ndim != 1 or num < 2 or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            continue
        values = as_numpy(leaf)[rows]
        if np.all(values == values[0]):
            sentences.append(
                f"{name} is {values[0]:g} in all {num:,} rows. If it is what is to be predicted, there "
                "is nothing to learn."
            )
    return sentences


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def unsound_losses(losses: np.ndarray, index: np.ndarray) -> list[str]:
    """A sentence where the loss of an example is not finite, though its numbers are."""
    bad = np.flatnonzero(~np.isfinite(losses))
    if not len(bad):
        return []
    rows = f"{'row' if len(bad) == 1 else 'rows'} {listed(list(index[bad]))}"
    return [
        f"The loss is NaN or infinite for {len(bad):,} of {count(len(losses), 'example')} ({rows}), "
        "though data and params are finite: look for a logarithm of 0, a division by 0, a power or an "
        "exponential that overflows. A descent from here ends as DIVERGED at once."
    ]

"""Checks of the arguments of `descend_stream`, beside those of `descend`."""

from typing import Any

import numpy as np

from jgd.descent.checks import Arguments
from jgd.descent.method import Method
from jgd.objectives.checks import check_weights
from jgd.runtime.blocks import Blocks, Iterated
from jgd.runtime.mesh import parts_of
from jgd.tree import is_whole


def check_options(blocks, batch_size, rule, weights, evaluate, validation) -> None:
    """ValueError where an option of `descend_stream` does not suit blocks."""
    if not isinstance(blocks, Blocks | Iterated):
        raise ValueError(
            f"blocks is {type(blocks).__name__}, but a source of blocks is wanted: jgd.blocks.npy, "
            ".table, .arrays or .iterate. Data that fit in memory go to jgd.descend."
        )
    most = blocks.rows if isinstance(blocks, Blocks) else None
    if batch_size is not None and not (is_whole(batch_size) and batch_size >= 1):
        raise ValueError(
            f"batch_size is {batch_size!r}, but an int >= 1 is wanted, or None for one step an epoch."
        )
    if batch_size is not None and most is not None and batch_size > most:
        raise ValueError(
            f"batch_size is {batch_size}, but a block has {most} rows, and a batch lies within one. "
            "Make blocks longer: rows=... where they are made."
        )
    if isinstance(rule, Method):
        raise ValueError(
            "rule is a method for convex problems, which wants all rows at hand, but blocks come one by "
            "one. Take a rule, such as jgd.sgd(0.1) or jgd.adam(1e-3)."
        )
    if weights is not None:
        if isinstance(blocks, Iterated):
            raise ValueError(
                f"weights have shape {np.shape(weights)}, but batches of a loader have none. Let the "
                "loader give them, and put them into the loss."
            )
        check_weights(weights, blocks.num_rows)
    if evaluate is not None and validation is None:
        raise ValueError(
            "validation is None, but evaluate wants data that are at hand: pass validation=data held "
            "out."
        )


def check_parts(blocks: Any, rows_of: Any) -> None:
    """ValueError where blocks do not divide among the devices; of the last one that is no matter."""
    if rows_of is None or not isinstance(blocks, Blocks):
        return
    parts, rows = parts_of(rows_of), blocks.rows
    if blocks.num_rows > rows and rows % parts:
        even = max(rows // parts, 1) * parts
        raise ValueError(
            f"blocks have {rows} rows each, which do not divide among the {parts} parts of mesh. Make "
            f"them with rows={even}, say."
        )


def check_stop(arguments: Arguments, batch_size: int | None) -> None:
    """ValueError where a stop test wants all rows at once."""
    for test in arguments.stop:
        if test.wants_gap or (test.wants_gradient and batch_size is not None):
            raise ValueError(
                "stop wants all rows at once, for the gradient or the gap at one point, but they come "
                "block by block. Stop by jgd.stop.plateau(patience=10) or jgd.stop.validation, or in "
                "batch descent by jgd.stop.gradient_norm."
            )

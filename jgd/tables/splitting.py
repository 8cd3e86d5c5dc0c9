"""Rows to train on, and rows held out."""

from typing import Any

import numpy as np

from jgd.tables.complaints import TableError


def split_rows(num: int, share: float, seed: int, classes: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Which rows to train on and which to hold out, by lot.

    With `classes` each class gives its share to both parts, rounded so that the whole comes out right. A
    class of one row is trained on.

    Args:
      num: of rows.
      share: of the rows to hold out, in [0, 1): the number is round(share * num), but at least 1, and at
        least 1 stays. 0 holds out none.
      seed: of the lot.
      classes: [num], the class of each row.

    Returns:
      The numbers of the rows of both parts, each ascending.

    Raises:
      TableError: there are too few rows, or the share is out of range.

    >>> train, held = split_rows(10, 0.2, seed=0, classes=[0] * 5 + [1] * 5)
    >>> len(train), [int(row) // 5 for row in held]
    (8, [0, 1])
    """
    if not 0 <= share < 1:
        raise TableError(
            f"{share} of the rows cannot be held out: 0 to less than 1 is wanted, e.g. 0.2."
        )
    least = 2 if share else 1
    if num < least:
        rows = "one row" if num == 1 else "no rows"
        raise TableError(f"The table has {rows} with a target, but {least} or more are wanted.")
    if not share:
        return np.arange(num), np.arange(0)
    wanted = min(max(round(share * num), 1), num - 1)
    lot = np.random.default_rng(seed).permutation(num)
    chosen = lot[:wanted] if classes is None else _by_class(lot, np.asarray(classes), wanted)
    is_held = np.zeros(num, bool)
    is_held[chosen] = True
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def _by_class(lot: np.ndarray, classes: np.ndarray, wanted: int) -> np.ndarray:
    _, class_of, counts = np.unique(classes, return_inverse=True, return_counts=True)
    if counts.max() == 1:
        return lot[:wanted]
    ideal = wanted * counts / len(classes)
    quota = np.minimum(np.floor(ideal), counts - 1).astype(int)
    # What rounding down left over goes to those who lost most by it, as long as one of each class stays.
    by_loss = np.argsort(quota - ideal, kind="stable")
    room = by_loss[quota[by_loss] < counts[by_loss] - 1]
    quota[room[: wanted - quota.sum()]] += 1
    # Where small classes are full, the large ones give what is still wanted.
    by_room = np.argsort(quota - counts, kind="stable")
    room = (counts - 1 - quota)[by_room]
    quota[by_room] += np.clip(wanted - quota.sum() - (np.cumsum(room) - room), 0, room)
    ordered = lot[np.argsort(class_of[lot], kind="stable")]
    rank = np.arange(len(lot)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ordered[rank < np.repeat(quota, counts)]

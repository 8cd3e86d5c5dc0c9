"""Predictors of one example, as pairs of pure functions `(init, predict)`."""

from jgd.models.cnn import cnn
from jgd.models.dropout import dropout
from jgd.models.factorization import factorization, unknown
from jgd.models.factorization_machine import factorization_machine
from jgd.models.linear import linear
from jgd.models.mlp import mlp
from jgd.models.model import Model
from jgd.models.text import text

__all__ = [
    "Model",
    "cnn",
    "dropout",
    "factorization",
    "factorization_machine",
    "linear",
    "mlp",
    "text",
    "unknown",
]

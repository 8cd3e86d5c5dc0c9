"""Predictors of one example, as pairs of pure functions `(init, predict)`."""

from jgd.models.linear import linear
from jgd.models.mlp import mlp
from jgd.models.model import Model

__all__ = ["Model", "linear", "mlp"]

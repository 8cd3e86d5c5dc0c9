"""Penalties on the parameters: norms that shrink them, and sets that they must stay in."""

from jgd.objectives.penalties.groups import group_l1, nuclear
from jgd.objectives.penalties.norms import elastic_net, l1, l2
from jgd.objectives.penalties.penalty import Penalty
from jgd.objectives.penalties.sets import box, l1_ball, l2_ball, nonnegative, simplex

__all__ = [
    "Penalty",
    "box",
    "elastic_net",
    "group_l1",
    "l1",
    "l1_ball",
    "l2",
    "l2_ball",
    "nonnegative",
    "nuclear",
    "simplex",
]

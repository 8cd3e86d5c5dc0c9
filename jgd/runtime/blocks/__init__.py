"""Rows that do not fit in memory: cut into blocks, or in the batches of whatever makes them."""

from jgd.runtime.blocks.checks import check_block, find_bad
from jgd.runtime.blocks.loaders import Iterated, iterate
from jgd.runtime.blocks.npy_files import npy
from jgd.runtime.blocks.sliced import arrays
from jgd.runtime.blocks.source import Blocks
from jgd.runtime.blocks.tables import table

__all__ = ["Blocks", "Iterated", "arrays", "check_block", "find_bad", "iterate", "npy", "table"]

"""jgd: a JAX toolkit for gradient descent.

Write the loss of one example. jgd turns it into batch, stochastic and mini-batch gradient descent:
one compiled program, every number in it traced, so that a sweep is a `vmap`.
"""

from jgd import features, metrics, models
from jgd.convex.accelerated import accelerated
from jgd.convex.coordinate import coordinate
from jgd.convex.hypergradient import implicit
from jgd.convex.mirror import mirror
from jgd.convex.path import Path, path
from jgd.convex.primal_dual import primal_dual
from jgd.convex.variance_reduced import katyusha, saga, svrg
from jgd.descent import stop
from jgd.descent.armijo import armijo
from jgd.descent.barzilai_borwein import barzilai_borwein
from jgd.descent.epoch import State
from jgd.descent.explain import explain
from jgd.descent.loop import (
    Fit,
    History,
    batch_descent,
    descend,
    minibatch_descent,
    stochastic_descent,
)
from jgd.descent.order import order
from jgd.descent.polyak import polyak
from jgd.descent.rules import adagrad, adam, rmsprop, sgd
from jgd.descent.status import Status
from jgd.objectives import losses, penalties
from jgd.objectives.duality import duality_gap, largest_strength
from jgd.objectives.objective import Objective, objective, value, value_and_gradient
from jgd.objectives.sufficient import sufficient_statistics
from jgd.objectives.visits import with_keys
from jgd.runtime import blocks, logs
from jgd.runtime.clock import descend_within
from jgd.runtime.mesh import shard_rows
from jgd.runtime.progress import sweep_with_progress
from jgd.runtime.stream import StreamError, StreamState, descend_stream
from jgd.runtime.trainer import train
from jgd.tuning import curvature
from jgd.tuning.auto import auto_rule
from jgd.tuning.cross_validation import CrossValidation, cross_validate
from jgd.tuning.diagnosis import Diagnosis, diagnose
from jgd.tuning.halving import Halving, successive_halving
from jgd.tuning.hyperband import Hyperband, hyperband
from jgd.tuning.multistart import Multistart, multistart
from jgd.tuning.noise import GradientNoise, gradient_noise
from jgd.tuning.population import Population, population_based_training
from jgd.tuning.range_test import RangeTest, range_test
from jgd.tuning.space import choice, grid, integers, log_uniform, sample, static, uniform
from jgd.tuning.sweep import Sweep, sweep
from jgd.xla import tune_xla

__version__ = "0.1.0"

__all__ = [
    "CrossValidation",
    "Diagnosis",
    "Fit",
    "GradientNoise",
    "Halving",
    "History",
    "Hyperband",
    "Multistart",
    "Objective",
    "Path",
    "Population",
    "RangeTest",
    "State",
    "Status",
    "StreamError",
    "StreamState",
    "Sweep",
    "accelerated",
    "adagrad",
    "adam",
    "armijo",
    "auto_rule",
    "barzilai_borwein",
    "batch_descent",
    "blocks",
    "choice",
    "coordinate",
    "cross_validate",
    "curvature",
    "descend",
    "descend_stream",
    "descend_within",
    "diagnose",
    "duality_gap",
    "explain",
    "features",
    "gradient_noise",
    "grid",
    "hyperband",
    "implicit",
    "integers",
    "katyusha",
    "largest_strength",
    "log_uniform",
    "logs",
    "losses",
    "metrics",
    "minibatch_descent",
    "mirror",
    "models",
    "multistart",
    "objective",
    "order",
    "path",
    "penalties",
    "polyak",
    "population_based_training",
    "primal_dual",
    "range_test",
    "rmsprop",
    "saga",
    "sample",
    "sgd",
    "shard_rows",
    "static",
    "stochastic_descent",
    "stop",
    "successive_halving",
    "sufficient_statistics",
    "svrg",
    "sweep",
    "sweep_with_progress",
    "train",
    "tune_xla",
    "uniform",
    "value",
    "value_and_gradient",
    "with_keys",
]

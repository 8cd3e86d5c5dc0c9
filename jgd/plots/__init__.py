"""Pictures of descents and of sweeps. They want matplotlib, which `import jgd` does not load."""

try:
    import matplotlib.pyplot  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"jgd.plots wants matplotlib ({error}). Install it: pip install 'jgd[plot]'.", name=error.name
    ) from error

from jgd.plots.bars import coefficients
from jgd.plots.brackets import halving_brackets
from jgd.plots.classes import confusion
from jgd.plots.contours import path_on_contours
from jgd.plots.curves import learning_curves
from jgd.plots.heat import heat_map
from jgd.plots.histories import loss_history
from jgd.plots.marginals import final_loss
from jgd.plots.parallel import parallel_coordinates
from jgd.plots.paths import coefficient_path
from jgd.plots.ranges import range_test
from jgd.plots.scatter import predictions
from jgd.plots.style import save, style

__all__ = [
    "coefficient_path",
    "coefficients",
    "confusion",
    "final_loss",
    "halving_brackets",
    "heat_map",
    "learning_curves",
    "loss_history",
    "parallel_coordinates",
    "path_on_contours",
    "predictions",
    "range_test",
    "save",
    "style",
]

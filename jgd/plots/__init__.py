"""Pictures of descents and of sweeps. They want matplotlib, which `import jgd` does not load."""

try:
    import matplotlib.pyplot  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"jgd.plots wants matplotlib ({error}). Install it: pip install 'jgd[plot]'.", name=error.name
    ) from error

from jgd.plots.contours import path_on_contours
from jgd.plots.curves import learning_curves

__all__ = ["learning_curves", "path_on_contours"]

"""Estimators for those at home in scikit-learn, which they want and `import jgd` does not load."""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"jgd.sklearn wants scikit-learn ({error}). Install it: pip install 'jgd[sklearn]'.",
        name=error.name,
    ) from error

from jgd.sklearn.classifier import GDClassifier
from jgd.sklearn.regressor import GDRegressor
from jgd.sklearn.search import GDClassifierCV, GDRegressorCV
from jgd.sklearn.transformer import GDTransformer

__all__ = ["GDClassifier", "GDClassifierCV", "GDRegressor", "GDRegressorCV", "GDTransformer"]

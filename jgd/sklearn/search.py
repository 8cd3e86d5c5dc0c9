"""Cross-validated searches: `GridSearchCV` over an estimator of jgd, as lanes of one program."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin, clone
from sklearn.metrics import check_scoring
from sklearn.model_selection import ParameterGrid, check_cv
from sklearn.utils import indexable
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from jgd.sklearn.base import DescentEstimator
from jgd.sklearn.classifier import GDClassifier
from jgd.sklearn.configs import (
    check_finite,
    checked_grid,
    checked_splits,
    groups_of,
    results_of,
    with_parameters,
)
from jgd.sklearn.folds import searched
from jgd.sklearn.regressor import GDRegressor
from jgd.sklearn.tasks import check_parameters


def _best_has(name: str) -> Any:
    def has(search: Any) -> bool:
        getattr(getattr(search, "best_estimator_", None) or search._base(), name)  # says why it has none
        return True

    return has


class DescentSearchCV(BaseEstimator):
    """Every configuration of a grid, trained without each fold in turn, and the best on all examples."""

    def __init__(self, estimator=None, param_grid=None, *, cv=None, scoring=None, random_state=None):
        self.estimator = estimator
        self.param_grid = param_grid
        self.cv = cv
        self.scoring = scoring
        self.random_state = random_state

    def fit(self, X, y, **fit_params):
        """Search, and train the best configuration on all examples.

        Args:
          X: [N, D] numbers.
          y: [N] targets or labels.
          **fit_params: `sample_weight`, [N] numbers >= 0, of what is learned from and, where the scorer
            takes them, of the scores; `groups`, [N], for a splitter that wants them.

        Returns:
          The estimator.

        Raises:
          ValueError: an argument or a parameter does not fit; the message names it and the way out.
        """
        unknown = sorted(set(fit_params) - {"groups", "sample_weight"})
        if unknown:
            raise ValueError(f"fit takes sample_weight and groups beside X and y, but {unknown} came.")
        weights, groups = fit_params.get("sample_weight"), fit_params.get("groups")
        base = self._base()
        configs = list(ParameterGrid(checked_grid(self.param_grid, base)))
        for config in configs:
            check_parameters(with_parameters(base, config))
        if y is None:  # in the words that scikit-learn looks for
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is "
                "None."
            )
        X, y = indexable(X, y)
        splitter = check_cv(self.cv, y, classifier=isinstance(base, ClassifierMixin))
        splits = checked_splits(splitter.split(X, y, groups), len(y))
        scores = np.empty((len(configs), len(splits)))
        status = np.empty(scores.shape, int)
        for places in groups_of(base, configs):
            estimators = [with_parameters(base, configs[place]) for place in places]
            status[places], scores[places] = searched(estimators, X, y, weights, splits, self.scoring)
        self.cv_results_ = results_of(configs, scores, status)
        check_finite(scores)
        self.best_index_ = int(np.argmin(self.cv_results_["rank_test_score"]))
        self.best_params_ = configs[self.best_index_]
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        self.n_splits_ = len(splits)
        self.best_estimator_ = with_parameters(base, self.best_params_).fit(X, y, sample_weight=weights)
        return self

    def predict(self, X):
        """What the best estimator predicts.

        Args:
          X: [N, D] numbers.
        """
        check_is_fitted(self)
        return self.best_estimator_.predict(X)

    def score(self, X, y, sample_weight=None):
        """What the best estimator scores, by `scoring`.

        Args:
          X: [N, D] numbers.
          y: [N] targets or labels.
          sample_weight: [N] numbers >= 0, or None.
        """
        check_is_fitted(self)
        given = {} if sample_weight is None else {"sample_weight": sample_weight}
        return check_scoring(self.best_estimator_, self.scoring)(self.best_estimator_, X, y, **given)

    def explain(self) -> str:
        """The best configuration, and how its fit on all examples ended."""
        check_is_fitted(self)
        lost = int(self.cv_results_["diverged"].sum())
        fits = self.cv_results_["diverged"].size * self.n_splits_
        return (
            f"Best of {len(self.cv_results_['params'])} in {self.n_splits_} folds: {self.best_params_}, "
            f"mean score {self.best_score_:.6g}; {lost} of {fits} fits diverged.\n"
            f"{self.best_estimator_.explain()}"
        )

    def _base(self) -> DescentEstimator:
        if self.estimator is None:
            return self._kind(random_state=self.random_state)
        if not isinstance(self.estimator, self._kind):
            raise ValueError(
                f"estimator is {type(self.estimator).__name__}, but a {self._kind.__name__} is wanted. "
                "Of a pipeline, put the steps before it in front of the search: make_pipeline("
                f"StandardScaler(), {type(self).__name__}({self._kind.__name__}(), grid)). "
                "Anything else goes into sklearn.model_selection.GridSearchCV."
            )
        estimator = clone(self.estimator)
        if self.random_state is not None:
            estimator.random_state = self.random_state
        return estimator

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "best_estimator_")

    @property
    def n_features_in_(self) -> int:
        """How many features there are."""
        return self.best_estimator_.n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Their names, where X had any."""
        return self.best_estimator_.feature_names_in_

    @property
    def coef_(self) -> np.ndarray:
        """Of the best estimator."""
        return self.best_estimator_.coef_

    @property
    def intercept_(self) -> np.ndarray:
        """Of the best estimator."""
        return self.best_estimator_.intercept_

    @property
    def n_iter_(self) -> int:
        """Epochs of the best estimator."""
        return self.best_estimator_.n_iter_


class GDRegressorCV(MultiOutputMixin, RegressorMixin, DescentSearchCV):
    """`GDRegressor` with the best parameters of a grid, by cross-validation, as lanes of one program.

    Finds what `sklearn.model_selection.GridSearchCV(estimator, param_grid, cv=cv)` finds: every lane is
    the very training that `fit` would be. Learning rates, strengths of penalties, momenta and tolerances
    are lanes; every other parameter, and every size of a training part, makes a program of its own.

    Args:
      estimator: a `GDRegressor`; None takes one as it comes.
      param_grid: dict name -> values, or a list of these; None takes 15 strengths of the penalty.
      cv: as in scikit-learn: None is 5 folds, an int, a splitter, or pairs of places.
      scoring: as in scikit-learn; None is R².
      random_state: seed, in the place of the estimator's; None leaves it to the estimator.

    Attributes:
      best_estimator_: trained on all examples; best_params_, best_score_, best_index_.
      cv_results_: a dict of columns, as in scikit-learn: params, split0_test_score, ...,
        mean_test_score, std_test_score, rank_test_score; `diverged`, how many fits of a configuration.

    >>> import numpy as np
    >>> from jgd.sklearn import GDRegressor, GDRegressorCV
    >>> x = np.random.default_rng(0).normal(size=(60, 3))
    >>> search = GDRegressorCV(GDRegressor(batch_size=None), {"alpha": [1e-4, 1.0, 100.0]})
    >>> search.fit(x, x @ [1.0, 2.0, 0.0]).best_params_
    {'alpha': 0.0001}

    Source: Stone (1974), Journal of the Royal Statistical Society B 36(2).
    """

    _kind = GDRegressor
    score = DescentSearchCV.score  # that of the mixin knows no `scoring`


class GDClassifierCV(ClassifierMixin, DescentSearchCV):
    """`GDClassifier` with the best parameters of a grid, by cross-validation, as lanes of one program.

    As `GDRegressorCV`, with folds that hold the classes in equal parts, and with accuracy as score.

    Args:
      estimator: a `GDClassifier`; None takes one as it comes.
      param_grid: dict name -> values, or a list of these; None takes 15 strengths of the penalty.
      cv: as in scikit-learn: None is 5 folds, an int, a splitter, or pairs of places. A class that a
        training part lacks stays known there.
      scoring: as in scikit-learn; None is accuracy.
      random_state: seed, in the place of the estimator's; None leaves it to the estimator.

    Attributes:
      best_estimator_: trained on all examples; best_params_, best_score_, best_index_, classes_.
      cv_results_: a dict of columns, see `GDRegressorCV`.

    >>> from sklearn.datasets import load_iris
    >>> from jgd.sklearn import GDClassifier, GDClassifierCV
    >>> x, y = load_iris(return_X_y=True)
    >>> search = GDClassifierCV(GDClassifier(random_state=0), {"alpha": [1e-4, 1e-2, 10.0]})
    >>> search.fit(x, y).best_score_ > 0.9
    True

    Source: Stone (1974), Journal of the Royal Statistical Society B 36(2).
    """

    _kind = GDClassifier
    score = DescentSearchCV.score  # that of the mixin knows no `scoring`

    @property
    def classes_(self) -> np.ndarray:
        """The labels."""
        return self.best_estimator_.classes_

    @available_if(_best_has("decision_function"))
    def decision_function(self, X):
        """The scores of the best estimator.

        Args:
          X: [N, D] numbers.
        """
        check_is_fitted(self)
        return self.best_estimator_.decision_function(X)

    @available_if(_best_has("predict_proba"))
    def predict_proba(self, X):
        """The probabilities of the best estimator, [N, C].

        Args:
          X: [N, D] numbers.
        """
        check_is_fitted(self)
        return self.best_estimator_.predict_proba(X)

    @available_if(_best_has("predict_log_proba"))
    def predict_log_proba(self, X):
        """The logarithms of the probabilities of the best estimator, [N, C].

        Args:
          X: [N, D] numbers.
        """
        check_is_fitted(self)
        return self.best_estimator_.predict_log_proba(X)

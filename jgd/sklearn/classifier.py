"""The classifier: two classes or many, linear models and perceptrons."""

from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from jgd import choices
from jgd.sklearn.arrays import labels_of, weights_of, with_class_weights
from jgd.sklearn.base import DescentEstimator
from jgd.sklearn.tasks import check_parameters


def _has_probabilities(estimator: Any) -> bool:
    if estimator.loss == "log_loss":
        return True
    raise AttributeError(
        f"loss {estimator.loss!r} gives no probabilities. Take loss='log_loss', or wrap the classifier "
        "in sklearn.calibration.CalibratedClassifierCV."
    )


class GDClassifier(ClassifierMixin, DescentEstimator):
    """Classification by gradient descent: `mean_i w_i loss(predict(x_i), y_i) + penalty`.

    Linear, or with hidden layers a perceptron; two classes have one score, more have one each. As with
    every gradient descent, bring the features to one scale first:
    `make_pipeline(StandardScaler(), GDClassifier())`.

    Args:
      loss: "log_loss" (logistic for two classes, softmax for more), "hinge", "squared_hinge" (each class
        against all others); or a function `(scores, class number) -> scalar`. Known by its identity.
      class_weight: dict label -> weight, "balanced" (inversely to their frequency), or None.
      penalty, alpha, l1_ratio, fit_intercept, hidden_layer_sizes, activation, rule, learning_rate,
        momentum, batch_size, max_iter, tol, n_iter_no_change, early_stopping, validation_fraction,
        shuffle, warm_start, random_state: as those of `GDRegressor`.

    Attributes:
      classes_: [C] labels.
      coef_: [1, D] or [C, D]; intercept_: [1] or [C]. With hidden layers coefs_ and intercepts_, by
        layer.
      n_iter_: epochs that were run.
      loss_curve_: mean loss and penalty of each; validation_loss_curve_ of what was held out.
      status_: a `jgd.Status`; `explain()` has it in words.
      fit_: the `jgd.Fit`.

    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from jgd.sklearn import GDClassifier
    >>> x, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), GDClassifier(max_iter=20, tol=None, random_state=0))
    >>> model.fit(x, y).score(x, y) > 0.98
    True

    Source: Robbins and Monro (1951); the interface is that of Pedregosa et al. (2011), JMLR 12.
    """

    classes_: np.ndarray

    def __init__(
        self,
        loss="log_loss",
        *,
        penalty="l2",
        alpha=0.0001,
        l1_ratio=0.5,
        fit_intercept=True,
        hidden_layer_sizes=(),
        activation="relu",
        rule="sgd",
        learning_rate="auto",
        momentum=None,
        batch_size=32,
        max_iter=200,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        class_weight=None,
        shuffle=True,
        warm_start=False,
        random_state=None,
    ):
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.rule = rule
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None):
        """Train.

        Args:
          X: [N, D] numbers.
          y: [N] labels: numbers, text or bools.
          sample_weight: [N] numbers >= 0: 2 counts as the example twice, 0 as none. None is all 1.

        Returns:
          The estimator.

        Raises:
          ValueError: an argument or a parameter does not fit; the message names it and the way out.
        """
        self._train(*self._checked(X, y, sample_weight, is_first=True))
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch more, on these examples.

        Args:
          X: [N, D] numbers.
          y: [N] labels.
          classes: [C], all labels that will come; wanted at the first call, unless y holds all.
          sample_weight: [N] numbers >= 0, or None.

        Returns:
          The estimator.

        Raises:
          ValueError: an argument or a parameter does not fit.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight is {self.class_weight!r}, but partial_fit sees a part of the examples "
                "alone. Give a dict: sklearn.utils.compute_class_weight makes it from all labels."
            )
        is_first = not hasattr(self, "fit_")
        known = np.unique(classes) if classes is not None else None
        if not is_first:
            if known is not None and not np.array_equal(known, self.classes_):
                raise ValueError(
                    f"classes are {known.tolist()}, but at the first call they were "
                    f"{self.classes_.tolist()}. Start anew with a clone of the estimator."
                )
            known = self.classes_
        if is_first and known is None:
            raise ValueError("classes is None, but the first call of partial_fit wants all labels.")
        self._train_one_epoch(*self._checked(X, y, sample_weight, is_first, known))
        return self

    def decision_function(self, X):
        """The scores, [N] (above 0 for the second class) or [N, C].

        Args:
          X: [N, D] numbers.
        """
        check_is_fitted(self)
        return self._scores(validate_data(self, X, dtype=np.float32, reset=False))

    def predict(self, X):
        """The labels, [N].

        Args:
          X: [N, D] numbers.
        """
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]

    @available_if(_has_probabilities)
    def predict_proba(self, X):
        """The probabilities of the classes, [N, C].

        Args:
          X: [N, D] numbers.
        """
        scores = self.decision_function(X)
        return (
            softmax(scores, axis=1) if scores.ndim == 2 else expit(np.stack([-scores, scores], axis=1))
        )

    @available_if(_has_probabilities)
    def predict_log_proba(self, X):
        """The logarithms of the probabilities of the classes, [N, C].

        Args:
          X: [N, D] numbers.
        """
        return np.log(self.predict_proba(X))

    def _checked(
        self, X, y, sample_weight, is_first: bool, known: Any = None
    ) -> tuple[str, int | None, dict, Any]:
        check_parameters(self)
        if isinstance(self.loss, str):
            choices.check_named("loss", self.loss, choices.BINARY_LOSSES)
        X, y = validate_data(self, X, y, dtype=np.float32, reset=is_first)
        classes, numbers = labels_of(y, known)
        weights = weights_of(sample_weight, X)
        weights = with_class_weights(weights, self.class_weight, classes, numbers)
        if self.warm_start and hasattr(self, "fit_") and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start goes on from a fit of the classes {self.classes_.tolist()}, but y holds "
                f"{classes.tolist()}. Start anew with warm_start=False or a clone."
            )
        self.classes_ = classes
        if len(classes) == 2:
            return "binary", None, {"x": X, "y": numbers}, weights
        if self.loss in ("hinge", "squared_hinge"):
            numbers = np.eye(len(classes), dtype=np.int32)[numbers]
        return "multiclass", len(classes), {"x": X, "y": numbers}, weights

    def _coefficients(self, weights: np.ndarray) -> np.ndarray:
        return np.atleast_2d(weights.T)

"""The regressor: linear models and perceptrons, every loss of numbers."""

from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from jgd import choices
from jgd.sklearn.arrays import target_of, weights_of
from jgd.sklearn.base import DescentEstimator
from jgd.sklearn.tasks import check_parameters


class GDRegressor(MultiOutputMixin, RegressorMixin, DescentEstimator):
    """Regression by gradient descent: `mean_i w_i loss(predict(x_i), y_i) + penalty`.

    Linear, or with hidden layers a perceptron. As with every gradient descent, bring the features to one
    scale first: `make_pipeline(StandardScaler(), GDRegressor())`.

    Args:
      loss: "squared_error", "absolute_error", "huber", "quantile" (the median), "poisson" (the model
        predicts the logarithm of the mean); or a function `(prediction, target) -> scalar`, such as
        `jgd.losses.huber(0.5)`. Known by its identity.
      penalty: "l1", "l2", "elastic_net", "group_l1" (a feature for all outputs or none), "nuclear",
        "nonnegative", None; or a penalty of `jgd.penalties`. Intercepts are never penalised by a name.
      alpha: strength of a penalty by name, number >= 0.
      l1_ratio: share of l1 in the elastic net.
      fit_intercept: whether the linear model has an intercept.
      hidden_layer_sizes: numbers of units; () is the linear model.
      activation: "relu", "tanh" or "logistic", of hidden units.
      rule: "sgd", "adagrad", "rmsprop", "adam"; "armijo", "barzilai_borwein", "polyak"; for convex
        problems "accelerated", "coordinate", "svrg", "saga", "katyusha", "primal_dual"; or a rule of jgd
        or optax.
      learning_rate: a number; "auto" is the usual one of the rule, and with "sgd" steps that choose
        their own length.
      momentum: of "sgd" with a number as learning rate; None has none.
      batch_size: examples of a step; None takes all at once.
      max_iter: the most epochs.
      tol: ends where the gradient has become that share of the first one, or the loss falls by no more
        than that share of itself in `n_iter_no_change` epochs; None runs all epochs.
      n_iter_no_change: epochs.
      early_stopping: whether it stops by the loss of examples held out, and keeps the best params.
      validation_fraction: share of those.
      shuffle: whether each epoch has a random order of its own.
      warm_start: whether `fit` starts from the last params.
      random_state: seed of the order, of what is held out, and of hidden layers at the start.

    Attributes:
      coef_: [D] or [T, D]; intercept_: [1] or [T]. With hidden layers coefs_ and intercepts_, by layer.
      n_iter_: epochs that were run.
      loss_curve_: mean loss and penalty of each; validation_loss_curve_ of what was held out.
      status_: a `jgd.Status`; `explain()` has it in words.
      fit_: the `jgd.Fit`.

    >>> import numpy as np
    >>> from jgd.sklearn import GDRegressor
    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> model = GDRegressor(penalty=None, batch_size=None, random_state=0).fit(x, x @ [1.0, 2.0] + 3)
    >>> model.coef_.round(2).tolist(), model.intercept_.round(2).tolist(), model.status_.name
    ([1.0, 2.0], [3.0], 'CONVERGED')

    Source: Robbins and Monro (1951); the interface is that of Pedregosa et al. (2011), JMLR 12.
    """

    def __init__(
        self,
        loss="squared_error",
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
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None):
        """Train.

        Args:
          X: [N, D] numbers.
          y: [N] numbers, or [N, T] for T outputs.
          sample_weight: [N] numbers >= 0: 2 counts as the example twice, 0 as none. None is all 1.

        Returns:
          The estimator.

        Raises:
          ValueError: an argument or a parameter does not fit; the message names it and the way out.
        """
        self._train(*self._checked(X, y, sample_weight, is_first=True))
        return self

    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch more, on these examples.

        Args:
          X: [N, D] numbers.
          y: [N] numbers, or [N, T].
          sample_weight: [N] numbers >= 0, or None.

        Returns:
          The estimator.

        Raises:
          ValueError: an argument or a parameter does not fit.
        """
        self._train_one_epoch(*self._checked(X, y, sample_weight, is_first=not hasattr(self, "fit_")))
        return self

    def predict(self, X):
        """The predictions, [N] or [N, T], in the units of y.

        Args:
          X: [N, D] numbers.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        scores = self._scores(X)
        return np.exp(scores) if self.loss == "poisson" else scores

    def _checked(self, X, y, sample_weight, is_first: bool) -> tuple[str, Any, dict, Any]:
        check_parameters(self)
        if isinstance(self.loss, str):
            choices.check_named("loss", self.loss, choices.REGRESSION_LOSSES)
        X, y = validate_data(
            self, X, y, dtype=np.float32, multi_output=True, y_numeric=True, reset=is_first
        )
        y = target_of(y)
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError(
                f"y holds {y.min():g}, but the loss poisson wants counts, which are never below 0."
            )
        weights = weights_of(sample_weight, X)
        return "regression", None if y.ndim == 1 else y.shape[1], {"x": X, "y": y}, weights

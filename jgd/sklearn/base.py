"""What the estimators share: a training from their parameters, and what it leaves behind."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from jgd.descent.explain import explain
from jgd.descent.loop import Fit
from jgd.descent.status import Status
from jgd.sklearn.tasks import task_of
from jgd.sklearn.training import check_start, memory_of, run

ACTIVATE = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh, "logistic": expit}

WAYS_OUT = {
    Status.EPOCHS_DONE: "Raise max_iter, allow a larger tol, or bring the features to one scale "
    "(sklearn.preprocessing.StandardScaler); tol=None asks for just these epochs.",
    Status.DIVERGED: 'Lower the learning_rate or leave it "auto", and bring the features to one scale '
    "(sklearn.preprocessing.StandardScaler). The params are the last finite ones.",
}


class DescentEstimator(BaseEstimator):
    """An estimator that is trained by `jgd.descend`."""

    fit_: Fit
    loss_curve_: list[float]
    _memory: Any = None  # whose the state of `fit_` is, where an epoch more may go on from it

    def explain(self) -> str:
        """How the last fit ended, and what to do next, in words: `jgd.explain` of `fit_`."""
        check_is_fitted(self)
        return explain(self.fit_)

    def _train(self, losses: str, outputs: int | None, data: dict, weights: Any) -> None:
        """Train on all epochs, from the params at hand where it is a warm start."""
        task = task_of(self, losses, outputs, data, weights)
        start = self.fit_.params if self.warm_start and hasattr(self, "fit_") else None
        check_start(task, start)
        self._keep(run(task, start))
        self._memory = None
        self._warn(self.tol is not None)

    def _train_one_epoch(self, losses: str, outputs: int | None, data: dict, weights: Any) -> None:
        """One epoch more, with what the rule remembers of those before."""
        task = task_of(self, losses, outputs, data, weights, is_partial=True)
        before = self.loss_curve_ if hasattr(self, "fit_") else []
        start: Any = self.fit_.params if before else None
        check_start(task, start)
        memory = memory_of(task)
        if before and memory == self._memory:
            # A stop test of an earlier `fit` has a memory of its own, which is of no use here.
            start = self.fit_.state._replace(stop_state=(), status=jnp.int32(0))
        self._keep(run(task, start))
        self._memory = memory
        self.loss_curve_ = before + self.loss_curve_
        self.n_iter_ = len(self.loss_curve_)
        self._warn(False)

    def _warn(self, is_to_converge: bool) -> None:
        if self.status_ == Status.DIVERGED or (self.status_ == Status.EPOCHS_DONE and is_to_converge):
            headline = self.explain().partition("\n")[0]
            warnings.warn(f"{headline} {WAYS_OUT[self.status_]}", ConvergenceWarning, stacklevel=4)

    def _keep(self, fit: Fit) -> None:
        self.fit_ = fit = jax.device_get(fit)
        self.status_ = Status(int(fit.status))
        self.n_iter_ = int(fit.epochs)
        self.loss_curve_ = fit.history.loss[: self.n_iter_].tolist()
        if fit.history.evaluation is not None:
            self.validation_loss_curve_ = fit.history.evaluation[: self.n_iter_].tolist()
        self._set_coefficients(fit.params)

    def _set_coefficients(self, params: Any) -> None:
        for name in ("coef_", "intercept_", "coefs_", "intercepts_"):
            self.__dict__.pop(name, None)  # those of an earlier fit with other layers
        if "weights" in params:
            weights = np.asarray(params["weights"], np.float64)
            self.coef_ = self._coefficients(weights)
            self.intercept_ = np.atleast_1d(params.get("bias", np.zeros(weights.shape[1:]))).astype(
                float
            )
        else:
            self.coefs_, self.intercepts_ = layers_of(params)

    def _hidden(self) -> tuple[int, ...]:
        """Units of the hidden layers."""
        return tuple(self.hidden_layer_sizes)

    def _coefficients(self, weights: np.ndarray) -> np.ndarray:
        return weights.T

    def _scores(self, X: np.ndarray) -> np.ndarray:
        """What the model predicts, in float64: [N], or [N, outputs] where there are several."""
        if hasattr(self, "coefs_"):
            scores = through_layers(X, self.coefs_, self.intercepts_, self.activation)
        else:
            scores = np.asarray(X, float) @ self.coef_.T + self.intercept_
        return scores[:, 0] if scores.ndim == 2 and scores.shape[1] == 1 else scores


def layers_of(params: dict) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The weights and the biases of a perceptron by layer, in float64; those of a scalar as a column."""
    layers = [params[f"layer_{number + 1}"] for number in range(len(params))]
    weights = [np.asarray(layer["weights"], float) for layer in layers]
    weights = [w[:, None] if w.ndim == 1 else w for w in weights]
    return weights, [np.atleast_1d(layer["bias"]).astype(float) for layer in layers]


def through_layers(X: np.ndarray, weights: list, biases: list, activation: str) -> np.ndarray:
    """What a perceptron makes of rows. In NumPy, for which no number of rows compiles anything."""
    X = np.asarray(X, float)
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        X = (ACTIVATE[activation](X) if layer else X) @ w + b
    return X

"""The transformer: a few numbers from which the features can be told again."""

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from jgd import choices
from jgd.sklearn.base import DescentEstimator, layers_of, through_layers
from jgd.sklearn.tasks import check_parameters


class GDTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DescentEstimator):
    """An autoencoder: features as a few numbers, the code, from which a decoder tells them again.

        mean_i loss(decode(encode(x_i)), x_i) + penalty

    Without hidden layers, the code spans the space of the largest principal components; with them it
    bends. Bring the features to one scale first.

    Args:
      n_components: numbers of the code.
      hidden_layer_sizes: units of the encoder's hidden layers; the decoder mirrors them.
      activation: "tanh", "relu" or "logistic", of hidden units.
      loss: a loss of numbers, see `GDRegressor`; "absolute_error" and "huber" are robust to outliers.
      penalty, alpha, l1_ratio, rule, learning_rate, momentum, batch_size, max_iter, tol,
        n_iter_no_change, early_stopping, validation_fraction, shuffle, warm_start, random_state: as
        those of `GDRegressor`.

    Attributes:
      encoder_: weights and biases by layer, as `(coefs, intercepts)`; decoder_ likewise.
      n_iter_, loss_curve_, validation_loss_curve_, status_, fit_: as those of `GDRegressor`.

    >>> from sklearn.datasets import load_iris
    >>> from jgd.sklearn import GDTransformer
    >>> x, _ = load_iris(return_X_y=True)
    >>> GDTransformer(2, batch_size=None, tol=None, random_state=0).fit_transform(x).shape
    (150, 2)

    Source: Baldi and Hornik (1989), Neural Networks 2(1); Hinton and Salakhutdinov (2006), Science 313.
    """

    def __init__(
        self,
        n_components=2,
        *,
        hidden_layer_sizes=(),
        activation="tanh",
        loss="squared_error",
        penalty=None,
        alpha=0.0001,
        l1_ratio=0.5,
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
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
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

    def fit(self, X, y=None):
        """Train encoder and decoder.

        Args:
          X: [N, D] numbers.
          y: not used.

        Returns:
          The estimator.

        Raises:
          ValueError: an argument or a parameter does not fit; the message names it and the way out.
        """
        self._train(*self._checked(X, is_first=True))
        return self

    def partial_fit(self, X, y=None):
        """Train for one epoch more, on these examples.

        Args:
          X: [N, D] numbers.
          y: not used.

        Returns:
          The estimator.

        Raises:
          ValueError: an argument or a parameter does not fit.
        """
        self._train_one_epoch(*self._checked(X, is_first=not hasattr(self, "fit_")))
        return self

    def transform(self, X):
        """The codes, [N, n_components].

        Args:
          X: [N, D] numbers.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return through_layers(X, *self.encoder_, self.activation)

    def inverse_transform(self, X):
        """The features that codes stand for, [N, D].

        Args:
          X: [N, n_components] codes.
        """
        check_is_fitted(self)
        X = np.asarray(X, float)
        if X.ndim != 2 or X.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has shape {X.shape}, but codes [N, {self._n_features_out}] are wanted, as transform "
                "makes them."
            )
        return through_layers(X, *self.decoder_, self.activation)

    def score(self, X, y=None):
        """Minus the mean squared error of the features told again; the higher the better.

        Args:
          X: [N, D] numbers.
          y: not used.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        codes = through_layers(X, *self.encoder_, self.activation)
        return -float(np.mean(np.square(self.inverse_transform(codes) - X)))

    def _checked(self, X, is_first: bool) -> tuple[str, None, dict, None]:
        check_parameters(self)
        if isinstance(self.loss, str):
            choices.check_named("loss", self.loss, choices.REGRESSION_LOSSES)
        X = validate_data(self, X, dtype=np.float32, reset=is_first)
        return "reconstruction", None, {"x": X, "y": X}, None

    def _hidden(self) -> tuple[int, ...]:
        return (*self.hidden_layer_sizes, self.n_components)

    def _set_coefficients(self, params):
        self.encoder_, self.decoder_ = layers_of(params["encoder"]), layers_of(params["decoder"])

    @property
    def _n_features_out(self) -> int:
        return self.encoder_[1][-1].size

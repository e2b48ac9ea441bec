"""Multilayer perceptrons that Keras fits and numpy predicts.

A fitted network is kept as its declared settings and plain arrays of weights: a model file has no Keras object, no graph and no
function in it, and to predict needs no Keras. `keras_training` fits.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from include.training.estimators.boosting.boosted_trees import refused
from include.training.estimators.declared_settings import DeclaredSettings
from include.training.estimators.inner_rows import inner_tenth
from include.training.estimators.keras_training import train_network

Array = np.ndarray[Any, Any]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))),
    "silu": lambda x: x * expit(x),
    "tanh": np.tanh,
    "sigmoid": expit,
}
"""What follows each hidden layer, by the names that Keras has for it."""
_WIDEST, _MOST_LAYERS = 2**16, 32
_AT_ONCE = 2**14
"""Rows that are predicted together, so that their hidden layers stay small."""
_LARGEST = float(np.finfo(np.float32).max)


class KerasMLP(DeclaredSettings, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A network of dense layers with dropout between them, fitted by Adam.

    Parameters
    ----------
    layers : list of int
        Units of each hidden layer.
    activation : {"relu", "elu", "silu", "tanh", "sigmoid"}
    dropout : float
        The share of each hidden layer's units that a batch leaves out.
    l2 : float
        The penalty of squared weights.
    batch_size, epochs : int
        Rows of a step, and how often all rows are seen at most.
    learning_rate : float
        That of Adam (Kingma and Ba, 2015).
    patience : int
        With ``early_stopping``: the epochs without gain on a tenth of the rows after which it stops, at its best weights.
    early_stopping : bool
    random_state : int, optional

    Attributes
    ----------
    coefs_, intercepts_ : list of array of float32
        Weights of shape (n_inputs, n_units) and biases of shape (n_units,) of each layer, the last one's included.
    n_features_in_ : int
    classes_ : array, for a classifier
    """

    SETTINGS: ClassVar[dict[str, tuple[Any, list[Any]]]] = {
        "layers": ((64, 32), ["array-like"]),
        "activation": ("relu", [StrOptions(set(ACTIVATIONS))]),
        "dropout": (0.0, [Interval(Real, 0, 1, closed="left")]),
        "l2": (0.0, [Interval(Real, 0, None, closed="left")]),
        "batch_size": (64, [Interval(Integral, 1, None, closed="left")]),
        "epochs": (100, [Interval(Integral, 1, None, closed="left")]),
        "learning_rate": (1e-3, [Interval(Real, 0, None, closed="neither")]),
        "patience": (10, [Interval(Integral, 1, None, closed="left")]),
        "early_stopping": (False, ["boolean"]),
        "random_state": (None, [Interval(Integral, 0, None, closed="left"), None]),
    }

    def _validate_params(self) -> None:
        super()._validate_params()
        good = all(isinstance(units, Integral) and 1 <= int(units) <= _WIDEST for units in self.layers)
        if not good or not 1 <= len(self.layers) <= _MOST_LAYERS:
            raise ValueError(
                f"The 'layers' parameter of {type(self).__name__} must be 1 to {_MOST_LAYERS} whole numbers of units, each "
                f"from 1 to {_WIDEST}. Got {self.layers!r} instead."
            )

    def fit(self, X: Array, y: Array, sample_weight: Array | None = None) -> KerasMLP:
        """Fit the network.

        Parameters
        ----------
        X : array of shape (n_rows, n_columns)
            Numbers without gaps, best on one scale.
        y : array of shape (n_rows,)
        sample_weight : array of shape (n_rows,), optional
            Only the proportions of weights count: steps are as long as those of equal weights.
        """
        self._validate_params()
        X, y = validate_data(self, X, y, dtype=np.float32, y_numeric=isinstance(self, RegressorMixin))
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        target = self._learn_target(y, weight)
        weight = weight / weight.mean()
        fitted, inner = np.arange(len(y)), np.arange(0)
        if self.early_stopping:
            fitted, inner = inner_tenth(y, self.random_state or 0, stratified=isinstance(self, ClassifierMixin))
        arrays = train_network(
            [(X[at], target[at], weight[at]) for at in (fitted, inner) if len(at)],
            {**self.get_params(), "loss": self._loss(), "outputs": self.outputs},
        )
        self.coefs_, self.intercepts_ = arrays[::2], arrays[1::2]
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError(
                "the network's weights left all bounds: a smaller `learning_rate` or `scale: standard` helps"
            )
        return self

    @property
    def outputs(self) -> int:
        """How many numbers the last layer gives a row: one, or one a class for more than two."""
        return len(self.classes_) if len(getattr(self, "classes_", ())) > 2 else 1

    def check(self) -> None:
        """Raise `ModelFileRefused` unless the settings can be declared and every array has the shape that they say."""
        try:
            self._validate_params()
            columns, classes = self.n_features_in_, getattr(self, "classes_", None)
            sizes = [columns, *map(int, self.layers), self.outputs]
            good = type(columns) is int and columns > 0 and _are_arrays(self.coefs_, list(pairwise(sizes)))
            good = good and _are_arrays(self.intercepts_, [(size,) for size in sizes[1:]])
            if isinstance(self, ClassifierMixin):
                good = good and isinstance(classes, np.ndarray) and classes.ndim == 1 and len(classes) > 1
            good = good and all(
                np.isfinite(one) for one in (getattr(self, "center_", 0.0), getattr(self, "scale_", 1.0))
            )
        except (ValueError, TypeError, AttributeError, OverflowError) as broken:
            raise refused("a network can't be read", found=type(broken).__name__) from broken
        if not good:
            raise refused("a network's weights are not those of its layers")

    def _learn_target(self, y: Array, weight: Array) -> Array:
        """Return the target as the network learns it."""
        raise NotImplementedError

    def _loss(self) -> str:
        """Return the name of what is made small."""
        raise NotImplementedError

    def _margins(self, X: Array) -> Array:
        """Return what the last layer gives, of shape (n_rows, n_outputs)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        # In the precision that was fitted, for a number beyond it the largest.
        X = np.clip(X, -_LARGEST, _LARGEST).astype(np.float32)
        follow = ACTIVATIONS[self.activation]
        parts = [np.zeros((0, self.outputs))]
        for start in range(0, len(X), _AT_ONCE):
            here = X[start : start + _AT_ONCE].astype(np.float64)
            for weights, biases in zip(self.coefs_[:-1], self.intercepts_[:-1], strict=True):
                here = follow(here @ weights.astype(np.float64) + biases)
            parts.append(here @ self.coefs_[-1].astype(np.float64) + self.intercepts_[-1])
        return np.concatenate(parts)


class KerasMLPClassifier(ClassifierMixin, KerasMLP):  # type: ignore[misc]
    """A multilayer perceptron of classes, fitted by Keras.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> fitted = KerasMLPClassifier(layers=(8,), epochs=20, learning_rate=0.05).fit(X, X[:, 0] > 0)
    >>> fitted.predict([[-0.5], [0.5]]).tolist()
    [False, True]
    """

    def _learn_target(self, y: Array, weight: Array) -> Array:
        self.classes_, target = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("a classifier needs rows of two classes at least, found one")
        return np.asarray(target)

    def _loss(self) -> str:
        return "sparse_categorical_crossentropy" if self.outputs > 1 else "binary_crossentropy"

    def decision_function(self, X: Array) -> Array:
        """Return margins of shape (n_rows,), or (n_rows, n_classes) for more than two classes."""
        margins = self._margins(X)
        return margins[:, 0] if self.outputs == 1 else margins

    def predict_proba(self, X: Array) -> Array:
        """Return an array of shape (n_rows, n_classes)."""
        margins = self.decision_function(X)
        if margins.ndim == 1:
            return np.column_stack([expit(-margins), expit(margins)])
        raised = np.exp(margins - margins.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    def predict(self, X: Array) -> Array:
        """Return the likeliest class of each row."""
        return np.asarray(self.classes_[np.argmax(self.predict_proba(X), axis=1)])


class KerasMLPRegressor(RegressorMixin, KerasMLP):  # type: ignore[misc]
    """A multilayer perceptron of values, fitted by Keras; it learns the target on a scale of mean 0 and variance 1.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> fitted = KerasMLPRegressor(layers=(8,), epochs=50, learning_rate=0.05).fit(X, 100 + 50 * X[:, 0])
    >>> fitted.predict([[-0.4], [0.4]]).round(-1).tolist()
    [80.0, 120.0]
    """

    SETTINGS = KerasMLP.SETTINGS | {
        "loss": ("mean_squared_error", [StrOptions({"mean_squared_error", "mean_absolute_error", "huber"})])
    }

    def _learn_target(self, y: Array, weight: Array) -> Array:
        y = np.asarray(y, dtype=np.float64)
        self.center_ = float(np.average(y, weights=weight))
        self.scale_ = float(np.sqrt(np.average((y - self.center_) ** 2, weights=weight))) or 1.0
        return np.asarray((y - self.center_) / self.scale_)

    def _loss(self) -> str:
        return str(self.loss)

    def predict(self, X: Array) -> Array:
        """Return the value of each row."""
        return np.asarray(self._margins(X)[:, 0] * self.scale_ + self.center_)


def _are_arrays(found: Any, shapes: list[tuple[int, ...]]) -> bool:
    return (
        type(found) is list
        and len(found) == len(shapes)
        and all(isinstance(one, np.ndarray) and one.dtype == np.float32 for one in found)
        and [one.shape for one in found] == shapes
        and all(bool(np.isfinite(one).all()) for one in found)
    )

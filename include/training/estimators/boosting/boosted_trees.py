"""Gradient boosting by other libraries: what LightGBM, XGBoost and CatBoost have in common here.

A fitted estimator keeps its trees as text, in an array of uint8, and its settings as plain values. A model file therefore names
no type of these libraries, and reading one runs none of their code: what predicts, a native parser or our own arrays, sees the
trees only after the file's digest, its size and the numbers of its trees were checked, when the first row is predicted.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils._param_validation import Interval

from include.errors import ModelFileRefused
from include.training.estimators.declared_settings import DeclaredSettings
from include.training.estimators.inner_rows import inner_tenth

Array = np.ndarray[Any, Any]

NATIVE_LIMIT = 256 * 2**20
"""Bytes of trees that are read at most; a thousand trees of 127 leaves need about 20 million."""

_FROM_ONE = Interval(Integral, 1, None, closed="left")
SHARED_SETTINGS: dict[str, tuple[Any, list[Any]]] = {
    "monotone_constraints": (None, [dict, None]),
    "n_iter_no_change": (10, [_FROM_ONE]),
    "early_stopping": (False, ["boolean"]),
    "categorical_features": (None, ["array-like", None]),
    "random_state": (None, [Interval(Integral, 0, None, closed="left"), None]),
    "n_jobs": (None, [Integral, None]),
}
"""Settings that an estimator has in every library, with their defaults and what is accepted."""
NOT_THE_LIBRARYS = frozenset({*SHARED_SETTINGS, "n_estimators"})
"""Settings that are not given to a library among its parameters."""

_FEW = 512
"""Rows that one thread predicts sooner than several that must be woken first."""


class BoostedTrees(DeclaredSettings, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator whose trees are grown by another library.

    Parameters
    ----------
    **settings
        Those of ``SETTINGS``, by the names that the library's scikit-learn interface has for them.

    Attributes
    ----------
    native_ : array of uint8
        The trees, as text.
    n_features_in_ : int
    classes_ : array of int, for a classifier
    """

    LIBRARY: ClassVar[str]
    """What grows the trees."""
    PREDICTS_BY_LIBRARY: ClassVar[bool] = True
    """Whether that is needed to predict, too."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_opened"}

    def fit(self, X: Array, y: Array, sample_weight: Array | None = None) -> BoostedTrees:
        """Grow the trees.

        Parameters
        ----------
        X : array of shape (n_rows, n_columns)
            NaN is a gap; columns of ``categorical_features`` hold levels as whole numbers from zero.
        y : array of shape (n_rows,)
        sample_weight : array of shape (n_rows,), optional
        """
        self._validate_params()
        self.__dict__.pop("_opened", None)
        X = np.ascontiguousarray(X, dtype=np.float64)
        y = np.asarray(y)
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if isinstance(self, ClassifierMixin):
            self.classes_, y = np.unique(y, return_inverse=True)
            if len(self.classes_) < 2:
                raise ValueError("a classifier needs rows of two classes at least, found one")
        self.n_features_in_ = X.shape[1]
        fitted, inner = np.arange(len(y)), None
        if self.early_stopping:
            fitted, inner = inner_tenth(y, self.random_state or 0, stratified=isinstance(self, ClassifierMixin))
        parts = [(X[at], y[at], weight[at]) for at in (fitted, inner) if at is not None]
        self.native_ = np.frombuffer(self._grow(parts), dtype=np.uint8)
        self.check()
        return self

    @property
    def outputs(self) -> int:
        """How many numbers the trees give a row: one, or one a class for more than two."""
        return len(self.classes_) if len(getattr(self, "classes_", ())) > 2 else 1

    @property
    def monotone(self) -> list[int]:
        """-1, 0 or 1 for each column; ``monotone_constraints`` names the others than 0 by their positions."""
        declared = {int(place): int(sign) for place, sign in (self.monotone_constraints or {}).items()}
        return [declared.get(place, 0) for place in range(self.n_features_in_)]

    def contributions(self, X: Array) -> Array:
        """Return exact Shapley values of trees (TreeSHAP: Lundberg et al., 2020).

        Returns
        -------
        array of shape (n_rows, n_columns + 1)
            The last column is the base; a row's sum is its margin.
        """
        raise NotImplementedError

    def check(self) -> None:
        """Raise `ModelFileRefused` unless the trees are within bounds; no native code reads them."""
        native = getattr(self, "native_", None)
        columns = getattr(self, "n_features_in_", None)
        if not isinstance(native, np.ndarray) or native.dtype != np.uint8 or native.ndim != 1:
            raise refused("an estimator has no trees")
        if native.nbytes > NATIVE_LIMIT:
            raise refused("its trees are too large", expected=f"at most {NATIVE_LIMIT} bytes", found=native.nbytes)
        if type(columns) is not int or not 0 < columns < 2**24:
            raise refused("an estimator has no number of columns")
        try:
            self._check_trees(native.tobytes())
        except (ValueError, KeyError, IndexError, TypeError, OverflowError, AttributeError, RecursionError) as broken:
            raise refused("its trees can't be read", found=type(broken).__name__) from broken

    def _grow(self, parts: list[tuple[Array, Array, Array]]) -> bytes:
        """Return the fitted trees; a second part of rows tells when to stop."""
        raise NotImplementedError

    def _check_trees(self, native: bytes) -> None:
        raise NotImplementedError

    def _open(self, native: bytes) -> Any:
        """Return what predicts: the library's object, or arrays."""
        raise NotImplementedError

    def _answer(self, X: Array, *, margin: bool) -> Array:
        """Return probabilities or values, or what the trees add up to."""
        raise NotImplementedError

    @property
    def _trees(self) -> Any:
        # A library's object can't be copied to another process; each opens the trees for itself, once.
        opened = self.__dict__.get("_opened")
        if opened is None:
            opened = self._opened = self._open(self.native_.tobytes())
        return opened

    def _threads(self, rows: int) -> int:
        """Return how many threads predict; 0 leaves it to the library, which follows OMP_NUM_THREADS."""
        return 1 if rows <= _FEW else (self.n_jobs or 0)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "native_")


class BoostedClassifier(ClassifierMixin, BoostedTrees):  # type: ignore[misc]
    """What the classifiers have in common."""

    def predict_proba(self, X: Array) -> Array:
        """Return an array of shape (n_rows, n_classes)."""
        known = np.asarray(self._answer(_rows(X), margin=False), dtype=np.float64)
        return np.column_stack([1.0 - known, known]) if known.ndim == 1 else known

    def decision_function(self, X: Array) -> Array:
        """Return margins of shape (n_rows,), or (n_rows, n_classes) for more than two classes."""
        return np.asarray(self._answer(_rows(X), margin=True), dtype=np.float64)

    def predict(self, X: Array) -> Array:
        """Return the likeliest class of each row."""
        return np.asarray(self.classes_[np.argmax(self.predict_proba(X), axis=1)])


class BoostedRegressor(RegressorMixin, BoostedTrees):  # type: ignore[misc]
    """What the regressors have in common."""

    @property
    def additive(self) -> bool:
        """Whether the trees add up to the predicted value itself, and not to its logarithm."""
        raise NotImplementedError

    def predict(self, X: Array) -> Array:
        """Return the value of each row."""
        return np.asarray(self._answer(_rows(X), margin=False), dtype=np.float64)


def refused(message: str, **facts: Any) -> ModelFileRefused:
    """Return the error for trees that no fit writes."""
    return ModelFileRefused(
        f"the model file is refused: {message}",
        remedy="model files are written by Ratchet only; find out where this one comes from",
        **facts,
    )


def _rows(X: Any) -> Array:
    return np.ascontiguousarray(X, dtype=np.float64)

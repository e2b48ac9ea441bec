"""Long tails, drawn in."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin


class SignedLog(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # no types in sklearn
    """Replace x by ``sign(x) * log(1 + |x|)``, which any number has; NaN stays NaN."""

    def fit(self, X: np.ndarray[Any, Any], y: Any = None) -> SignedLog:
        """Learn the number of columns and nothing else."""
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return a matrix of the same shape."""
        return np.asarray(np.sign(X) * np.log1p(np.abs(X)))

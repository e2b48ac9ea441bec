"""Signed logarithm for skewed columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import FLOAT_DTYPES, check_is_fitted, validate_data


class SignedLog(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # no types in sklearn
    """Replace x by ``sign(x) * log(1 + |x|)``, which any number has; NaN stays NaN.

    Examples
    --------
    >>> import numpy as np
    >>> SignedLog().fit_transform(np.array([[-99.0], [0.0], [99.0]])).round(2).ravel().tolist()
    [-4.61, 0.0, 4.61]
    """

    def fit(self, X: np.ndarray[Any, Any], y: Any = None) -> SignedLog:
        """Learn the number of columns and nothing else."""
        validate_data(self, X, dtype=FLOAT_DTYPES, ensure_all_finite="allow-nan")
        return self

    def transform(self, X: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return a matrix of the same shape."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOAT_DTYPES, ensure_all_finite="allow-nan", reset=False)
        return np.asarray(np.sign(X) * np.log1p(np.abs(X)))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

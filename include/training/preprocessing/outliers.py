"""Treatment of outliers, with bounds learned on training rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import FLOAT_DTYPES, check_is_fitted, validate_data

DEFAULT_FACTOR = {"iqr": 1.5, "z_score": 3.0}


class OutlierClipper(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # no types in sklearn
    """Clip values to learned bounds, or mark those beyond them as missing.

    Parameters
    ----------
    method : {"iqr", "z_score"}
        Bounds at ``factor`` interquartile ranges beyond the quartiles, or ``factor`` standard deviations from the mean.
    action : {"clip", "mark_missing"}
    factor : float, optional
        1.5 for ``iqr`` and 3 for ``z_score`` if left out.

    Notes
    -----
    A column without spread by its method has no bounds: more than half of all rain is 0.0 mm, so its quartiles are
    equal, and any bound on them would turn the column into a constant.

    Examples
    --------
    >>> import numpy as np
    >>> OutlierClipper().fit_transform(np.array([[1.0], [2.0], [3.0], [4.0], [90.0]])).ravel().tolist()
    [1.0, 2.0, 3.0, 4.0, 7.0]
    """

    def __init__(self, method: str = "iqr", action: str = "clip", factor: float | None = None) -> None:
        self.method = method
        self.action = action
        self.factor = factor

    def fit(self, X: np.ndarray[Any, Any], y: Any = None) -> OutlierClipper:
        """Learn one lower and one upper bound per column; NaN takes no part."""
        X = validate_data(self, X, dtype=FLOAT_DTYPES, ensure_all_finite="allow-nan")
        factor = DEFAULT_FACTOR[self.method] if self.factor is None else self.factor
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="All-NaN|Mean of empty|Degrees of freedom", category=RuntimeWarning
            )
            if self.method == "iqr":
                low, high = np.nanquantile(X, [0.25, 0.75], axis=0)
                spread = high - low
            else:
                low = high = np.nanmean(X, axis=0)
                spread = np.nanstd(X, axis=0)
        bounded = spread > 0
        self.lower_ = np.where(bounded, low - factor * spread, -np.inf)
        self.upper_ = np.where(bounded, high + factor * spread, np.inf)
        return self

    def transform(self, X: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the matrix with outliers clipped or NaN."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOAT_DTYPES, ensure_all_finite="allow-nan", reset=False)
        if self.action == "clip":
            clipped: np.ndarray[Any, Any] = np.clip(X, self.lower_, self.upper_)
            return clipped
        return np.where(self.beyond(X), np.nan, X)

    def beyond(self, X: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return which values are outliers."""
        outside: np.ndarray[Any, Any] = np.less(X, self.lower_) | np.greater(X, self.upper_)
        return outside

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

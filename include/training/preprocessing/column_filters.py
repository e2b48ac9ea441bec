"""Columns that are left out: by a mask, or because too many training rows lack a value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin


class ColumnMask(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Keep the columns of a matrix that a selection chose; what chose them stays behind in training.

    Parameters
    ----------
    mask : array of bool, of shape (n_columns,)

    Examples
    --------
    >>> import numpy as np
    >>> ColumnMask(np.array([True, False, True])).fit_transform(np.array([[1, 2, 3]])).tolist()
    [[1, 3]]
    """

    def __init__(self, mask: np.ndarray[Any, Any]) -> None:
        self.mask = mask

    def fit(self, X: Any, y: Any = None) -> ColumnMask:
        """Learn the number of columns and nothing else."""
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:
        """Return the matrix, dense or sparse, without the others."""
        return X[:, np.flatnonzero(self.mask)]

    def get_feature_names_out(self, input_features: Any) -> np.ndarray[Any, Any]:
        """Return the names of those kept."""
        return np.asarray(np.asarray(input_features, dtype=object)[np.asarray(self.mask)])


class MissingColumnFilter(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Keep the columns of a frame or matrix that have a value in enough of the training rows.

    Parameters
    ----------
    max_missing : float
        The largest share of training rows without a value.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"full": [1.0, 2.0, 3.0], "empty": [None, None, 3.0]})
    >>> MissingColumnFilter(max_missing=0.5).fit_transform(rows).columns.tolist()
    ['full']
    """

    def __init__(self, max_missing: float = 0.5) -> None:
        self.max_missing = max_missing

    def fit(self, X: Any, y: Any = None) -> MissingColumnFilter:
        """Learn which columns stay."""
        self.n_features_in_ = X.shape[1]
        self.kept_ = np.asarray(pd.isna(X)).mean(axis=0) <= self.max_missing
        return self

    def transform(self, X: Any) -> Any:
        """Return the frame or matrix without the others."""
        kept = np.flatnonzero(self.kept_)
        return X.iloc[:, kept] if isinstance(X, pd.DataFrame) else X[:, kept]

    def get_feature_names_out(self, input_features: Any) -> np.ndarray[Any, Any]:
        """Return the names of those kept."""
        return np.asarray(np.asarray(input_features, dtype=object)[self.kept_])

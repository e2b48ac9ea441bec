"""Numeric columns of any pandas type as one matrix of floats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin

if TYPE_CHECKING:
    import pandas as pd


def to_floats(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return a column (integers, floats, booleans, nullable or Arrow) as float64; missing and infinite become NaN.

    Parameters
    ----------
    column : pandas.Series of shape (n_rows,)

    Returns
    -------
    array of shape (n_rows,)
        It may share the column's memory.
    """
    values: np.ndarray[Any, Any] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    infinite = np.isinf(values)
    return np.where(infinite, np.nan, values) if infinite.any() else values


class FloatConverter(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Turn columns (integers, floats, booleans, nullable or Arrow) into float64; missing and infinite become NaN.

    Examples
    --------
    >>> import pandas as pd
    >>> FloatConverter().fit_transform(pd.DataFrame({"paid": [True, False], "spend": [1, None]})).tolist()
    [[1.0, 1.0], [0.0, nan]]
    """

    def fit(self, X: pd.DataFrame, y: Any = None) -> FloatConverter:
        """Learn the columns' names and nothing else."""
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return an array of shape (n_rows, n_columns)."""
        matrix = np.empty(X.shape, dtype=np.float64, order="F")  # as pandas hands out its columns
        for position, name in enumerate(X.columns):
            matrix[:, position] = to_floats(X[name])
        return matrix

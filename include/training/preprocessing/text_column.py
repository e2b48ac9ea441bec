"""A column of free text as what scikit-learn's vectorizers read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin


class TextColumn(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Turn a frame of one column into an array of texts; a missing one is empty.

    Examples
    --------
    >>> import pandas as pd
    >>> TextColumn().fit_transform(pd.DataFrame({"note": ["late again", None]})).tolist()
    ['late again', '']
    """

    def fit(self, X: pd.DataFrame, y: Any = None) -> TextColumn:
        """Learn the column's name and nothing else."""
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return an array of shape (n_rows,)."""
        column = X.iloc[:, 0].astype(object)
        return column.where(column.notna(), "").to_numpy(dtype=object)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, Any]:
        """Return the column's name."""
        return self.feature_names_in_

"""Interactions of categorical columns: combinations of levels become levels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from include.training.preprocessing.category_encoder import category_names


class CategoryInteraction(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Make one categorical column of several; where one is missing, the combination is.

    A length stands before each text, so that no two combinations are written the same.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"origin": ["EWR", "JFK"], "carrier": ["UA", None]})
    >>> CategoryInteraction().fit_transform(rows).shape
    (2, 1)
    """

    def fit(self, X: pd.DataFrame, y: Any = None) -> CategoryInteraction:
        """Learn the columns' names and nothing else."""
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return a frame of one column, named ``one x other``."""
        codes = np.zeros(len(X), dtype=np.int64)
        missing = np.zeros(len(X), dtype=bool)
        names = np.array([""], dtype=object)
        for column in X.columns:
            rows, texts = category_names(X[column])
            missing |= rows < 0
            joined = codes * max(len(texts), 1) + np.maximum(rows, 0)
            # Only combinations that rows have are written out: all of them may be too many.
            found, codes = np.unique(joined, return_inverse=True)
            first, second = np.divmod(found, max(len(texts), 1))
            parts = np.array([f"{len(text)}:{text}" for text in texts] or [""], dtype=object)
            # Arrays of objects add texts one by one, but not in Python.
            begun = names if names.tolist() == [""] else names + "|"
            names = begun[first] + parts[second]
        levels, which = np.unique(names, return_inverse=True)
        crossed = pd.Categorical.from_codes(
            np.where(missing, -1, which[codes]), categories=pd.Index(levels, dtype="str")
        )
        return pd.DataFrame({self.get_feature_names_out()[0]: crossed}, index=X.index)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, Any]:
        """Return the name of the one column."""
        return np.asarray([" x ".join(str(name) for name in self.feature_names_in_)], dtype=object)

"""Encoder of categorical columns, with levels learned on training rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin

UNKNOWN_CODE, MISSING_CODE = -1, -2
MISSING_CATEGORY = "(missing)"
RARE_CATEGORY = "(rare)"


class LevelCounts(NamedTuple):
    """The levels of a column in the order of their texts, the rows of each, and the rows without any."""

    levels: np.ndarray[Any, Any]
    counts: np.ndarray[Any, Any]
    absent: int


def count_levels(column: pd.Series[Any]) -> LevelCounts:
    """Count the rows of each level that a column has."""
    rows, texts = factorize_texts(column)
    counts = np.bincount(rows + 1, minlength=len(texts) + 1)
    return join_counts([LevelCounts(texts, counts[1:], int(counts[0]))])


def join_counts(parts: Sequence[LevelCounts]) -> LevelCounts:
    """Return the counts of rows that were counted in parts; a level that no row has is left out."""
    levels, which = np.unique(np.concatenate([one.levels for one in parts]), return_inverse=True)
    weights = np.concatenate([one.counts for one in parts])
    counts = np.bincount(which, weights=weights, minlength=len(levels)).astype(np.int64)
    return LevelCounts(levels[counts > 0], counts[counts > 0], sum(one.absent for one in parts))


class CategoryEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Encode levels; those unknown at training are no error at scoring.

    Works on the categories of a pandas categorical and not on its rows, which is what makes it fast. Which categories a
    column's type lists has no influence: a level counts when training rows have it.

    Parameters
    ----------
    encode : {"one_hot", "ordinal", "native", "ordinal_or_gap"}
        One column of zeros and ones a level; or the level's number in one column; or the same for an estimator that
        treats numbers as levels. Unknown levels are all zeros, -1 and NaN. With ``ordinal_or_gap`` they are -1, and what
        is missing NaN: target encoding tells the two apart.
    impute : {"constant", "mode", "none"}
        Missing as a level of its own (if training rows have it), as the most frequent level, or like unknown.
    min_frequency : float, optional
        Levels rarer than this share of the training rows become one level.
    max_levels : int, optional
        The most levels that a column may have: the rarest are grouped until it does.
    sparse : bool
        For ``one_hot``: return a sparse matrix.

    Examples
    --------
    >>> import pandas as pd
    >>> fitted = CategoryEncoder().fit(pd.DataFrame({"plan": ["free", "paid", "free"]}))
    >>> fitted.get_feature_names_out().tolist()
    ['plan=free', 'plan=paid']
    >>> fitted.transform(pd.DataFrame({"plan": ["paid", "unknown"]})).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """

    def __init__(
        self,
        encode: str = "one_hot",
        impute: str = "constant",
        min_frequency: float | None = None,
        max_levels: int | None = None,
        sparse: bool = False,
    ) -> None:
        self.encode = encode
        self.impute = impute
        self.min_frequency = min_frequency
        self.max_levels = max_levels
        self.sparse = sparse

    def fit(self, X: pd.DataFrame, y: Any = None) -> CategoryEncoder:
        """Learn each column's levels; their order is that of their texts."""
        return self.fit_counts(X.columns, [count_levels(X[name]) for name in X.columns])

    def fit_counts(self, columns: Iterable[Any], counted: Sequence[LevelCounts]) -> CategoryEncoder:
        """Learn the levels of columns from how many rows have each, as `count_levels` tells it."""
        self.feature_names_in_ = np.asarray(list(columns), dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        self.levels_, self.codes_, self.missing_, self.names_ = [], [], [], []
        for one in counted:
            codes, missing, names = self._learn(*one)
            self.levels_.append(one.levels)
            self.codes_.append(codes)
            self.missing_.append(missing)
            self.names_.append(names)
        return self

    def _learn(
        self, levels: np.ndarray[Any, Any], counts: np.ndarray[Any, Any], absent: int
    ) -> tuple[np.ndarray[Any, Any], int, list[str]]:
        kept = self._kept(counts, int(counts.sum()) + absent, own_level=absent > 0 and self.impute == "constant")
        codes = np.where(kept, np.cumsum(kept) - 1, kept.sum()).astype(np.int64)
        names = [*levels[kept].tolist(), *([] if kept.all() else [RARE_CATEGORY])]
        missing = UNKNOWN_CODE
        if self.impute == "mode" and len(levels):
            missing = int(codes[np.argmax(counts)])
        elif self.impute == "constant" and absent:
            missing = len(names)
            names.append(MISSING_CATEGORY)
        elif self.encode == "ordinal_or_gap":
            missing = MISSING_CODE
        return codes, missing, names

    def _kept(self, counts: np.ndarray[Any, Any], rows: int, *, own_level: bool) -> np.ndarray[Any, Any]:
        kept = np.ones(len(counts), dtype=bool)
        if self.min_frequency is not None:
            kept &= counts >= self.min_frequency * rows
        room = None if self.max_levels is None else self.max_levels - own_level
        if room is not None and kept.sum() + (not kept.all()) > room:
            # Stable, so that of equally frequent levels the first by text stay.
            kept[np.argsort(-counts, kind="stable")[room - 1 :]] = False
        return kept

    def transform(self, X: pd.DataFrame) -> Any:
        """Return an array, or a sparse matrix, of shape (n_rows, n_encoded)."""
        codes = np.empty(X.shape, dtype=np.int64)
        for position, name in enumerate(X.columns):
            rows, names = category_names(X[name])
            levels = self.levels_[position]
            # A text that is longer than every level is none of them.
            longest = levels.dtype.itemsize // np.dtype("U1").itemsize
            texts = np.array([text if len(text) <= longest else "?" * (longest + 1) for text in names], dtype=np.str_)
            table = np.full(len(texts) + 1, UNKNOWN_CODE, dtype=np.int64)
            if len(levels):
                at = np.minimum(np.searchsorted(levels, texts), len(levels) - 1)
                table[:-1] = np.where(levels[at] == texts, self.codes_[position][at], UNKNOWN_CODE)
            table[-1] = self.missing_[position]  # a missing value has the number -1, the table's last place
            codes[:, position] = table[rows]
        if self.encode == "one_hot":
            return self._one_hot(codes)
        return np.where(codes == (UNKNOWN_CODE if self.encode == "native" else MISSING_CODE), np.nan, codes)

    def _one_hot(self, codes: np.ndarray[Any, Any]) -> Any:
        widths = [len(names) for names in self.names_]
        offsets = np.cumsum([0, *widths])
        known = codes != UNKNOWN_CODE
        starts = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
        columns = (codes + offsets[:-1])[known]
        matrix = sp.csr_matrix((np.ones(len(columns)), columns, starts), shape=(len(codes), int(offsets[-1])))
        return matrix if self.sparse else matrix.toarray()

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, Any]:
        """Return a name for each encoded column, such as ``origin=JFK``."""
        if self.encode != "one_hot":
            return self.feature_names_in_
        pairs = zip(self.feature_names_in_, self.names_, strict=True)
        return np.asarray([f"{column}={name}" for column, names in pairs for name in names], dtype=object)


def factorize_texts(column: pd.Series[Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return each row's number in the array of distinct texts (-1 for missing), and that array.

    It gives every text the room of the longest: for texts that may be of any length there is `category_names`.
    """
    rows, names = category_names(column)
    return rows, np.array(names, dtype=np.str_)


def category_names(column: pd.Series[Any]) -> tuple[np.ndarray[Any, Any], list[str]]:
    """Return each row's number in the list of distinct texts (-1 for missing), and that list."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        rows, values = column.cat.codes.to_numpy(), column.cat.categories
    else:
        if column.dtype == object and pd.api.types.infer_dtype(column, skipna=True).startswith("mixed"):
            # False and 0 are equal, and would have the name of whichever came first.
            column = column.map(category_name, na_action="ignore")
        rows, values = pd.factorize(column, use_na_sentinel=True)
    return rows.astype(np.int64), [category_name(value) for value in values]


def category_name(value: Any) -> str:
    """Return a value as the text that it is known by: a whole number is written without a point, in any type.

    A column of integers turns into floats when a value is missing; 7 and 7.0 must stay one level.
    """
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)

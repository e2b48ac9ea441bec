"""Comparison of two columns value by value; missing values are equal, in each type's own form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

_GAP, _OTHER = -1, -2
"""Codes of a missing value, and of a level that the other column does not have."""


def equal_values(one: pd.Series[Any], other: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Tell for each row whether two columns hold the same, a gap and a gap included.

    Floats may differ by one part in 1e12: the last bit may depend on how many rows one vector instruction takes.
    """
    api = pd.api.types
    if api.is_float_dtype(one.dtype) and api.is_float_dtype(other.dtype):
        a, b = one.to_numpy(float, na_value=np.nan), other.to_numpy(float, na_value=np.nan)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        # Most columns are the same to the last bit, and `isclose` takes several times as long to say so.
        return same if same.all() else np.asarray(np.isclose(a, b, rtol=1e-12, atol=0, equal_nan=True))
    if isinstance(one.dtype, pd.CategoricalDtype) and isinstance(other.dtype, pd.CategoricalDtype):
        # By codes: row by row, texts would take most of a tripwire's time.
        place = one.dtype.categories.get_indexer(other.dtype.categories)
        known = np.r_[np.where(place < 0, _OTHER, place), _GAP]
        return np.asarray(one.cat.codes.to_numpy() == known[other.cat.codes.to_numpy()])
    gaps = one.isna().to_numpy() & other.isna().to_numpy()
    if one.dtype == other.dtype and (isinstance(one.dtype, pd.StringDtype) or one.dtype.kind in "iubmM"):
        equal: Any = pd.Series(one.array == other.array).fillna(False).to_numpy(dtype=bool)
    else:
        equal = one.astype(object).where(one.notna(), None).to_numpy() == (
            other.astype(object).where(other.notna(), None).to_numpy()
        )
    return np.asarray(gaps | equal, dtype=bool)

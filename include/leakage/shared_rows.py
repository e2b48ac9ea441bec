"""Leakage check: rows and entities that are in both training rows and holdout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from include.config.sections.data import ROW
from include.leakage.inputs import LeakageInputs
from include.leakage.tripwire import Tripwire

_NAME = "shared_rows"
_EXACT = 2**53
"""From here on not every integer is a float."""


def ask(inputs: LeakageInputs) -> Tripwire:
    """Look for rows, and what they are about, on both sides of one training."""
    data = inputs.model.data
    identity = list(dict.fromkeys([*data.row_id, *([data.entity] if data.entity else [])]))
    return shared_rows(inputs.learned.columns(identity), inputs.holdout[identity], data.row_id, data.entity)


def shared_rows(
    learned: pd.DataFrame, judged: pd.DataFrame, row_id: Sequence[str], entity: str | None = None
) -> Tripwire:
    """Look for rows of the holdout among those learned from, by digests of 64 bits of their ids.

    Parameters
    ----------
    learned, judged : DataFrame
        Training and holdout rows, with the columns of the ids.
    entity : str, optional
        A column that says what a row is about, no value of which may be on both sides; a missing value is about nothing.
    """
    rows = _on_both_sides(learned[list(row_id)], judged[list(row_id)])
    named = "the digest of their values" if tuple(row_id) == (ROW,) else ", ".join(row_id)
    looked = f"{len(learned):,} training and {len(judged):,} holdout rows by {named}"
    if rows:
        return Tripwire(
            _NAME,
            "tripped",
            f"{rows:,} of {len(judged):,} holdout rows have an id ({', '.join(row_id)}) that training rows have as well",
            "A model recognises such a row instead of predicting it, and looks better than it will be. If they are the same "
            "rows, remove the repeated ones where they come from; if the same thing was seen at several times, add the time "
            "to `data.row_id`, and name the thing as `data.entity` if knowing it from training would give the answer away",
        )
    if entity is None:
        return Tripwire(_NAME, "clear", f"none is shared, of {looked}")
    shared = _on_both_sides(learned[[entity]].dropna(), judged[[entity]].dropna())
    if shared:
        return Tripwire(
            _NAME,
            "tripped",
            f"{shared:,} holdout rows are about the same `{entity}` as training rows",
            f"You declared `data.entity: {entity}`: what was learned about one of them must not be asked of it again. Leave "
            "those that training rows are about out of the holdout in the source, or remove `data.entity` if the model is "
            f"to be used on a `{entity}` that it knows",
        )
    return Tripwire(_NAME, "clear", f"none is shared, nor any `{entity}`, of {looked}")


def row_digests(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return a digest of 64 bits for each row, of its values and not of the types that hold them.

    Whether texts are categories makes no difference, nor what gaps in a window make of a column of integers or truths.
    """
    columns = {place: _digests(column) for place, (_, column) in enumerate(frame.items())}
    return pd.util.hash_pandas_object(pd.DataFrame(columns), index=False).to_numpy()


def _digests(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    if column.dtype == object:
        column = column.convert_dtypes()
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return pd.util.hash_pandas_object(column, index=False).to_numpy()
    # As floats, and beyond those that are exact with what is lost by it; zero has one sign.
    floats = column.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0
    digests = pd.util.hash_array(floats)
    if pd.api.types.is_integer_dtype(column.dtype) and np.nanmax(np.abs(floats), initial=0.0) >= _EXACT:
        lost = np.array([0 if pd.isna(value) else int(value) - int(float(value)) for value in column], dtype=np.int64)
        digests = np.where(lost != 0, digests ^ pd.util.hash_array(lost), digests)
    return digests


def _on_both_sides(learned: pd.DataFrame, judged: pd.DataFrame) -> int:
    # Windows of time share no instant: where ids hold the time, their ranges tell, without a digest of every row.
    if any(_apart(learned[name], judged[name]) for name in learned):
        return 0
    return int(np.isin(row_digests(judged), row_digests(learned)).sum())


def _apart(one: pd.Series[Any], other: pd.Series[Any]) -> bool:
    """Tell whether all values of one column lie above all of the other; never of texts, nor where a value is missing."""
    api = pd.api.types
    ordered = api.is_numeric_dtype(one.dtype) or api.is_datetime64_any_dtype(one.dtype)
    if one.dtype != other.dtype or not ordered or one.hasnans or other.hasnans or one.empty or other.empty:
        return False
    return bool(one.max() < other.min() or other.max() < one.min())

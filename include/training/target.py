"""The target as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from include.errors import TrainingError

MOST_CLASSES = 100
"""More different values are no classes but an id or a number."""


def find_classes(column: pd.Series[Any]) -> tuple[Any, ...]:
    """Return the target's values as plain Python values in order; of two the first is the negative.

    Raises
    ------
    TrainingError
        When there are fewer than two, or more than `MOST_CLASSES`.
    """
    values = _values(column)
    if 2 <= len(values) <= MOST_CLASSES:
        return values
    if len(values) < 2:
        remedy = "widen `data.windows.train` until every class is in it, or check how the source makes the target"
    else:
        remedy = "`task: regression` predicts numbers; of an id nothing can be learned"
    raise TrainingError(
        "the target does not have two classes or more" if len(values) < 2 else "the target has too many classes",
        expected=f"2 to {MOST_CLASSES}",
        found=len(values),
        where=str(column.name),
        remedy=remedy,
    )


def as_numbers(column: pd.Series[Any], classes: tuple[Any, ...] | None) -> np.ndarray[Any, Any]:
    """Return the target as places in ``classes`` (classification) or as floats (regression).

    Raises
    ------
    TrainingError
        For a value that is missing, that is not one of ``classes``, or that is no finite number.
    """
    if column.isna().any():
        raise TrainingError(
            "rows have no target", found=f"{int(column.isna().sum())} of {len(column)}", where=str(column.name)
        )
    if classes is None:
        if not pd.api.types.is_numeric_dtype(column.dtype):
            raise TrainingError(
                "the target of a regression is no number", found=str(column.dtype), where=str(column.name)
            )
        numbers: np.ndarray[Any, Any] = column.to_numpy(dtype=np.float64)
        if not np.isfinite(numbers).all():
            raise TrainingError("the target holds infinite values", where=str(column.name))
        return numbers
    if strange := [value for value in _values(column) if value not in classes]:
        raise TrainingError(
            "the target has a class that the model does not know",
            expected=f"{len(classes)} classes, as in training",
            found=f"{len(strange)} more",
            where=str(column.name),
        )
    plain = column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column
    return np.asarray(pd.Index(classes, dtype=object).get_indexer(pd.Index(plain, dtype=object)), dtype=np.int64)


def _values(column: pd.Series[Any]) -> tuple[Any, ...]:
    found = pd.Series(column.unique()).dropna().tolist()
    return tuple(sorted(value.item() if isinstance(value, np.generic) else value for value in found))

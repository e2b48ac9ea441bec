"""Encode the target as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from include.data.columns.lookalikes import appearance
from include.errors import TrainingError
from include.training.preprocessing.category_encoder import category_name

MOST_CLASSES = 100
"""The largest number of classes; a target with more values is an id or a number."""
PLAIN = (("false", "true"), ("f", "t"), ("no", "yes"), ("n", "y"), ("0", "1"), ("-1", "1"))
"""Pairs of a negative and a positive class whose order is obvious."""


def find_classes(column: pd.Series[Any], positive: str | int | bool | None = None) -> tuple[Any, ...]:
    """Return the target's values as plain Python values in order; of two the last is the positive.

    Parameters
    ----------
    column : pandas.Series of shape (n_rows,)
    positive : str, int or bool, optional
        The declared positive class of two; the last in order if left out.

    Raises
    ------
    TrainingError
        When there are fewer than two, or more than `MOST_CLASSES`, or ``positive`` is none of two.
    """
    values = _values(column)
    if positive is not None:
        values = _positive_last(values, positive, str(column.name))
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


def _positive_last(values: tuple[Any, ...], positive: str | int | bool, name: str) -> tuple[Any, ...]:
    named = [value for value in values if category_name(value) == category_name(positive)]
    if len(values) == 2 and named:
        return (*(value for value in values if value != named[0]), named[0])
    raise TrainingError(
        "`data.positive` is not one of two classes",
        expected=f"`{positive}` and one other class",
        found=", ".join(f"`{value}`" for value in values[:5]) + (" and more" if len(values) > 5 else ""),
        where=name,
        remedy="name the class as the rows have it; of more than two classes none is the positive: remove `data.positive`",
    )


def count_classes(column: pd.Series[Any]) -> dict[Any, int]:
    """Return how many rows each class has."""
    return {value: int(rows) for value, rows in column.value_counts().items() if rows}


def check_classes(counts: Mapping[Any, int], positive: str | int | bool | None, target: str) -> None:
    """Refuse classes that look the same or that no record can hold, and two classes without a declared positive one.

    Parameters
    ----------
    counts : mapping of classes to int
        The rows of each.
    positive : str, int or bool, optional
        ``data.positive``.
    target : str
        The column.

    Raises
    ------
    TrainingError
        With the classes that look alike and their rows, or the two classes to choose from.
    """
    alike: dict[str, list[str]] = {}
    for value in counts:
        if isinstance(value, str):
            alike.setdefault(appearance(value).casefold(), []).append(value)
    if same := [sorted(values) for values in alike.values() if len(values) > 1]:
        raise TrainingError(
            "classes of the target look alike",
            expected="one spelling of each class",
            found="; ".join(" and ".join(f"{value!a} ({counts[value]:,} rows)" for value in values) for values in same),
            where=target,
            remedy="write each class in one way where the rows are made (trim blanks, one case), or give classes that do differ names that do",
        )
    if any(isinstance(value, int) and abs(value) >= 2**53 for value in counts):
        raise TrainingError(
            "a class of the target is a number that the record of a fit can't hold",
            expected="texts, or whole numbers below 2^53",
            where=target,
            remedy="declare the column as a text where it is read",
        )
    if positive is not None or len(counts) != 2 or has_plain_positive(counts):
        return
    first, last = sorted(counts, key=category_name)
    raise TrainingError(
        "which of two classes is the positive one is not declared",
        expected="`data.positive`: the class whose probability is predicted, that thresholds call, and that recall and costs are about",
        found=f"`{first}` and `{last}`",
        where=target,
        remedy=f"declare `data: {{positive: {first}}}` or `data: {{positive: {last}}}`",
    )


def has_plain_positive(classes: Iterable[Any]) -> bool:
    """Tell whether two classes are like yes and no, for which the positive one is obvious, and the last in order as `find_classes` has it."""
    return tuple(category_name(value).casefold() for value in sorted(classes)) in PLAIN


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
                "the target of a regression is not a number", found=str(column.dtype), where=str(column.name)
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

"""Two columns hold the same where their values are equal and where both have none, whatever type keeps them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from include.data.columns.equal_values import equal_values


def levels(values: list[Any], known: list[str]) -> pd.Series:
    return pd.Series(pd.Categorical(values, categories=known))


def times(*values: str | None) -> pd.Series:
    return pd.Series(pd.to_datetime(list(values), utc=True))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (levels(["a", "b", None, "a"], ["a", "b"]), levels(["a", "c", None, None], ["c", "a"]), [1, 0, 1, 0]),
        (levels([None, "b"], ["b"]), levels(["x", None], ["x"]), [0, 0]),
        (pd.Series(["a", None, "b"], dtype="str"), pd.Series(["a", None, "c"], dtype="str"), [1, 1, 0]),
        (levels(["a", None], ["a"]), pd.Series(["a", None], dtype="str"), [1, 1]),
        (pd.Series([1, 2]), pd.Series([1, 3]), [1, 0]),
        (pd.Series([1, 2]), pd.Series([1.0, 2.5]), [1, 0]),
        (pd.Series([1.0, None, 1.0]), pd.Series([1.0 + 1e-14, None, 1.001]), [1, 1, 0]),
        (times("2024-01-01", None, "2024-01-02"), times("2024-01-01", None, None), [1, 1, 0]),
        (pd.Series([1, None, 3], dtype="Int64"), pd.Series([1, None, 4], dtype="Int64"), [1, 1, 0]),
        (pd.Series([1, None], dtype="Int64"), pd.Series([1, 2]), [1, 0]),
        (pd.Series([True, None, False], dtype="boolean"), pd.Series([True, None, None], dtype="boolean"), [1, 1, 0]),
        (pd.Series(["a", 1], dtype=object), pd.Series(["a", 2], dtype=object), [1, 0]),
    ],
)
def test_values_and_gaps_are_compared(one: pd.Series, other: pd.Series, same: list[int]) -> None:
    assert equal_values(one, other).tolist() == equal_values(other, one).tolist() == [bool(value) for value in same]

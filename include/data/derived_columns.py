"""Derived columns, which the model's ``features.derive`` computes row by row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include.config.code import load_function
from include.config.model import ModelConfig
from include.config.sections.data import LOT, ROW
from include.data.columns.equal_values import equal_values
from include.data.stored_partitions import POSITION, SLOT
from include.errors import DataError

_NOT_FOR_DERIVE = (SLOT, POSITION, LOT, ROW)


def derive_columns(frame: pd.DataFrame, model: ModelConfig, folder: Path) -> pd.DataFrame:
    """Return raw rows with what the model's ``features.derive`` makes of them; raises `DataError` as `read_rows`."""
    name = model.features.derive
    if name is None:
        return frame
    return derived(frame, load_function(folder, name), name, target=model.data.target)


def derived(
    frame: pd.DataFrame, derive: Callable[..., Any], name: str, *, target: str | None, check: bool = True
) -> pd.DataFrame:
    """Return ``frame`` with the columns that ``derive`` adds or replaces; it never sees the target.

    Parameters
    ----------
    name : str
        What the declaration calls ``derive``, for errors.
    check : bool
        Derive some rows alone as well, and refuse a function that looks at other rows.

    Raises
    ------
    DataError
        When ``derive`` does more than add columns row by row.
    """
    hidden = frame[[column for column in (target, *_NOT_FOR_DERIVE) if column in frame]]
    seen = frame.drop(columns=hidden.columns)
    result = derive(seen.copy(deep=False))
    where = f"features.derive: {name}"
    if not isinstance(result, pd.DataFrame):
        raise DataError(
            "`derive` did not return a frame.", expected="a pandas DataFrame", found=type(result).__name__, where=where
        )
    if len(result) != len(seen) or not result.index.equals(seen.index):
        raise DataError(
            "`derive` added, removed or reordered rows.",
            expected=f"{len(seen)} rows with their index, in their order",
            found=f"{len(result)} rows" if len(result) != len(seen) else "another index",
            where=where,
            remedy="return the frame with more columns; set rows aside with quality expectations instead",
        )
    if clash := [column for column in hidden.columns if column in result]:
        raise DataError(
            f"`derive` returns `{clash[0]}`, which it must not change.",
            where=where,
            remedy="name the column differently",
        )
    if not result.columns.is_unique:
        raise DataError(
            "`derive` returns a column twice.", found=sorted(result.columns[result.columns.duplicated()]), where=where
        )
    if check:
        _check_row_by_row(seen, result, derive, where)
    return pd.concat([result, hidden], axis=1) if len(hidden.columns) else result


def _check_row_by_row(seen: pd.DataFrame, result: pd.DataFrame, derive: Callable[..., Any], where: str) -> None:
    """Derive a few rows alone, and two of them one by one: who looks at other rows, for a mean or the row before, gives them other values."""
    places = np.unique(np.linspace(0, len(seen) - 1, num=min(20, len(seen) // 2 or 1)).astype(int))
    for some in (places, places[:1], places[-1:]):
        # As they would be read if there were no others: with the levels that they have.
        alone = derive(pd.DataFrame({name: _levels_in_use(column) for name, column in seen.iloc[some].items()}))
        if set(alone.columns) != set(result.columns):
            raise DataError(
                "The columns that `derive` returns depend on the rows.",
                expected="the same columns for any subset of the rows",
                found=f"{len(result.columns)} columns from all rows, {len(alone.columns)} from {len(some)} of them",
                where=where,
                remedy="a column for each level is made by `features.categorical: {encode: one_hot}`, which learns the levels "
                "from training rows and knows them at prediction time",
            )
        for column in result.columns:
            if not equal_values(result[column].iloc[some], alone[column]).all():
                raise DataError(
                    f"`derive` uses other rows to compute `{column}`.",
                    expected="the same values for any subset of the rows",
                    where=where,
                    remedy="learned values belong to `features.numeric` and `features.categorical`, which learn from training rows only",
                )


def _levels_in_use(column: pd.Series[Any]) -> pd.Series[Any]:
    return column.cat.remove_unused_categories() if isinstance(column.dtype, pd.CategoricalDtype) else column.copy()

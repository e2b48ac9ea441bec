"""Partial dependence: what is predicted on average when one column has the same value in all rows (Friedman 2001).

As scikit-learn's `partial_dependence` by brute force (a test holds them equal), with all values of a column predicted at once:
a pipeline's fixed cost is most of a small prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.data.rare_levels import ALL_NAMED, RareLevels
from include.evaluation.explanation.results import Dependence, Importance
from include.evaluation.uncertainty.intervals import rounded

Array = NDArray[Any]

MAX_COLUMNS = 4
GRID_POINTS = 20
MAX_CATEGORIES = 12
"""The number of levels that are evaluated, the most frequent ones."""
MAX_AVERAGED_ROWS = 300


def partial_dependence(
    predict: Callable[[pd.DataFrame], Array],
    frame: pd.DataFrame,
    importance: Sequence[Importance],
    rare: RareLevels = ALL_NAMED,
    *,
    seed: int,
) -> tuple[Dependence, ...]:
    """Return how predictions depend on each of the most important columns that hold numbers or levels.

    Parameters
    ----------
    frame : DataFrame
        Holdout rows with the model's columns.
    importance : sequence of Importance
        The most important first; one that loses nothing when shuffled is left out.
    rare : RareLevels
        Of these rows: a value that too few people have is not looked at.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(frame))[:MAX_AVERAGED_ROWS])
    sample = frame.iloc[rows]
    found: list[Dependence] = []
    for column in (one.column for one in importance if one.loss is not None and one.loss > 0):
        values = _values(frame[column], rare)
        if len(found) == MAX_COLUMNS or values is None or len(values) < 2:
            continue
        repeated = sample.take(np.tile(np.arange(len(sample)), len(values))).reset_index(drop=True)
        score = predict(repeated.assign(**{column: values.repeat(len(sample))}))
        means = score.reshape(len(values), len(sample), -1).mean(axis=1)
        predicted = tuple(tuple(rounded(mean) for mean in of_value) for of_value in means)
        if isinstance(values, pd.Index) and values.dtype.kind == "f":
            found.append(Dependence(column, predicted, numbers=tuple(rounded(value) for value in values)))
        else:
            found.append(Dependence(column, predicted, levels=tuple(str(value) for value in values)))
    return tuple(found)


def _values(column: pd.Series[Any], rare: RareLevels) -> Any:
    """Return where a column is looked at: twenty numbers between its 5 % and 95 % quantiles, fewer if it has fewer; or levels."""
    api, known = pd.api.types, column.dropna()
    common = _common(column, rare)
    if api.is_numeric_dtype(column.dtype) and not api.is_bool_dtype(column.dtype):
        numbers = known.to_numpy(dtype=float)
        numbers = numbers[np.isfinite(numbers)]
        different = np.unique(numbers)
        if len(different) > GRID_POINTS:
            low, high = np.quantile(numbers, [0.05, 0.95])
            different = np.linspace(low, high, GRID_POINTS)
        else:
            different = different[np.isin(different, common)]
        return pd.Index(np.unique(different))
    if api.is_datetime64_any_dtype(column.dtype):
        return None
    frequent = known.value_counts()
    frequent = frequent[(frequent > 0) & frequent.index.isin(common)]
    levels = frequent.sort_index(key=lambda index: index.astype(str)).sort_values(ascending=False, kind="stable")
    # In the column's own type: a categorical that keeps its other levels.
    return pd.Series(levels.index[:MAX_CATEGORIES], dtype=column.dtype).array


def _common(column: pd.Series[Any], rare: RareLevels) -> Any:
    """Return the values of a column that are not rare."""
    codes, values = pd.factorize(column)
    return values[~rare.among(codes, len(values))]

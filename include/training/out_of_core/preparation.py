"""Fit the preparation of columns from statistics of partitions, with the same result as from all rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from include.data.rare_levels import RareLevels
from include.training.estimators.registry import CONSTANT
from include.training.input_domain import InputDomain, NumericRange, SeenCategories
from include.training.out_of_core.parted_rows import PartedRows
from include.training.out_of_core.statistics import (
    ColumnValues,
    Moments,
    levels,
    missing_shares,
    modes,
    moments,
    quantiles,
)
from include.training.preprocessing.category_encoder import CategoryEncoder
from include.training.preprocessing.column_filters import MissingColumnFilter
from include.training.preprocessing.float_converter import FloatConverter
from include.training.preprocessing.outliers import OutlierClipper
from include.training.recipe import Recipe

_HEAD = 100
_QUARTILES = (0.25, 0.5, 0.75)

Array = np.ndarray[Any, Any]


class _Learned(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A fitted transformer that a column transformer does not fit again while it learns the order of its columns."""

    def __init__(self, step: Any) -> None:
        self.step = step

    def __sklearn_clone__(self) -> _Learned:
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        return self.step.transform(X)

    def fit(self, X: Any, y: Any = None) -> _Learned:
        return self

    def transform(self, X: Any) -> Any:
        return self.step.transform(X)


def learn_preparation_in_parts(recipe: Recipe, rows: PartedRows) -> ColumnTransformer:
    """Return the fitted preparation of a recipe's columns.

    Parameters
    ----------
    recipe : Recipe
    rows : PartedRows
        With labels.
    """
    prepare = recipe.preparation(2 if rows.classes is None else len(rows.classes))
    head = rows.at(np.arange(min(_HEAD, len(rows)))).fetched().frame[list(recipe.features.columns)]
    if recipe.estimator == CONSTANT:
        return prepare.fit(head)
    declared = prepare.transformers
    learned = [(name, _fitted(transformer, rows, columns), columns) for name, transformer, columns in declared]
    prepare.transformers = [(name, _Learned(step), columns) for name, step, columns in learned]
    prepare.fit(head)
    prepare.transformers = declared
    prepare.transformers_ = [
        (name, step.step if isinstance(step, _Learned) else step, columns)
        for name, step, columns in prepare.transformers_
    ]
    return prepare


def _fitted(transformer: Any, rows: PartedRows, columns: list[str]) -> Any:
    if not isinstance(transformer, Pipeline):
        return _learn(transformer, rows, ColumnValues(columns, ()))
    steps: list[Any] = []
    for _, step in transformer.steps:
        steps.append(_learn(step, rows, ColumnValues(columns, tuple(steps))))
    return Pipeline([(name, step) for (name, _), step in zip(transformer.steps, steps, strict=True)])


def _learn(step: Any, rows: PartedRows, values: ColumnValues) -> Any:
    step = clone(step)
    if isinstance(step, CategoryEncoder):
        head = values.of(rows.at(np.arange(1)).fetched().frame)
        return step.fit_counts(head.columns, levels(rows, values))
    if isinstance(step, MissingColumnFilter):
        shares = missing_shares(rows, values)
        step.n_features_in_, step.kept_ = len(shares), shares <= step.max_missing
        return step
    if isinstance(step, StandardScaler):
        return _scaled(step, moments(rows, values))
    if isinstance(step, OutlierClipper | SimpleImputer | MinMaxScaler | RobustScaler):
        return _from_summary(step, rows, values)
    # What is left learns nothing of values, but for their columns.
    return step.fit(values.of(rows.at(np.arange(min(_HEAD, len(rows)))).fetched().frame))


def _from_summary(step: Any, rows: PartedRows, values: ColumnValues) -> Any:
    """Fit a step to a few rows that have what it learns of all: extremes, quartiles, mean, spread, mode, whether there are gaps."""
    found = moments(rows, values)
    if getattr(step, "method", "") == "z_score":
        spread = np.sqrt(found.variance)
        summary = np.stack([found.mean - spread, found.mean + spread])
    elif isinstance(step, MinMaxScaler):
        summary = np.stack([found.low, found.high])
    elif getattr(step, "strategy", "median") != "median":
        # Of a constant nothing is learned.
        value = modes(rows, values) if step.strategy == "most_frequent" else found.mean
        summary = value[None]
    else:
        summary = np.vstack([found.low, quantiles(rows, values, found.known, _QUARTILES), found.high])
    gaps = found.known < found.rows
    if isinstance(step, SimpleImputer) and gaps.any():
        summary = np.vstack([summary, np.where(gaps, np.nan, summary[len(summary) // 2])])
    step.fit(summary)
    if isinstance(step, MinMaxScaler):
        step.n_samples_seen_ = found.rows
    return step


def _scaled(step: StandardScaler, found: Moments) -> StandardScaler:
    spread = np.sqrt(found.variance)
    step.fit(np.stack([found.mean - spread, found.mean + spread]))
    # As scikit-learn tells a constant: a variance that rounding alone would give so many rows.
    noise = found.known * np.finfo(np.float64).eps
    constant = found.variance <= noise * found.variance + (noise * found.mean) ** 2
    step.mean_, step.var_ = found.mean, found.variance
    step.scale_ = np.where(constant | (spread == 0), 1.0, spread)
    seen = found.known.astype(np.int64)
    step.n_samples_seen_ = seen[0] if np.ptp(seen) == 0 else seen
    return step


def fit_domain_in_parts(recipe: Recipe, rows: PartedRows, rare: RareLevels) -> InputDomain:
    """Return the domain of training rows, as `include.training.input_domain.fit_input_domain` does of rows in memory.

    Parameters
    ----------
    recipe : Recipe
    rows : PartedRows
    rare : RareLevels
        Tells by rows alone which levels are too rare to be named.
    """
    numeric = [name for group in recipe.features.numeric for name in group.columns]
    categorical = list(dict.fromkeys(name for group in recipe.features.categorical for name in group.columns))
    ranges, seen = {}, {}
    if numeric:
        # FloatConverter keeps nothing but names, so that it need not be fitted.
        found = moments(rows, ColumnValues(numeric, (FloatConverter(),)))
        for place, name in enumerate(numeric):
            some = bool(found.known[place])
            low, high = (float(found.low[place]), float(found.high[place])) if some else (None, None)
            ranges[name] = NumericRange(low, high, (found.rows - int(found.known[place])) / max(found.rows, 1))
    if categorical:
        for name, counted in zip(categorical, levels(rows, ColumnValues(categorical, ())), strict=True):
            common = counted.counts >= (rare.fewest or 0)
            texts = tuple(map(str, counted.levels[common]))
            seen[name] = SeenCategories(texts, counted.absent / max(len(rows), 1))
    return InputDomain(ranges, seen)

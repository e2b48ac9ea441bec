"""Fit an estimator to rows in partitions, if the estimator supports it."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline

from include.errors import TrainingError
from include.training.estimators.boosting.lightgbm_trees import LightGBMClassifier, LightGBMRegressor
from include.training.estimators.registry import CONSTANT
from include.training.out_of_core.boosting import grow_in_parts
from include.training.out_of_core.linear import MOST_COLUMNS, fit_logistic_in_parts, fit_ridge_in_parts
from include.training.out_of_core.parted_rows import PartedRows
from include.training.out_of_core.preparation import learn_preparation_in_parts
from include.training.preprocessing.column_transformer import native_positions
from include.training.recipe import Recipe

Array = np.ndarray[Any, Any]


def fit_in_parts(
    recipe: Recipe, settings: dict[str, Any], threads: int, rows: PartedRows, weight: Array | None
) -> Pipeline:
    """Return the pipeline that a recipe's estimator makes of rows that workers read: the same parts as one fitted in memory has.

    Parameters
    ----------
    recipe : Recipe
    settings : dict
        The estimator's.
    threads : int
        Not of the workers, which compute with their own.
    rows : PartedRows
    weight : array of shape (n_rows,), optional

    Raises
    ------
    TrainingError
        When the engine can't fit the estimator to these columns.
    """
    prepare = learn_preparation_in_parts(recipe, rows)
    estimator = recipe.build(settings, threads, native_positions(prepare) if recipe.native else [])
    if recipe.estimator == CONSTANT:
        estimator.fit(np.zeros((len(rows), 0)), rows.target)
        return Pipeline([("prepare", prepare), ("estimator", estimator)])
    width = max(where.stop for where in prepare.output_indices_.values())
    if isinstance(estimator, LightGBMClassifier | LightGBMRegressor):
        grow_in_parts(estimator, prepare, rows, weight)
    elif width > MOST_COLUMNS:
        raise TrainingError(
            "there are too many prepared columns for a linear model on a cluster",
            expected=f"at most {MOST_COLUMNS:,}",
            found=f"{width:,}",
            where=f"{recipe.model}: candidate {recipe.name}",
            remedy="group rare levels by `min_frequency`, or remove `training.engine`",
        )
    elif isinstance(estimator, LogisticRegression):
        fit_logistic_in_parts(estimator, prepare, rows, weight)
    elif isinstance(estimator, Ridge):
        fit_ridge_in_parts(estimator, prepare, rows, weight)
    else:
        raise TypeError(f"no fit in parts: {type(estimator).__name__}")  # refused when the declaration was read
    return Pipeline([("prepare", prepare), ("estimator", estimator)])

"""Feature selection: which prepared columns the estimator gets."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from sklearn.feature_selection import (
    SelectFromModel,
    SelectKBest,
    VarianceThreshold,
    f_classif,
    f_regression,
    mutual_info_classif,
    mutual_info_regression,
)

from include.config.sections.features import Selection
from include.training.estimators.construction import build_estimator
from include.training.estimators.predictions import Array
from include.training.preprocessing.column_filters import ColumnMask

_SCORES = {
    ("anova", "classification"): f_classif,
    ("anova", "regression"): f_regression,
    ("mutual_information", "classification"): mutual_info_classif,
    ("mutual_information", "regression"): mutual_info_regression,
}


def select_features(step: Selection, matrix: Any, target: Array, task: str, *, seed: int, threads: int) -> ColumnMask:
    """Learn which columns to keep and return that alone; the models and functions that chose stay behind.

    Parameters
    ----------
    step : Selection
        The declared method and its settings.
    matrix : array of shape (n_rows, n_columns)
        The prepared rows.
    target : array of shape (n_rows,)
    task : str
        Chooses the score or the estimator's kind.
    seed : int
        Seed of what is random in the method.
    threads : int
        Threads of a model that selects columns.
    """
    selector: Any
    if step.method == "variance":
        selector = VarianceThreshold(step.threshold or 0.0)
    elif step.method == "k_best":
        score = _SCORES[step.score, task]
        if step.score == "mutual_information":
            score = partial(score, random_state=seed)
        selector = SelectKBest(score, k=min(step.k or 1, matrix.shape[1]))
    else:
        model = build_estimator(step.estimator, task, {}, seed=seed, threads=threads)
        settings: dict[str, Any] = {"threshold": f"{1.0 if step.threshold is None else step.threshold}*mean"}
        if step.k is not None:
            settings = {"threshold": -np.inf, "max_features": min(step.k, matrix.shape[1])}
        selector = SelectFromModel(model, **settings)
    mask = selector.fit(matrix, target).get_support()
    return ColumnMask(np.asarray(mask)).fit(matrix)

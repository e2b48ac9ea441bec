"""Coefficients of a linear model, by the names of the prepared columns and on a comparable scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.pipeline import Pipeline
from sklearn.utils.sparsefuncs import mean_variance_axis

from include.data.rare_levels import ALL_NAMED, OTHER_LEVELS, RareLevels
from include.evaluation.explanation.results import Coefficient, LinearModel
from include.evaluation.uncertainty.intervals import rounded
from include.training.estimators.meta_estimator import MetaEstimator

MAX_SCALE_ROWS = 3_000
"""Holdout rows that tell how much a prepared column varies."""
MAX_COEFFICIENTS = 40
"""The weights that move predictions most are kept; a column of texts may have thousands."""


def linear_model(
    pipeline: Pipeline, frame: pd.DataFrame, rare: RareLevels = ALL_NAMED, *, classes: int, seed: int
) -> LinearModel | None:
    """Return the weights of a linear model; None of any other, and of one that weighs pairs of classes.

    Parameters
    ----------
    pipeline : Pipeline
        What calibrates or divides a linear model's scores is looked through.
    frame : DataFrame
        Holdout rows.
    rare : RareLevels
        Of these rows: a column that was made of a level, or of a word, that too few people have does not name it.
    classes : int
        How many there are; none where the target is a number.
    """
    while isinstance(pipeline[-1], MetaEstimator) and len(pipeline[-1].models) == 1:
        pipeline = pipeline[-1].models[0]
    estimator = pipeline[-1]
    if "prepare" not in pipeline.named_steps or not hasattr(estimator, "coef_"):
        return None
    weights = estimator.coef_.toarray() if sparse.issparse(estimator.coef_) else np.asarray(estimator.coef_)
    weights = weights.reshape(-1, weights.shape[-1])
    if len(weights) not in (1, classes):
        return None
    at = np.sort(np.random.default_rng(seed).permutation(len(frame))[:MAX_SCALE_ROWS])
    inputs = list(pipeline.feature_names_in_)
    matrix = pipeline[:-1].transform(frame.iloc[at][inputs])
    spread = _spread(matrix)
    names = pipeline[:-1].get_feature_names_out(inputs)
    moves = np.abs(weights).max(axis=0) * spread
    order = np.argsort(-moves, kind="stable")[:MAX_COEFFICIENTS]
    largest = tuple(
        Coefficient(
            _named(str(names[place]), matrix[:, [place]], rare.at(at)),
            tuple(rounded(w) for w in weights[:, place]),
            rounded(spread[place]),
        )
        for place in order
    )
    return LinearModel(weights.shape[1], tuple(rounded(b) for b in np.ravel(estimator.intercept_)), largest)


def _spread(matrix: Any) -> np.ndarray[Any, Any]:
    """Return each column's standard deviation."""
    if sparse.issparse(matrix):
        return np.asarray(np.sqrt(mean_variance_axis(sparse.csr_matrix(matrix, dtype=np.float64), axis=0)[1]))
    return np.asarray(np.asarray(matrix, dtype=np.float64).std(axis=0))


def _named(name: str, values: Any, rare: RareLevels) -> str:
    """Return a prepared column's name without that of the group, which says nothing that the column does not."""
    name = name.partition("__")[2] or name
    column, made_of, _ = name.partition("=")
    if not made_of or rare.fewest is None:
        return name
    codes = np.where(np.ravel(values.toarray() if sparse.issparse(values) else values) != 0, 0, -1)
    return f"{column}={OTHER_LEVELS}" if (codes < 0).all() or rare.among(codes, 1)[0] else name

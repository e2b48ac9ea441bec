"""Linear models from sums over partitions: ridge regression by its normal equations, logistic regression by Newton's method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import expit
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression, Ridge

from include.errors import TrainingError
from include.training.out_of_core.parted_rows import PartedRows

Array = np.ndarray[Any, Any]

MOST_COLUMNS = 5_000
"""The largest number of prepared columns: workers and driver hold a square matrix of their products."""
_STEPS = 100
_CLOSE = 1e-9
"""The largest slope of the mean loss at which Newton's method ends; scikit-learn's own solver ends at 1e-4."""


def fit_ridge_in_parts(estimator: Ridge, prepare: ColumnTransformer, rows: PartedRows, weight: Array | None) -> None:
    """Fit a ridge regression.

    Parameters
    ----------
    estimator : Ridge
        With its settings.
    prepare : ColumnTransformer
        Fitted.
    rows : PartedRows
    weight : array of shape (n_rows,), optional
    """
    parts = rows.ask(_products, prepare, each=(rows.target.astype(float), _weights(rows, weight)))
    sums = _sums(part for part in parts if part[0] > 0)
    _, mean, middle, products, answers = sums
    alpha = estimator.alpha * np.eye(len(mean))
    coefficients = np.linalg.lstsq(products + alpha, answers, rcond=None)[0]  # columns may hang together
    _set(estimator, np.zeros(2), coefficients, float(middle - mean @ coefficients))


def _products(
    frame: pd.DataFrame, target: Array, weight: Array, prepare: ColumnTransformer
) -> tuple[float, Array, float, Array, Array]:
    """Return the weight of rows, means of columns and target, and sums of products of their distances from the means."""
    matrix = _dense(_matrix(frame, prepare))
    total = float(weight.sum())
    mean, middle = weight @ matrix / (total or 1.0), float(weight @ target / (total or 1.0))
    apart, off = matrix - mean, target - middle
    return total, mean, middle, (apart.T * weight) @ apart, apart.T @ (weight * off)


def _sums(parts: Iterator[tuple[float, Array, float, Array, Array]]) -> tuple[float, Array, float, Array, Array]:
    merged = next(parts)
    for part in parts:
        (a, mean, middle, products, answers), (b, other, second, more, further) = merged, part
        gap, step, share = other - mean, second - middle, a * b / (a + b)
        merged = (
            a + b,
            mean + gap * b / (a + b),
            middle + step * b / (a + b),
            products + more + np.outer(gap, gap) * share,
            answers + further + gap * step * share,
        )
    return merged


def fit_logistic_in_parts(
    estimator: LogisticRegression, prepare: ColumnTransformer, rows: PartedRows, weight: Array | None
) -> None:
    """Fit a logistic regression of two classes with scikit-learn's penalty; parameters are those of `fit_ridge_in_parts`.

    Parameters
    ----------
    estimator : LogisticRegression
    prepare : ColumnTransformer
    rows : PartedRows
    weight : array of shape (n_rows,), optional

    Raises
    ------
    TrainingError
        When there are more than two classes, which is found once the rows are read.
    """
    if len(rows.classes or ()) != 2:
        raise TrainingError(
            "`training.engine: dask` fits a logistic regression of two classes",
            found=f"{len(rows.classes or ())} classes",
            where=f"{rows.recipe.model}: candidate {rows.recipe.name}",
            remedy="remove `training.engine`",
        )
    given, target = _weights(rows, weight), rows.target.astype(float)
    if len(np.unique(target)) < 2:
        raise ValueError("a classifier needs rows of two classes, found one")
    share = float(given @ target / given.sum())
    width = sum(where.stop - where.start for where in prepare.output_indices_.values())
    point = np.append(np.zeros(width), np.log(share / (1 - share)))
    penalty = np.append(np.full(width, 1 / estimator.C), 0.0)

    def at(point: Array) -> tuple[float, Array, Array]:
        loss, slope, bend = 0.0, np.zeros(width + 1), np.zeros((width + 1, width + 1))
        for part in rows.ask(_derivatives, prepare, point, each=(target, given)):
            loss, slope, bend = loss + part[0], slope + part[1], bend + part[2]
        return loss + 0.5 * float(penalty @ point**2), slope + penalty * point, bend + np.diag(penalty)

    loss, slope, bend = at(point)
    steps = 0
    while np.abs(slope).max() > _CLOSE * given.sum() and steps < _STEPS:
        direction, length = np.linalg.lstsq(bend, slope, rcond=None)[0], 1.0
        following = at(point - direction)
        while following[0] > loss and length > 1e-4:
            length /= 2
            following = at(point - length * direction)
        if following[0] >= loss:
            break
        point, (loss, slope, bend), steps = point - length * direction, following, steps + 1
    _set(estimator, np.array([0, 1]), point[None, :-1], point[-1:])
    estimator.n_iter_ = np.array([steps], dtype=np.int32)


def _derivatives(
    frame: pd.DataFrame, target: Array, weight: Array, prepare: ColumnTransformer, point: Array
) -> tuple[float, Array, Array]:
    """Return the loss of rows, its slope and its curvature."""
    matrix = _matrix(frame, prepare)
    margin = np.asarray(matrix @ point[:-1]) + point[-1]
    known = expit(margin)
    loss = float(weight @ (np.logaddexp(0, margin) - target * margin))
    off, bends = weight * (known - target), weight * known * (1 - known)
    weighed = matrix.multiply(bends[:, None]).tocsr() if sparse.issparse(matrix) else matrix * bends[:, None]
    edge = np.asarray(weighed.sum(axis=0)).ravel()
    bend = np.block([[_dense(matrix.T @ weighed), edge[:, None]], [edge[None], bends.sum()[None, None]]])
    return loss, np.append(np.asarray(matrix.T @ off).ravel(), off.sum()), bend


def _set(estimator: Any, target: Array, coefficients: Array, intercept: Any) -> None:
    """Give an estimator its coefficients; what else fitting leaves in it, a fit to two rows does."""
    estimator.fit(np.zeros((2, coefficients.shape[-1])), target)
    estimator.coef_, estimator.intercept_ = coefficients, intercept


def _weights(rows: PartedRows, weight: Array | None) -> Array:
    return np.ones(len(rows)) if weight is None else weight


def _matrix(frame: pd.DataFrame, prepare: ColumnTransformer) -> Any:
    return prepare.transform(frame[list(prepare.feature_names_in_)])


def _dense(matrix: Any) -> Array:
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=np.float64)

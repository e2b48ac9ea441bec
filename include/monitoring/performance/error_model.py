"""Estimated performance of a regression before labels arrive, from a model of its errors.

A small tree, fitted to residuals of rows that the champion was not fitted to, predicts how large the errors are. It detects
that rows became harder to predict, but not concept drift.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from include.evaluation.gains import Measured
from include.evaluation.uncertainty.intervals import rounded

Array = NDArray[Any]

LEAST_IN_LEAF = 50


@dataclass(frozen=True)
class ErrorModel:
    """A regression tree over the prediction and the inputs: rows of a leaf are off by about as much.

    ``feature`` is -1 in a leaf, or 0 for the prediction and then the columns' places; ``left`` and ``right`` are nodes.
    """

    columns: tuple[str, ...]
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    rows: tuple[int, ...]
    absolute: tuple[float, ...]
    """Mean absolute residual by node."""
    squared: tuple[float, ...]
    fourth: tuple[float, ...]
    """Mean fourth power, for how sure the mean square is."""

    def leaves(self, predicted: Array, inputs: Array) -> Array:
        """Return the leaf that each row is in; a missing input goes to the left."""
        table = _table(predicted, inputs)
        node = np.zeros(len(table), dtype=np.int64)
        feature, threshold = np.array(self.feature), np.array(self.threshold)
        left, right = np.array(self.left), np.array(self.right)
        every = np.arange(len(table))
        while (inner := feature[node] >= 0).any():
            down = table[every, np.maximum(feature[node], 0)] <= threshold[node]
            node = np.where(inner, np.where(down, left[node], right[node]), node)
        return node


def learn_error_model(residuals: Array, predicted: Array, inputs: Array, columns: Sequence[str]) -> ErrorModel:
    """Learn how large errors are where.

    Parameters
    ----------
    residuals, predicted : array of shape (n_rows,)
        Of rows that the champion was not fitted to: out-of-fold, or the holdout's.
    inputs : array of shape (n_rows, n_columns)
        Numbers, with NaN for missing.
    """
    table = _table(predicted, inputs)
    size = np.abs(residuals)
    leaf = max(LEAST_IN_LEAF, len(residuals) // 100)
    tree = DecisionTreeRegressor(max_depth=5, min_samples_leaf=min(leaf, len(residuals)), random_state=0)
    tree.fit(table, np.column_stack([size, size**2]) / np.maximum([size.std(), (size**2).std()], 1e-300))
    nodes = tree.tree_
    path = tree.decision_path(table)
    rows = np.asarray(path.sum(axis=0)).reshape(-1)
    powers = [np.asarray(path.T @ size**power).reshape(-1) / rows for power in (1, 2, 4)]
    return ErrorModel(
        tuple(columns),
        tuple(int(one) if one >= 0 else -1 for one in nodes.feature),
        tuple(map(float, nodes.threshold)),
        tuple(map(int, nodes.children_left)),
        tuple(map(int, nodes.children_right)),
        tuple(map(int, rows)),
        *(tuple(map(rounded, one)) for one in powers),
    )


def _table(predicted: Array, inputs: Array) -> Array:
    """Return what the tree looks at, in the precision that scikit-learn splits in; missing is less than everything."""
    table: Array = np.column_stack([predicted, inputs]).astype(np.float32)
    return np.where(np.isnan(table), np.finfo(np.float32).min, table)


def estimate_regression(
    model: ErrorModel, predicted: Array, inputs: Array, metrics: Sequence[str]
) -> dict[str, Measured]:
    """Return what ``mae``, ``mse`` and ``rmse`` will be once labels come, with 95 % intervals.

    Parameters
    ----------
    model : ErrorModel
        Mean errors by leaf, learned from rows with labels.
    predicted : array of shape (n_rows,)
        The champion's predictions.
    inputs : array of shape (n_rows, n_inputs)
        What the error model reads of the same rows.
    metrics : sequence of str
        Names of metrics; one that can't be estimated gets the reason in place of a value.
    """
    leaves, counts = np.unique(model.leaves(predicted, inputs), return_counts=True)
    learned = np.array(model.rows)[leaves]
    absolute, squared, fourth = (np.array(one)[leaves] for one in (model.absolute, model.squared, model.fourth))
    found: dict[str, Measured] = {}
    moments: dict[str, tuple[Array, Array, Callable[[float], float]]] = {
        "mae": (absolute, squared - absolute**2, float),
        "mse": (squared, fourth - squared**2, float),
        "rmse": (squared, fourth - squared**2, lambda value: sqrt(max(value, 0.0))),
    }
    for metric in metrics:
        if metric not in moments:
            found[metric] = Measured(None, None, None, "it can't be told from the size of errors alone")
            continue
        mean, variance, shown = moments[metric]
        share = counts / counts.sum()
        value = float(share @ mean)
        # What the leaves' means leave open, and what chance adds to as many new rows.
        error = sqrt(float(share**2 @ (np.maximum(variance, 0) * (1 / learned + 1 / counts))))
        middle, low, high = (rounded(shown(one)) for one in (value, value - 1.96 * error, value + 1.96 * error))
        found[metric] = Measured(middle, low, high)
    return found

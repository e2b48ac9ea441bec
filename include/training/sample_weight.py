"""Sample weights, and resampling of rows (over-sampling, under-sampling, SMOTE) that balances the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_limits

from include.config.sections.training import Imbalance, RowWeights
from include.errors import TrainingError
from include.training.estimators.predictions import Array


def declared_weights(weights: RowWeights, frame: pd.DataFrame, event_time: str) -> Array:
    """Return weights from a column and from age, with a mean of one.

    Raises
    ------
    TrainingError
        When the column holds no weights.
    """
    product = np.ones(len(frame))
    if weights.column is not None:
        column = pd.to_numeric(frame[weights.column], errors="coerce")
        product = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if not (np.isfinite(product).all() and (product >= 0).all() and product.any()):
            raise TrainingError(
                f"the column `{weights.column}` holds no weights",
                expected="numbers of at least zero, not all zero and none missing",
                where="training.weights.column",
                remedy="correct it in `features.derive`, or set rows without a weight aside by an expectation",
            )
    if weights.half_life is not None:
        newest = frame[event_time].max()
        half_life = newest - pd.Timestamp(newest.to_pydatetime(warn=False) - weights.half_life)
        product = product * 0.5 ** ((newest - frame[event_time]) / half_life).to_numpy(dtype=np.float64)
    return np.asarray(product / product.mean())


def balancing_weights(target: Array) -> Array:
    """Return weights with which all classes count the same in sum."""
    return np.asarray(compute_sample_weight("balanced", target))


def reweighing(target: Array, groups: Array) -> Array:
    """Return weights with which group and class are independent (Kamiran and Calders, 2012)."""
    _, group = np.unique(groups, return_inverse=True)
    _, label = np.unique(target, return_inverse=True)
    table = np.zeros((group.max() + 1, label.max() + 1))
    np.add.at(table, (group, label), 1)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / len(target)
    return np.asarray(expected[group, label] / table[group, label])


def resample(imbalance: Imbalance, matrix: Any, target: Array, *, seed: int) -> tuple[Any, Array, Array | None]:
    """Return prepared rows and target with classes of like size.

    Parameters
    ----------
    imbalance : Imbalance
        The declared method and its settings.
    matrix : array of shape (n_rows, n_columns)
        The prepared rows.
    target : array of shape (n_rows,)
        The classes.
    seed : int
        Seed of the draw.

    Returns
    -------
    matrix, target
    rows : array of int, or None
        Which row each one was; None when rows were made up.
    """
    if imbalance.method in ("none", "class_weight"):
        return matrix, target, np.arange(len(target))
    from imblearn.over_sampling import SMOTE, RandomOverSampler
    from imblearn.under_sampling import RandomUnderSampler

    ratio = "auto" if imbalance.ratio is None else imbalance.ratio
    if imbalance.method == "smote":
        fewest = int(np.unique(target, return_counts=True)[1].min())
        if fewest < 2:
            raise TrainingError(
                "SMOTE has no neighbours to use",
                expected="at least two rows of each class",
                found="a class of one row",
                remedy="`imbalance: random_over`, fewer `folds` or a longer `data.windows.train`",
            )
        sampler = SMOTE(sampling_strategy=ratio, random_state=seed, k_neighbors=min(imbalance.neighbors, fewest - 1))
        with threadpool_limits(limits=1):  # neighbours at equal distance come in an order that depends on threads
            made, labels = sampler.fit_resample(matrix, target)
        return made, labels, None
    kind = RandomOverSampler if imbalance.method == "random_over" else RandomUnderSampler
    rows, labels = kind(sampling_strategy=ratio, random_state=seed).fit_resample(
        np.arange(len(target)).reshape(-1, 1), target
    )
    return matrix[rows[:, 0]], labels, rows[:, 0]

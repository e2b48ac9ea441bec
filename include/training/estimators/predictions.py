"""Predictions of a fitted model: probabilities, decision values or values, in the order of the target's classes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import ThreadpoolController

from include.training.estimators.meta_estimator import estimators_in

Array = np.ndarray[Any, Any]


def class_probabilities(model: Any, frame: pd.DataFrame, classes: int | None = None) -> Array:
    """Return an array of shape (n_rows, n_classes); a class that the model was not fitted to has probability zero.

    Parameters
    ----------
    classes : int, optional
        How many classes there are, as numbers from zero; those that the model knows if left out.
    """
    known = _answer(model, "predict_proba", frame)
    if classes is None or known.shape[1] == classes:
        return known
    aligned = np.zeros((len(known), classes))
    aligned[:, np.asarray(model.classes_, dtype=np.int64)] = known
    return aligned


def positive_probability(known: Array) -> Array:
    """Return the probability of the second of two classes, or all of them for more."""
    return known[:, 1] if known.shape[1] == 2 else known


def decision_scores(model: Any, frame: pd.DataFrame) -> Array:
    """Return what scikit-learn calibrates: the decision function where there is one, or else probabilities.

    Returns
    -------
    array of shape (n_rows,), or (n_rows, n_classes) for more than two classes
    """
    if hasattr(model, "decision_function"):
        return _answer(model, "decision_function", frame)
    return positive_probability(class_probabilities(model, frame))


def predicted_values(model: Any, frame: pd.DataFrame) -> Array:
    """Return the predicted value of each row."""
    return _answer(model, "predict", frame).reshape(-1)


def predicted_clusters(model: Any, frame: pd.DataFrame) -> Array:
    """Return the number of each row's cluster, -1 for a row that is in none."""
    return _answer(model, "predict", frame).reshape(-1).astype(np.int64)


def prepared_inputs(model: Any, frame: pd.DataFrame) -> Array:
    """Return the rows as a pipeline's estimator is given them: an array of shape (n_rows, n_columns)."""
    matrix = model[:-1].transform(frame[list(model.feature_names_in_)])
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=np.float64)


def _answer(model: Any, method: str, frame: pd.DataFrame) -> Array:
    # With other numbers of threads BLAS sums in another order, and nearest neighbours break ties otherwise; one thread
    # keeps scores the same bytes everywhere. Trees go through their rows in parallel and give the same for any number.
    neighbours = any(hasattr(estimator, "n_neighbors") for estimator in estimators_in(model))
    with _pools().limit(limits=1, user_api=None if neighbours else "blas"):
        return np.asarray(getattr(model, method)(frame[list(model.feature_names_in_)]), dtype=np.float64)


@cache
def _pools() -> ThreadpoolController:
    # Looking for the libraries takes longer than predicting a row; who has a fitted model has loaded them.
    return ThreadpoolController()

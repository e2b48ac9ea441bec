"""Probability calibration: sigmoid or isotonic, fitted to out-of-fold scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from include.training.estimators.meta_estimator import MetaEstimator
from include.training.estimators.predictions import Array, decision_scores


class CalibratedClassifier(ClassifierMixin, MetaEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier with calibrated scores: the calibration curves are fitted to out-of-fold scores.

    The same as scikit-learn's ``CalibratedClassifierCV(..., ensemble=False)``, over whole rows.

    Parameters
    ----------
    model : Pipeline
        Gives the scores.
    curves : list
        One for two classes, or one for each class against the others.
    classes : int

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.isotonic import IsotonicRegression
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = pd.DataFrame({"x": np.arange(60.0)})
    >>> model = LogisticRegression().fit(X, X["x"] > 29)
    >>> curve = IsotonicRegression(out_of_bounds="clip").fit(model.decision_function(X), X["x"] > 29)
    >>> CalibratedClassifier(model, [curve], classes=2).predict_proba(X).round(2)[[0, 59]].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, model: Any, curves: list[Any], classes: int) -> None:
        self.model = model
        self.curves = curves
        self.classes = classes

    @property
    def models(self) -> list[Any]:
        """The classifier whose scores are calibrated."""
        return [self.model]

    @property
    def classes_(self) -> Array:
        """The classes as numbers."""
        return np.arange(self.classes)

    def predict_proba(self, X: pd.DataFrame) -> Array:
        """Return an array of shape (n_rows, n_classes)."""
        return calibrated_probabilities(self.curves, decision_scores(self.model, X), self.classes)


def calibrated_probabilities(curves: list[Any], scores: Array, classes: int) -> Array:
    """Return an array of shape (n_rows, n_classes): the probabilities that curves make of scores.

    Parameters
    ----------
    curves : list
        One for two classes, or one for each class against the others.
    scores : array of shape (n_rows,) or (n_rows, n_classes)
    classes : int
    """
    if classes == 2:
        one = curves[0].predict(scores)
        return np.column_stack([1 - one, one])
    each = np.column_stack([curve.predict(scores[:, place]) for place, curve in enumerate(curves)])
    total = each.sum(axis=1, keepdims=True)
    # Where every curve gives zero, the probabilities are undefined.
    return np.asarray(np.divide(each, total, out=np.full_like(each, 1 / classes), where=total != 0))


def fit_calibrators(method: str, scores: Array, target: Array, classes: int, weights: Array | None = None) -> list[Any]:
    """Learn calibration curves: Platt's sigmoid, or an isotonic step function.

    Parameters
    ----------
    scores : array of shape (n_rows,) or (n_rows, n_classes)
        Of rows that their model did not learn from.
    target : array of int, of shape (n_rows,)
    weights : array of shape (n_rows,), optional
        How much each row counts; all the same if left out.
    """
    columns = scores.reshape(len(scores), -1)
    wanted = [1] if classes == 2 else range(classes)
    make = IsotonicRegression if method == "isotonic" else _SigmoidCalibration
    settings = {"out_of_bounds": "clip"} if method == "isotonic" else {}
    return [
        make(**settings).fit(columns[:, place], (target == number).astype(np.float64), sample_weight=weights)
        for place, number in enumerate(wanted)
    ]

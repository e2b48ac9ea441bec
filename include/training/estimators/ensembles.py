"""Voting and stacking ensembles: the mean of several models, or a final estimator fitted to their predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.linear_model import LogisticRegression, Ridge

from include.training.estimators.meta_estimator import MetaEstimator
from include.training.estimators.predictions import Array, class_probabilities, positive_probability, predicted_values


class EnsembleClassifier(ClassifierMixin, MetaEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Classifiers as one.

    Parameters
    ----------
    members : list of Pipeline
    final : estimator, optional
        Turns the members' probabilities into those of all; their mean if left out.
    classes : int

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> frame = pd.DataFrame({"x": np.arange(20.0)})
    >>> members = [make_pipeline(LogisticRegression(C=c)).fit(frame, frame.x > 9) for c in (0.1, 10.0)]
    >>> mean = EnsembleClassifier(members, None, classes=2).predict_proba(frame)
    >>> bool(np.allclose(mean, np.mean([one.predict_proba(frame) for one in members], axis=0)))
    True
    """

    def __init__(self, members: list[Any], final: Any, classes: int) -> None:
        self.members = members
        self.final = final
        self.classes = classes

    @property
    def models(self) -> list[Any]:
        """Those that are joined."""
        return list(self.members)

    @property
    def classes_(self) -> Array:
        """The classes as numbers."""
        return np.arange(self.classes)

    def predict_proba(self, X: pd.DataFrame) -> Array:
        """Return an array of shape (n_rows, n_classes)."""
        known = [class_probabilities(member, X, self.classes) for member in self.members]
        if self.final is None:
            return np.asarray(np.mean(known, axis=0))
        made = np.zeros((len(X), self.classes))
        made[:, self.final.classes_] = self.final.predict_proba(
            stack_predictions(known)
        )  # no held-out row may be of a class
        return made


class EnsembleRegressor(RegressorMixin, MetaEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Regressions as one.

    Parameters
    ----------
    members : list of Pipeline
    final : estimator, optional
        Turns the members' values into that of all; their mean if left out.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn.pipeline import make_pipeline
    >>> frame = pd.DataFrame({"x": [1.0, 2.0]})
    >>> members = [make_pipeline(DummyRegressor(strategy="constant", constant=c)).fit(frame, [0, 0]) for c in (1.0, 3.0)]
    >>> EnsembleRegressor(members, None).predict(frame).tolist()
    [2.0, 2.0]
    """

    def __init__(self, members: list[Any], final: Any) -> None:
        self.members = members
        self.final = final

    @property
    def models(self) -> list[Any]:
        """Those that are joined."""
        return list(self.members)

    def predict(self, X: pd.DataFrame) -> Array:
        """Return an array of shape (n_rows,)."""
        known = [predicted_values(member, X) for member in self.members]
        if self.final is None:
            return np.asarray(np.mean(known, axis=0))
        return np.asarray(self.final.predict(stack_predictions(known)))


def fit_final_estimator(known: list[Array], target: Array, *, classes: int | None, weights: Array | None = None) -> Any:
    """Fit the final estimator to the members' out-of-fold predictions, with sample weights.

    Parameters
    ----------
    known : list of arrays
        Each member's predictions of the same rows.
    target : array of shape (n_rows,)
    classes : int or None
        Number of classes; None for regression.
    weights : array of shape (n_rows,), optional
        Sample weights.
    """
    final = Ridge() if classes is None else LogisticRegression(max_iter=1000)
    return final.fit(stack_predictions(known), target, sample_weight=weights)


def stack_predictions(known: list[Array]) -> Array:
    """Return the members' predictions as one matrix; for two classes only those of the second."""
    return np.column_stack([positive_probability(each) if each.ndim == 2 else each for each in known])

"""A classifier with a threshold for each group, from Fairlearn's ThresholdOptimizer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin

from include.config.sections.training import Mitigation
from include.training.estimators.meta_estimator import MetaEstimator
from include.training.estimators.predictions import Array, class_probabilities
from include.training.metrics.scoring import DEFAULT_THRESHOLD
from include.training.preprocessing.category_encoder import MISSING_CATEGORY, category_names


class GroupThresholdClassifier(ClassifierMixin, MetaEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A binary classifier with a threshold for each group.

    Fairlearn's rule has two thresholds for a group and chooses between them at random; a row's probability here is that of a
    positive prediction by the rule. A group unknown at training has the threshold 0.5.

    Parameters
    ----------
    model : Pipeline
        Gives the scores.
    column : str
        Names a row's group.
    groups : list of str
    rules : array of shape (n_groups, 8)
        For each group: weight, direction and place of either cut, weight and value of a constant.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyClassifier
    >>> X = pd.DataFrame({"sex": ["female", "male"]})
    >>> model = DummyClassifier(strategy="prior").fit(X, [0, 1])  # every row's score is 0.5
    >>> rules = np.array([[1, 1, 0.4, 0, 1, 0.4, 0, 0], [1, 1, 0.6, 0, 1, 0.6, 0, 0]])  # cuts at 0.4 and 0.6
    >>> GroupThresholdClassifier(model, "sex", ["female", "male"], rules).predict_proba(X).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """

    def __init__(self, model: Any, column: str, groups: list[str], rules: Array) -> None:
        self.model = model
        self.column = column
        self.groups = groups
        self.rules = rules

    @property
    def models(self) -> list[Any]:
        """The classifier whose scores are thresholded."""
        return [self.model]

    @property
    def classes_(self) -> Array:
        """The classes as numbers."""
        return np.arange(2)

    def predict_proba(self, X: pd.DataFrame) -> Array:
        """Return an array of shape (n_rows, 2)."""
        scores = class_probabilities(self.model, X)[:, 1]
        one = cut_by_group(scores, group_names(X[self.column]), self.groups, self.rules)
        return np.column_stack([1 - one, one])


def cut_by_group(scores: Array, groups: Array, known: list[str], rules: Array) -> Array:
    """Return each row's probability of being called positive by the rule of its group.

    Parameters
    ----------
    scores : array of shape (n_rows,)
    groups : array of texts, of shape (n_rows,)
    known : list of str
        The groups that have a rule.
    rules : array of shape (n_groups, 8)
    """
    one = (scores >= DEFAULT_THRESHOLD).astype(np.float64)
    for group, rule in zip(known, np.asarray(rules), strict=True):
        here = groups == group
        share0, up0, cut0, share1, up1, cut1, ignored, constant = rule
        called = share0 * _beyond(scores[here], up0, cut0) + share1 * _beyond(scores[here], up1, cut1)
        one[here] = ignored * constant + (1 - ignored) * called
    return np.clip(one, 0, 1)


def group_names(column: pd.Series[Any]) -> Array:
    """Return the name of each row's group as text; missing is one of its own."""
    rows, texts = category_names(column)
    return np.asarray(np.array([*texts, MISSING_CATEGORY], dtype=object)[rows])


def fit_group_thresholds(
    scores: Array, target: Array, groups: Array, mitigation: Mitigation
) -> tuple[list[str], Array]:
    """Learn each group's rule (Hardt, Price and Srebro, 2016).

    Parameters
    ----------
    scores : array of shape (n_rows,)
        Of rows that their model did not learn from.
    """
    from fairlearn.postprocessing import ThresholdOptimizer

    found = ThresholdOptimizer(
        estimator=_AsGiven(), constraints=mitigation.constraint, prefit=True, predict_method="predict"
    ).fit(scores.reshape(-1, 1), target, sensitive_features=groups)
    rules = found.interpolated_thresholder_.interpolation_dict
    names = sorted(rules)
    return [str(name) for name in names], np.asarray([_rule(rules[name]) for name in names], dtype=np.float64)


class _AsGiven(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Hand scores on."""

    def fit(self, X: Array, y: Array) -> _AsGiven:
        return self

    def predict(self, X: Any) -> Array:
        return np.asarray(X, dtype=np.float64)[:, 0]

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _rule(found: Any) -> list[float]:
    cuts = [(found.p0, found.operation0), (found.p1, found.operation1)]
    flat = [number for share, cut in cuts for number in (share, float(cut.operator == ">"), cut.threshold)]
    return [*flat, getattr(found, "p_ignore", 0.0), getattr(found, "prediction_constant", 0.0)]


def _beyond(scores: Array, up: float, cut: float) -> Array:
    return np.asarray(scores > cut if up else scores < cut, dtype=np.float64)

"""A randomized mixture of classifiers, from Fairlearn's reductions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin

from include.config.sections.training import Mitigation
from include.training.estimators.meta_estimator import MetaEstimator
from include.training.estimators.predictions import Array


class RandomizedClassifier(ClassifierMixin, MetaEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A randomized binary classifier: one of several classifiers predicts, with a given probability.

    The probability of a row is the total probability of the classifiers that predict it positive, from which Fairlearn
    draws.

    Parameters
    ----------
    members : list of estimator
        Fitted to prepared columns.
    shares : array of shape (n_members,)
        Sum to one.
    columns : int
        How many prepared columns there are.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> X, y = np.zeros((2, 1)), [0, 1]
    >>> members = [DummyClassifier(strategy="constant", constant=one).fit(X, y) for one in (0, 1)]
    >>> RandomizedClassifier(members, np.array([0.25, 0.75]), columns=1).predict_proba(X).tolist()
    [[0.25, 0.75], [0.25, 0.75]]
    """

    def __init__(self, members: list[Any], shares: Array, columns: int) -> None:
        self.members = members
        self.shares = shares
        self.columns = columns

    @property
    def models(self) -> list[Any]:
        """Those that are mixed."""
        return list(self.members)

    @property
    def classes_(self) -> Array:
        """The classes as numbers."""
        return np.arange(2)

    def predict_proba(self, X: Any) -> Array:
        """Return an array of shape (n_rows, 2)."""
        called = np.column_stack([np.asarray(member.predict(X), dtype=np.float64) for member in self.members])
        one = np.clip(called @ np.asarray(self.shares), 0, 1)
        return np.column_stack([1 - one, one])


def fit_exponentiated_gradient(
    estimator: Any, matrix: Array, target: Array, groups: Array, mitigation: Mitigation
) -> RandomizedClassifier:
    """Fit a mixture by the exponentiated gradient method (Agarwal and others, 2018).

    Fairlearn's own object holds constraints, data and functions; only the models and their shares are kept.

    Parameters
    ----------
    estimator : estimator
        Not fitted yet; it must take ``sample_weight``.
    groups : array of str, of shape (n_rows,)
    """
    from fairlearn import reductions

    constraints = {
        "demographic_parity": reductions.DemographicParity,
        "equalized_odds": reductions.EqualizedOdds,
        "true_positive_rate_parity": reductions.TruePositiveRateParity,
        "false_positive_rate_parity": reductions.FalsePositiveRateParity,
    }
    found = reductions.ExponentiatedGradient(
        estimator,
        constraints[mitigation.constraint](difference_bound=mitigation.tolerance),
        eps=mitigation.tolerance,
        max_iter=mitigation.rounds,
    ).fit(matrix, target, sensitive_features=groups)
    used = [(member, share) for member, share in zip(found.predictors_, found.weights_, strict=True) if share > 0]
    return RandomizedClassifier(
        [member for member, _ in used], np.asarray([share for _, share in used], dtype=np.float64), matrix.shape[1]
    )

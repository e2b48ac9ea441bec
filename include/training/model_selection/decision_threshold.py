"""Decision threshold: the score from which a row counts as positive."""

from __future__ import annotations

import numpy as np

from include.config.sections.training import Threshold
from include.training.estimators.predictions import Array


def choose_threshold(
    threshold: Threshold, target: Array, scores: Array, weights: Array | None = None, costs: Array | None = None
) -> float:
    """Return the best threshold for the objective; of equal ones the one nearest to a half, then the lowest.

    Parameters
    ----------
    target : array of shape (n_rows,)
        0 and 1.
    scores : array of shape (n_rows,)
        Of rows that their model did not learn from.
    weights : array of shape (n_rows,), optional
        How much each row counts; all the same if left out.
    costs : array of shape (n_rows, 2), optional
        What each row costs if it is said to be negative, and if it is said to be positive; for the objective `cost`.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, counted = scores[order], np.ones(len(scores)) if weights is None else weights[order]
    positive = counted * (target[order] == 1)
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    # First the place above all scores, where nothing is positive.
    cuts = np.append(np.nextafter(ordered[0], np.inf), ordered[last])
    true_positive = np.append(0, np.cumsum(positive)[last])
    false_positive = np.append(0, np.cumsum(counted - positive)[last])
    if threshold.objective == "cost":
        if costs is None:
            raise ValueError("no costs are declared")
        # Each row that is called moves from what it costs uncalled to what it costs called.
        served = np.append(0, np.cumsum(counted * (costs[:, 0] - costs[:, 1])[order])[last])
    else:
        served = _served(threshold, true_positive, false_positive, true_positive[-1], false_positive[-1])
    best = cuts[served >= served.max() - 1e-12 * max(1.0, abs(float(served.max())))]
    return float(min(best, key=lambda cut: (abs(cut - 0.5), cut)))


def _served(
    threshold: Threshold, true_positive: Array, false_positive: Array, positives: float, negatives: float
) -> Array:
    false_negative, true_negative = positives - true_positive, negatives - false_positive
    if (cost := threshold.cost) is not None:
        return -(
            cost.true_positive * true_positive
            + cost.false_positive * false_positive
            + cost.false_negative * false_negative
            + cost.true_negative * true_negative
        )
    if threshold.objective == "f1":
        called_or_own = 2 * true_positive + false_positive + false_negative
        return np.asarray(
            np.divide(2 * true_positive, called_or_own, out=np.zeros(len(called_or_own)), where=called_or_own > 0)
        )
    if threshold.objective == "accuracy":
        return np.asarray((true_positive + true_negative) / (positives + negatives))
    sensitivity = true_positive / positives if positives else true_positive
    return np.asarray((sensitivity + (true_negative / negatives if negatives else true_negative)) / 2)

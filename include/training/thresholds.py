"""From which score on a row counts as positive."""

from __future__ import annotations

import numpy as np

from include.config.training import Threshold
from include.training.responses import Array


def choose_threshold(threshold: Threshold, target: Array, scores: Array) -> float:
    """Return the score that serves the objective best; of equals the one nearest to a half, then the lowest.

    Parameters
    ----------
    target : array of shape (n_rows,)
        0 and 1.
    scores : array of shape (n_rows,)
        Of rows that their model did not learn from.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, positive = scores[order], target[order] == 1
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    # First the place above all scores, where nothing is positive.
    cuts = np.append(np.nextafter(ordered[0], np.inf), ordered[last])
    true_positive = np.append(0, np.cumsum(positive)[last])
    called = np.append(0, last + 1)
    served = _served(threshold, true_positive, called - true_positive, int(positive.sum()), len(target))
    best = cuts[served >= served.max() - 1e-12 * max(1.0, abs(float(served.max())))]
    return float(min(best, key=lambda cut: (abs(cut - 0.5), cut)))


def _served(threshold: Threshold, true_positive: Array, false_positive: Array, positives: int, rows: int) -> Array:
    false_negative = positives - true_positive
    true_negative = rows - positives - false_positive
    if (cost := threshold.cost) is not None:
        return -(
            cost.true_positive * true_positive
            + cost.false_positive * false_positive
            + cost.false_negative * false_negative
            + cost.true_negative * true_negative
        ).astype(np.float64)
    if threshold.objective == "f1":
        return np.asarray(2 * true_positive / np.maximum(2 * true_positive + false_positive + false_negative, 1))
    if threshold.objective == "accuracy":
        return np.asarray((true_positive + true_negative) / rows)
    sensitivity = true_positive / max(positives, 1)
    return np.asarray((sensitivity + true_negative / max(rows - positives, 1)) / 2)

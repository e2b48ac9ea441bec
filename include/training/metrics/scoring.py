"""Scores of one model on rows that it did not learn from, for comparing candidates; evidence is measured elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from include.config.names import METRICS
from include.errors import ConfigError, did_you_mean
from include.training.metrics.costs import RowCosts
from include.training.metrics.definitions import DEFINITIONS
from include.training.metrics.multiclass import value_of

Array = np.ndarray[Any, Any]
DEFAULT_THRESHOLD = 0.5
"""The score from which a row counts as positive."""

LABEL_METRICS = frozenset(name for name, metric in DEFINITIONS.items() if metric.labels or name == "cost")
"""Metrics of labels, which a threshold makes of scores."""


def score_of(
    metric: str,
    target: Array,
    score: Array,
    threshold: float = DEFAULT_THRESHOLD,
    quantile: float = 0.5,
    costs: RowCosts | None = None,
) -> float | None:
    """Return a metric of scores, or None where it is undefined, with the definitions that evidence uses.

    Parameters
    ----------
    metric : str
        A name in `include.config.names.METRICS`. Of more than two classes it is the mean over classes, each against
        the others, where it knows two only; labels are then the likeliest classes.
    target : array of shape (n_rows,)
        Classes as numbers from zero, or values.
    score : array of shape (n_rows,), or (n_rows, n_classes)
        Probabilities of the class 1, or of each of more than two classes, or predicted values.
    threshold : float
        From which probability of two classes on a row counts as positive.
    quantile : float
        Of the pinball loss.
    costs : RowCosts, optional
        What the rows cost.
    """
    value = value_of(metric, np.asarray(target, dtype=float), score, threshold, quantile, costs)
    return value if np.isfinite(value) else None


def check_metric(metric: str, task: str) -> None:
    """Raise `ConfigError` unless the metric exists and suits the task."""
    names = [name for name, facts in METRICS.items() if task in facts.task]
    if metric not in names:
        raise ConfigError(
            f"`{metric}` is no metric of a {task}",
            expected=", ".join(names),
            found=metric,
            remedy=did_you_mean(metric, names),
        )

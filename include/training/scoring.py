"""Scores of one model on rows that it did not learn from, for comparing candidates; evidence is measured elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import metrics

from include.config.names import METRICS
from include.errors import ConfigError, nearest

Array = np.ndarray[Any, Any]
THRESHOLD = 0.5
"""The score from which a row counts as positive."""

_BY_SCORE: dict[str, Callable[..., float]] = {
    "roc_auc": metrics.roc_auc_score,
    "average_precision": metrics.average_precision_score,
    "brier": metrics.brier_score_loss,
    "log_loss": lambda target, score: metrics.log_loss(target, score, labels=[0, 1]),
    "mse": metrics.mean_squared_error,
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "r2": metrics.r2_score,
}
_BY_LABEL: dict[str, Callable[..., float]] = {
    "f1": lambda target, label: metrics.f1_score(target, label, zero_division=np.nan),
    "precision": lambda target, label: metrics.precision_score(target, label, zero_division=np.nan),
    "recall": lambda target, label: metrics.recall_score(target, label, zero_division=np.nan),
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
}
_BOTH_CLASSES = {"roc_auc", "average_precision", "balanced_accuracy"}


def score_of(metric: str, target: Array, score: Array) -> float | None:
    """Return a metric of scores, or None where it is undefined.

    Parameters
    ----------
    metric : str
        A name in `include.config.names.METRICS`.
    target : array of shape (n_rows,)
        0 and 1, or values.
    score : array of shape (n_rows,)
        Probabilities of the class 1, or predicted values.
    """
    if metric in _BOTH_CLASSES and len(np.unique(target)) < 2:
        return None
    if metric == "r2" and np.ptp(target) == 0:
        return None
    by_label = _BY_LABEL.get(metric)
    value = float(by_label(target, score >= THRESHOLD) if by_label else _BY_SCORE[metric](target, score))
    return value if np.isfinite(value) else None


def check_metric(metric: str, task: str) -> None:
    """Raise `ConfigError` unless the metric exists and suits the task."""
    names = [name for name, facts in METRICS.items() if facts.task == task]
    if metric not in names:
        close = nearest(metric, names)
        raise ConfigError(
            f"`{metric}` is no metric of a {task}",
            expected=", ".join(names),
            found=metric,
            remedy=f"did you mean `{close}`?" if close else None,
        )

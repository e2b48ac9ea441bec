"""Scores of one model on rows that it did not learn from, for comparing candidates; evidence is measured elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn import metrics

from include.config.names import METRICS
from include.errors import ConfigError, nearest

Array = np.ndarray[Any, Any]
THRESHOLD = 0.5
"""The score from which a row counts as positive."""

BINS = 10
"""Of probabilities, for the calibration error."""


def calibration_error(said: Array, true: Array) -> float:
    """Return the mean distance of probabilities from shares, in ten equal bins (Naeini, Cooper and Hauskrecht, 2015)."""
    which = np.minimum((said * BINS).astype(np.int64), BINS - 1)
    return float(np.abs(np.bincount(which, weights=said - true)).sum() / len(said))


def _averaged(kind: str, over: str, target: Array, label: Array, **how: Any) -> float:
    score = {"f1": metrics.f1_score, "precision": metrics.precision_score, "recall": metrics.recall_score}[kind]
    return float(score(target, label, average=over, zero_division=0))


_BY_SCORE: dict[str, Callable[..., float]] = {
    "roc_auc": metrics.roc_auc_score,
    "average_precision": metrics.average_precision_score,
    "brier": metrics.brier_score_loss,
    "log_loss": lambda target, score: metrics.log_loss(target, score, labels=[0, 1]),
    "mse": metrics.mean_squared_error,
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "r2": metrics.r2_score,
    "mape": metrics.mean_absolute_percentage_error,
    "calibration_error": lambda target, score: calibration_error(score, target == 1),
}
BY_LABEL: dict[str, Callable[..., float]] = {
    "f1": lambda target, label, **how: metrics.f1_score(target, label, **how),
    "precision": lambda target, label, **how: metrics.precision_score(target, label, **how),
    "recall": lambda target, label, **how: metrics.recall_score(target, label, **how),
    "accuracy": lambda target, label, **how: metrics.accuracy_score(target, label),
    "balanced_accuracy": lambda target, label, **how: metrics.balanced_accuracy_score(target, label),
    **{
        f"{kind}_{average}": partial(_averaged, kind, average)
        for kind in ("f1", "precision", "recall")
        for average in ("macro", "weighted")
    },
}
"""Metrics of labels, which a threshold makes of scores."""
_EVERY_CLASS = {"roc_auc", "average_precision", "balanced_accuracy"}


def score_of(
    metric: str, target: Array, score: Array, threshold: float = THRESHOLD, quantile: float = 0.5
) -> float | None:
    """Return a metric of scores, or None where it is undefined.

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
    """
    classes = score.shape[1] if score.ndim == 2 else 2
    if metric in _EVERY_CLASS and len(np.unique(target)) < classes:
        return None
    if metric == "r2" and np.ptp(target) == 0:
        return None
    if metric == "mape" and (np.abs(target) <= np.finfo(float).eps).any():
        return None
    if metric == "pinball":
        return float(metrics.mean_pinball_loss(target, score, alpha=quantile))
    if score.ndim == 2:
        value = _of_many(metric, target, score)
    elif metric in BY_LABEL:
        value = BY_LABEL[metric](target, score >= threshold, zero_division=np.nan)
    else:
        value = _BY_SCORE[metric](target, score)
    return float(value) if np.isfinite(value) else None


def _of_many(metric: str, target: Array, score: Array) -> float:
    classes = np.arange(score.shape[1])
    if metric in BY_LABEL:
        return BY_LABEL[metric](target, score.argmax(axis=1), average="macro", labels=classes, zero_division=0)
    if metric == "calibration_error":
        said = score.argmax(axis=1)
        return calibration_error(score[np.arange(len(score)), said], said == target)
    if metric == "log_loss":
        return float(metrics.log_loss(target, score, labels=classes))
    own = target[:, None] == classes
    if metric == "brier":
        return float(np.mean(((score - own) ** 2).sum(axis=1)))
    return float(np.mean([_BY_SCORE[metric](own[:, number], score[:, number]) for number in classes]))


def check_metric(metric: str, task: str) -> None:
    """Raise `ConfigError` unless the metric exists and suits the task."""
    names = [name for name, facts in METRICS.items() if task in facts.task]
    if metric not in names:
        close = nearest(metric, names)
        raise ConfigError(
            f"`{metric}` is no metric of a {task}",
            expected=", ".join(names),
            found=metric,
            remedy=f"did you mean `{close}`?" if close else None,
        )

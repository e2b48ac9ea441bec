"""Metrics of more than two classes, and the way from a metric's name to its definition for any task.

Labels are the likeliest classes. Averages over classes are over those that rows are of or are said to be of (balanced
accuracy: that rows are of), as scikit-learn's are. ROC AUC and average precision are means over classes, each against the
others; their terms are first-order expansions, as for two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.training.metrics.costs import RowCosts
from include.training.metrics.definitions import (
    CALIBRATION_BINS,
    DEFINITIONS,
    TARGET_TERMS,
    Metric,
    binned_gap,
    bins_of,
    ranking_terms,
    row_terms,
)

Array = NDArray[Any]


def classes_in(score: Array) -> int | None:
    """Return how many classes scores are of; None for two classes, values and clusters."""
    return score.shape[1] if score.ndim == 2 else None


def is_shared(term: str) -> bool:
    """Tell whether a term does not depend on a model, so that it is computed once."""
    return term in TARGET_TERMS or term.startswith("is:")


def definition(name: str, classes: int | None) -> Metric:
    """Return how a metric is computed for this number of classes."""
    return DEFINITIONS[name].of_classes(classes)


def of_averages(metrics: Sequence[str], classes: Sequence[Any] | None) -> dict[str, int]:
    """Return the edition of macro averages, where one is used: the first edition left out classes that are predicted but have no row."""
    many = ("f1", "precision", "recall") if len(classes or ()) > 2 else ()
    return {"averages": 2} if any(name.endswith("_macro") or name in many for name in metrics) else {}


def terms_of(
    wanted: tuple[str, ...], target: Array, score: Array, threshold: float | None, centre: float
) -> dict[str, Array]:
    """Return per-row terms of one model, as `row_terms` does, of two classes, values, or probabilities of many classes.

    Parameters
    ----------
    target : array of shape (n_rows,)
        0 and 1, values, or places of classes.
    score : array of shape (n_rows,) or (n_rows, n_classes)
    """
    if score.ndim == 1:
        return row_terms(wanted, target, score, threshold, centre)
    rows, classes = score.shape
    said, own = score.argmax(axis=1), target.astype(np.int64)
    every = np.arange(rows)
    confidence = score[every, said]
    hit = said == own
    direct: dict[str, Callable[[], Array]] = {
        "rows": lambda: np.ones(rows),
        "hit": lambda: hit,
        "log_loss": lambda: _log_loss(own, score),
        "brier": lambda: ((score - (own[:, None] == np.arange(classes))) ** 2).sum(axis=1),
        "roc_auc": lambda: _over_classes(_auc, own, score),
        "average_precision": lambda: _over_classes(_average_precision, own, score),
    }
    for place in range(classes):
        direct[f"is:{place}"] = partial(np.equal, own, place)
        direct[f"said:{place}"] = partial(np.equal, said, place)
        direct[f"hit:{place}"] = partial(_both, said, own, place)
    if any(term.startswith("off:") for term in wanted):
        which = bins_of(confidence)
        direct |= {f"off:{bin}": partial(binned_gap, confidence - hit, which, bin) for bin in range(CALIBRATION_BINS)}
    return {term: direct[term]() for term in wanted}


def pinball(target: Array, score: Array, quantile: float) -> Array:
    """Return the pinball loss of each row."""
    below = target - score
    return np.maximum(quantile * below, (quantile - 1) * below)


def value_of(
    name: str,
    target: Array,
    score: Array,
    threshold: float | None,
    quantile: float = 0.5,
    costs: RowCosts | None = None,
) -> float:
    """Return a metric of all rows; NaN where it has no value.

    Parameters
    ----------
    name : str
        Name of the metric.
    target : array of shape (n_rows,)
    score : array of shape (n_rows,) or (n_rows, n_classes)
        The model's answers for the same rows.
    threshold : float or None
        Score from which a row counts as positive, for two classes.
    quantile : float
        The quantile of the pinball loss.
    costs : RowCosts, optional
        What the rows cost, for the metric `cost`, which has no value without.
    """
    if name == "cost":
        return float("nan") if costs is None else float(costs.of(score, threshold).mean())
    if name == "pinball":
        return float(pinball(target, score, quantile).mean())
    metric = definition(name, classes_in(score))
    terms = terms_of(metric.terms, target, score, threshold, float(target.mean()))
    return float(metric.combine({name: np.array([term.sum()], dtype=float) for name, term in terms.items()})[0])


def _both(said: Array, own: Array, place: int) -> Array:
    return np.asarray((said == place) & (own == place))


def _log_loss(own: Array, score: Array) -> Array:
    eps = np.finfo(score.dtype).eps
    loss: Array = -np.log(np.clip(score[np.arange(len(own)), own], eps, 1 - eps))
    return loss


def _over_classes(one: Callable[[Array, Array], tuple[float, Array]], own: Array, score: Array) -> Array:
    """Return terms whose mean is a metric's mean over classes, each against the others; NaN where one has no value."""
    found = [one((own == place).astype(float), score[:, place]) for place in range(score.shape[1])]
    value, slope = float(np.mean([v for v, _ in found])), np.mean([s for _, s in found], axis=0)
    return np.asarray(value + len(own) * slope)


def _auc(target: Array, score: Array) -> tuple[float, Array]:
    positives = float(target.sum())
    negatives = len(target) - positives
    if not positives or not negatives:
        return np.nan, np.full(len(target), np.nan)
    terms = ranking_terms(target, score)
    above, below = terms["auc_positive"].sum() / positives, terms["auc_negative"].sum() / negatives
    slope = (terms["auc_positive"] - target * above) / positives
    slope = slope + (terms["auc_negative"] - (1 - target) * below) / negatives
    return float(above + below), slope


def _average_precision(target: Array, score: Array) -> tuple[float, Array]:
    positives = float(target.sum())
    if not positives:
        return np.nan, np.full(len(target), np.nan)
    at = ranking_terms(target, score)["precision_at"]
    value = float(at.sum() / positives)
    return value, (at - target * value) / positives

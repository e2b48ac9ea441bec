"""Estimated performance of a classifier before labels arrive, from its calibrated probabilities alone.

If probabilities are calibrated, they say how often each label will be right (confidence-based performance estimation). This
detects that rows became harder to predict, but not concept drift: when the relation between the columns and the target
changes, it still estimates the performance under the old relation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from include.evaluation.gains import Measured
from include.evaluation.uncertainty.intervals import rounded
from include.training.metrics.definitions import DEFINITIONS, bins_of, ratio

Array = NDArray[Any]

_SCORES = 1_000
"""The number of quantile bins for scores, so that the cost of an estimate does not grow with the rows."""
_DRAWS = 400


@dataclass(frozen=True)
class Calibration:
    """How often rows of a score were positive, by straight lines between points; learned on rows that the champion did not see."""

    scores: tuple[float, ...]
    shares: tuple[float, ...]

    def __call__(self, score: Array) -> Array:
        """Return the share of positives at each score."""
        calibrated: Array = np.interp(score, self.scores, self.shares)
        return calibrated


def learn_calibration(score: Array, target: Array) -> Calibration:
    """Return the isotonic calibration of scores, such as those of the holdout."""
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score, target)
    points = zip(fitted.X_thresholds_, fitted.y_thresholds_, strict=True)
    scores, shares = zip(*((rounded(x), rounded(y)) for x, y in points), strict=True)
    return Calibration(scores, shares)


def estimate_classification(
    score: Array,
    threshold: float,
    metrics: Sequence[str],
    *,
    calibration: Calibration | None = None,
) -> dict[str, Measured]:
    """Return what metrics of two classes will be once labels come, with 95 % intervals for what chance adds.

    Parameters
    ----------
    score : array of shape (n_rows,)
        The champion's probabilities of the positive class.
    threshold : float
    metrics : sequence of str
        One that can't be told from scores alone has no value, and a reason.
    calibration : Calibration, optional
        Applied for how often rows are positive; the scores are ranked and judged as they are.
    """
    order = np.sort(score)
    cuts = np.unique(np.linspace(0, len(order), min(_SCORES, len(order)) + 1).astype(np.int64))
    # No bin holds rows on both sides of the threshold, or some of equal scores only.
    starts = np.searchsorted(order, order[np.minimum(cuts, len(order) - 1)], side="left")
    edges = np.unique(np.r_[0, starts, np.searchsorted(order, threshold, side="left"), len(order)])
    edges = edges[np.r_[True, np.diff(edges) > 0]]
    rows = np.diff(edges).astype(float)
    means = np.add.reduceat(order, edges[:-1]) / rows
    chance = means if calibration is None else np.add.reduceat(calibration(order), edges[:-1]) / rows
    chance = np.clip(chance, 0, 1)
    drawn = np.random.default_rng(0).binomial(rows.astype(np.int64), chance, size=(_DRAWS, len(rows)))
    positives = np.vstack([rows * chance, drawn])
    sums = _sums(positives, rows, means, means >= threshold)
    found: dict[str, Measured] = {}
    for metric in metrics:
        values = _ranking(metric, positives, rows)
        if values is None and metric in DEFINITIONS and set(DEFINITIONS[metric].terms) <= sums.keys():
            values = DEFINITIONS[metric].combine(sums)
        if values is None or np.isnan(values[0]):
            found[metric] = Measured(None, None, None, "it can't be told from the scores alone")
            continue
        low, high = np.nanquantile(values[1:], (0.025, 0.975))
        found[metric] = Measured(rounded(values[0]), rounded(low), rounded(high))
    return found


def _sums(positives: Array, rows: Array, score: Array, called: Array) -> dict[str, Array]:
    """Return the sums of rows' terms that metrics are made of, one for each line of positives by bin."""
    eps = np.finfo(float).eps
    clipped = np.clip(score, eps, 1 - eps)
    negatives = rows - positives
    sums = {
        "rows": np.full(len(positives), rows.sum()),
        "positive": positives.sum(axis=1),
        "negative": negatives.sum(axis=1),
        "true_positive": positives[:, called].sum(axis=1),
        "false_positive": negatives[:, called].sum(axis=1),
        "squared_error": positives @ (1 - score) ** 2 + negatives @ score**2,
        "log_loss": -(positives @ np.log(clipped) + negatives @ np.log1p(-clipped)),
    }
    which = bins_of(score)
    for number in range(10):
        inside = which == number
        sums[f"off:{number}"] = (score * rows)[inside].sum() - positives[:, inside].sum(axis=1)
    return sums


def _ranking(metric: str, positives: Array, rows: Array) -> Array | None:
    negatives = rows - positives
    if metric == "roc_auc":
        below = np.cumsum(negatives, axis=1) - negatives / 2
        return ratio((positives * below).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1))
    if metric == "average_precision":
        from_here = np.cumsum(positives[:, ::-1], axis=1)[:, ::-1]
        precision = from_here / np.cumsum(rows[::-1])[::-1]
        return ratio((positives * precision).sum(axis=1), positives.sum(axis=1))
    return None

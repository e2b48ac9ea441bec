"""Points of the curves on a model card, reduced to a few hundred numbers."""

from __future__ import annotations

from math import sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from include.evaluation.explanation.results import Curves
from include.evaluation.scored_rows import Scored
from include.evaluation.uncertainty.intervals import rounded

Array = NDArray[Any]

MAX_CURVE_POINTS = 200
RELIABILITY_BINS = 10


def curves_of(task: Literal["classification", "regression"], target: Array, scored: Scored) -> Curves:
    """Thin a model's curves to at most `MAX_CURVE_POINTS` points.

    Parameters
    ----------
    task : {"classification", "regression"}
    target : array of shape (n_rows,)
        0 or 1 for classification.
    scored : Scored
    """
    if task == "regression":
        counts, edges = np.histogram(scored.score - target, bins=40)
        bars = zip(edges[:-1], edges[1:], counts, strict=True)
        residuals = tuple((rounded(left), rounded(right), int(count)) for left, right, count in bars)
        return Curves(calibration=_calibration(target, scored.score, binary=False), residuals=residuals)
    if scored.score.ndim == 2:
        said, classes = scored.score.argmax(axis=1), scored.score.shape[1]
        counts = np.bincount(target.astype(np.int64) * classes + said, minlength=classes**2).reshape(classes, classes)
        right = (said == target).astype(float)
        return Curves(
            calibration=_calibration(right, scored.score.max(axis=1), binary=True),
            matrix=tuple(tuple(int(count) for count in row) for row in counts),
        )
    positive = scored.score >= (0.5 if scored.threshold is None else scored.threshold)
    tp, fp = int(target[positive].sum()), int((1 - target[positive]).sum())
    p = int(target.sum())
    roc, precision_recall = _ranking(target, scored.score)
    return Curves(
        calibration=_calibration(target, scored.score, binary=True),
        roc=roc,
        precision_recall=precision_recall,
        confusion=(len(target) - p - fp, fp, p - tp, tp),
    )


def _ranking(target: Array, score: Array) -> tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float], ...]]:
    from sklearn.metrics import precision_recall_curve, roc_curve

    if target.min() == target.max():
        return (), ()
    fpr, tpr, _ = roc_curve(target, score, drop_intermediate=False)
    precision, recall, _ = precision_recall_curve(target, score)
    # scikit-learn ends with precision 1 at recall 0, which no threshold gives: the highest threshold's own stands there.
    precision, recall = precision[-2::-1], recall[-2::-1]
    return _thinned(fpr, tpr), _thinned(np.r_[0, recall], np.r_[precision[0], precision])


def _thinned(x: Array, y: Array) -> tuple[tuple[float, float], ...]:
    """Keep points at even distances along the curve, both ends among them."""
    length = np.r_[0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))]
    kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], MAX_CURVE_POINTS)).clip(0, len(x) - 1))
    return tuple((round(float(x[i]), 5), round(float(y[i]), 5)) for i in np.unique(np.r_[0, kept, len(x) - 1]))


def _calibration(target: Array, score: Array, *, binary: bool) -> tuple[tuple[float, ...], ...]:
    """Return (mean score, mean target, low, high, rows) of ten groups of rows with about the same score."""
    edges = np.unique(np.quantile(score, np.linspace(0, 1, RELIABILITY_BINS + 1)[1:-1]))
    group = np.searchsorted(edges, score, side="right")
    points = []
    for number in np.unique(group):
        rows = group == number
        n, mean = int(rows.sum()), float(target[rows].mean())
        low, high = _wilson(mean, n) if binary else _normal(target[rows], mean)
        points.append((rounded(score[rows].mean()), rounded(mean), rounded(low), rounded(high), n))
    return tuple(points)


def _wilson(share: float, n: int) -> tuple[float, float]:
    z = 1.96
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def _normal(values: Array, mean: float) -> tuple[float, float]:
    half = 1.96 * float(values.std()) / sqrt(len(values))
    return mean - half, mean + half

"""Estimated performance before labels arrive, from predictions alone, and how reliable the estimate is.

Classification: if probabilities are calibrated, they say how often each label will be right (confidence-based estimation).
Regression: a small tree, fitted to residuals of rows that the champion was not fitted to, predicts how large the errors are.

Both detect that rows became harder to predict, but not concept drift: when the relation between the columns and the target
changes, they still estimate the performance under the old relation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.tree import DecisionTreeRegressor

from include.evaluation.gains import Measured
from include.evaluation.uncertainty.intervals import rounded
from include.monitoring.performance.confidence_sequences import Bounds, confidence_sequence
from include.training.metrics.definitions import DEFINITIONS, bins_of, ratio

Array = NDArray[Any]

_SCORES = 1_000
"""The number of quantile bins for scores, so that the cost of an estimate does not grow with the rows."""
_DRAWS = 400
LEAST_IN_LEAF = 50


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
    seed: int = 0,
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
    drawn = np.random.default_rng(seed).binomial(rows.astype(np.int64), chance, size=(_DRAWS, len(rows)))
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


@dataclass(frozen=True)
class ErrorModel:
    """A regression tree over the prediction and the inputs: rows of a leaf are off by about as much.

    ``feature`` is -1 in a leaf, or 0 for the prediction and then the columns' places; ``left`` and ``right`` are nodes.
    """

    columns: tuple[str, ...]
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    rows: tuple[int, ...]
    absolute: tuple[float, ...]
    """Mean absolute residual by node."""
    squared: tuple[float, ...]
    fourth: tuple[float, ...]
    """Mean fourth power, for how sure the mean square is."""

    def leaves(self, predicted: Array, inputs: Array) -> Array:
        """Return the leaf that each row is in; a missing input goes to the left."""
        table = _table(predicted, inputs)
        node = np.zeros(len(table), dtype=np.int64)
        feature, threshold = np.array(self.feature), np.array(self.threshold)
        left, right = np.array(self.left), np.array(self.right)
        every = np.arange(len(table))
        while (inner := feature[node] >= 0).any():
            down = table[every, np.maximum(feature[node], 0)] <= threshold[node]
            node = np.where(inner, np.where(down, left[node], right[node]), node)
        return node


def learn_error_model(residuals: Array, predicted: Array, inputs: Array, columns: Sequence[str]) -> ErrorModel:
    """Learn how large errors are where.

    Parameters
    ----------
    residuals, predicted : array of shape (n_rows,)
        Of rows that the champion was not fitted to: out-of-fold, or the holdout's.
    inputs : array of shape (n_rows, n_columns)
        Numbers, with NaN for missing.
    """
    table = _table(predicted, inputs)
    size = np.abs(residuals)
    leaf = max(LEAST_IN_LEAF, len(residuals) // 100)
    tree = DecisionTreeRegressor(max_depth=5, min_samples_leaf=min(leaf, len(residuals)), random_state=0)
    tree.fit(table, np.column_stack([size, size**2]) / np.maximum([size.std(), (size**2).std()], 1e-300))
    nodes = tree.tree_
    path = tree.decision_path(table)
    rows = np.asarray(path.sum(axis=0)).reshape(-1)
    powers = [np.asarray(path.T @ size**power).reshape(-1) / rows for power in (1, 2, 4)]
    return ErrorModel(
        tuple(columns),
        tuple(int(one) if one >= 0 else -1 for one in nodes.feature),
        tuple(map(float, nodes.threshold)),
        tuple(map(int, nodes.children_left)),
        tuple(map(int, nodes.children_right)),
        tuple(map(int, rows)),
        *(tuple(map(rounded, one)) for one in powers),
    )


def _table(predicted: Array, inputs: Array) -> Array:
    """Return what the tree looks at, in the precision that scikit-learn splits in; missing is less than everything."""
    table: Array = np.column_stack([predicted, inputs]).astype(np.float32)
    return np.where(np.isnan(table), np.finfo(np.float32).min, table)


def estimate_regression(
    model: ErrorModel, predicted: Array, inputs: Array, metrics: Sequence[str]
) -> dict[str, Measured]:
    """Return what ``mae``, ``mse`` and ``rmse`` will be once labels come, with 95 % intervals.

    Parameters
    ----------
    model : ErrorModel
        Mean errors by leaf, learned from rows with labels.
    predicted : array of shape (n_rows,)
        The champion's predictions.
    inputs : array of shape (n_rows, n_inputs)
        What the error model reads of the same rows.
    metrics : sequence of str
        Names of metrics; one that can't be estimated gets the reason in place of a value.
    """
    leaves, counts = np.unique(model.leaves(predicted, inputs), return_counts=True)
    learned = np.array(model.rows)[leaves]
    absolute, squared, fourth = (np.array(one)[leaves] for one in (model.absolute, model.squared, model.fourth))
    found: dict[str, Measured] = {}
    moments: dict[str, tuple[Array, Array, Callable[[float], float]]] = {
        "mae": (absolute, squared - absolute**2, float),
        "mse": (squared, fourth - squared**2, float),
        "rmse": (squared, fourth - squared**2, lambda value: sqrt(max(value, 0.0))),
    }
    for metric in metrics:
        if metric not in moments:
            found[metric] = Measured(None, None, None, "it can't be told from the size of errors alone")
            continue
        mean, variance, shown = moments[metric]
        share = counts / counts.sum()
        value = float(share @ mean)
        # What the leaves' means leave open, and what chance adds to as many new rows.
        error = sqrt(float(share**2 @ (np.maximum(variance, 0) * (1 / learned + 1 / counts))))
        middle, low, high = (rounded(shown(one)) for one in (value, value - 1.96 * error, value + 1.96 * error))
        found[metric] = Measured(middle, low, high)
    return found


@dataclass(frozen=True)
class EstimatorJudged:
    """How an estimator did where labels have come.

    ``covered`` of ``intervals`` held the truth; ``bias`` is the mean of estimate less truth with a confidence sequence.
    """

    intervals: int
    covered: int
    bias: Bounds


def judge_estimator(pairs: Sequence[tuple[Measured, Measured]]) -> EstimatorJudged:
    """Judge estimates by the truth: pairs of (estimated, measured) of one metric, in the order of time."""
    told = [
        (one.value - truth.value, one.low is not None and one.high is not None and one.low <= truth.value <= one.high)
        for one, truth in pairs
        if one.value is not None and truth.value is not None
    ]
    return EstimatorJudged(
        len(told), sum(inside for _, inside in told), confidence_sequence([off for off, _ in told], 0.05)
    )


def reservations(outside: float, judged: EstimatorJudged | None = None) -> tuple[str, ...]:
    """Return, as sentences, when an estimate is not valid.

    Parameters
    ----------
    outside : float
        The share of the interval's rows outside the champion's domain.
    judged : EstimatorJudged, optional
    """
    said = ["It can't see a change of how the target depends on the columns."]
    if outside > 0.05:
        said.append(
            f"{outside:.0%} of the rows lie outside what the champion was fitted on; of those it knows nothing."
        )
    if judged is not None and judged.intervals >= 5 and judged.covered < 0.7 * judged.intervals:
        said.append(f"Where labels have come, {judged.covered} of {judged.intervals} estimates held the truth.")
    bias = None if judged is None else judged.bias
    if bias is not None and bias.low is not None and bias.high is not None and bias.low * bias.high > 0:
        said.append(f"It was {'too high' if bias.low > 0 else 'too low'} by {abs(bias.mean or 0):.3g} on average.")
    return tuple(said)

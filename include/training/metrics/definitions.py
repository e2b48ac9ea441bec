"""Metrics as sums over rows, so that any resampling of rows is one matrix product.

Every metric is a function of a few sums of per-row terms. Label and loss metrics are so by definition. ROC AUC is a sum
of placement values (DeLong, DeLong and Clarke-Pearson 1988), average precision a sum of its influence function; for these
two the sum over all rows is exact and a reweighted sum is the first-order expansion around it, which is what their
asymptotic intervals rest on.

Values are scikit-learn's. Cross-validation uses the same definitions as evidence, so that a name has one meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.config.names import METRICS

Array = NDArray[Any]
Sums = Mapping[str, Array]

TARGET_TERMS = frozenset({"rows", "positive", "negative", "target", "target_squared"})
"""Terms that do not depend on a model and are computed once."""

CALIBRATION_BINS = 10
"""Of probabilities, for the calibration error."""


@dataclass(frozen=True)
class Metric:
    """How one metric is computed.

    Parameters
    ----------
    terms : tuple of str
        The per-row terms it needs, keys of what `row_terms` returns.
    combine : function of {term: array of sums} to array
        The metric of those sums; NaN where it has no value.
    undefined : str
        Why it may have no value.
    whole : bool
        Whether it is of all rows together, and of no part of them.
    labels : bool
        Whether it is of predicted labels, which a threshold makes of the probabilities of two classes.
    share : bool
        Whether it is the share of some units: of those that any of its terms is not zero for.
    multiclass : Metric, or function of the number of classes to Metric, or None
        How it is computed of more than two classes, from the terms of `include.training.metrics.multiclass`; None: as of two.
    """

    terms: tuple[str, ...]
    combine: Callable[[Sums], Array]
    undefined: str = ""
    whole: bool = False
    labels: bool = False
    share: bool = False
    multiclass: Metric | Callable[[int], Metric] | None = None

    def of_classes(self, classes: int | None) -> Metric:
        """Return how the metric is computed for this number of classes; None for two classes, values and clusters."""
        if classes is None or self.multiclass is None:
            return self
        return self.multiclass if isinstance(self.multiclass, Metric) else self.multiclass(classes)


def mean_of(term: str, undefined: str = "") -> Metric:
    """Return a metric that is the mean of one term over rows."""
    return Metric(("rows", term), lambda s: ratio(s[term], s["rows"]), undefined)


def share_of(term: str, undefined: str) -> Metric:
    """Return a metric that is the mean of one term over rows, which can't leave zero to one."""
    return Metric(("rows", term), lambda s: np.clip(ratio(s[term], s["rows"]), 0, 1), undefined)


def from_class_counts(combine: Callable[[Array, Array, Array], Array], classes: int) -> Metric:
    """Return a metric of predicted labels from the counts of each class.

    Parameters
    ----------
    combine : function of three arrays of shape (n_classes, ...) to an array of shape (...)
        Of the rows of each class that are predicted to be of it; that are predicted to be of it, rightly or not; that are of it.
    classes : int
    """
    terms = tuple(f"{what}:{place}" for what in ("hit", "said", "is") for place in range(classes))

    def metric(s: Sums) -> Array:
        return combine(
            *(np.stack([s[f"{what}:{place}"] for place in range(classes)]) for what in ("hit", "said", "is"))
        )

    return Metric(terms, metric, "no row is of any class")


def sign(name: str) -> int:
    """Return 1 if greater is better, -1 if less is."""
    return 1 if METRICS[name].greater_is_better else -1


def row_terms(
    wanted: tuple[str, ...], target: Array, score: Array, threshold: float | None, centre: float = 0.0
) -> dict[str, Array]:
    """Return the per-row terms of one model on one set of rows.

    Parameters
    ----------
    wanted : tuple of str
    target : array of shape (n_rows,)
        0 or 1 for classification, the value for regression.
    score : array of shape (n_rows,)
        Probability of the positive class, or the predicted value.
    threshold : float or None
        Scores at or above it are predicted positive.
    centre : float
        For regression: subtracted from targets before squaring, against cancellation.
    """
    terms: dict[str, Array] = {}
    if {"auc_positive", "auc_negative", "precision_at"} & set(wanted):
        terms |= ranking_terms(target, score)
    direct: dict[str, Callable[[], Array]] = {
        "rows": lambda: np.ones(len(target)),
        "positive": lambda: target,
        "negative": lambda: 1.0 - target,
        "true_positive": lambda: target * (score >= threshold),
        "false_positive": lambda: (1.0 - target) * (score >= threshold),
        "percentage_error": lambda: _percentage(target, score),
        "squared_error": lambda: (score - target) ** 2,
        "absolute_error": lambda: np.abs(score - target),
        "log_loss": lambda: _log_loss(target, score),
        "target": lambda: target - centre,
        "target_squared": lambda: (target - centre) ** 2,
    }
    if any(name.startswith("off:") for name in wanted):
        which = bins_of(score)
        direct |= {f"off:{bin}": partial(binned_gap, score - target, which, bin) for bin in range(CALIBRATION_BINS)}
    return {name: terms[name] if name in terms else direct[name]() for name in wanted}


def bins_of(probability: Array) -> Array:
    """Return which of ten equal bins each probability is in."""
    return np.minimum((probability * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def binned_gap(gap: Array, which: Array, bin: int) -> Array:
    """Return what rows of one bin say too much, zero for the others."""
    return np.where(which == bin, gap, 0.0)


def averaged(kind: str, how: str, hit: Array, said: Array, own: Array) -> Array:
    """Return precision, recall or F1 as a mean over classes; a class for which there is nothing to divide by counts zero.

    Parameters
    ----------
    kind : {"precision", "recall", "f1"}
    how : {"macro", "weighted", "own"}
        Every class that rows are of, or are said to be of, counts the same; or by the rows that are of it; or every class
        that rows are of counts the same.
    hit, said, own : array of shape (n_classes, ...)
        Rows said to be of a class and of it; said to be; of it.
    """
    below = {"precision": said, "recall": own, "f1": (said + own) / 2}[kind]
    each = np.divide(hit, below, out=np.zeros(np.broadcast(hit, below).shape), where=below > 0)
    weight = own if how == "weighted" else (own + (said if how == "macro" else 0) > 0).astype(float)
    return ratio((each * weight).sum(axis=0), weight.sum(axis=0))


def _percentage(target: Array, score: Array) -> Array:
    size = np.abs(target)
    known = size > np.finfo(float).eps  # scikit-learn divides by this where there is nothing to divide by
    return np.where(known, np.abs(score - target) / np.where(known, size, 1), np.nan)


def of_labels(combine: Callable[[Array, Array, Array], Array]) -> Metric:
    """Return a metric of predicted labels for any number of classes, from the counts of each class; see `from_class_counts`."""

    def of_two(s: Sums) -> Array:
        hit, false = s["true_positive"], s["false_positive"]
        hits, said = (
            np.stack([s["negative"] - false, hit]),
            np.stack([s["positive"] - hit + s["negative"] - false, hit + false]),
        )
        return combine(hits, said, np.stack([s["negative"], s["positive"]]))

    return Metric(
        (*_COUNTS, "true_positive", "false_positive"),
        of_two,
        "there is no row",
        labels=True,
        multiclass=partial(from_class_counts, combine),
    )


def _calibration_error(s: Sums) -> Array:
    return ratio(np.sum([np.abs(s[f"off:{bin}"]) for bin in range(CALIBRATION_BINS)], axis=0), s["rows"])


def _log_loss(target: Array, score: Array) -> Array:
    eps = np.finfo(score.dtype).eps  # as scikit-learn clips
    p = np.clip(score, eps, 1 - eps)
    loss: Array = -(target * np.log(p) + (1 - target) * np.log1p(-p))
    return loss


def ranking_terms(target: Array, score: Array) -> dict[str, Array]:
    """Return placement values and the influence on average precision of each row."""
    order = np.argsort(score)  # in which order equal scores come makes no difference below
    ranked = score[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    tie = np.empty(len(score), dtype=np.intp)  # which group of equal scores each row is in, ascending
    tie[order] = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(score)]))
    positives = np.add.reduceat(target[order], starts)
    rows = np.diff(np.r_[starts, len(score)]).astype(float)
    negatives = rows - positives
    n_positive, n_negative = positives.sum(), negatives.sum()
    nothing = np.zeros(len(score))
    if n_positive == 0:
        return {"auc_positive": nothing, "auc_negative": nothing, "precision_at": nothing}

    positives_from = n_positive - (np.cumsum(positives) - positives)  # at or above each score
    rows_from = len(score) - (np.cumsum(rows) - rows)
    precision = positives_from / rows_from
    # d AP / d weight of a row: its own precision if positive, and its part in the precision at every lower score.
    gained, diluted = np.cumsum(positives / rows_from), np.cumsum(positives * precision / rows_from)
    precision_at = target * (precision + gained)[tie] - diluted[tie]
    if n_negative == 0:
        return {"auc_positive": nothing, "auc_negative": nothing, "precision_at": precision_at}

    beaten = (np.cumsum(negatives) - negatives / 2) / n_negative  # share of negatives below, ties counting half
    beating = 1 - (np.cumsum(positives) - positives / 2) / n_positive
    half = float(positives @ beaten) / n_positive / 2
    return {
        "auc_positive": target * (beaten - half)[tie],
        "auc_negative": (1 - target) * (beating - half)[tie],
        "precision_at": precision_at,
    }


def ratio(a: Array, b: Array) -> Array:
    """Divide, giving NaN where there is nothing to divide by."""
    divided: Array = np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b > 0)
    return divided


def _roc_auc(s: Sums) -> Array:
    auc = ratio(s["auc_positive"], s["positive"]) + ratio(s["auc_negative"], s["negative"])
    clipped: Array = np.clip(auc, 0, 1)
    return clipped


def _balanced_accuracy(s: Sums) -> Array:
    recall = ratio(s["true_positive"], s["positive"])
    balanced: Array = (recall + 1 - ratio(s["false_positive"], s["negative"])) / 2
    return balanced


def _accuracy(s: Sums) -> Array:
    correct = s["true_positive"] + s["negative"] - s["false_positive"]
    return ratio(correct, s["positive"] + s["negative"])


def _r2(s: Sums) -> Array:
    spread = s["target_squared"] - s["target"] ** 2 / np.where(s["rows"] > 0, s["rows"], 1)
    r2: Array = 1 - ratio(s["squared_error"], np.where(spread > 1e-12 * s["target_squared"], spread, 0))
    return r2


_COUNTS = ("positive", "negative")
_BOTH = "needs rows of both classes"
_NO_POSITIVE = "no row is positive"
_EVERY_CLASS = "needs rows of every class, and of more than one"
_CLUSTERS = "the rows lie in fewer than two clusters"


def _averaged(kind: str, how: str) -> Callable[[int], Metric]:
    return partial(from_class_counts, partial(averaged, kind, how))


DEFINITIONS: dict[str, Metric] = {
    "roc_auc": Metric(
        (*_COUNTS, "auc_positive", "auc_negative"), _roc_auc, _BOTH, multiclass=share_of("roc_auc", _EVERY_CLASS)
    ),
    "average_precision": Metric(
        ("positive", "precision_at"),
        lambda s: np.clip(ratio(s["precision_at"], s["positive"]), 0, 1),
        _NO_POSITIVE,
        multiclass=share_of("average_precision", _EVERY_CLASS),
    ),
    "f1": Metric(
        ("positive", "true_positive", "false_positive"),
        lambda s: ratio(2 * s["true_positive"], s["positive"] + s["true_positive"] + s["false_positive"]),
        "no row is positive or predicted positive",
        labels=True,
        multiclass=_averaged("f1", "macro"),
    ),
    "precision": Metric(
        ("true_positive", "false_positive"),
        lambda s: ratio(s["true_positive"], s["true_positive"] + s["false_positive"]),
        "no row is predicted positive",
        labels=True,
        share=True,
        multiclass=_averaged("precision", "macro"),
    ),
    "recall": Metric(
        ("positive", "true_positive"),
        lambda s: ratio(s["true_positive"], s["positive"]),
        _NO_POSITIVE,
        labels=True,
        share=True,
        multiclass=_averaged("recall", "macro"),
    ),
    "accuracy": Metric(
        (*_COUNTS, "true_positive", "false_positive"),
        _accuracy,
        labels=True,
        share=True,
        multiclass=replace(mean_of("hit"), share=True),
    ),
    "balanced_accuracy": Metric(
        (*_COUNTS, "true_positive", "false_positive"),
        _balanced_accuracy,
        _BOTH,
        labels=True,
        multiclass=_averaged("recall", "own"),
    ),
    "brier": replace(mean_of("squared_error"), multiclass=mean_of("brier")),
    "log_loss": mean_of("log_loss"),
    **{
        f"{kind}_{how}": of_labels(partial(averaged, kind, how))
        for kind in ("f1", "precision", "recall")
        for how in ("macro", "weighted")
    },
    "calibration_error": Metric(("rows", *(f"off:{bin}" for bin in range(CALIBRATION_BINS))), _calibration_error),
    "mape": mean_of("percentage_error", "a target is zero"),
    "pinball": mean_of("pinball"),
    "interval_coverage": replace(mean_of("covered", "it has no prediction intervals"), share=True),
    "cost": mean_of("cost", "costs were not measured"),
    "mse": mean_of("squared_error"),
    "rmse": Metric(("rows", "squared_error"), lambda s: np.sqrt(ratio(s["squared_error"], s["rows"]))),
    "mae": mean_of("absolute_error"),
    "r2": Metric(("rows", "target", "target_squared", "squared_error"), _r2, "every target is the same"),
    "silhouette": Metric(("sampled", "silhouette"), lambda s: ratio(s["silhouette"], s["sampled"]), _CLUSTERS),
    "davies_bouldin": Metric(
        ("rows", "davies_bouldin"), lambda s: ratio(s["davies_bouldin"], s["rows"]), _CLUSTERS, whole=True
    ),
    "calinski_harabasz": Metric(
        ("rows", "calinski_harabasz"), lambda s: ratio(s["calinski_harabasz"], s["rows"]), _CLUSTERS, whole=True
    ),
    "stability": Metric((), lambda s: np.full(1, np.nan), "no refits are on record with its fit", whole=True),
}
"""How each name of `METRICS` is computed."""

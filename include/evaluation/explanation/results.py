"""Explanations of a model, as evidence keeps them: curves, importances, coefficients, dependence, clusters and behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from include.evaluation.gains import Measured


@dataclass(frozen=True)
class Curves:
    """What the plots of one model are drawn from; at most 200 points each.

    Classification fills ``roc`` (false and true positive rate), ``precision_recall`` (recall, precision), ``calibration``
    (mean score, share of positives, low, high, rows) and ``confusion`` (true negatives, false positives, false negatives,
    true positives). Regression fills ``calibration`` (mean prediction, mean target, low, high, rows) and ``residuals``
    (left edge, right edge, rows).
    """

    calibration: tuple[tuple[float, ...], ...] = ()
    roc: tuple[tuple[float, float], ...] = ()
    precision_recall: tuple[tuple[float, float], ...] = ()
    confusion: tuple[int, int, int, int] | None = None
    residuals: tuple[tuple[float, float, int], ...] = ()
    matrix: tuple[tuple[int, ...], ...] = ()
    """Of more than two classes: rows by the class that they are of, and then by the likeliest."""


@dataclass(frozen=True)
class Cluster:
    """What the rows of one of the challenger's clusters are like.

    ``number`` is None for all rows together, -1 for those in no cluster. ``silhouette`` is their mean; ``means`` are of
    numbers and ``modes`` the most frequent of other values with its share, both by column: the inputs, and those of slices.
    """

    number: int | None
    rows: int
    silhouette: float | None
    means: dict[str, float | None]
    modes: dict[str, str | None]


@dataclass(frozen=True)
class Importance:
    """How much the primary metric loses when one column's values are shuffled among the holdout rows.

    Of a clustering: the share of rows that change cluster then.
    """

    column: str
    loss: float | None
    spread: float | None


@dataclass(frozen=True)
class Coefficient:
    """One weight of a linear model: of a value or of two classes one number, else one for each class.

    ``spread`` is the prepared column's standard deviation among holdout rows: weight times spread is how far it moves the
    model's score, in any unit of the column.
    """

    column: str
    weights: tuple[float, ...]
    spread: float


@dataclass(frozen=True)
class LinearModel:
    """A linear model: how many prepared columns it adds up, and the weights that move its score most."""

    columns: int
    intercept: tuple[float, ...]
    largest: tuple[Coefficient, ...]


@dataclass(frozen=True)
class Dependence:
    """What is predicted on average when a column has one value in all rows, for each of some values.

    ``predicted`` holds one number for each value, or the probability of each class; the values are ``numbers`` or ``levels``.
    """

    column: str
    predicted: tuple[tuple[float, ...], ...]
    numbers: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class LearningPoint:
    """The primary metric of the challenger's recipe fitted to a share of its training rows; ``gain`` is that of all of them over it."""

    share: float
    rows: int
    score: Measured
    gain: Measured | None


@dataclass(frozen=True)
class TrainScores:
    """The challenger's metrics on its training rows.

    Parameters
    ----------
    rows : int
        How many were looked at, drawn at random where that is not all.
    of : int
        How many there are. Intervals are of what a draw leaves open; of all rows a metric is what it is.
    """

    rows: int
    of: int
    scores: dict[str, Measured]


@dataclass(frozen=True)
class BehaviourResult:
    """What one check of ``evaluation.behaviour`` found.

    ``unknown``: it could not be asked. ``broken`` counts rows, of ``rows``; ``found`` is a sentence without any row's data.
    """

    name: str
    kind: Literal["invariance", "direction", "case"]
    state: Literal["held", "broken", "unknown"]
    rows: int
    broken: int
    found: str

"""Measured metrics and gains with their uncertainty: of all rows, of slices and of groups."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import hypot
from statistics import NormalDist
from typing import Literal

from include.config.names import METRICS

Role = Literal["challenger", "incumbent", "trivial", "simple", "pooled", "unmitigated"]


def opponent_among(measured: Container[Role]) -> Role | None:
    """Return whom a challenger is compared with above all: the champion, or of a segment the model of all rows; None without either."""
    opponents: tuple[Role, ...] = ("incumbent", "pooled")
    return next((role for role in opponents if role in measured), None)


_LOWER = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35)
PROBABILITIES: tuple[float, ...] = (*_LOWER, 0.5, *(round(1 - p, 4) for p in reversed(_LOWER)))
"""Where the bootstrap distribution of each gain is kept, as far as the resamples reach."""

CONFIDENCES: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995, 0.9975, 0.999)
"""Where the critical values of all levels of a slice are kept."""

probit = NormalDist().inv_cdf
"""Quantiles of the normal distribution."""


def _between(points: Iterable[tuple[float, float]], probability: float) -> float | None:
    """Read a distribution that is kept at some probabilities; between two of them it is taken as normal."""
    tolerance = 1e-9
    for (p0, v0), (p1, v1) in pairwise(points):
        if p0 - tolerance <= probability <= p1 + tolerance:
            z0, z1 = probit(p0), probit(p1)
            share = min(1.0, max(0.0, (probit(min(p1, max(p0, probability))) - z0) / (z1 - z0)))
            return v0 + share * (v1 - v0)
    return None


@dataclass(frozen=True)
class Measured:
    """A metric of one model with its two-sided 95 % interval, or the reason why it has no value."""

    value: float | None
    low: float | None
    high: float | None
    undefined: str | None = None


@dataclass(frozen=True)
class Gain:
    """How much better the challenger is than another model on identical rows; positive is better for every metric.

    Parameters
    ----------
    metric : str
    against : str
        The role of the other model.
    slice : (column, level) or None
        The rows looked at; None for all.
    support : int
        The number of those rows.
    estimate : float or None
        The difference itself.
    quantiles : tuple of (probability, value)
        Its bootstrap distribution at `PROBABILITIES`; empty when undefined.
    undefined : str or None
        Why there is no difference to speak of.
    delong : (low, high) or None
        For ROC AUC on all rows: the 95 % interval of DeLong's closed form, as a check of the bootstrap.
    """

    metric: str
    against: Role
    slice: tuple[str, str] | None
    support: int
    estimate: float | None
    quantiles: tuple[tuple[float, float], ...] = ()
    undefined: str | None = None
    delong: tuple[float, float] | None = None

    def bound(self, confidence: float) -> float | None:
        """Return the one-sided lower bound: the gain is above it with this confidence.

        None when the gain is undefined, or when the confidence is too high for the number of resamples.
        """
        return self._quantile(1 - confidence)

    def upper(self, confidence: float) -> float | None:
        """Return the one-sided upper bound: the gain is below it with this confidence."""
        return self._quantile(confidence)

    @property
    def interval(self) -> tuple[float, float, float] | None:
        """The two-sided 95 % interval with the estimate in its middle: (low, estimate, high); None where one of them is unknown."""
        low, high = self.bound(0.975), self.upper(0.975)
        return None if self.estimate is None or low is None or high is None else (low, self.estimate, high)

    @property
    def error(self) -> float | None:
        """The standard error: what the 95 % bounds on both sides would have it be if the distribution were normal."""
        low, high = self.bound(0.95), self.upper(0.95)
        return None if low is None or high is None else (high - low) / (2 * probit(0.95))

    def _quantile(self, probability: float) -> float | None:
        return _between(self.quantiles, probability)


@dataclass(frozen=True)
class Family:
    """How far the gains over the incumbent on all levels of a slice column may be off at once, in standard errors.

    Levels are counted from the one with most rows; of equal ones, by name. Those without a gain are left out. So the levels
    with at least a given number of rows come first, whatever number a policy requires.
    """

    metric: str
    column: str
    critical: tuple[tuple[float, ...], ...]
    """For the first one, two, three ... levels: critical values at `CONFIDENCES`."""

    def critical_value(self, levels: int, confidence: float) -> float | None:
        """Return how many standard errors no level is off by with this confidence; None beyond what the resamples tell."""
        if not 1 <= levels <= len(self.critical):
            return None
        return _between(zip(CONFIDENCES, self.critical[levels - 1], strict=False), confidence)


CHURN_UNITS = {
    "classification": "of the rows get another label",
    "clustering": "of the rows change cluster",
    "regression": "of the target's standard deviation, on average",
}
"""What a share of prediction churn is a share of, by task."""


@dataclass(frozen=True)
class PredictionChurn:
    """How much predictions change from the incumbent's to the challenger's.

    Classification: the share of rows whose label changes, each model at its own threshold. Regression: the mean absolute
    change, as a share of the target's standard deviation. Clustering: the share of rows that change cluster, where the
    clusters of the two models are paired so that as few as possible do.
    """

    slice: tuple[str, str] | None
    support: int
    share: Measured


@dataclass(frozen=True)
class SliceScores:
    """The metrics on the rows of one level of a slice column."""

    column: str
    level: str
    support: int
    positives: int | None
    scores: dict[Role, dict[str, Measured]]


@dataclass(frozen=True)
class GroupRates:
    """Of one group: the share that is called positive, and the shares of its positives and of its negatives that are."""

    group: str
    support: int
    rates: dict[Role, dict[str, Measured]]


@dataclass(frozen=True)
class Fairness:
    """How alike the levels of a slice are treated, by one measure; ``metric`` is that of the worst group, or None."""

    groups: str
    measure: str
    metric: str | None
    scores: dict[Role, Measured]
    rates: tuple[GroupRates, ...] = ()
    """The groups' rates; with the first measure of a slice only."""


@dataclass(frozen=True)
class CanaryAnswers:
    """What the challenger answered to requests of its share of entities, beside what the incumbent answered to the others.

    Parameters
    ----------
    metric : str
    by : str
        The column whose values are the entities.
    share : float
        The share of entities that the declaration gives the challenger.
    rows, entities : dict of role to int
        Labelled rows that each answered, and how many entities they are of.
    scores : dict of role to Measured
        The metric of what was answered, on rows of its own for each: entities are resampled.
    files : str
        Digest of the names of the request log's files that were read.
    """

    metric: str
    by: str
    share: float
    rows: dict[Role, int]
    entities: dict[Role, int]
    scores: dict[Role, Measured]
    files: str

    @property
    def gain(self) -> Measured:
        """How much better the challenger did, with the 95 % interval of a difference of two independent estimates."""
        return difference(self.metric, self.scores["challenger"], self.scores["incumbent"])


def difference(metric: str, one: Measured, other: Measured) -> Measured:
    """Return how much better one measurement is than another on other rows; positive is better for every metric.

    The interval is that of a difference of two independent estimates, recovered from their own intervals (Zou and Donner 2008,
    "Construction of confidence limits about effect measures: a general approach", Statistics in Medicine 27).

    Parameters
    ----------
    metric : str
    one, other : Measured
        Their values in the metric's own unit, with two-sided 95 % intervals.
    """
    more, less = (one, other) if METRICS[metric].greater_is_better else (other, one)
    if more.value is None or less.value is None:
        return Measured(None, None, None, one.undefined or other.undefined)
    found = more.value - less.value
    if more.low is None or more.high is None or less.low is None or less.high is None:
        return Measured(found, None, None, one.undefined or other.undefined)
    low = found - hypot(more.value - more.low, less.high - less.value)
    return Measured(found, low, found + hypot(more.high - more.value, less.value - less.low))

"""What was measured about a challenger, as plain values that a gate can rule on and a card can show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import hypot
from statistics import NormalDist
from typing import Any, Literal

from pydantic import TypeAdapter

from include.config.names import METRICS, SIMPLE_BASELINE
from include.leakage.tripwire import Tripwire

Role = Literal["challenger", "incumbent", "trivial", "simple", "unmitigated"]

EQUAL_ROWS = "set of equal rows"
"""What is resampled of a table without ids in which rows are equal; see `Units`."""
SAY_SEPARATE = (
    "If they are different things that happen to be alike, such as people with the same answers, declare "
    "`data.equal_rows: separate`, or name the column that tells them apart as `data.row_id`"
)

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

        None when the gain is undefined, or when the confidence is beyond what the resamples can speak of.
        """
        return self._quantile(1 - confidence)

    def upper(self, confidence: float) -> float | None:
        """Return the one-sided upper bound: the gain is below it with this confidence."""
        return self._quantile(confidence)

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

    Levels are counted from the one with most rows; of equal ones, by name. Those without a gain are left out. So the
    levels with at least so many rows are the first so many of them, whatever a policy takes for enough.
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
class Holdout:
    """The rows that every model was scored on; ``after < event_time <= until``."""

    after: str
    until: str
    rows: int
    rows_digest: str
    positives: int | None


@dataclass(frozen=True)
class Validation:
    """Scores inside the training window, on rows that a fold did not learn from."""

    metric: str
    mean: float
    std: float
    folds: tuple[float | None, ...]


@dataclass(frozen=True)
class Subject:
    """The model file that was measured in one role, and the recipe that made it."""

    fit: str
    model_file: str
    model_bytes: int
    candidate: str
    estimator: str
    params: dict[str, Any]
    threshold: float | None
    train_after: str
    train_until: str
    train_rows: int
    validation: Validation | None
    mitigated: dict[str, dict[str, float | None]] | None = None
    """In validation, ``before`` and ``after`` the recipe's mitigation of unfairness: metrics and disparities."""
    code: str | None = None
    """Digest of the code that its inputs were made by: the fit's own. None in evidence of release 0.1, which used the code of the day."""


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
    model's score, whatever the column is measured in.
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
    """The challenger's metrics on rows that it learned from.

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


@dataclass(frozen=True)
class TrainCoverage:
    """How many partitions of the challenger's declared training window have rows, and the share that the declaration asks for."""

    partitions: int
    filled: int
    least: float | None = None

    @property
    def share(self) -> float:
        """The share of the window's partitions that have rows; one of a window of no length."""
        return self.filled / self.partitions if self.partitions else 1.0


@dataclass(frozen=True)
class UnlabelledRows:
    """How many rows of the holdout's window have no label and were left out; of all, or of one level of a slice.

    ``rows`` are those with and without a label.
    """

    slice: tuple[str, str] | None
    rows: int
    unlabelled: int

    @property
    def share(self) -> float:
        """The share of rows without a label."""
        return self.unlabelled / self.rows if self.rows else 0.0


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


@dataclass(frozen=True)
class CostFunction:
    """What using the challenger costs."""

    predict_ms_per_1000: float
    model_bytes: int


@dataclass(frozen=True)
class Units:
    """What was resampled: ``count`` rows, clusters of a column or blocks of time, in random groups when they are many.

    ``of`` is ``row``, a column's name, `EQUAL_ROWS`, or such as ``1d of time``.
    """

    of: str
    count: int
    groups: int


@dataclass(frozen=True)
class Evidence:
    """Everything measured about a challenger against the incumbent and the baselines on identical holdout rows."""

    model: str
    task: Literal["classification", "regression", "clustering"]
    version: str
    as_of: str
    incumbent: str | None
    snapshot: str
    holdout: Holdout
    comparable: bool
    incomparable_because: str | None
    remedy: str | None
    notes: tuple[str, ...]
    metrics: tuple[str, ...]
    scores: dict[Role, dict[str, Measured]]
    gains: tuple[Gain, ...]
    slice_scores: tuple[SliceScores, ...]
    subjects: dict[Role, Subject]
    curves: dict[Role, Curves]
    importance: tuple[Importance, ...]
    cost: CostFunction
    resamples: int
    units: Units
    seed: int
    families: tuple[Family, ...] = ()
    churn: tuple[PredictionChurn, ...] = ()
    fairness: tuple[Fairness, ...] = ()
    classes: tuple[str, ...] = ()
    """The target's classes, in the order of ``Curves.matrix``."""
    clusters: tuple[Cluster, ...] = ()
    """Of a clustering: all rows first, then the challenger's clusters, the largest first."""
    tripwires: tuple[Tripwire, ...] | None = None
    """None in evidence from before they were asked."""
    train: TrainScores | None = None
    """None of a clustering, and in evidence from before they were measured."""

    behaviours: tuple[BehaviourResult, ...] = ()
    linear: LinearModel | None = None
    """None of a challenger that is no linear model."""
    dependence: tuple[Dependence, ...] = ()
    learning: tuple[LearningPoint, ...] = ()
    """With the share of all rows last; empty unless `evaluation.learning_curve` asks."""
    costs: str | None = None
    """Digest of the code of the cost function. None without one, and in evidence of release 0.1, which did not keep it."""
    coverage: TrainCoverage | None = None
    """None of a table without time, and in evidence from before it was counted."""
    unlabelled: tuple[UnlabelledRows, ...] | None = None
    """Of all rows first; then of the slices' levels, if any row has no label. None where nothing has one, and in evidence from before they were counted."""
    canary: CanaryAnswers | None = None
    """None without `gate.canary`, and where neither model or only one of them answered requests."""

    @property
    def of_simple_kind(self) -> bool:
        """Whether the challenger is of the simple baseline's own kind."""
        challenger = self.subjects.get("challenger")
        return challenger is not None and challenger.estimator == SIMPLE_BASELINE[self.task]

    @property
    def opponent(self) -> Role:
        """Whom the challenger is compared with: the champion; of a first version the simple baseline, or of its kind the trivial one."""
        if "incumbent" in self.scores:
            return "incumbent"
        return "trivial" if self.of_simple_kind and "trivial" in self.scores else "simple"

    def gain(self, metric: str, against: Role, slice: tuple[str, str] | None = None) -> Gain | None:
        """Return the gain in one metric on some rows, or None if it was not measured."""
        wanted = (metric, against, slice)
        return next((gain for gain in self.gains if (gain.metric, gain.against, gain.slice) == wanted), None)

    def gap(self, metric: str) -> Measured | None:
        """Return how much better the challenger is on training rows than on the holdout, or None if it was not measured.

        Positive is better on training rows for every metric.
        """
        learned = None if self.train is None else self.train.scores.get(metric)
        held = self.scores["challenger"].get(metric)
        return None if learned is None or held is None else difference(metric, learned, held)

    def family(self, metric: str, column: str) -> Family | None:
        """Return the critical values of a slice column's levels together, or None if they were not measured."""
        return next((one for one in self.families if (one.metric, one.column) == (metric, column)), None)

    def levels(self, column: str) -> tuple[str, ...]:
        """Return the levels of a slice column that the holdout holds."""
        return tuple(scores.level for scores in self.slice_scores if scores.column == column)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON that `from_json` reads back."""
        value: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Evidence:
        """Read what `to_json` wrote."""
        return _ADAPTER.validate_python(value)

    @classmethod
    def from_bytes(cls, body: bytes) -> Evidence:
        """Read the stored JSON text."""
        return _ADAPTER.validate_json(body)


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


_ADAPTER = TypeAdapter(Evidence)

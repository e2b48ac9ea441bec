"""Evidence: everything measured about a challenger, as plain values for the gate and the model card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from include.config.names import SIMPLE_BASELINE
from include.evaluation.explanation.results import (
    BehaviourResult,
    Cluster,
    Curves,
    Dependence,
    Importance,
    LearningPoint,
    LinearModel,
    TrainScores,
)
from include.evaluation.gains import (
    CanaryAnswers,
    Fairness,
    Family,
    Gain,
    Measured,
    PredictionChurn,
    Role,
    SliceScores,
    difference,
    opponent_among,
)
from include.leakage.tripwire import Tripwire
from include.storage.content import get_content
from include.storage.store import ObjectStore

EQUAL_ROWS = "set of equal rows"
"""What is resampled of a table without ids in which rows are equal; see `Units`."""
SAY_SEPARATE = (
    "If they are different things that happen to be alike, such as people with the same answers, declare "
    "`data.equal_rows: separate`, or name the column that tells them apart as `data.row_id`"
)


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
    """Cross-validation scores inside the training window."""

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
    """None for a challenger that is not a linear model."""
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
        """Whom the challenger is compared with: the champion; of a first version the simple baseline, or of its kind the trivial one, or of a segment the model of all rows."""
        baseline: Role = "trivial" if self.of_simple_kind and "trivial" in self.scores else "simple"
        return opponent_among(self.scores) or baseline

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


def load_evidence(store: ObjectStore, model: str, digest: str) -> Evidence:
    """Return the evidence named ``digest``; raises `ObjectMissing`, `ObjectCorrupt`."""
    return Evidence.from_bytes(get_content(store, f"{model}/evidence", ".json", digest))


_ADAPTER = TypeAdapter(Evidence)

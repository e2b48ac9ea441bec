"""Metrics on all holdout rows from a decision's evidence, for charts and tables over many versions."""

from __future__ import annotations

from dataclasses import dataclass

from include.evaluation.evidence import Evidence, load_evidence
from include.evaluation.gains import Measured, Role
from include.evaluation.report.labels import greater_is_better
from include.registry.history.summary import History, VersionSummary
from include.storage.store import ObjectStore


@dataclass(frozen=True)
class Measurement:
    """The metrics of each model on a holdout, and how many rows that has."""

    metrics: tuple[str, ...]
    rows: int
    rows_digest: str
    scores: dict[Role, dict[str, Measured]]

    @classmethod
    def of(cls, evidence: Evidence) -> Measurement:
        """Take it from evidence."""
        return cls(evidence.metrics, evidence.holdout.rows, evidence.holdout.rows_digest, evidence.scores)


def load_measurement(store: ObjectStore, model: str, digest: str) -> Measurement:
    """Read the evidence of this digest; raises `ObjectMissing`, `ObjectCorrupt`."""
    return Measurement.of(load_evidence(store, model, digest))


@dataclass(frozen=True)
class Later:
    """The champion on the holdout of a version that came after it, on which it was the incumbent."""

    summary: VersionSummary
    """The later version."""
    rows: int
    measured: Measured
    standing: str
    """``better`` or ``worse`` than on its own holdout, where the intervals do not meet; else ``as before``."""


def judged_since(of: History, champion: VersionSummary) -> list[VersionSummary]:
    """Return the versions, the oldest first, that were decided on against this one as their incumbent."""
    decided = ((summary, summary.standing.decision) for summary in of.versions)
    return [summary for summary, decision in decided if decision is not None and decision.incumbent == champion.id]


def later(champion: Measurement, since: list[tuple[VersionSummary, Measurement]], metric: str) -> list[Later]:
    """Return how a champion did on each later holdout that it was measured on, by one metric.

    Parameters
    ----------
    champion : Measurement
        That of its own decision.
    since : list of (VersionSummary, Measurement)
        Those of `judged_since`.
    """
    own = champion.scores["challenger"].get(metric)
    found = []
    for summary, measurement in since:
        measured = measurement.scores.get("incumbent", {}).get(metric)
        # On the rows of its own holdout, as with an unchanged table, nothing has matured since.
        if measured is not None and measured.value is not None and measurement.rows_digest != champion.rows_digest:
            found.append(Later(summary, measurement.rows, measured, compared(own, measured, metric)))
    return found


def compared(before: Measured | None, now: Measured, metric: str) -> str:
    """Tell whether a metric is significantly better or worse than before: ``as before`` where the intervals overlap."""
    if before is None or before.low is None or before.high is None or now.low is None or now.high is None:
        return "as before"
    if before.low <= now.high and now.low <= before.high:
        return "as before"
    return "better" if (now.low > before.high) == greater_is_better(metric) else "worse"

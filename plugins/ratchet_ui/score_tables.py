"""Tables of metrics and gains on one scale: of a version, of its slices, and of two versions side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

from include.evaluation.evidence import Evidence
from include.evaluation.gains import Measured, PredictionChurn, Role
from include.evaluation.report.forest import Forest
from include.evaluation.report.labels import ROLE_LABELS, metric_name
from include.evaluation.report.score_tables import (
    ScoreRow,
    churn_by_level,
    comparison_table,
    slice_columns,
    slice_table,
)
from include.registry.history.summary import VersionSummary
from include.registry.history.version_details import VersionDetails

LEVELS = 12
"""How many levels of one slice are shown."""


@dataclass(frozen=True)
class ScoreTable:
    """Lines that share one scale; gains are those over ``against``."""

    against: str
    roles: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    forest: Forest


def scores_of(evidence: Evidence) -> ScoreTable:
    """Return every metric of every role on the version's own holdout."""
    table = comparison_table(evidence, evidence.opponent)
    rows = tuple(replace(row, name=metric_name(row.name)) for row in table.rows)
    return ScoreTable(
        evidence.opponent, tuple(role for role in ROLE_LABELS if role in evidence.scores), rows, table.forest
    )


def slices_of(evidence: Evidence, roles: tuple[Role, ...] = ()) -> tuple[tuple[str, ScoreTable], ...]:
    """Return the primary metric on the largest levels of each slice column."""
    against = evidence.opponent
    tables = [slice_table(evidence, column, against, most=LEVELS) for column in slice_columns(evidence)]
    shown = roles or ("challenger", against)
    return tuple((one.heading, ScoreTable(against, shown, one.rows, one.forest)) for one in tables)


@dataclass(frozen=True)
class Paired:
    """Two versions measured on identical rows: the newer as challenger, the older as its incumbent."""

    holdout_rows: int
    metrics: ScoreTable
    slices: tuple[tuple[str, ScoreTable], ...]
    churn: tuple[PredictionChurn, ...]
    """How many predictions change from the older to the newer: on all rows, then by level, the most changed first."""


def paired(one: VersionSummary, other: VersionSummary, mine: VersionDetails, theirs: VersionDetails) -> Paired | None:
    """Return the evidence between two versions, if one was measured against the other.

    Parameters
    ----------
    one, other : VersionSummary
        The older and the newer version.
    mine, theirs : VersionDetails
        Their details.
    """
    for newer, older in ((theirs, one), (mine, other)):
        evidence = newer.evidence
        if evidence is None or evidence.incumbent != older.id or not evidence.comparable:
            continue
        roles: tuple[Role, ...] = ("incumbent", "challenger")
        metrics = scores_of(evidence)
        table = ScoreTable("incumbent", roles, metrics.rows, metrics.forest)
        slices = slices_of(evidence, roles)
        return Paired(evidence.holdout.rows, table, slices, churn_by_level(evidence)[: LEVELS + 1])
    return None


def metrics_of_both(
    mine: Evidence | None, theirs: Evidence | None
) -> list[tuple[str, Measured | None, Measured | None]]:
    """Return each version's metrics on its own holdout."""
    ours = {} if mine is None else mine.scores["challenger"]
    others = {} if theirs is None else theirs.scores["challenger"]
    return [(metric_name(name), ours.get(name), others.get(name)) for name in dict.fromkeys([*ours, *others])]

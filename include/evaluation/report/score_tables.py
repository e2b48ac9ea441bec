"""Tables of metrics and gains on one scale: of all rows, of a slice's levels, of training rows beside the holdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from include.evaluation.evidence import Evidence
from include.evaluation.gains import Gain, Measured, PredictionChurn, Role, SliceScores
from include.evaluation.report.forest import Forest, Interval


@dataclass(frozen=True)
class ScoreRow:
    """One line of a table of gains: its name, the scores of each role, and the gain drawn on the table's scale."""

    name: str
    support: int
    positives: int | None
    scores: Mapping[Role, Measured]
    gain: Gain | None
    interval: Interval | None


@dataclass(frozen=True)
class ScoreTable:
    """Lines that share one scale."""

    heading: str
    rows: tuple[ScoreRow, ...]
    forest: Forest


_Line = tuple[str, int, int | None, Mapping[Role, Measured], Gain | None]
"""Name, support, positives, scores and gain of a row that is not drawn yet."""


def _drawn(heading: str, lines: Sequence[_Line]) -> ScoreTable:
    """Return a table whose rows have their gains' intervals on one scale."""
    ends = [None if gain is None else gain.interval for *_, gain in lines]
    forest = Forest.of([one for one in ends if one is not None])
    placed = (None if one is None else forest.interval(*one) for one in ends)
    rows = tuple(ScoreRow(*line, interval) for line, interval in zip(lines, placed, strict=True))
    return ScoreTable(heading, rows, forest)


def comparison_table(evidence: Evidence, against: Role) -> ScoreTable:
    """Return the scores of every role by every metric, with the gains over another model, on all rows."""
    rows: list[_Line] = []
    for metric in evidence.metrics:
        scores = {role: of_role[metric] for role, of_role in evidence.scores.items()}
        rows.append((metric, evidence.holdout.rows, None, scores, evidence.gain(metric, against)))
    return _drawn("All rows", rows)


@dataclass(frozen=True)
class Gap:
    """One metric on training rows and on the holdout, and how far it is better on training rows."""

    metric: str
    train: Measured
    held: Measured
    gap: Measured
    interval: Interval | None


def gaps_of(evidence: Evidence) -> tuple[Forest, tuple[Gap, ...]] | None:
    """Return how much better the challenger is on training rows than on the holdout; None if that was not measured."""
    if evidence.train is None:
        return None
    held, found = evidence.scores["challenger"], {}
    for metric in evidence.metrics:
        if (gap := evidence.gap(metric)) is not None:
            found[metric] = (evidence.train.scores[metric], held[metric], gap)
    ends = {metric: (gap.low, gap.value, gap.high) for metric, (*_, gap) in found.items()}
    known = {
        m: (low, at, high)
        for m, (low, at, high) in ends.items()
        if low is not None and at is not None and high is not None
    }
    forest = Forest.of(list(known.values()))

    def drawn(metric: str) -> Interval | None:
        if metric not in known:
            return None
        placed = forest.interval(*known[metric])
        # A gap is no verdict: only the gate's rule says how large it may be.
        return replace(placed, style="unclear" if placed.style == "unclear" else "challenger")

    return forest, tuple(Gap(metric, *three, drawn(metric)) for metric, three in found.items())


def churn_by_level(evidence: Evidence) -> tuple[PredictionChurn, ...]:
    """Return the churn of all rows, then that of the levels, the most changed first."""
    return tuple(sorted(evidence.churn, key=lambda one: (one.slice is not None, -(one.share.value or 0.0))))


def slice_columns(evidence: Evidence) -> list[str]:
    """Return the slice columns that were measured."""
    return list(dict.fromkeys(scores.column for scores in evidence.slice_scores))


def levels_of(evidence: Evidence, column: str) -> list[SliceScores]:
    """Return the levels of a slice column, the largest first."""
    return sorted((one for one in evidence.slice_scores if one.column == column), key=lambda one: -one.support)


def slice_table(evidence: Evidence, column: str, against: Role, *, most: int | None = None) -> ScoreTable:
    """Return the levels of a column by the primary metric, the largest first.

    Parameters
    ----------
    evidence : Evidence
    column : str
    against : str
        The role that gains are over.
    most : int, optional
        How many levels; all of them if left out.
    """
    metric = evidence.metrics[0]
    rows: list[_Line] = []
    for scores in levels_of(evidence, column)[:most]:
        of_metric = {role: of_role[metric] for role, of_role in scores.scores.items()}
        gain = evidence.gain(metric, against, (column, scores.level))
        rows.append((scores.level, scores.support, scores.positives, of_metric, gain))
    return _drawn(column, rows)

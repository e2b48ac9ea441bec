"""Probation: a new champion beside its predecessor on the rows that arrive, by a test that may look at every interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from include.config.sections.watch import Probation
from include.monitoring.performance.confidence_sequences import confidence_sequence
from include.storage.content import from_iso, known_fields, to_iso


class ProbationVerdict(StrEnum):
    """The verdict of probation on a champion."""

    BETTER = "better"
    NOT_WORSE = "not worse"
    WORSE = "worse"
    UNDECIDED = "undecided"
    """Its rows or its time are used up without a significant result: the gate's decision is kept."""
    RUNNING = "running"


@dataclass(frozen=True)
class Paired:
    """How much better a champion was than its predecessor on the labelled rows of one interval; positive for every metric."""

    version: str
    predecessor: str
    after: datetime
    until: datetime
    rows: int
    gain: float | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {**asdict(self), "after": to_iso(self.after), "until": to_iso(self.until)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Paired:
        """Read what `to_json` wrote."""
        return cls(**{**value, "after": from_iso(value["after"]), "until": from_iso(value["until"])})


@dataclass(frozen=True)
class ProbationState:
    """The state of a probation: its intervals and rows, and the mean gain with its confidence interval."""

    verdict: ProbationVerdict
    intervals: int
    rows: int
    gain: float | None
    low: float | None
    high: float | None
    until: datetime | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {**asdict(self), "verdict": self.verdict.value, "until": self.until and to_iso(self.until)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ProbationState:
        """Read what `to_json` wrote, alone or among other facts."""
        known = known_fields(cls, value)
        return cls(
            **{
                **known,
                "verdict": ProbationVerdict(known["verdict"]),
                "until": known["until"] and from_iso(known["until"]),
            }
        )


def probation_of(pairs: Sequence[Paired], since: datetime, declared: Probation, error: float) -> ProbationState:
    """Return the verdict on one champion and its predecessor, at the first interval at which it is significant.

    A confidence sequence of the mean gain over intervals is looked at after each of them. With a true gain of zero or more,
    the probability of ``worse`` is at most ``error`` over all looks together, and with one of zero or less the same holds
    for ``better``.

    Parameters
    ----------
    pairs : sequence of Paired
        In any order; of several of one interval the last stands.
    since : datetime
        When the champion came into force.
    error : float
        One-sided.
    """
    newest = {one.until: one for one in pairs}
    gains: list[float] = []
    rows = 0
    standing = ProbationState(ProbationVerdict.RUNNING, 0, 0, None, None, None, None)
    for until in sorted(newest):
        one = newest[until]
        if one.after < since:
            continue
        over = until > since + declared.within
        if not over and one.gain is not None:
            gains.append(one.gain)
            rows += one.rows
        found = confidence_sequence(gains, 2 * error)
        verdict = ProbationVerdict.RUNNING
        if found.low is not None and found.high is not None:
            if found.high < -declared.margin:
                verdict = ProbationVerdict.WORSE
            elif found.low > 0:
                verdict = ProbationVerdict.BETTER
            elif found.low > -declared.margin:
                verdict = ProbationVerdict.NOT_WORSE
        if verdict is ProbationVerdict.RUNNING and (over or rows >= declared.rows):
            verdict = ProbationVerdict.UNDECIDED
        standing = ProbationState(verdict, len(gains), rows, found.mean, found.low, found.high, until)
        if verdict is not ProbationVerdict.RUNNING:
            break
    return standing

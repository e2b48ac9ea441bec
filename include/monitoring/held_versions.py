"""Held versions: whether the labelled rows that a HOLD asked for have arrived."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from include.config.durations import Duration
from include.monitoring.watch_log import MEASURED
from include.registry.gate.required_rows import rows_wanted
from include.registry.ledger import Ledger
from include.registry.timeline import Timeline
from include.registry.version_states import Outcome, VersionState
from include.storage.content import from_iso
from include.storage.log import Entry


@dataclass(frozen=True)
class Matured:
    """A held version with enough new labelled rows.

    Parameters
    ----------
    decided : int
        The number of the event that held it: what tells one second look from the next.
    rows, wanted : int
        Labelled rows since it was held, and how many it takes.
    as_of : datetime
        The first instant at which there were enough, independent of when the check is made.
    """

    version: str
    decided: int
    rows: int
    wanted: int
    as_of: datetime


def matured(ledger: Ledger, entries: Iterable[Entry], label_delay: Duration, until: datetime) -> Matured | None:
    """Return the newest held version that is later than the champion, if by ``until`` enough rows have matured.

    Parameters
    ----------
    entries : iterable of Entry
        The watch log: rows are those that were measured.
    """
    timeline = ledger.timeline()
    standing = _newest_held(timeline)
    decision = None if standing is None else standing.decision
    comparison = None if decision is None else ledger.compare(decision)
    if standing is None or decision is None or standing.decided is None or comparison is None:
        return None
    wanted = rows_wanted(ledger.config(decision.config).gate, comparison.evidence)
    if wanted is None:
        return None
    since = from_iso(comparison.evidence.holdout.until)
    measured = {
        from_iso(one.body["until"]): one.body["rows"]
        for one in entries
        if one.kind == MEASURED and from_iso(one.body["after"]) >= since
    }
    rows = 0
    for end in sorted(measured):
        rows += measured[end]
        as_of = end + label_delay
        if as_of > until:
            return None
        if rows >= wanted and as_of > standing.since:
            return Matured(standing.version, standing.decided, rows, wanted, as_of)
    return None


def _newest_held(timeline: Timeline) -> VersionState | None:
    for standing in reversed(timeline.standings):
        if standing.version == timeline.champion:
            return None
        decision = standing.decision
        if standing.withdrawn is None and decision is not None and decision.outcome is Outcome.HOLD:
            return standing
    return None

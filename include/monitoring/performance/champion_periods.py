"""The periods in which a version is champion: from its promotion, and again from the end of a successor that was withdrawn.

Performance is checked from the start of the current period. Earlier shortfalls were answered by the successor. Intervals
under the successor are left out, also where this version scored them afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby

from include.monitoring.performance.measured import Performance
from include.monitoring.watch_log import MEASURED, OBSERVED
from include.registry.timeline import Timeline
from include.registry.version_states import Outcome
from include.storage.content import from_iso
from include.storage.log import Entry

Stretch = tuple[datetime, datetime]


def successors_in(timeline: Timeline, entries: Iterable[Entry], version: str) -> tuple[Stretch, ...]:
    """Return the stretches of event time under promoted and since withdrawn versions after this one, in order.

    Each lasts from where its version came into force until the last interval that was watched under it.
    """
    if version not in timeline:
        return ()
    last: dict[str, datetime] = {}
    for one in entries:
        if one.kind in (OBSERVED, MEASURED):  # of a segment's version only what was measured stands
            until = from_iso(one.body["until"])
            last[one.body["version"]] = max(until, last.get(one.body["version"], until))
    own = timeline[version].order
    return tuple(
        (one.since, max(one.since, last.get(one.version, one.since)))
        for one in timeline.standings
        if one.order > own
        and one.withdrawn is not None
        and one.decision is not None
        and one.decision.outcome is Outcome.PROMOTE
    )


def champion_periods_of(found: Iterable[Performance], successors: Sequence[Stretch]) -> list[list[Performance]]:
    """Divide the measured performance of a version into its periods as champion, each in the order of time; empty ones are left out."""
    listed = [
        one
        for one in sorted(found, key=lambda one: one.until)
        if not any(since <= one.after and one.until <= until for since, until in successors)
    ]
    return [
        list(champion_period)
        for _, champion_period in groupby(listed, lambda one: sum(until <= one.after for _, until in successors))
    ]

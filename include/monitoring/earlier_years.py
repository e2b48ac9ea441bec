"""Count the rows of the same season in earlier years in the bins of the current champion, and record them.

Sketches of earlier champions have other bins, so each interval is counted again, once. The record does not depend on the order in
which two intervals a year apart are observed: every run of the monitor adds what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from include.monitoring.drift.champion_reference import kept_reference
from include.monitoring.drift.earlier_seasons import pooled, same_season
from include.monitoring.drift.periods import Period, Reference, period_of
from include.monitoring.sketches.conversion import convert
from include.monitoring.sketches.sketches import Sketch
from include.monitoring.watch_log import EARLIER, MEASURED, OBSERVED, WatchLog
from include.storage.content import canonical_json, from_iso, get_content, read_json
from include.storage.log import Entry
from include.storage.store import ObjectStore


@dataclass(frozen=True)
class _Interval:
    """A recorded interval of one version: the key of its sketch, and the reference whose bins it was counted in."""

    version: str
    after: datetime
    until: datetime
    details: str
    reference: str
    broken: bool


def keep_earlier_years(store: ObjectStore, model: str, watched: WatchLog, *, at: datetime) -> None:
    """Put on record, for every interval that is, the same season of earlier years, as far as that was not done.

    Intervals with a data fault, and those that an older release put on record, without naming the reference, are no history.

    Parameters
    ----------
    model : str
        The model's name.
    watched : WatchLog
    at : datetime
        The instant that goes on record.
    """
    entries = watched.entries()

    @lru_cache
    def opened(digest: str, labels: bool) -> Reference | None:
        kept = kept_reference(store, model, digest)
        return kept.labels if labels else kept.reference

    for labels in (False, True):
        listed = _intervals(entries, labels)
        # Of several versions that one interval was watched under, the newest.
        sound = {one.until: one for one in sorted(listed, key=lambda one: one.version) if not one.broken}
        ends = sorted(sound)
        done = {
            (body["version"], from_iso(body["until"])): body["of"]
            for body in (entry.body for entry in entries if entry.kind == EARLIER)
            if body["labels"] == labels
        }
        for one in listed:
            found = [sound[end] for end in same_season(ends, one.until, one.until - one.after)]
            of = [other.details for other in found]
            if not of or done.get((one.version, one.until)) == of:
                continue
            ours = opened(one.reference, labels)
            theirs = [opened(other.reference, labels) for other in found]
            if ours is None or None in theirs:
                continue
            periods = [
                _counted(store, model, other, then, ours) for other, then in zip(found, theirs, strict=True) if then
            ]
            watched.compare(one.version, one.until, pooled(periods), of=of, labels=labels, at=at)


def _counted(store: ObjectStore, model: str, interval: _Interval, then: Reference, ours: Reference) -> Period:
    details = read_json(get_content(store, f"{model}/watch/details", ".json", interval.details))
    there = Sketch.from_bytes(canonical_json(details["sketch"]), then.layout)
    return period_of(convert(there, then.layout, ours.layout), ours.bins, interval.after, interval.until)


def _intervals(entries: Iterable[Entry], labels: bool) -> list[_Interval]:
    """Return the record in force of each interval and version, ascending."""
    observed = _last(entries, OBSERVED)
    standing = _last(entries, MEASURED) if labels else observed
    found = []
    for key, body in standing.items():
        source = body if labels else body["sources"]
        if source.get("reference"):
            instants = (from_iso(body["after"]), from_iso(body["until"]))
            broken = bool(observed.get(key, {}).get("faults"))
            found.append(_Interval(body["version"], *instants, source["details"], source["reference"], broken))
    return sorted(found, key=lambda one: (one.until, one.version))


def _last(entries: Iterable[Entry], kind: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one.body["version"], one.body["until"]): one.body for one in entries if one.kind == kind}

"""Monitor the versions of segments, each on the rows that it predicted.

The drift of rows is computed once for all segments (`include.monitoring.monitor`). This module measures the performance of each
segment, where labels have matured, and writes it to the segment's own watch log.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from include.config.model import ModelConfig
from include.config.sections.rows.segments import kept_as, segment_key
from include.data.snapshots import Segment, Snapshot
from include.data.windows import Window
from include.errors import RatchetError, StoreUnavailable
from include.monitoring.drift.references import reference_for
from include.monitoring.drift.watched_version import open_watched_version
from include.monitoring.measured_intervals import Labels, measure_interval
from include.monitoring.performance.probation import ProbationVerdict
from include.monitoring.predicted_rows import versions_in
from include.monitoring.segment_states import SegmentWatched, ledgers_of, levels_of, segments_watched
from include.monitoring.watch_log import MEASURED, OBSERVED, SEGMENTS, WatchLog, measured_in
from include.registry.ledger import Ledger
from include.registry.timeline import Timeline
from include.storage.concurrency import at_once
from include.storage.content import from_iso, to_iso
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)


def measure_segments(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    until: datetime,
    labels: Labels,
    watched: WatchLog,
    *,
    at: datetime,
) -> None:
    """Measure segments' versions on every observed interval whose labels have matured, on the rows that each answered there.

    A segment that can't be measured does not prevent others from it; the reason is in the model's watch log. A repeated call
    records nothing.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
        Of all rows.
    folder : Path
        The model's folder.
    until : datetime
        Labels that are known by this instant count.
    labels : callable
        Brings in and pins an interval's rows with their labels.
    watched : WatchLog
        Of the model.
    at : datetime
        The instant that goes on record.
    """
    entries = watched.entries()
    # Scored again, such as by a version that was promoted in retrospect, an interval is observed again.
    done = {entry.body["until"]: entry.body["observed"] for entry in entries if entry.kind == SEGMENTS}
    seen = {one.body["until"]: one for one in entries if one.kind == OBSERVED}
    due = [
        (Window(from_iso(seen[end].body["after"]), from_iso(end)), seen[end].number)
        for end in sorted(seen)
        if done.get(end, -1) < seen[end].number and from_iso(end) + model.data.label_delay <= until
    ]
    if not due:
        return
    ledgers = ledgers_of(store, model)
    timelines = dict(zip(ledgers, at_once(store, [one.timeline for one in ledgers.values()]), strict=True))
    levels = levels_of(store, model)
    labelled = {entry.body["until"] for entry in entries if entry.kind == MEASURED}
    for window, observed in due:
        said, versions, skipped = versions_in(store, model, window), {}, {}
        snapshot = labels(window) if any(one in timeline for timeline in timelines.values() for one in said) else None
        for name, timeline in timelines.items():
            for version in sorted(one for one in said if one in timeline):
                versions[name] = version
                assert snapshot is not None  # noqa: S101 (a segment's version answered)
                own = _rows_of(snapshot, model, name, levels[name])
                try:
                    _measure(store, kept_as(model, name), folder, timeline, version, window, own, at)
                except StoreUnavailable:
                    raise
                except RatchetError as error:
                    log.warning("%s can't be measured after %s: %s", ledgers[name].model, window.after, error.message)
                    skipped[name] = error.message
        if to_iso(window.until) in labelled:  # before the first label there is nothing to hold them against
            watched.segments_measured(window.after, window.until, observed, versions, skipped, at=at)


def conclude_segments(
    store: ObjectStore,
    model: ModelConfig,
    interval: Window,
    broken: Collection[datetime],
    watched: WatchLog,
    *,
    at: datetime,
    backfilled: bool,
) -> tuple[SegmentWatched, ...]:
    """Return the state of each segment's champion as of an interval's start, and record the notifications.

    An alarm asks for a retraining of the model, which is one of all its segments, as an alarm of the model itself does.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
        Of all rows.
    interval : Window
    broken : collection of datetime
        The ends of the intervals with data faults: performance on such rows is not meaningful.
    watched : WatchLog
        The watch log of the model, which has the requests for retraining.
    at : datetime
        The instant that goes on record.
    backfilled : bool
        Whether the interval is history, for which no notification is sent and nothing is requested.
    """
    found = segments_watched(store, model, interval, watched.entries(), broken)
    if backfilled:
        return found
    return tuple(_tell(store, model, one, interval, watched, at) for one in found)


def _rows_of(snapshot: Snapshot, model: ModelConfig, name: str, level: str | int | bool) -> Snapshot:
    assert model.segments is not None  # noqa: S101 (held by the caller)
    return snapshot.of_segment(segment_key(model.name, name), Segment(model.segments.column, level))


def _measure(
    store: ObjectStore,
    own: ModelConfig,
    folder: Path,
    timeline: Timeline,
    answered: str,
    window: Window,
    snapshot: Snapshot,
    at: datetime,
) -> None:
    # A rebuilt version goes on under the name of the one that it rebuilds.
    version, usable = timeline.original_of(answered) or answered, timeline.in_place_of(answered)
    kept, watched = reference_for(store, own, folder, version, made_by=usable), WatchLog(store, own.name)
    if any(one.until == window.until for one in measured_in(watched.entries(), version)):
        return
    with open_watched_version(store, own, folder, usable) as watching:
        measure_interval(
            store, own, folder, watching, kept, timeline, version, window, lambda _: snapshot, watched, at=at
        )


def _tell(
    store: ObjectStore, model: ModelConfig, one: SegmentWatched, interval: Window, watched: WatchLog, at: datetime
) -> SegmentWatched:
    own, concluded = WatchLog(store, one.model.name), False
    told = own.tell([alarm for alarm in one.alarms if not alarm.backfilled], interval.until, at=at)

    def champion() -> str | None:
        now = Ledger(store, one.model.name).timeline()
        return now.original_of(now.champion_as_of(interval.until))

    if one.alarms:
        watched.ask(one.alarms, model.watch, champion, interval.until, at=at)
    standing = one.probation
    if standing is not None and one.predecessor is not None and standing.verdict is not ProbationVerdict.RUNNING:
        concluded = own.conclude(one.version, one.predecessor, standing, interval.until, at=at)
    for alarm in told:
        log.warning("%s: %s", model.name, alarm.said)
    return replace(one, told=told, concluded=concluded)

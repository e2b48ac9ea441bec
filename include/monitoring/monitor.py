"""Watch a champion over one interval: the entry point of this package for scheduled runs."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path

from include.config.model import ModelConfig
from include.config.schedule_ticks import interval_until
from include.data.windows import Window
from include.monitoring.alarm_history import AlarmHistory
from include.monitoring.alarms import Alarm
from include.monitoring.champion_alarms import alarms_of
from include.monitoring.drift.champion_reference import ChampionReference, ticks_of
from include.monitoring.drift.references import reference_for
from include.monitoring.drift.watched_version import open_watched_version
from include.monitoring.earlier_years import keep_earlier_years
from include.monitoring.measured_intervals import Labels, matured_intervals, measure_interval
from include.monitoring.observed_intervals import observe_interval
from include.monitoring.performance.alarms import sound_champion_periods
from include.monitoring.performance.measured import Performance, PromiseCheck, promise_kept
from include.monitoring.performance.probation import ProbationState, ProbationVerdict, probation_of
from include.monitoring.predicted_rows import PredictedRows, predicted_in
from include.monitoring.retraining_requests import Request, request_state, wanted, would_ask
from include.monitoring.segment_states import SegmentWatched
from include.monitoring.segments import conclude_segments, measure_segments
from include.monitoring.watch_log import WatchLog, measured_in, paired_in
from include.registry.ledger import Ledger
from include.registry.timeline import Timeline
from include.storage.content import to_iso
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Monitored:
    """What is known of a champion at the end of an interval.

    Parameters
    ----------
    version : str
    history : AlarmHistory
        Of inputs, derived columns and predictions.
    alarms : tuple of Alarm
        All that are open at the end of the interval.
    told : tuple of Alarm
        Those without an earlier notification; a repeated call for the same interval returns the same ones.
    request : Request or None
        A retraining that this call asked for.
    because : str
        Why it asked, or why not.
    pending : tuple of Request
        What no retraining has taken yet.
    would_ask : tuple of Request
        What the alarms of backfilled intervals would have asked for.
    performance : tuple of Performance
    kept : PromiseCheck or None
        The primary metric since the version came into force, against what it was on the holdout; None without labels.
    probation : ProbationState or None
        None of a first version.
    predecessor : str or None
        The version that it is compared with.
    concluded : bool
        Whether the probation ended with this interval, which is notified.
    predicted : PredictedRows or None
        The batch scores and requests of the interval.
    segments : tuple of SegmentWatched
        The same of the segments that a version of their own answers for.
    """

    version: str
    history: AlarmHistory
    alarms: tuple[Alarm, ...]
    told: tuple[Alarm, ...]
    request: Request | None
    because: str
    pending: tuple[Request, ...]
    would_ask: tuple[Request, ...]
    performance: tuple[Performance, ...]
    kept: PromiseCheck | None
    probation: ProbationState | None
    predecessor: str | None
    concluded: bool
    predicted: PredictedRows | None = field(default=None, compare=False)
    segments: tuple[SegmentWatched, ...] = ()


def monitored_interval(model: ModelConfig, instant: datetime) -> Window:
    """Return the newest interval that is over at ``instant``: between two ticks of the schedule that the model is watched by."""
    return Window(*interval_until(ticks_of(model), instant, model.schedule.timezone))


def monitor(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    interval: Window,
    *,
    at: datetime,
    backfilled: bool = False,
    labels: Labels | None = None,
) -> Monitored | None:
    """Observe what the champion predicted in an interval, measure matured labels, and record alarms and requests for a retraining.

    Everything is keyed by what it was computed from: repeated, killed on the way, or beside others, it leaves the same
    record. What it concludes is a fold over all that was observed until the interval's end. Who observed it, and when, does not matter.

    Parameters
    ----------
    folder : Path
        The model's folder.
    interval : Window
        Whose scores are published.
    at : datetime
        The instant that goes on record.
    backfilled : bool
        Whether the interval is history: the run shows what it would have requested, but sends no notification and requests nothing.
    labels : callable, optional
        Without it nothing is measured.

    Returns
    -------
    Monitored or None
        None if nothing was scored in the interval.
    """
    timeline = Ledger(store, model.name).timeline()
    champion = timeline.champion_as_of(interval.after)
    predicted = predicted_in(store, model, interval, champion, among=timeline)
    if predicted is None:
        return None
    watched = WatchLog(store, model.name)
    taken = (
        None if labels is None or model.data.target is None else cache(labels)
    )  # once for all that is measured on them
    # A rebuilt version goes on with the watching and the probation of the one that it rebuilds, under whose name all of it stands.
    usable = timeline.in_place_of(predicted.version)
    version = timeline.original_of(usable) or usable
    kept = reference_for(store, model, folder, version, made_by=usable)
    with open_watched_version(store, model, folder, usable) as watching:
        observe_interval(watching, kept, predicted, watched, version, at=at, backfilled=backfilled)
        if taken is not None:
            for due in matured_intervals(model, watched, version, interval.until):
                measure_interval(store, model, folder, watching, kept, timeline, version, due, taken, watched, at=at)
    keep_earlier_years(store, model.name, watched, at=at)
    done = _conclude(store, model, kept, timeline, version, interval, watched, at=at, backfilled=backfilled)
    done = replace(done, predicted=predicted)
    if model.segments is None:
        return done
    if taken is not None:
        measure_segments(store, model, folder, interval.until, taken, watched, at=at)
    segments = conclude_segments(store, model, interval, done.history.broken, watched, at=at, backfilled=backfilled)
    pending = request_state(watched.entries()).pending
    if done.request is None and len(pending) > len(done.pending):
        done = replace(done, because="an alarm of a segment asks for one")
    return replace(done, segments=segments, pending=pending)


def _conclude(
    store: ObjectStore,
    model: ModelConfig,
    kept: ChampionReference,
    timeline: Timeline,
    version: str,
    interval: Window,
    watched: WatchLog,
    *,
    at: datetime,
    backfilled: bool,
) -> Monitored:
    length, entries = interval.until - interval.after, watched.entries()
    history, alarms = alarms_of(kept, model, version, entries, timeline, interval.until, length)
    told: tuple[Alarm, ...] = ()
    request, because = None, "a backfill asks for nothing"
    if not backfilled:
        told = watched.tell([one for one in alarms if not one.backfilled], interval.until, at=at)

        def champion() -> str | None:
            now = Ledger(store, model.name).timeline()
            return now.original_of(now.champion_as_of(interval.until))

        because = wanted(alarms, request_state(watched.entries()), model.watch, champion(), interval.until).because
        request = watched.ask(alarms, model.watch, champion, interval.until, at=at)
    performance = tuple(one for one in measured_in(entries, version) if one.until <= interval.until)
    champion_periods = sound_champion_periods(version, entries, timeline, history.broken, interval.until)
    primary, error = model.gate.primary.metric, 1 - model.gate.primary.confidence
    promised = kept.promised.get(primary, ())
    standing, concluded = None, False
    predecessor = timeline.original_of(timeline.incumbent_of(version)) if version in timeline else None
    if predecessor is not None:
        pairs = [
            one
            for one in paired_in(entries, version, predecessor)
            if one.until <= interval.until and one.until not in history.broken
        ]
        standing = probation_of(pairs, timeline[version].since, model.watch.probation, error)
        if standing.verdict is not ProbationVerdict.RUNNING and not backfilled:
            concluded = watched.conclude(version, predecessor, standing, interval.until, at=at)
    for alarm in told:
        log.warning("%s: %s after %s: %s", model.name, alarm.kind, to_iso(alarm.after), alarm.said)
    return Monitored(
        version,
        history,
        alarms,
        told,
        request,
        because,
        request_state(watched.entries()).pending,
        would_ask([one for one in alarms if one.backfilled], model.watch),
        performance,
        promise_kept(promised, champion_periods[-1], primary, error) if champion_periods else None,
        standing,
        predecessor,
        concluded,
    )

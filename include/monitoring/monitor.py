"""Watch a champion over one interval: the entry point of this package for scheduled runs."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.config.model import ModelConfig
from include.config.schedule_ticks import interval_until
from include.config.sections.slices import columns_of
from include.data.windows import Window
from include.evaluation.gains import Measured
from include.evaluation.scored_rows import Scored
from include.monitoring.alarms import Alarm, AlarmHistory, Observed, alarm_history
from include.monitoring.drift.champion_reference import ChampionReference, SliceSketches, ticks_of
from include.monitoring.drift.data_faults import faults_in
from include.monitoring.drift.periods import Period, period_of, with_all_columns
from include.monitoring.drift.references import measurable, reference_for, sketch_slices, watched_slices, without
from include.monitoring.drift.watched_version import WatchedRows, WatchedVersion, number_columns, open_watched_version
from include.monitoring.earlier_years import keep_earlier_years
from include.monitoring.measured_intervals import Labels, matured_intervals, measure_interval
from include.monitoring.performance.alarms import performance_alarms, sound_reigns
from include.monitoring.performance.estimated import estimate_classification, estimate_regression
from include.monitoring.performance.measured import Performance, PromiseCheck, promise_kept
from include.monitoring.performance.probation import ProbationState, ProbationVerdict, probation_of
from include.monitoring.predicted_rows import PredictedRows, predicted_in
from include.monitoring.retraining_requests import Request, request_state, wanted, would_ask
from include.monitoring.segment_states import SegmentWatched
from include.monitoring.segments import conclude_segments, measure_segments
from include.monitoring.sketches.counting import sketch
from include.monitoring.sketches.sketches import Sketch, merge
from include.monitoring.watch_log import WatchLog, earlier_in, measured_in, observed_in, paired_in
from include.registry.ledger import Ledger
from include.registry.timeline import Timeline
from include.storage.content import canonical_json, put_content, read_json, to_iso
from include.storage.store import ObjectStore
from include.training.preprocessing.float_converter import FloatConverter

log = logging.getLogger(__name__)

Array = NDArray[Any]

OF_LABELS = 0.1
"""The share of the false alarms that the drift of labels may make."""


@dataclass(frozen=True, eq=False)
class Monitored:
    """What is known of a champion at the end of an interval.

    Parameters
    ----------
    version : str
    history : AlarmHistory
        Of inputs, derived columns and predictions.
    alarms : tuple of Alarm
        All that stand at the end of the interval.
    told : tuple of Alarm
        Those that nobody was told of before; repeated for the same interval, the same ones.
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
        The primary metric of this reign against what it was on the holdout; None without labels.
    probation : ProbationState or None
        None of a first version.
    predecessor : str or None
        The version that it is compared with.
    concluded : bool
        Whether the probation ended with this interval, of which people are told.
    predicted : PredictedRows or None
        The batch scores and requests that were looked at.
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
    """Observe what the champion predicted in an interval, measure what has matured, and tell and ask what follows.

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
        Whether the interval is looked at as history: it shows what it would have asked for, tells nobody, and asks nothing.
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
        _observe(watching, kept, predicted, watched, version, at=at, backfilled=backfilled)
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


def alarms_of(
    kept: ChampionReference,
    model: ModelConfig,
    version: str,
    entries: Any,
    timeline: Timeline,
    until: datetime,
    length: timedelta,
) -> tuple[AlarmHistory, tuple[Alarm, ...]]:
    """Return the history of a champion until an instant, and all its alarms: of drift, faults, labels and performance.

    A pure function of what the watch log and the ledger hold.

    Parameters
    ----------
    kept : ChampionReference
        What the champion is compared with.
    version : str
        Id of the champion.
    entries : iterable of entries
        The model's watch log.
    until : datetime
        Later intervals are left out.
    length : timedelta
        Length of an interval.
    """
    seen = [
        replace(one, period=with_all_columns(one.period, kept.reference))
        for one in observed_in(entries, version)
        if one.period.until <= until
    ]
    earlier = {end: with_all_columns(one, kept.reference) for end, one in earlier_in(entries, version).items()}
    history = alarm_history(kept.reference, seen, model.watch, length, share=1 - OF_LABELS, earlier=earlier)
    backfilled = {one.period.until: one.backfilled for one in history.observed}
    alarms = list(history.alarms)
    matured = _labels_in(entries, version, until, backfilled)
    if kept.labels is not None and matured:
        earlier = earlier_in(entries, version, labels=True)
        alarms += alarm_history(
            kept.labels, matured, model.watch, length, share=OF_LABELS, of_rows=False, earlier=earlier
        ).alarms
    reigns = sound_reigns(version, entries, timeline, history.broken, until)
    alarms += performance_alarms(kept, model, version, reigns, backfilled)
    return history, tuple(sorted(alarms, key=lambda one: (one.until, one.kind, one.subject)))


def _observe(
    watching: WatchedVersion,
    kept: ChampionReference,
    predicted: PredictedRows,
    watched: WatchLog,
    version: str,
    *,
    at: datetime,
    backfilled: bool,
) -> None:
    name, interval = watching.model.name, predicted.interval
    layout = kept.reference.layout
    sketches: list[Sketch] = []
    slices: SliceSketches = {}
    foreseen: list[tuple[Scored, Array | None]] = []
    for part in predicted.parts(watching):  # so that memory holds one of them
        one = without(sketch([part.rows.table], layout), set(part.absent))
        sketches = [merge([*sketches, one])]
        there = tuple(one for one in watching.slices if set(columns_of((one,))) <= set(part.rows.frame.columns))
        for key, more in sketch_slices(
            part.rows, watched_slices(part.rows.frame, there, watching.model, kept), layout
        ).items():
            slices[key] = slices[key] + more if key in slices else more
        foreseen += _foreseen(watching, kept, part.rows)
    (found,) = sketches
    estimated = {key: asdict(one) for key, one in _estimated(watching, kept, foreseen).items()}
    details = {
        "sketch": read_json(found.to_bytes()),
        "slices": [{"slice": key[0], "level": key[1], **one.to_json()} for key, one in slices.items()],
        "estimated": estimated,
    }
    observed = Observed(
        version,
        period_of(found, kept.reference.bins, interval.after, interval.until),
        faults_in(kept.reference, found),
        backfilled,
    )
    digest = put_content(watching.store, f"{name}/watch/details", ".json", canonical_json(details))
    sources = {
        "details": digest,
        "reference": kept.digest,
        "scores": [manifest.scores for _, manifest in predicted.published],
        "requests": len(predicted.requests),
        "outside": predicted.outside,
        "estimated": estimated,
    }
    watched.observe(observed, sources=sources, at=at)


def _foreseen(
    watching: WatchedVersion, kept: ChampionReference, rows: WatchedRows
) -> list[tuple[Scored, Array | None]]:
    """Return what an estimate takes of rows: predictions, and numbers for a model of errors; nothing of rows whose columns were not kept."""
    if kept.errors is None:
        return [(rows.scored, None)]
    numbers = number_columns(watching)
    known = set(numbers) <= set(rows.frame.columns)
    return [(rows.scored, FloatConverter().transform(rows.frame[numbers]))] if known else []


def _estimated(
    watching: WatchedVersion, kept: ChampionReference, parts: list[tuple[Scored, Array | None]]
) -> dict[str, Measured]:
    if not parts:
        return {}
    score, threshold = np.concatenate([one.score for one, _ in parts]), parts[0][0].threshold
    metrics = measurable(watching.model)
    if threshold is not None and score.ndim == 1:
        return estimate_classification(score, threshold, metrics, calibration=kept.calibration)
    if kept.errors is not None:
        inputs = np.concatenate([numbers for _, numbers in parts if numbers is not None])
        return estimate_regression(kept.errors, score, inputs, metrics)
    return {}


def _labels_in(entries: Any, version: str, until: datetime, backfilled: dict[datetime, bool]) -> list[Observed]:
    found = {}
    for entry in entries:
        if entry.kind == "measured" and entry.body["version"] == version and entry.body["labels"] is not None:
            period = Period.from_json(entry.body["labels"])
            if period.until <= until:
                found[period.until] = Observed(version, period, (), backfilled.get(period.until, False))
    return list(found.values())


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
    reigns = sound_reigns(version, entries, timeline, history.broken, interval.until)
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
        promise_kept(promised, reigns[-1], primary, error) if reigns else None,
        standing,
        predecessor,
        concluded,
    )

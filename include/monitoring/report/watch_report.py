"""The monitoring report of a model, for the page, the command line, metrics and TensorBoard.

Everything is folded from the watch log, the ledger and the champion's reference; nothing is computed from rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.config.model import ModelConfig
from include.data.windows import Window
from include.evaluation.evidence import load_evidence
from include.evaluation.unknown_classes import say_unknown
from include.monitoring.alarm_history import AlarmHistory
from include.monitoring.alarms import Alarm
from include.monitoring.champion_alarms import alarms_of
from include.monitoring.drift.champion_reference import ChampionReference, find_reference
from include.monitoring.drift.column_drift import Moved, MovedSlice, moved_slices, rank
from include.monitoring.drift.periods import Period, Reference
from include.monitoring.drift.watched_version import PREDICTION, SAID
from include.monitoring.performance.alarms import sound_champion_periods
from include.monitoring.performance.estimate_reliability import EstimatorJudged, judge_estimator, reservations
from include.monitoring.performance.measured import PromiseCheck, promise_kept
from include.monitoring.performance.probation import ProbationState, probation_of
from include.monitoring.report.needs import Need, needs_of, needs_of_segments
from include.monitoring.report.watched_intervals import WatchedInterval, effects_of, intervals_of
from include.monitoring.retraining_requests import RequestState, request_state, wanted, would_ask
from include.monitoring.segment_states import SegmentWatched, segments_watched
from include.monitoring.sketches.sketches import ColumnSketch
from include.monitoring.watch_log import OBSERVED, VERDICT, WatchLog, paired_in
from include.monitoring.withdrawal import withdrawal_reason
from include.registry.ledger import Ledger
from include.registry.timeline import Timeline
from include.registry.version_states import Decision
from include.storage.content import get_content, read_json
from include.storage.log import Entry
from include.storage.store import ObjectStore


@dataclass(frozen=True, eq=False)
class WatchReport:
    """How a champion is watched.

    Parameters
    ----------
    version : str
    intervals : tuple of WatchedInterval
        The newest `SHOWN`, in the order of time.
    watched : int
        How many there are.
    alarms : tuple of Alarm
        All that stand of this champion, in the order of time.
    moved : tuple of Moved
        The columns over the newest week, those first whose change matters most.
    slices : tuple of MovedSlice
        Where predictions moved in the newest interval.
    kept : PromiseCheck or None
        The primary metric since promotion beside what it was on the holdout.
    judged : EstimatorJudged or None
        How the estimates did where labels have come.
    reservations : tuple of str
        When the newest estimate is not valid.
    requests : RequestState
    because : str
        Why a retraining is asked for, or why not.
    would_ask : int
        How often backfilled intervals would have asked.
    predecessor : str or None
    probation : ProbationState or None
    segments : tuple of SegmentWatched
        The segments that a version of their own answers for.
    """

    model: ModelConfig
    version: str
    since: datetime
    intervals: tuple[WatchedInterval, ...]
    watched: int
    alarms: tuple[Alarm, ...]
    moved: tuple[Moved, ...]
    slices: tuple[MovedSlice, ...]
    kept: PromiseCheck | None
    judged: EstimatorJudged | None
    reservations: tuple[str, ...]
    requests: RequestState
    because: str
    would_ask: int
    predecessor: str | None
    probation: ProbationState | None
    needs: tuple[Need, ...]
    reference: Reference
    history: AlarmHistory
    segments: tuple[SegmentWatched, ...] = ()

    @property
    def unknown_said(self) -> str | None:
        """What labelled rows of the intervals shown are of classes that the champion never learned, in a sentence."""
        count: Counter[str] = Counter()
        for one in self.intervals:
            count.update(one.unknown)
        counted = SAID in self.reference.bins
        rows = sum(one.measured_rows for one in self.intervals)
        among = f"{rows:,} labelled rows of the intervals shown" if counted else "labelled rows of the intervals shown"
        return say_unknown(count, "champion", among, counted=counted) if count else None

    @property
    def probation_said(self) -> str | None:
        """The state of the probation, in a sentence."""
        if self.probation is None or self.predecessor is None:
            return None
        return withdrawal_reason(self.model, self.predecessor, self.probation)


def watch_report(
    store: ObjectStore,
    model: ModelConfig,
    *,
    version: str | None = None,
    entries: tuple[Entry, ...] | None = None,
    timeline: Timeline | None = None,
) -> WatchReport | None:
    """Return how a version was watched until the newest interval on record.

    Parameters
    ----------
    version : str, optional
        The champion, or the version watched last before it was, if left out.
    entries, timeline
        The watch log and the ledger's timeline, if they are read already.

    Returns
    -------
    WatchReport or None
        None if it was not watched yet.
    """
    ledger = Ledger(store, model.name)
    timeline = ledger.timeline() if timeline is None else timeline
    entries = WatchLog(store, model.name).entries() if entries is None else entries
    observed = [one for one in entries if one.kind == OBSERVED]
    watched = dict.fromkeys(one.body["version"] for one in sorted(observed, key=lambda one: str(one.body["until"])))
    # A rebuilt version is watched under the name of the one that it rebuilds.
    champion = timeline.original_of(timeline.champion)
    if version is None:
        version = champion if champion in watched else next(reversed(watched), None)
    version = timeline.original_of(version)
    kept = None if version is None else find_reference(store, model, version)
    if version is None or version not in watched or version not in timeline or kept is None:
        return None
    sources = {one.body["until"]: one.body["sources"] for one in observed if one.body["version"] == version}
    bodies = [one.body for one in observed if one.body["version"] == version]
    newest = Period.from_json(max(bodies, key=lambda one: str(one["until"])))
    history, alarms = alarms_of(kept, model, version, entries, timeline, newest.until, newest.until - newest.after)
    intervals = intervals_of(history, kept, model, version, entries, sources)
    champion_periods = sound_champion_periods(version, entries, timeline, history.broken, newest.until)
    primary, error = model.gate.primary.metric, 1 - model.gate.primary.confidence
    check = (
        promise_kept(kept.promised.get(primary, ()), champion_periods[-1], primary, error) if champion_periods else None
    )
    pairs = [(one.estimated, one.measured) for one in intervals if one.estimated and one.measured and not one.faults]
    judged = judge_estimator(pairs) if pairs else None
    last = intervals[-1]
    reserved = reservations(last.outside / max(last.rows, 1), judged) if last.estimated is not None else ()
    state = request_state(entries)
    predecessor, probation, concluded = _probation(model, version, entries, timeline, history)
    week = _recent(history.observed)
    reference = kept.reference
    segments = segments_watched(store, model, Window(newest.after, newest.until), entries, history.broken)
    needs = needs_of(model, version, timeline, alarms, state, probation, concluded, predecessor, newest.until)
    effects = effects_of(reference, [one.period for one in history.observed[-len(week) :]], together=True)[-1]
    return WatchReport(
        model,
        version,
        timeline[version].since,
        intervals,
        len(history.observed),
        alarms,
        rank(effects, importance_of(store, model, timeline[version].decision)),
        _slices(store, model, kept, sources[max(sources)]["details"]),
        check,
        judged,
        reserved,
        state,
        wanted(alarms, state, model.watch, champion, newest.until).because,
        len(would_ask([one for one in alarms if one.backfilled], model.watch)),
        predecessor,
        probation,
        (*needs, *needs_of_segments(segments, state, newest.until)),
        reference,
        history,
        segments,
    )


def _recent(observed: Sequence[Any]) -> list[Any]:
    last = observed[-1].period.until
    return [one for one in observed if (last - one.period.after).days <= 7] or [observed[-1]]


def importance_of(store: ObjectStore, model: ModelConfig, decision: Decision | None) -> dict[str, float | None]:
    """Return what is lost without each column, by the evidence of a version's decision; nothing without evidence."""
    if decision is None or decision.evidence is None:
        return {}
    evidence = load_evidence(store, model.name, decision.evidence)
    return {one.column: one.loss for one in evidence.importance}


def _slices(store: ObjectStore, model: ModelConfig, kept: ChampionReference, details: str) -> tuple[MovedSlice, ...]:
    layout = kept.reference.layout[PREDICTION]
    stored = read_json(get_content(store, f"{model.name}/watch/details", ".json", details))
    now = {(one["slice"], one["level"]): ColumnSketch.from_json(one, layout) for one in stored["slices"]}
    return moved_slices(layout, kept.slices, now)


def _probation(
    model: ModelConfig, version: str, entries: Sequence[Entry], timeline: Timeline, history: AlarmHistory
) -> tuple[str | None, ProbationState | None, bool]:
    """Return the predecessor and the state of the probation: the recorded verdict, if there is one."""
    for entry in entries:
        if entry.kind == VERDICT and entry.body["version"] == version:
            return entry.body["predecessor"], ProbationState.from_json(entry.body), True
    predecessor = timeline.original_of(timeline.incumbent_of(version))
    if predecessor is None:
        return None, None, False
    pairs = [one for one in paired_in(entries, version, predecessor) if one.until not in history.broken]
    error = 1 - model.gate.primary.confidence
    return predecessor, probation_of(pairs, timeline[version].since, model.watch.probation, error), False

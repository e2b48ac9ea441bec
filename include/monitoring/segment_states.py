"""What is known of the versions of segments: folded from their watch logs and ledgers, each at the error that it was promoted with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from include.config.model import ModelConfig
from include.config.sections.rows.segments import kept_as, segment_key
from include.data.segment_log import SegmentLog
from include.data.windows import Window
from include.monitoring.alarms import Alarm, Observed
from include.monitoring.drift.champion_reference import find_reference
from include.monitoring.performance.alarms import performance_alarms, sound_champion_periods
from include.monitoring.performance.measured import Performance, PromiseCheck, promise_kept
from include.monitoring.performance.probation import ProbationState, probation_of
from include.monitoring.watch_log import OBSERVED, WatchLog, measured_in, paired_in
from include.monitoring.withdrawal import withdrawal_reason
from include.registry.ledger import Ledger
from include.registry.timeline import Timeline
from include.storage.concurrency import at_once
from include.storage.log import Entry
from include.storage.store import ObjectStore


@dataclass(frozen=True, eq=False)
class SegmentWatched:
    """What is known of a segment's champion at the end of an interval.

    Attributes
    ----------
    segment, level : str
        The segment's name, and the value of its rows.
    model : ModelConfig
        What its model is declared as, at the error that the version was promoted with.
    alarms, told : tuple of Alarm
        All alarms about its performance, and those without an earlier notification.
    performance : tuple of Performance
        By interval, on the rows that it answered.
    kept : PromiseCheck or None
        The primary metric since the version came into force, against what it was on the segment's holdout; None without labels.
    probation : ProbationState or None
        None of a segment's first version.
    concluded : bool
        Whether the probation ended with this interval.
    """

    segment: str
    level: str
    model: ModelConfig
    version: str
    alarms: tuple[Alarm, ...]
    told: tuple[Alarm, ...]
    performance: tuple[Performance, ...]
    kept: PromiseCheck | None
    predecessor: str | None
    probation: ProbationState | None
    concluded: bool = False

    @property
    def rows(self) -> int:
        """On how many labelled rows it was measured."""
        return sum(one.rows for one in self.performance)

    @property
    def probation_said(self) -> str | None:
        """The state of the probation, in a sentence."""
        if self.probation is None or self.predecessor is None:
            return None
        return withdrawal_reason(self.model, self.predecessor, self.probation)


def ledgers_of(store: ObjectStore, model: ModelConfig) -> dict[str, Ledger]:
    """Return the ledger of each that was ever a segment of a model, by its name."""
    names = sorted(set(SegmentLog(store, model.name).ever().values()))
    return {name: Ledger(store, segment_key(model.name, name)) for name in names}


def levels_of(store: ObjectStore, model: ModelConfig) -> dict[str, str | int | bool]:
    """Return the level of each that was ever a segment of a model, by its name."""
    return {name: level for level, name in SegmentLog(store, model.name).ever().items()}


def segments_watched(
    store: ObjectStore, model: ModelConfig, interval: Window, entries: Sequence[Entry], broken: Collection[datetime]
) -> tuple[SegmentWatched, ...]:
    """Return what is known of each segment's champion as of an interval's start: a pure function of logs and ledgers.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
        Of all rows.
    interval : Window
        Later ones are left out.
    entries : sequence of Entry
        The model's watch log.
    broken : collection of datetime
        The ends of the intervals with data faults as a whole; those with broken columns follow from the log.
    """
    if model.segments is None:
        return ()
    observed = [Observed.from_json(entry.body) for entry in entries if entry.kind == OBSERVED]
    wrong = {one.period.until for one in observed if one.faults} | set(broken)
    backfilled = {one.period.until: one.backfilled for one in observed}
    ledgers, levels = ledgers_of(store, model), levels_of(store, model)
    calls = [
        partial(_state, model, ledger, name, str(levels[name]), interval, wrong, backfilled)
        for name, ledger in sorted(ledgers.items())
    ]
    return tuple(one for one in at_once(store, calls) if one is not None)


def _state(
    model: ModelConfig,
    ledger: Ledger,
    name: str,
    level: str,
    interval: Window,
    broken: Collection[datetime],
    backfilled: Mapping[datetime, bool],
) -> SegmentWatched | None:
    timeline = ledger.timeline()
    version = timeline.original_of(timeline.champion_as_of(interval.after))
    if version is None:
        return None
    own, entries = _declared(model, name, ledger, timeline, version), WatchLog(ledger.store, ledger.model).entries()
    performance = tuple(one for one in measured_in(entries, version) if one.until <= interval.until)
    predecessor = timeline.original_of(timeline.incumbent_of(version))
    error, probation = 1 - own.gate.primary.confidence, None
    if predecessor is not None:
        pairs = [one for one in paired_in(entries, version, predecessor) if one.until <= interval.until]
        sound = [one for one in pairs if one.until not in broken]
        probation = probation_of(sound, timeline[version].since, own.watch.probation, error)
    alarms, check = [], None
    if performance and (kept := find_reference(ledger.store, own, version)) is not None:
        champion_periods = sound_champion_periods(version, entries, timeline, broken, interval.until)
        alarms = performance_alarms(kept, own, version, champion_periods, backfilled, of=f"segment {level}: ")
        metric = own.gate.primary.metric
        check = (
            promise_kept(kept.promised.get(metric, ()), champion_periods[-1], metric, error)
            if champion_periods
            else None
        )
    return SegmentWatched(name, level, own, version, tuple(alarms), (), performance, check, predecessor, probation)


def _declared(model: ModelConfig, name: str, ledger: Ledger, timeline: Timeline, version: str) -> ModelConfig:
    """Return what a segment's model is declared as now, at the error that its version was promoted with: a share of the gate's."""
    own, decision = kept_as(model, name), timeline[version].decision
    assert decision is not None  # noqa: S101 (it is a champion)
    confidence = ledger.config(decision.config).gate.primary.confidence
    gate = own.gate.model_copy(update={"primary": own.gate.primary.model_copy(update={"confidence": confidence})})
    return own.model_copy(update={"gate": gate})

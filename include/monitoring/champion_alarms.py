"""All alarms of a champion at an instant: of drift, data faults, labels and performance."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from include.config.model import ModelConfig
from include.monitoring.alarm_history import AlarmHistory, alarm_history
from include.monitoring.alarms import Alarm, Observed
from include.monitoring.drift.champion_reference import ChampionReference
from include.monitoring.drift.periods import Period, with_all_columns
from include.monitoring.performance.alarms import performance_alarms, sound_champion_periods
from include.monitoring.watch_log import earlier_in, observed_in
from include.registry.timeline import Timeline

OF_LABELS = 0.1
"""The share of the false alarms that the drift of labels may make."""


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
    champion_periods = sound_champion_periods(version, entries, timeline, history.broken, until)
    alarms += performance_alarms(kept, model, version, champion_periods, backfilled)
    return history, tuple(sorted(alarms, key=lambda one: (one.until, one.kind, one.subject)))


def _labels_in(entries: Any, version: str, until: datetime, backfilled: dict[datetime, bool]) -> list[Observed]:
    found = {}
    for entry in entries:
        if entry.kind == "measured" and entry.body["version"] == version and entry.body["labels"] is not None:
            period = Period.from_json(entry.body["labels"])
            if period.until <= until:
                found[period.until] = Observed(version, period, (), backfilled.get(period.until, False))
    return list(found.values())

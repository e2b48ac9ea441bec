"""Alarms of a version's measured performance: where it is surely less than its holdout promised."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from include.config.model import ModelConfig
from include.monitoring.alarms import Alarm
from include.monitoring.drift.champion_reference import ChampionReference
from include.monitoring.performance.champion_periods import champion_periods_of, successors_in
from include.monitoring.performance.measured import Performance, PromiseCheck, each_short
from include.monitoring.watch_log import measured_in
from include.registry.timeline import Timeline
from include.storage.log import Entry
from include.training.metrics.definitions import sign


def sound_champion_periods(
    version: str, entries: Sequence[Entry], timeline: Timeline, broken: Collection[datetime], until: datetime
) -> list[list[Performance]]:
    """Return the measured performance of a champion until an instant, a list for each of its periods, without broken intervals.

    Parameters
    ----------
    version : str
        The champion's id.
    entries : sequence of Entry
        The watch log's.
    timeline : Timeline
        The ledger's.
    broken : collection of datetime
        The ends of the intervals with data faults.
    until : datetime
        The end of the last interval that counts.

    Returns
    -------
    list of list of Performance
    """
    sound = [one for one in measured_in(entries, version) if one.until <= until and one.until not in broken]
    return champion_periods_of(sound, successors_in(timeline, entries, version))


def performance_alarms(
    kept: ChampionReference,
    model: ModelConfig,
    version: str,
    champion_periods: Sequence[Sequence[Performance]],
    backfilled: Mapping[datetime, bool],
    *,
    of: str = "",
) -> list[Alarm]:
    """Return the alarms of a champion's measured performance, at the error that its gate allows.

    Parameters
    ----------
    kept : ChampionReference
        Holds what its holdout promised.
    model : ModelConfig
    version : str
        The champion's id.
    champion_periods : sequence of sequence of Performance
        From `sound_champion_periods`.
    backfilled : mapping of datetime to bool
        Whether the interval of an end was watched as history.
    of : str
        The words that a sentence begins with, such as those for a segment.
    """
    primary = model.gate.primary.metric
    promised, error = kept.promised.get(primary, ()), 1 - model.gate.primary.confidence
    alarms = []
    for champion_period in champion_periods:
        for short in each_short(promised, champion_period, primary, error, model.watch.cooldown.about()):
            if short.until is None or short.since is None:
                continue
            last = next(one for one in champion_period if one.until == short.until)
            said = (
                f"{of}{primary} is {short.found.mean:.4g} over {short.found.values} intervals, surely no better than {_edge(short):.4g}; "
                f"on the holdout it was {short.promised.mean:.4g}"
            )
            instants = (last.after, last.until, short.since)
            early = backfilled.get(short.until, False)
            alarms.append(Alarm(version, "performance", *instants, primary, said, None, early))
    return alarms


def _edge(short: PromiseCheck) -> float:
    edge = short.found.high if sign(short.metric) > 0 else short.found.low
    return float("nan") if edge is None else edge

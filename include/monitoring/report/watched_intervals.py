"""Intervals under a champion: their rows, faults, estimates, measurements, and how far their columns moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from include.config.model import ModelConfig
from include.evaluation.gains import Measured
from include.monitoring.alarm_history import AlarmHistory
from include.monitoring.drift.champion_reference import ChampionReference
from include.monitoring.drift.change_detection import phases
from include.monitoring.drift.column_drift import effect_in
from include.monitoring.drift.data_faults import DataFault
from include.monitoring.drift.effect_sizes import Effect, variation_by_chance
from include.monitoring.drift.periods import Period, Reference
from include.monitoring.watch_log import OBSERVED, measured_in
from include.storage.log import Entry

SHOWN = 60
"""How many of the newest intervals are shown one by one."""


@dataclass(frozen=True)
class WatchedInterval:
    """One interval under the champion.

    Parameters
    ----------
    outside : int
        Rows outside the domain that the version was fitted on.
    estimated, measured : Measured or None
        The primary metric before and after labels came.
    measured_rows : int
        Rows with a label, that the champion can be judged by.
    unknown : dict of str to int
        Labelled rows of each class that it never learned.
    effects : dict of column to Effect
        How far the rows are from the reference's of the same weekday.
    """

    after: datetime
    until: datetime
    rows: int
    outside: int
    backfilled: bool
    faults: tuple[DataFault, ...]
    estimated: Measured | None
    measured: Measured | None
    measured_rows: int
    effects: dict[str, Effect]
    moved: dict[str, float]
    """The share of rows that moved, by column, less what so few rows show by chance."""
    unknown: dict[str, int] = field(default_factory=dict)


def intervals_of(
    history: AlarmHistory,
    kept: ChampionReference,
    model: ModelConfig,
    version: str,
    entries: Sequence[Entry],
    sources: dict[str, Any],
) -> tuple[WatchedInterval, ...]:
    """Return the newest `SHOWN` intervals under a version, in the order of time.

    Parameters
    ----------
    history : AlarmHistory
        The observed intervals.
    kept : ChampionReference
        What the version is compared with.
    model : ModelConfig
    version : str
    entries : sequence of Entry
        Of the watch log.
    sources : dict
        What each observation was made from, by the end of its interval.
    """
    shown = history.observed[-SHOWN:]
    primary = model.gate.primary.metric
    measured = {one.until: one for one in measured_in(entries, version)}
    told = {
        Period.from_json(one.body).until: sources[one.body["until"]]
        for one in entries
        if one.kind == OBSERVED and one.body["version"] == version
    }
    found = []
    for one, effects in zip(shown, effects_of(kept.reference, [each.period for each in shown]), strict=True):
        period, source = one.period, told[one.period.until]
        estimated = source.get("estimated", {}).get(primary)
        done = measured.get(period.until)
        found.append(
            WatchedInterval(
                period.after,
                period.until,
                period.rows,
                int(source.get("outside", 0)),
                one.backfilled,
                one.faults,
                None if estimated is None or estimated["value"] is None else Measured(**estimated),
                None if done is None else done.scores.get(primary),
                0 if done is None else done.rows,
                effects,
                {name: _beyond_chance(kept.reference, name, period, effect) for name, effect in effects.items()},
                {} if done is None else done.unknown,
            )
        )
    return tuple(found)


def _beyond_chance(reference: Reference, name: str, period: Period, effect: Effect) -> float:
    counts = np.array([*reference.bins[name].reference, reference.sketch.columns[name].missing], dtype=float)
    chance = variation_by_chance(counts / max(counts.sum(), 1), sum(period.counts[name][:-1]))
    return max(0.0, effect.total_variation - chance)


def effects_of(reference: Reference, periods: Sequence[Period], *, together: bool = False) -> list[dict[str, Effect]]:
    """Return the effect of each column in each period, or of all periods together, beside the reference's of the same phases."""
    length = periods[0].until - periods[0].after
    listed = [*reference.periods, *periods]
    phase = phases([one.after for one in listed], length, len(reference.periods))
    before: list[list[tuple[Period, float]]] = []
    for number, period in enumerate(periods):
        own = phase[len(reference.periods) + number]
        alike = [one for one, other in zip(reference.periods, phase, strict=False) if other == own and one.rows]
        rows = sum(one.rows for one in alike) or 1
        before.append([(one, max(period.rows, 1) / rows) for one in alike])
    names = list(reference.bins)
    if together:
        everything = [one for each in before for one in each]
        return [{name: effect_in(reference, name, everything, periods) for name in names}] if everything else [{}]
    return [
        {name: effect_in(reference, name, each, [period]) for name in names if sum(period.counts[name][:-1])}
        if each
        else {}
        for each, period in zip(before, periods, strict=True)
    ]

"""Alarm history of a champion, folded from its observations. An alarm needs significance and effect size; broken data is not drift.

The history does not depend on the order in which intervals are observed: it is computed from all of them, in the order of
event time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.config.sections.watch import Watch
from include.monitoring.alarms import Alarm, Observed
from include.monitoring.drift.change_detection import Detection, detect, phases, thresholds
from include.monitoring.drift.change_sizes import ChangeSizes
from include.monitoring.drift.data_faults import OF_ALL_ROWS, DataFault, faults_between
from include.monitoring.drift.drift_series import Series, series_of
from include.monitoring.drift.earlier_seasons import Earlier, SeasonalDetection, detect_beside_earlier
from include.monitoring.drift.effect_sizes import Effect
from include.monitoring.drift.periods import Reference

Array = NDArray[Any]

GONE = 7
"""Intervals without a fault after which the same fault is a new alarm: with few rows a fault is not seen in every interval."""


@dataclass(frozen=True, eq=False)
class AlarmHistory:
    """What the observations of one champion mean.

    Parameters
    ----------
    observed : tuple of Observed
        In the order of time, each with its faults, those of the rows as a whole among them.
    alarms : tuple of Alarm
        In the order of time.
    series : Series
    detection : Detection
        How surprising each series is at each interval, as a share of what makes an alarm.
    told_apart : bool
        Whether the reference is long enough for periods to be compared with those of their own weekday.
    surprising : array of bool of shape (n_series, n_looks)
        Whether each series was surprising: beside the same season of earlier years where there are any, and beside the reference elsewhere.
    """

    observed: tuple[Observed, ...]
    alarms: tuple[Alarm, ...]
    series: Series
    detection: Detection
    told_apart: bool
    surprising: Array

    @property
    def broken(self) -> frozenset[datetime]:
        """The ends of the intervals with a data fault, on which a model's performance is not meaningful."""
        return frozenset(one.period.until for one in self.observed if one.faults)


def alarm_history(
    reference: Reference,
    observed: Sequence[Observed],
    watch: Watch,
    length: timedelta,
    *,
    share: float = 1.0,
    of_rows: bool = True,
    earlier: Earlier | None = None,
) -> AlarmHistory:
    """Return what the observations of one champion mean.

    Parameters
    ----------
    reference : Reference
        The champion's training rows.
    observed : sequence of Observed
        In any order; of several of one interval the last stands.
    watch : Watch
    length : timedelta
        Of an interval.
    share : float
        The part of the accepted false alarms that these observations may make.
    of_rows : bool
        Whether the rows as a whole are looked at as well: how many there are, whether they come twice or late.
    earlier : mapping of datetime to Period, optional
        The same season of earlier years, by the end of each observed interval that has one. Where there are any, drift is an alarm
        if it is surprising beside them, and matters beside them as well as beside the reference.
    """
    newest = {one.period.until: one for one in observed}
    listed = [newest[until] for until in sorted(newest)]
    periods = [one.period for one in listed]
    of = len(reference.periods)
    phase = phases([one.after for one in (*reference.periods, *periods)], length, of)
    whole = faults_between(reference, periods, phase.tolist()) if of_rows else ((),) * len(listed)
    listed = [replace(one, faults=(*one.faults, *more)) for one, more in zip(listed, whole, strict=True)]
    series = series_of(reference, periods, of_rows=of_rows)
    for number, one in enumerate(listed):
        series.values[_touched(reference, series, one.faults), of + number] = np.nan
    limits = thresholds(share * series.shares, watch.false_alarms.a_year, length)
    detection = detect(series.values, phase, of, limits, series.two_sided, series.distance_of)
    season = detect_beside_earlier(reference, series, periods, earlier or {}, limits, length)
    sizes = ChangeSizes(reference, periods, phase, watch.levels, earlier or {})
    alarms = [*_of_faults(listed), *_of_drift(reference, listed, series, detection, season, sizes, length)]
    ordered = sorted(alarms, key=lambda one: (one.until, one.kind, one.subject))
    told_apart = bool(len(np.unique(phase)) > 1)
    return AlarmHistory(tuple(listed), tuple(ordered), series, detection, told_apart, season.instead_of(detection)[0])


def _touched(reference: Reference, series: Series, faults: Sequence[DataFault]) -> list[int]:
    """Return the series in which an interval with these faults is not used.

    These are the series of the broken columns and of everything that is computed from columns: derived columns, predictions,
    and labels.
    """
    if not faults:
        return []
    names = {name for fault in faults for name in fault.columns}
    everything = any(fault.kind in OF_ALL_ROWS for fault in faults)
    made = {one.name for one in reference.layout.columns if one.role != "input"}
    return [
        number for number, (column, _) in enumerate(series.names) if everything or column in names or column in made
    ]


def _of_faults(listed: Sequence[Observed]) -> list[Alarm]:
    """Return one alarm for each fault, and another one only after it was gone for `GONE` intervals."""
    found: list[Alarm] = []
    seen: dict[tuple[str, tuple[str, ...]], int] = {}
    for number, one in enumerate(listed):
        for fault in one.faults:
            key = (fault.kind, fault.columns)
            if number - seen.get(key, -GONE - 1) > GONE:
                period = one.period
                subject = " ".join([fault.kind, *fault.columns])
                instants = (period.after, period.until, period.after)
                found.append(Alarm(one.version, "data_fault", *instants, subject, fault.said, None, one.backfilled))
            seen[key] = number
    return found


def _of_drift(
    reference: Reference,
    listed: Sequence[Observed],
    series: Series,
    detection: Detection,
    season: SeasonalDetection,
    sizes: ChangeSizes,
    length: timedelta,
) -> list[Alarm]:
    """Return an alarm where a column was surprising at some interval, and the change matters.

    Where there are earlier years it is beside them that it was surprising, and the change matters beside them as well.
    The column has no further alarm until the change no longer matters, or twice as many rows have moved.
    """
    crossed, began = season.instead_of(detection)
    rows_of: dict[str, list[int]] = {}
    for number, (column, _) in enumerate(series.names):
        rows_of.setdefault(column, []).append(number)
    changed = {column: rows for column, rows in rows_of.items() if crossed[rows].any()}
    week = max(1, round(timedelta(days=7) / length))
    found: list[Alarm] = []
    for column, rows in changed.items():
        sound = ~np.isnan(series.values[rows[0], len(reference.periods) :])
        surprising: dict[str, int] = {}  # statistics, with the look at which their change began
        told: tuple[set[str], Effect | None] | None = None
        for look, one in enumerate(listed):
            if not sound[look]:
                continue
            if told is not None:
                said, effect = sizes.of(column, _window(sound, look + 1 - week, look), told[0])
                before = told[1]
                grown = (
                    effect is not None and before is not None and effect.total_variation >= 2 * before.total_variation
                )
                if said is not None and not grown:
                    continue
                told = None
            for row in rows:
                if crossed[row, look]:
                    surprising[series.names[row][1]] = int(began[row, look])
            if not surprising:
                continue
            window = _window(sound, max(min(surprising.values()), look + 1 - week), look)
            said, effect = sizes.of(column, window, set(surprising))
            if said is not None:
                since = listed[window[0]].period.after
                instants = (one.period.after, one.period.until, since)
                found.append(Alarm(one.version, "drift", *instants, column, said, effect, one.backfilled))
                told, surprising = (set(surprising), effect), {}
    return found


def _window(sound: Array, first: int, last: int) -> list[int]:
    """Return the looks from first to last, without those on broken rows."""
    return [look for look in range(max(first, 0), last + 1) if sound[look]]

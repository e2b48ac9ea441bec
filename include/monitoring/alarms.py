"""Alarms: a pure fold over what was observed of a champion. An alarm needs surprise and size; broken data is no drift.

In any order in which intervals are observed, the history of alarms is the same: it is computed in the order of
event time, from all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from include.config.sections.watch import Levels, Watch
from include.monitoring.drift.change_detection import Detection, detect, phases, thresholds
from include.monitoring.drift.column_drift import effect_in
from include.monitoring.drift.data_faults import OF_ALL_ROWS, DataFault, faults_between
from include.monitoring.drift.drift_series import Series, series_of
from include.monitoring.drift.earlier_seasons import Earlier, SeasonalDetection, detect_beside_earlier
from include.monitoring.drift.effect_sizes import Effect
from include.monitoring.drift.periods import Period, Reference
from include.storage.content import digest_json

Array = NDArray[Any]

GONE = 7
"""Intervals without a fault after which it is a new one: with few rows it is not seen in each."""


@dataclass(frozen=True)
class Observed:
    """What was observed of one interval under one champion.

    ``faults`` are those of single columns; ``backfilled`` says that the interval was observed as history, by a backfill.
    """

    version: str
    period: Period
    faults: tuple[DataFault, ...] = ()
    backfilled: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        faults = [one.to_json() for one in self.faults]
        return {**self.period.to_json(), "version": self.version, "faults": faults, "backfilled": self.backfilled}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Observed:
        """Read what `to_json` wrote."""
        faults = tuple(DataFault.from_json(one) for one in value["faults"])
        return cls(value["version"], Period.from_json(value), faults, value["backfilled"])


AlarmKind = Literal["drift", "data_fault", "performance"]


@dataclass(frozen=True)
class Alarm:
    """Something that people are told once.

    Parameters
    ----------
    version : str
        The champion.
    kind : {"drift", "data_fault", "performance"}
    after, until : datetime
        The interval at whose end it was raised.
    since : datetime
        When what it tells of is seen to begin.
    subject : str
        The column; the fault's kind and columns; the metric. Empty for the rows as a whole.
    said : str
        A sentence without a row's value.
    effect : Effect or None
        Of drift in a column: from the reference's periods of the same weekdays to those since it began.
    backfilled : bool
    """

    version: str
    kind: AlarmKind
    after: datetime
    until: datetime
    since: datetime
    subject: str
    said: str
    effect: Effect | None = None
    backfilled: bool = False

    @property
    def key(self) -> str:
        """What tells it from other alarms: raised again for the same interval, it is the same."""
        return f"{self.version} {self.until:%Y%m%dT%H%M%SZ} {self.kind} {self.subject}"

    @property
    def id(self) -> str:
        """Its name in addresses."""
        return digest_json(self.key)[:12]


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
        """The ends of the intervals with a data fault: how a model did on such rows says nothing of the model."""
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
    sizes = _Sizes(reference, periods, phase, watch.levels, earlier or {})
    alarms = [*_of_faults(listed), *_of_drift(reference, listed, series, detection, season, sizes, length)]
    ordered = sorted(alarms, key=lambda one: (one.until, one.kind, one.subject))
    told_apart = bool(len(np.unique(phase)) > 1)
    return AlarmHistory(tuple(listed), tuple(ordered), series, detection, told_apart, season.instead_of(detection)[0])


def _touched(reference: Reference, series: Series, faults: Sequence[DataFault]) -> list[int]:
    """Return the series in which an interval with these faults says nothing of the world.

    Those of the broken columns, and of what is made from columns: derived ones, predictions, labels beside them.
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
    sizes: _Sizes,
    length: timedelta,
) -> list[Alarm]:
    """Return an alarm where a column was surprising at some interval, and the change matters.

    Where there are earlier years it is beside them that it was surprising, and the change matters beside them as well.
    Until it no longer matters, or twice as many rows have moved, nothing more is told of the column.
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
    """Return the looks from first to last whose rows are not broken."""
    return [look for look in range(max(first, 0), last + 1) if sound[look]]


_EFFECTS = {
    "location": {"psi", "total_variation", "wasserstein"},
    "shape": {"psi", "total_variation", "wasserstein"},
    "missing": {"missing"},
    "outside": {"outside"},
}


@dataclass(frozen=True, eq=False)
class _Sizes:
    """How large changes are: each watched period beside the reference's of the same phase, in proportion to its rows."""

    reference: Reference
    periods: Sequence[Period]
    phase: Array
    levels: Levels
    earlier: Earlier

    def of(self, column: str, looks: Sequence[int], statistics: set[str]) -> tuple[str | None, Effect | None]:
        """Return a sentence if a change matters in what was surprising, and the effect of a column, both beside the reference.

        What does not matter beside earlier years, where there are any, does not matter.
        """
        said, effect = self._beside(column, [(look, self._alike(look)) for look in looks], statistics)
        earlier = [(look, self._years(look, column)) for look in looks]
        if said is not None and any(others for _, others in earlier):
            known = [(look, others) for look, others in earlier if others]
            again, _ = self._beside(column, known, statistics)
            said = None if again is None else f"{said}, also beside the same weeks of earlier years"
        return said, effect

    def _alike(self, look: int) -> list[Period]:
        of = len(self.reference.periods)
        same = self.phase[:of] == self.phase[of + look]
        return [one for one, is_same in zip(self.reference.periods, same, strict=True) if is_same and one.rows]

    def _years(self, look: int, column: str) -> list[Period]:
        found = self.earlier.get(self.periods[look].until)
        if found is None:
            return []
        rows = sum(found.counts[column][:-1]) if column else found.rows
        return [found] if rows else []

    def _beside(
        self, column: str, looks: Sequence[tuple[int, list[Period]]], statistics: set[str]
    ) -> tuple[str | None, Effect | None]:
        current = [self.periods[look] for look, _ in looks]
        before: list[tuple[Period, float]] = []
        for look, others in looks:
            total = sum(one.rows for one in others)
            before += [(one, self.periods[look].rows / total) for one in others]
        if not before or not sum(one.rows for one in current):
            return None, None
        if not column:
            return self._of_rows(current, before, statistics), None
        effect = effect_in(self.reference, column, before, current)
        wanted = set().union(*(_EFFECTS[one] for one in statistics))
        beyond = [name for name in effect.beyond(self.levels) if name in wanted]
        return (_said(column, effect, beyond) if beyond else None), effect

    def _of_rows(
        self, current: Sequence[Period], before: Sequence[tuple[Period, float]], statistics: set[str]
    ) -> str | None:
        now, then = (
            {name: float(np.mean([getattr(one, name) for one in each])) for name in ("rows", "duplicates", "lag")}
            for each in (current, [one for one, _ in before])
        )
        if "volume" in statistics and abs(now["rows"] / then["rows"] - 1) >= self.levels.rows:
            return f"{now['rows'] / then['rows'] - 1:+.0%} rows a period"
        if "duplicates" in statistics and now["duplicates"] - then["duplicates"] >= self.levels.share:
            return f"{now['duplicates']:.1%} of the rows come twice, {then['duplicates']:.1%} did"
        length = (current[-1].until - current[-1].after).total_seconds()
        if "lag" in statistics and now["lag"] - then["lag"] >= self.levels.share * length:
            return f"the newest row is {(now['lag'] - then['lag']) / 3600:.1f} hours older than it used to be"
        return None


def _said(column: str, effect: Effect, beyond: Sequence[str]) -> str:
    parts = {
        "psi": f"population stability index {effect.psi:.2f}",
        "total_variation": f"{effect.total_variation:.0%} of the rows moved",
        "wasserstein": f"values moved by {effect.wasserstein or 0:.2f} standard deviations",
        "missing": f"{100 * effect.missing:+.1f} points of rows without a value",
        "outside": f"{100 * effect.outside:+.1f} points of rows outside what training had",
    }
    return f"`{column}`: {', '.join(parts[name] for name in beyond)}"

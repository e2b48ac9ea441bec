"""Comparison with the same season of earlier years, to tell seasonality from drift.

The series that change detection follows is the difference between a period and the periods of earlier years on the same weekday of
the same week, the week before and the week after. The usual size of such differences is estimated within the reference: each period
is compared with the periods that are equally many weeks before and after it, so that a steady seasonal trend is no difference.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.monitoring.drift.change_detection import LEAST_PERIODS, Detection, detect
from include.monitoring.drift.drift_series import STATISTICS, Series
from include.monitoring.drift.periods import Period, Reference

Array = NDArray[Any]
Earlier = Mapping[datetime, Period]
"""For the end of a watched period: the same season of earlier years, pooled, counted in the reference's bins."""

WEEK = timedelta(weeks=1)
YEAR, MOST_YEARS = 52 * WEEK, 3
APART = 3 * WEEK
"""How far the periods of the reference lie that are compared, if it is four times as long: a bad week is over by then."""
LEAST_BESIDE = 2
"""A period is compared with as many others at least: fewer would differ by more than those of the reference do."""


@dataclass(frozen=True, eq=False)
class SeasonalDetection:
    """What detectors found in comparison with earlier years.

    Parameters
    ----------
    crossed, asked : array of bool of shape (n_series, n_looks)
        Whether a detector alarmed; whether there was anything to compare with, and enough of it in the reference.
    began : array of int of shape (n_series, n_looks)
        The look at which the change is taken to begin.
    """

    crossed: Array
    asked: Array
    began: Array

    def instead_of(self, beside_reference: Detection) -> tuple[Array, Array]:
        """Return which series raised an alarm at which look, and where the change began; in comparison with earlier years where requested."""
        crossed = np.where(self.asked, self.crossed, beside_reference.crossed)
        return crossed, np.where(self.asked, self.began, beside_reference.began)


def same_season(ends: Sequence[datetime], until: datetime, length: timedelta) -> list[datetime]:
    """Return the ends of the periods that one is compared with, the newest first; none if there are too few.

    Parameters
    ----------
    ends : sequence of datetime
        Of the periods that there are, ascending.
    until : datetime
        The end of the one.
    length : timedelta
        Of a period.
    """
    around = [-years * YEAR + way * max(WEEK, length) for years in range(1, MOST_YEARS + 1) for way in (1, 0, -1)]
    found = dict.fromkeys(_nearest(ends, until + one, length) for one in around)
    listed = [end for end in found if end is not None]
    return listed if len(listed) >= LEAST_BESIDE else []


def pooled(periods: Iterable[Period]) -> Period:
    """Return the rows of several periods together: what is counted is added, of everything else it is the mean."""
    listed = list(periods)
    first = listed[0]
    counts = {
        name: tuple(sum(each) for each in zip(*(one.counts[name] for one in listed), strict=True))
        for name in first.counts
    }
    rows, duplicates, lag = (
        float(np.mean([getattr(one, name) for one in listed])) for name in ("rows", "duplicates", "lag")
    )
    return replace(
        first, rows=round(rows), counts=counts, duplicates=round(duplicates, 6), lag=round(lag, 3), fingerprints={}
    )


def detect_beside_earlier(
    reference: Reference,
    series: Series,
    periods: Sequence[Period],
    earlier: Earlier,
    thresholds: Array,
    length: timedelta,
) -> SeasonalDetection:
    """Follow how periods differ from the same season of earlier years.

    Parameters
    ----------
    reference : Reference
    series : Series
        Of the same periods. Where it has no value, as of broken data, nothing is compared.
    periods : sequence of Period
        Those that are watched, in the order of time.
    earlier : mapping of datetime to Period
    thresholds : array of shape (n_series,)
    length : timedelta
        Of a period.

    Returns
    -------
    SeasonalDetection
        Nothing is asked where there is no earlier year, or where fewer than `LEAST_PERIODS` of the reference can be compared.
    """
    shape = (len(series.names), len(periods))
    looks = [number for number, one in enumerate(periods) if one.until in earlier]
    pairs = _within(reference, length)
    of = len(pairs)
    if not looks or of < LEAST_PERIODS:
        return SeasonalDetection(np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(shape, np.int64))
    values = np.full((shape[0], of + shape[1]), np.nan)
    watched = [(periods[number], earlier[periods[number].until]) for number in looks]
    values[:, [*range(of), *(of + number for number in looks)]] = _differences(reference, series, [*pairs, *watched])
    now = values[:, of:]
    now[np.isnan(series.values[:, len(reference.periods) :])] = np.nan
    enough = np.isfinite(values[:, :of]).sum(axis=1) >= LEAST_PERIODS
    phase = np.zeros(values.shape[1], dtype=np.int64)  # both sides of a difference are of one phase
    found = detect(values, phase, of, thresholds, series.two_sided, series.distance_of)
    return SeasonalDetection(found.crossed, np.isfinite(now) & enough[:, None], found.began)


def _nearest(ends: Sequence[datetime], instant: datetime, length: timedelta) -> datetime | None:
    """Return the end nearest to an instant, at most half a length away: clocks and months move ends by a little."""
    place = bisect_left(ends, instant)
    found = min(ends[max(place - 1, 0) : place + 1], key=lambda end: abs(end - instant), default=None)
    return None if found is None or abs(found - instant) > length / 2 else found


def _within(reference: Reference, length: timedelta) -> list[tuple[Period, Period]]:
    """Return each period of the reference that has others as many weeks before it as after it, with those."""
    by_end = {one.until: one for one in reference.periods}
    ends = sorted(by_end)
    whole = reference.periods[-1].until - reference.periods[0].after
    apart = max(min(APART, whole // (4 * WEEK) * WEEK), length)
    found = []
    for one in reference.periods:
        around = [_nearest(ends, one.until + way * apart, length) for way in (-1, 1)]
        beside = [by_end[end] for end in around if end is not None and end != one.until]
        if len(beside) == LEAST_BESIDE:
            found.append((one, pooled(beside)))
    return found


def _differences(reference: Reference, series: Series, pairs: Sequence[tuple[Period, Period]]) -> Array:
    """Return how the first of each pair differs from the second: an array of shape (n_series, n_pairs)."""
    sides = [[pair[side] for pair in pairs] for side in (0, 1)]
    found: dict[str, dict[str, Array]] = {"": _of_rows(*sides)}
    for name in dict.fromkeys(column for column, _ in series.names if column):
        tables = [np.array([one.counts[name] for one in side], dtype=float) for side in sides]
        found[name] = _of_column(reference.bins[name].reference, tables)
    return np.array([found[column][statistic] for column, statistic in series.names])


def _of_column(reference: Array, tables: Sequence[Array]) -> dict[str, Array]:
    """Return what `include.monitoring.drift.drift_series.STATISTICS` are of a difference.

    Parameters
    ----------
    reference : array of shape (n_bins,)
    tables : pair of arrays of shape (n_pairs, n_bins + 2)
    """
    middle = (np.cumsum(reference) - reference / 2) / max(reference.sum(), 1)
    used = np.count_nonzero(tables[0][:, :-2] + tables[1][:, :-2], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        known = [table[:, :-2].sum(axis=1) for table in tables]
        shares = [table[:, :-2] / each[:, None] for table, each in zip(tables, known, strict=True)]
        ours, theirs = (
            (share @ middle, _stable(table[:, -2], each + table[:, -2]), _stable(table[:, -1], each + table[:, -2]))
            for table, share, each in zip(tables, shares, known, strict=True)
        )
        chance = (used - 1) * (1 / known[0] + 1 / known[1])
        shape = 8 * (1 - np.sqrt(shares[0] * shares[1]).sum(axis=1)) - chance
    location, missing, outside = (one - other for one, other in zip(ours, theirs, strict=True))
    return dict(zip(STATISTICS, (location, shape, missing, outside), strict=True))


def _of_rows(ours: Sequence[Period], theirs: Sequence[Period]) -> dict[str, Array]:
    def of(name: str, side: Sequence[Period]) -> Array:
        return np.array([getattr(one, name) for one in side], dtype=float)

    with np.errstate(divide="ignore", invalid="ignore"):
        volume = np.log(of("rows", ours)) - np.log(of("rows", theirs))
    ones = np.ones(len(ours))
    duplicates = _stable(of("duplicates", ours), ones) - _stable(of("duplicates", theirs), ones)
    finite: Array = np.where(np.isfinite(volume), volume, np.nan)
    return {"volume": finite, "duplicates": duplicates, "lag": of("lag", ours) - of("lag", theirs)}


def _stable(rows: Array, of: Array) -> Array:
    """Return a share on the scale on which its sampling error does not depend on it."""
    stable: Array = np.arcsin(np.sqrt(np.clip(rows / of, 0, 1)))
    return stable

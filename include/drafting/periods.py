"""Choose windows, partitions and schedule dates from the event times in a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from dateutil.relativedelta import relativedelta

from include.config.durations import Duration
from include.config.sections.rows.sources import Slot
from include.errors import ConfigError

Instants = np.ndarray[Any, np.dtype[np.int64]]
"""Microseconds since 1970, ascending."""

_LENGTHS = tuple(
    map(
        Duration,
        "1h 2h 3h 6h 12h 1d 2d 3d 1w 2w 1mo 2mo 3mo 4mo 6mo 9mo 1y 18mo 2y 3y 4y 5y 7y 10y 15y 20y 30y 50y".split(),  # noqa: SIM905
    )
)
_FEWEST = 20
"""The smallest number of rows that windows can be made of."""
_ENOUGH_TO_JUDGE, _ENOUGH_TO_LEARN = 5_000, 100_000
_LEAST_SHARE = 15
"""The holdout is at least a fifteenth of the time, so that a single unusual day does not dominate it."""


@dataclass(frozen=True)
class Periods:
    """How a file's rows are divided by time.

    Attributes
    ----------
    start, end : datetime
        The first instant at which both windows are full, and the newest one, at which the trigger form opens.
    train_rows, holdout_rows : int
        Rows in the windows at ``end``.
    """

    partition: Slot
    train: Duration
    holdout: Duration
    start: datetime
    end: datetime
    train_rows: int
    holdout_rows: int


def periods_of(times: Instants, now: datetime) -> Periods:
    """Divide rows by time so that the newest judge what the others taught, with enough of both.

    The holdout has a quarter of the rows, or 5,000 if that is fewer; the training window has all rows before it, or the newest
    100,000 or so.

    Parameters
    ----------
    now : datetime
        No run can stand later.

    Raises
    ------
    ConfigError
        When the rows are too few, or lie too close together.
    """
    first, last = _instant(times[0]), _instant(times[-1])
    length = last - first
    partition = _partition(length)
    end = min(_ceiling(last, partition), _floor(now, partition))
    past = times[times <= _microseconds(end)]
    if len(past) < _FEWEST:
        raise ConfigError(
            "There are too few rows to split by time.",
            expected=f"{_FEWEST} rows and more before {end:%Y-%m-%d %H:%M} UTC",
            found=f"{len(past)} of {len(times)} rows, from {first:%Y-%m-%d %H:%M} until {last:%Y-%m-%d %H:%M} UTC",
            remedy="leave out `--event-time`: rows are then divided by a digest of each",
        )
    enough = min(len(past) // 4, _ENOUGH_TO_JUDGE)
    wide = [one for one in _LENGTHS if one.about() * _LEAST_SHARE >= end - first]
    holdout = next((one for one in wide if _rows(past, end - one, end) >= enough), None)
    cut = end if holdout is None else end - holdout
    train = None if holdout is None else _train(past, cut)
    if holdout is None or train is None:
        raise ConfigError(
            "The rows are too close together to split them by time.",
            expected="rows over two hours and more",
            found=f"rows from {first:%Y-%m-%d %H:%M} until {last:%Y-%m-%d %H:%M} UTC",
            remedy="leave out `--event-time`: rows are then divided by a digest of each",
        )
    start = min(_ceiling(first + train + holdout, partition), end)
    counts = _rows(past, cut - train, cut), _rows(past, cut, end)
    return Periods(partition, train, holdout, start, end, *counts)


def _train(past: Instants, cut: datetime) -> Duration | None:
    """Return the shortest length with enough rows before ``cut``, or one that holds about all of them."""
    all_rows = int(np.searchsorted(past, _microseconds(cut), side="right"))
    for one in _LENGTHS:
        rows = _rows(past, cut - one, cut)
        if rows >= _ENOUGH_TO_LEARN or rows >= 0.9 * all_rows > 0:
            return one
    return None


def _rows(times: Instants, after: datetime, until: datetime) -> int:
    first, last = np.searchsorted(times, [_microseconds(after), _microseconds(until)], side="right")
    return int(last - first)


def _partition(length: timedelta) -> Slot:
    if length >= timedelta(days=60):
        return Slot.MONTH
    return Slot.DAY if length >= timedelta(days=2) else Slot.HOUR


def _floor(instant: datetime, partition: Slot) -> datetime:
    whole = instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return whole if partition is Slot.HOUR else whole.replace(hour=0)


def _ceiling(instant: datetime, partition: Slot) -> datetime:
    floor = _floor(instant, partition)
    step = relativedelta(hours=1) if partition is Slot.HOUR else relativedelta(days=1)
    return floor if floor == instant else floor + step


def _instant(microseconds: np.int64) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(microseconds))


def _microseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

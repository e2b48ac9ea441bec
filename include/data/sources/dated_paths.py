"""Paths with date parts: the names that a pattern such as `orders/%Y-%m-%d.csv` has for slots of event time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from include.data.slots import bounds

_STEPS = (
    ("%H", timedelta(hours=1)),
    ("%d", timedelta(days=1)),
    ("%m", timedelta(days=27)),
    ("%Y", timedelta(days=360)),
)


def dated_paths(path: str, slots: Sequence[str], zone: ZoneInfo) -> Iterator[tuple[str, datetime, datetime]]:
    """Yield the path for each of its dates that the slots touch, with the first instant of the date and the first one after it.

    Parameters
    ----------
    path : str
        It has at least one of the date parts `%Y`, `%m`, `%d` and `%H`.
    slots : sequence of str
        Slots of event time.
    zone : ZoneInfo
        The time zone of the date parts.
    """
    step = next(step for part, step in _STEPS if part in path)
    finest = next(part for part, _ in _STEPS if part in path)
    seen: set[str] = set()
    for slot in slots:
        start, end = bounds(slot)
        # Walk local time in steps no longer than the date part, so that none is stepped over.
        local = start.astimezone(zone).replace(tzinfo=None)
        last = (end - timedelta(microseconds=1)).astimezone(zone).replace(tzinfo=None)
        while True:
            at = min(local, last)
            first, after = _period(at, finest)
            name = re.sub(r"%[YmdH]", lambda part: at.strftime(part.group()), path)  # noqa: B023 (called at once)
            if name not in seen:
                seen.add(name)
                yield name, first.replace(tzinfo=zone).astimezone(UTC), after.replace(tzinfo=zone).astimezone(UTC)
            if local >= last:
                break
            local += step


def _period(at: datetime, part: str) -> tuple[datetime, datetime]:
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if part == "%H":
        hour = day.replace(hour=at.hour)
        return hour, hour + timedelta(hours=1)
    if part == "%d":
        return day, day + timedelta(days=1)
    first = day.replace(day=1) if part == "%m" else day.replace(month=1, day=1)
    following = first + timedelta(days=31 if part == "%m" else 366)
    return first, following.replace(day=1) if part == "%m" else following.replace(month=1, day=1)

"""The ticks of a schedule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
"""Airflow's names for schedules, in its meaning."""

_ANY = datetime(2000, 1, 1, tzinfo=UTC)


def is_cron(text: str) -> bool:
    """Tell whether a schedule is valid and has ticks, at whole minutes.

    croniter takes more: a sixth field of seconds, a seventh of years, and ``R`` for a minute by chance, another one
    each time that a DAG file is parsed.
    """
    if text in PRESETS:
        return True
    fields = text.split()
    if not text.startswith("@") and (len(fields) != 5 or any(field[0] in "rR" for field in fields)):
        return False
    if not croniter.is_valid(text):
        return False
    try:
        croniter(text, _ANY).get_next(datetime)
    except CroniterBadDateError:  # such as 31 February
        return False
    return True


def interval_until(cron: str, instant: datetime, zone: str) -> tuple[datetime, datetime]:
    """Return the newest tick at or before ``instant``, after the one before it: ``(before, newest)``.

    Parameters
    ----------
    zone : str
        The IANA name of the zone that the expression is meant in.
    """
    ticks = ticks_until(cron, instant, zone)
    newest, before = next(ticks), next(ticks)
    return before, newest


def intervals_over(cron: str, after: datetime, until: datetime, zone: str) -> list[tuple[datetime, datetime]]:
    """Return the intervals between two ticks that share an instant with that after ``after`` until ``until``, ascending.

    Parameters
    ----------
    cron : str
        Cron expression.
    after, until : datetime
        Bounds of the span of time.
    zone : str
        IANA name of the time zone that the expression is read in.
    """
    before, newest = interval_until(cron, until, zone)
    look, step = until, newest - before
    while newest < until:
        look += step
        newest = next(ticks_until(cron, look, zone))
    ticks, found = ticks_until(cron, newest, zone), []
    end = next(ticks)
    while end > after:
        begin = next(ticks)
        if begin < until:
            found.append((begin, end))
        end = begin
    return found[::-1]


def ticks_until(cron: str, instant: datetime, zone: str) -> Iterator[datetime]:
    """Yield the ticks at or before ``instant``, the newest first, in UTC.

    They are those at which runs of Airflow's timetable stand, also where clocks are put forward or back.
    """
    # croniter looks strictly back, and ticks are whole minutes: from the next minute on it finds this one.
    before = instant.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while True:
        before = _tick_before(cron, before, ZoneInfo(zone))
        yield before


def _tick_before(cron: str, instant: datetime, zone: ZoneInfo) -> datetime:
    clock = instant.astimezone(zone).replace(tzinfo=None)
    ticks = croniter(PRESETS.get(cron, cron), clock)
    while True:
        before: datetime = ticks.get_prev(datetime)
        if ticks.expanded[1] == ["*"]:
            # It ticks in every hour that passes, also in one that the clock shows twice.
            return instant.astimezone(UTC) - (clock - before)
        # A repeated time means its second occurrence; a skipped time is moved later by the change.
        tick = max(before.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if tick < instant:
            return tick

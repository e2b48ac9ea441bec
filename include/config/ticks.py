"""The ticks of a schedule, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
    """Tell whether a schedule can be read and ever ticks, at whole minutes.

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


def interval_until(cron: str, instant: datetime) -> tuple[datetime, datetime]:
    """Return the newest tick at or before ``instant``, after the one before it: ``(before, newest)``."""
    # croniter looks strictly back, and ticks are whole minutes: from the next minute on it finds this one.
    start = instant.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    ticks = croniter(PRESETS.get(cron, cron), start)
    newest, before = ticks.get_prev(datetime), ticks.get_prev(datetime)
    return before, newest

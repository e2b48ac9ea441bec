"""The ticks of a schedule, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from croniter import croniter

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
"""Airflow's names for schedules, in its meaning."""


def is_cron(text: str) -> bool:
    """Tell whether a schedule can be read."""
    return text in PRESETS or bool(croniter.is_valid(text))


def interval_until(cron: str, instant: datetime) -> tuple[datetime, datetime]:
    """Return the newest tick at or before ``instant``, after the one before it: ``(before, newest)``."""
    # croniter looks strictly back, and ticks are whole minutes: from the next minute on it finds this one.
    start = instant.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    ticks = croniter(PRESETS.get(cron, cron), start)
    newest, before = ticks.get_prev(datetime), ticks.get_prev(datetime)
    return before, newest

"""A schedule in local time: its ticks are Airflow's own, and each interval ends where the next begins, whatever clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

from include.config.schedule import Retrain, Schedule
from include.config.schedule_ticks import interval_until

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
CRONS = ("@hourly", "30 2 * * *", "15 */2 * * *", "@daily", "0 3 * * 0", "*/20 * * * *", "@monthly", "30 1,2 * * *")
# Clocks go forward in March and back in October or November, in the south the other way round.
STRETCHES = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 10, 20, tzinfo=UTC))


def ticks_of_airflow(cron: str, zone: str, start: datetime, many: int) -> list[datetime]:
    """Return the logical dates of the first runs after ``start``, as the scheduler would make them."""
    timetable = CronTriggerTimetable(cron, timezone=zone)
    restriction = TimeRestriction(pendulum.instance(start), None, catchup=True)
    ticks: list[datetime] = []
    last = None
    while len(ticks) < many:
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        assert info is not None and info.logical_date is not None
        ticks.append(datetime.fromisoformat(info.logical_date.isoformat()).astimezone(UTC))
        last = DataInterval.exact(info.logical_date)
    return ticks


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", CRONS)
@pytest.mark.parametrize("start", STRETCHES, ids=["spring", "autumn"])
def test_an_interval_is_between_two_runs_of_airflows_schedule(cron: str, zone: str, start: datetime) -> None:
    if zone == "Australia/Lord_Howe" and cron in ("@hourly", "*/20 * * * *"):
        pytest.skip("where clocks go back by half an hour, Airflow's own ticks leave the grid for one tick a year")
    many = {"@monthly": 4, "@hourly": 800, "*/20 * * * *": 2400}.get(cron, 90)
    ticks = ticks_of_airflow(cron, zone, start, many)
    for before, tick in pairwise(ticks):
        assert interval_until(cron, tick, zone) == (before, tick)
        assert interval_until(cron, tick + timedelta(seconds=59), zone) == (before, tick)


def test_dates_without_a_zone_are_of_the_schedules() -> None:
    schedule = Schedule.model_validate({"start": "2026-03-01", "end": "2026-07-01", "timezone": "Europe/Berlin"})
    assert schedule.start == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert schedule.end == datetime(2026, 6, 30, 22, tzinfo=UTC)
    stored = Schedule.model_validate(schedule.model_dump(mode="json"))
    assert stored == schedule, "what is stored has a zone"


def test_a_schedule_without_a_zone_is_stored_as_before() -> None:
    schedule = Schedule.model_validate({"retrain": "@monthly", "start": "2026-03-01"})
    assert schedule.model_dump(mode="json") == {
        "retrain": "@monthly", "score": None, "start": "2026-03-01T00:00:00Z", "end": None,
    }  # fmt: skip
    assert (schedule.retrain_cron, schedule.upstream) == ("@monthly", ())


def test_upstream_assets_and_times_are_declared_together() -> None:
    schedule = Schedule.model_validate(
        {"retrain": {"on": ["s3://lake/orders"], "cron": "@weekly"}, "start": "2026-03-01"}
    )
    assert schedule.retrain == Retrain(on=("s3://lake/orders",), cron="@weekly")
    assert (schedule.retrain_cron, schedule.upstream) == ("@weekly", ("s3://lake/orders",))
    only = Schedule.model_validate({"retrain": {"on": ["orders"]}, "start": "2026-03-01"})
    assert only.retrain_cron is None

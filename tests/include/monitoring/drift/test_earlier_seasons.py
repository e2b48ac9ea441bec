"""The same season is the same weekday of three weeks, a year and more ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from include.monitoring.drift.earlier_seasons import pooled, same_season
from tests.include.monitoring.days import DAY, observed

UNTIL = datetime(2026, 7, 15, tzinfo=UTC)


def test_it_is_the_weekday_of_the_week_and_of_those_around_it_a_year_and_two_ago() -> None:
    ends = [UNTIL - number * DAY for number in range(900, -1, -1)]
    found = same_season(ends, UNTIL, DAY)
    assert [(UNTIL - end).days for end in found] == [357, 364, 371, 721, 728, 735]
    assert {end.weekday() for end in found} == {UNTIL.weekday()}


def test_a_single_period_is_too_few() -> None:
    assert same_season([UNTIL - 364 * DAY], UNTIL, DAY) == []
    assert len(same_season([UNTIL - 371 * DAY, UNTIL - 364 * DAY], UNTIL, DAY)) == 2
    assert same_season([UNTIL - number * DAY for number in range(300, -1, -1)], UNTIL, DAY) == []


def test_a_clock_that_was_put_forward_in_between_changes_nothing() -> None:
    zone = ZoneInfo("America/New_York")
    ends = [datetime(2025, 3, 1, tzinfo=zone) + number * DAY for number in range(30)]
    until = datetime(2026, 3, 8, tzinfo=zone)  # before clocks change; a year ago that week was after it
    found = same_season([end.astimezone(UTC) for end in ends], until.astimezone(UTC), DAY)
    assert [end.astimezone(zone).day for end in found] == [16, 9, 2]


def test_months_are_compared_with_the_months_around_the_same_one() -> None:
    ends = [datetime(2024 + month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in range(30)]
    found = same_season(ends, datetime(2026, 7, 1, tzinfo=UTC), timedelta(days=30))
    assert found == [datetime(2025, month, 1, tzinfo=UTC) for month in (8, 7, 6)] + [
        datetime(2024, month, 1, tzinfo=UTC) for month in (8, 7, 6)
    ]


def test_pooled_rows_are_added_and_everything_else_is_the_mean() -> None:
    one, other = observed(0).period, observed(7).period
    both = pooled([one, other])
    assert both.counts["fare"] == tuple(a + b for a, b in zip(one.counts["fare"], other.counts["fare"], strict=True))
    assert both.rows == round((one.rows + other.rows) / 2)

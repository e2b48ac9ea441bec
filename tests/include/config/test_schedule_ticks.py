"""A schedule ticks at whole minutes, the same ones whenever it is read, and none of them is in the future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.config.schedule_ticks import PRESETS, interval_until, is_cron


def test_presets_and_five_fields_are_schedules():
    assert all(
        map(is_cron, [*PRESETS, "*/7 * * * *", "0 0 * * MON-FRI", "30 6 1 JAN,apr *", "0 0 29 2 *", "0 0 L * *"])
    )


@pytest.mark.parametrize(
    "text",
    [
        "* * * * * *",  # seconds: the newest tick of a minute lies in the future for most of it
        "* * * * * */7",
        "*/5 * * * * 30",
        "0 0 1 1 * 0 2030",
        "R * * * *",  # a minute by chance, another one at each parse
        "0 r(1-5) * * *",
        "0 0 31 2 *",  # never
        "@once",
        "* * * *",
        "",
    ],
)
def test_what_has_no_fixed_whole_minutes_is_no_schedule(text):
    assert not is_cron(text)


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    step = st.integers(1, high).map(lambda n: f"*/{n}")
    return st.one_of(st.just("*"), step, st.integers(low, high).map(str))


CRON = st.tuples(_field(0, 59), _field(0, 23), _field(1, 28), _field(1, 12), _field(0, 6)).map(" ".join)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    cron=CRON,
    seconds=st.floats(0, 10 * 365.25 * 86400),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
)
def test_the_newest_interval_of_any_schedule_is_over(cron, seconds, zone):
    instant = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    if not is_cron(cron):
        return
    before, newest = interval_until(cron, instant, zone)
    assert before < newest <= instant
    assert newest.second == newest.microsecond == 0

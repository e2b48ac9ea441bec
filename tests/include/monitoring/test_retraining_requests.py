"""Requests: none lost, none doubled, none without end, and broken data never asks."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from faults import FaultyStore, Killed
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import MemoryStore

from include.config.sections.watch import Watch
from include.monitoring.alarms import Alarm
from include.monitoring.retraining_requests import would_ask
from include.monitoring.watch_log import WatchLog
from tests.worlds import NOW

START, DAY = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1)
WATCH = Watch.model_validate({"retrain": "on_drift", "cooldown": "5d", "attempts": 3})


def alarm(day: int, kind: str = "drift", version: str = "a", subject: str = "x", **facts: object) -> Alarm:
    until = START + day * DAY
    made = Alarm(version, kind, until - DAY, until, until - DAY, subject, "it moved")  # type: ignore[arg-type]
    return replace(made, **facts)  # type: ignore[arg-type]


def ask(log: WatchLog, alarms: list[Alarm], day: int, champion: str | None = "a", watch: Watch = WATCH) -> bool:
    return log.ask(tuple(alarms), watch, lambda: champion, START + day * DAY, at=NOW) is not None


@pytest.mark.parametrize(
    ("retrain", "asking"),
    [("never", set()), ("on_performance", {"performance"}), ("on_drift", {"performance", "drift"})],
)
def test_which_alarms_ask_is_declared_and_broken_data_never_does(retrain: str, asking: set[str]) -> None:
    watch = Watch.model_validate({"retrain": retrain})
    for kind in ("drift", "performance", "data_fault"):
        assert ask(WatchLog(MemoryStore(), "m"), [alarm(1, kind)], 1, watch=watch) == (kind in asking)


def test_twenty_alarms_during_one_long_run_make_one_run_after_it() -> None:
    log = WatchLog(MemoryStore(), "m")
    seen = [alarm(1)]
    assert ask(log, seen, 1)
    assert len(log.take("first run", at=NOW)) == 1
    for day in range(10, 30):
        seen.append(alarm(day))
        ask(log, seen, day)
    assert len(log.take("second run", at=NOW)) == 1
    assert log.take("third run", at=NOW) == ()


def test_a_run_that_is_repeated_takes_the_same_requests() -> None:
    log = WatchLog(MemoryStore(), "m")
    ask(log, [alarm(1)], 1)
    first = log.take("run", at=NOW)
    ask(log, [alarm(1), alarm(9)], 9)
    assert WatchLog(log._log.store, "m").take("run", at=NOW) == first
    assert [one.as_of for one in log.take("next", at=NOW)] == [START + 9 * DAY]


def test_alarms_within_the_cooldown_wait_and_are_not_lost() -> None:
    log = WatchLog(MemoryStore(), "m")
    ask(log, [alarm(1)], 1)
    log.take("run", at=NOW)
    seen = [alarm(1), alarm(3)]
    assert not ask(log, seen, 3) and not ask(log, seen, 5)
    assert ask(log, seen, 6)


def test_after_so_many_retrainings_without_another_champion_nothing_more_is_asked() -> None:
    log = WatchLog(MemoryStore(), "m")
    for attempt in range(6):
        day = 1 + 10 * attempt
        assert ask(log, [alarm(day)], day) == (attempt < 3)
        log.take(f"run {attempt}", at=NOW)
    assert ask(log, [alarm(90, version="b")], 90, champion="b")


def test_an_alarm_about_a_former_champion_asks_nothing() -> None:
    log = WatchLog(MemoryStore(), "m")
    assert not ask(log, [alarm(1)], 2, champion="b") and not ask(log, [alarm(1)], 2, champion=None)


def test_a_backfilled_alarm_shows_what_it_would_have_asked_and_asks_nothing() -> None:
    seen = [alarm(day, backfilled=True) for day in (1, 3, 8)]
    assert not ask(WatchLog(MemoryStore(), "m"), seen, 8)
    assert [one.as_of for one in would_ask(seen, WATCH)] == [START + DAY, START + 8 * DAY]


@given(st.lists(st.sampled_from(["alarm", "ask", "take", "killed"]), max_size=40), st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_every_alarm_is_in_one_request_and_every_request_in_one_run(steps: list[str], days: int) -> None:
    store, watch = MemoryStore(), Watch.model_validate({"retrain": "on_drift", "cooldown": f"{days}d", "attempts": 99})
    seen: list[Alarm] = []
    taken = []
    for day, step in enumerate([*steps, *["ask", "take"] * 12]):
        log = WatchLog(store, "m")  # every step is another process
        if step == "alarm":
            seen.append(alarm(day, subject=f"column {day}"))
        elif step == "ask":
            ask(log, seen, day, watch=watch)
        else:
            found = log.take(f"run {day}", at=NOW)
            if step == "killed":  # it died after it had taken: its retry finds the same
                assert WatchLog(store, "m").take(f"run {day}", at=NOW) == found
            taken += found
    named = [key for one in taken for key in one.alarms]
    assert sorted(named) == sorted(one.key for one in seen)


@given(
    st.lists(st.tuples(st.sampled_from(["alarm", "ask", "take"]), st.integers(0, 9), st.booleans()), max_size=25),
    st.integers(0, 6),
)
@settings(max_examples=150, deadline=None)
def test_kills_at_any_call_of_the_store_lose_and_double_nothing(steps: list[tuple[str, int, bool]], days: int) -> None:
    """A step that dies is repeated, as Airflow does it; what came of it is what an undisturbed history gives."""
    watch = Watch.model_validate({"retrain": "on_drift", "cooldown": f"{days}d", "attempts": 99})

    def history(killing: bool) -> list[tuple[str, object]]:
        store, seen = MemoryStore(), []
        for day, (step, fail_at, after) in enumerate([*steps, *[("ask", 0, False), ("take", 0, False)] * 8]):
            if step == "alarm":
                seen.append(alarm(day, subject=f"column {day}"))
                continue

            def do(used: Any, day: int = day, step: str = step, seen: list[Alarm] = seen) -> None:
                log = WatchLog(used, "m")
                if step == "ask":
                    ask(log, seen, day, watch=watch)
                else:
                    log.take(f"run {day}", at=NOW)

            if killing and fail_at:
                with suppress(Killed):
                    do(FaultyStore(store, fail_at=fail_at, mode="after" if after else "before"))
            do(store)
        return [(one.kind, one.body) for one in WatchLog(store, "m").entries()]

    assert history(killing=True) == history(killing=False)


def test_a_run_takes_nothing_that_was_asked_as_of_a_later_instant() -> None:
    log = WatchLog(MemoryStore(), "m")
    ask(log, [alarm(9)], 9)
    assert log.take("too early", at=NOW, as_of=START + 8 * DAY) == ()
    assert len(log.take("in time", at=NOW, as_of=START + 9 * DAY)) == 1

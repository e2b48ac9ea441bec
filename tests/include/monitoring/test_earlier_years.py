"""A second summer is no alarm where a first one was watched, in whatever order; a change beside both is.

Two champions, a year apart, each trained on eight weeks of winter; the first summer was watched under the first one, whose
sketches have other cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import NOW, MemoryStore

from include.config.sections.watch import Watch
from include.monitoring.alarm_history import alarm_history
from include.monitoring.alarms import Alarm, Observed
from include.monitoring.drift.champion_reference import ChampionReference
from include.monitoring.drift.periods import period_of, reference_of
from include.monitoring.drift.watched_version import PREDICTION
from include.monitoring.earlier_years import keep_earlier_years
from include.monitoring.sketches.counting import sketch
from include.monitoring.sketches.layouts import WatchedColumn, learn_layout
from include.monitoring.sketches.sketches import Sketch
from include.monitoring.watch_log import EARLIER, WatchLog, earlier_in, observed_in
from include.storage.content import canonical_json, put_content, read_json
from tests.faults import FaultyStore, Killed

START, DAY, TRAIN = datetime(2025, 1, 6, tzinfo=UTC), timedelta(days=1), 56
SUMMERS = {"a": range(140, 182), "b": range(364 + 147, 364 + 175)}
WINTERS = {"a": 0, "b": 364}
WATCH = Watch.model_validate({"retrain": "on_drift", "false_alarms": "12/y"})
COLUMNS = (WatchedColumn("temp", "input", "number"), WatchedColumn(PREDICTION, "prediction", "number"))


def rows_of(day: int, broken: bool = False, count: int = 150) -> pa.Table:
    rng = np.random.default_rng(day)
    warm = 1.5 if day % 364 >= TRAIN else 0.0
    temp = warm + 0.1 * rng.standard_normal() + rng.standard_normal(count)
    return pa.table({"temp": temp - 4.0 * broken, PREDICTION: rng.random(count)})


@dataclass(frozen=True)
class Made:
    kept: ChampionReference
    body: bytes


@lru_cache
def champion(name: str) -> Made:
    days = range(WINTERS[name], WINTERS[name] + TRAIN)
    layout = learn_layout([rows_of(day) for day in days], COLUMNS)
    periods = [(START + day * DAY, START + (day + 1) * DAY, sketch([rows_of(day)], layout)) for day in days]
    kept = ChampionReference(reference_of(layout, periods, "small"), None, {}, {}, None, None)
    return Made(kept, canonical_json(kept.to_json()))


@lru_cache
def sketched(name: str, day: int, broken: bool) -> Sketch:
    return sketch([rows_of(day, broken)], champion(name).kept.reference.layout)


class Watching:
    """A store in which both champions are watched."""

    def __init__(self, store: MemoryStore | FaultyStore) -> None:
        self.store, self.log = store, WatchLog(store, "small")

    def observe(self, name: str, day: int, *, broken: bool = False) -> None:
        reference = put_content(self.store, "small/watch/kept", ".json", champion(name).body)
        found = sketched(name, day, broken)
        details = canonical_json({"sketch": read_json(found.to_bytes())})
        sources = {"details": put_content(self.store, "small/watch/details", ".json", details), "reference": reference}
        after = START + day * DAY
        period = period_of(found, champion(name).kept.reference.bins, after, after + DAY)
        self.log.observe(Observed(name, period), sources=sources, at=NOW)
        keep_earlier_years(self.store, "small", self.log, at=NOW)

    def alarms(self, name: str, *, with_history: bool = True) -> list[Alarm]:
        entries = self.log.entries()
        earlier = earlier_in(entries, name) if with_history else {}
        reference = champion(name).kept.reference
        return list(alarm_history(reference, observed_in(entries, name), WATCH, DAY, earlier=earlier).alarms)


def watched(order: list[tuple[str, int]], broken_from: int = 10_000) -> Watching:
    found = Watching(MemoryStore())
    for name, day in order:
        found.observe(name, day, broken=day >= broken_from)
    return found


DAYS = [(name, day) for name, days in SUMMERS.items() for day in days]


@lru_cache
def in_order() -> Watching:
    return watched(DAYS)


def test_a_first_summer_is_told_and_a_second_one_is_none() -> None:
    world = in_order()
    assert [one.subject for one in world.alarms("a")] == ["temp"]
    assert [one.subject for one in world.alarms("b", with_history=False)] == ["temp"]
    assert world.alarms("b") == []
    assert len(earlier_in(world.log.entries(), "b")) == len(SUMMERS["b"]) and not earlier_in(world.log.entries(), "a")


def test_what_is_neither_winter_nor_summer_is_told_and_beside_what() -> None:
    cold = SUMMERS["b"][7]
    (alarm,) = watched(DAYS, broken_from=cold).alarms("b")
    assert alarm.subject == "temp" and alarm.said.endswith("also beside the same weeks of earlier years")
    assert START + cold * DAY <= alarm.since < alarm.until <= START + (cold + 14) * DAY


@given(st.permutations(DAYS))
@settings(max_examples=4, deadline=None)
def test_any_order_of_intervals_over_both_years_gives_one_history(order: list[tuple[str, int]]) -> None:
    world, expected = watched(order), in_order()
    assert [world.alarms(name) for name in SUMMERS] == [expected.alarms(name) for name in SUMMERS]
    assert earlier_in(world.log.entries(), "b") == earlier_in(expected.log.entries(), "b")


def test_an_interval_of_last_year_that_is_corrected_corrects_what_is_compared() -> None:
    world = watched([("a", 147), ("a", 154), ("b", 364 + 147)])
    (before,) = earlier_in(world.log.entries(), "b").values()
    world.observe("a", 154, broken=True)
    (after,) = earlier_in(world.log.entries(), "b").values()
    assert before.counts != after.counts


def test_killed_at_any_call_of_the_store_and_repeated_it_leaves_the_same() -> None:
    def record(world: Watching) -> list[tuple[str, object]]:
        return [(one.kind, one.body) for one in world.log.entries()]

    before = [("a", 147), ("a", 154)]
    counted = FaultyStore(watched(before).store)
    clean = Watching(counted)
    clean.observe("b", 364 + 147)
    calls = counted.calls
    assert [kind for kind, _ in record(clean)][-1] == EARLIER and calls > 5
    for number in range(1, calls + 1):
        store = watched(before).store
        with pytest.raises(Killed):
            Watching(FaultyStore(store, fail_at=number)).observe("b", 364 + 147)
        again = Watching(store)
        again.observe("b", 364 + 147)
        assert record(again) == record(clean)

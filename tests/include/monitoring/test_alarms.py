"""One history of alarms, in whatever order and by however many monitors the intervals were observed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import MemoryStore

from include.config.sections.watch import Watch
from include.monitoring.alarm_history import alarm_history
from include.monitoring.alarms import Alarm, Observed
from include.monitoring.watch_log import WatchLog, observed_in
from tests.faults import FaultyStore
from tests.include.monitoring.days import DAY, START, TRAIN, observed, reference
from tests.worlds import NOW

DAYS = 24
WATCH = Watch.model_validate({"retrain": "on_drift", "cooldown": "5d"})


def shifted(columns: dict[str, np.ndarray]) -> None:
    columns["distance"] = columns["distance"] * 0.6


def in_grams(columns: dict[str, np.ndarray]) -> None:
    columns["fare"] = columns["fare"] * 1000


@lru_cache
def days() -> tuple[Observed, ...]:
    """Days of which the eighth is broken, and from the tenth on one column has moved."""
    return tuple(observed(day, in_grams if day == 7 else shifted if day >= 9 else None) for day in range(DAYS))


def alarms_of(listed: list[Observed]) -> list[Alarm]:
    return list(alarm_history(reference(), listed, WATCH, DAY).alarms)


def test_a_shift_that_matters_is_told_with_its_size_and_since_when() -> None:
    fault, drift, *rest = alarms_of(list(days()))
    assert (fault.kind, fault.subject) == ("data_fault", "unit_change fare")
    assert (drift.kind, drift.subject) == ("drift", "distance")
    begins = START + (TRAIN + 9) * DAY
    assert begins <= drift.since < drift.until <= begins + 12 * DAY
    assert drift.effect is not None and drift.effect.wasserstein is not None
    assert drift.effect.wasserstein > 0.5 and "standard deviations" in drift.said
    assert not rest


def test_what_is_surprising_and_does_not_matter_is_no_alarm() -> None:
    def slightly(columns: dict[str, np.ndarray]) -> None:
        columns["distance"] = columns["distance"] + 60  # a tenth of a standard deviation

    many = [observed(day, slightly) for day in range(60)]
    found = alarm_history(reference(), many, Watch.model_validate({"false_alarms": "100/y"}), DAY)
    assert found.detection.crossed.any()
    assert found.alarms == ()


def test_nothing_changes_and_nothing_is_told() -> None:
    assert alarms_of([observed(day) for day in range(40)]) == []


@given(st.permutations(range(DAYS)), st.integers(1, 3), st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_any_order_and_parallelism_of_intervals_gives_one_history_of_alarms(order, monitors, random) -> None:
    store = MemoryStore()
    logs = [WatchLog(store, "small") for _ in range(monitors)]  # each with what it has read by then
    for day in order:
        one = days()[day]
        for _ in range(random.choice([1, 1, 2])):  # some tasks are repeated, beside another monitor or by it
            random.choice(logs).observe(one, sources={"scores": f"{day}"}, at=NOW)
    entries = random.choice(logs).entries()
    assert len(entries) == DAYS
    assert alarms_of(list(observed_in(entries, "champion"))) == alarms_of(list(days()))


@given(st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_each_alarm_is_told_once_and_one_retraining_asked_for_whoever_watches(random) -> None:
    store = MemoryStore()
    told: list[tuple[int, str]] = []
    for day in range(DAYS):
        # Monitors of one interval race: each has observed, and then each tells and asks.
        logs = [WatchLog(store, "small") for _ in range(random.choice([1, 2]))]
        for log in logs:
            log.observe(days()[day], sources={}, at=NOW)
        until = days()[day].period.until
        for log in logs:
            alarms = alarms_of(list(observed_in(log.entries(), "champion")))
            told += [(day, one.key) for one in log.tell(alarms, until, at=NOW)]
            log.ask(tuple(alarms), WATCH, lambda: "champion", until, at=NOW)
    kinds = [entry.kind for entry in WatchLog(store, "small").entries()]
    # A monitor that is repeated, or races, tells again what its own interval told, and nothing else.
    assert [key for _, key in dict.fromkeys(told)] == [one.key for one in alarms_of(list(days()))]
    assert kinds.count("alarm") == 2 and kinds.count("request") == 1


def test_an_interval_that_is_observed_again_counts_as_it_is_now() -> None:
    store = MemoryStore()
    log = WatchLog(store, "small")
    for day in range(DAYS):
        log.observe(days()[day], sources={}, at=NOW)
    log.observe(observed(7), sources={}, at=NOW)  # the source was put right
    found = alarms_of(list(observed_in(log.entries(), "champion")))
    assert [one.kind for one in found] == ["drift"]


def test_alarms_that_were_told_before_cost_no_call_of_the_store() -> None:
    def calls(standing: int) -> int:
        store = FaultyStore(MemoryStore())
        *told, new = (
            Alarm("champion", "drift", until - DAY, until, until - DAY, "distance", "it moved")
            for until in (START + number * DAY for number in range(standing + 1))
        )
        log = WatchLog(store, "small")
        assert log.tell(told, told[-1].until, at=NOW) == tuple(told)
        assert log.tell(told, told[-1].until, at=NOW) == tuple(told), "repeated, as after a kill before the message"
        before = store.calls
        assert log.tell([*told, new], new.until, at=NOW) == (new,)
        return store.calls - before

    assert calls(20) < calls(2) + 10

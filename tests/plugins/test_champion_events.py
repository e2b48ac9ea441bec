"""A change of champion is an event with the number of the ledger's own: never for anything else, and never lost to a kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors
from faults import FaultyStore, Killed
from worlds import NOW, MemoryStore, World

from include.config.sections.evaluation import Primary
from include.registry import evaluator
from include.registry.ledger import Ledger
from ratchet_operators import DecideAgain, KeepChampion, Promote, Settle, Withdraw
from ratchet_operators.operator import RatchetOperator

JUNE = datetime(2013, 6, 1, tzinfo=UTC)


@dataclass
class Scene:
    """What was on record when a task began, the task, and what it was upstream."""

    world: World
    operator: type[RatchetOperator]
    upstream: dict[str, Any]
    news: Any = None

    def copied(self) -> MemoryStore:
        store = MemoryStore()
        store.objects = dict(self.world.store.objects)
        return store

    def run(self, store: Any, monkeypatch: pytest.MonkeyPatch, *, run: str = "r") -> list[dict[str, Any]]:
        """Execute the task on a store; return the events that Airflow would send at its success."""
        monkeypatch.setattr(RatchetOperator, "open_store", lambda _: store)
        task: Any = self.operator(task_id="task", model=self.world.model.to_json(), upstream=None)
        task.upstream = {**self.upstream, "mode": "enforce", "config": task._configure()[1]}
        dag_run = SimpleNamespace(
            run_type="manual", dag_id="dag", run_id=run, run_after=NOW, start_date=NOW, triggering_user_name="ada"
        )
        params, sent = {"version": None, "reason": "wrong units"}, OutletEventAccessors()
        try:
            task.execute({"dag_run": dag_run, "params": params, "outlet_events": sent})
        except AirflowSkipException:
            return []
        self.news = task.news
        events = [event for outlet in task.outlets for event in sent[outlet].asset_alias_events]
        assert {event.dest_asset_key.uri for event in events} <= {"x-ratchet://flight_delay/champion"}
        return [event.extra for event in events]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Scene]:
    def make(name: str) -> Scene:
        world = World()
        monkeypatch.setattr(evaluator, "evaluator", lambda *_, **__: world.measure)
        monkeypatch.setattr(DecideAgain, "matured_rows_evaluator", lambda *_: world.measure)
        operator, upstream = SCENES[name](world, Ledger(world.store, world.model.name))
        return Scene(world, operator, upstream)

    return make


def decided(world: World, ledger: Ledger, month: int, quality: float, *, trigger: str = "backfill") -> str:
    version, by = world.version(month, quality), {"trigger": trigger, "dag": "dag", "run": "earlier", "task": "task"}
    ledger.register(version, actor=by, at=NOW)
    ledger.decide(world.model, version.id, measure=world.measure, actor=by, at=NOW)
    return version.id


def registered(world: World, ledger: Ledger, month: int, quality: float) -> dict[str, Any]:
    version = world.version(month, quality)
    ledger.register(version, actor={"trigger": "manual"}, at=NOW)
    measured = ledger.measure(world.model, version.id, world.measure)
    return {"version": version.id, "incumbent": measured.incumbent and measured.incumbent.id}


def a_newer_one_is_promoted(world: World, ledger: Ledger) -> Any:
    decided(world, ledger, 5, 0.70)
    return Promote, registered(world, ledger, 6, 0.80)


def an_older_one_is_promoted(world: World, ledger: Ledger) -> Any:
    decided(world, ledger, 9, 0.80)
    return Promote, registered(world, ledger, 5, 0.70)


def one_falls_by_another_policy(world: World, ledger: Ledger) -> Any:
    lenient = world.model.gate.model_copy(update={"primary": Primary(metric="roc_auc", rule="not_worse", margin=0.4)})
    decided(world, ledger, 5, 0.80)
    given, world.model = world.model, world.model.model_copy(update={"gate": lenient})
    fallen = decided(world, ledger, 6, 0.70)
    world.model = given
    assert ledger.timeline().champion == fallen
    return Promote, {"version": fallen, "incumbent": ledger.timeline().incumbent_of(fallen)}


def one_is_kept_out(world: World, ledger: Ledger) -> Any:
    decided(world, ledger, 5, 0.80)
    return KeepChampion, registered(world, ledger, 6, 0.70)


def one_is_kept_out_whose_incumbent_was_quarantined(world: World, ledger: Ledger) -> Any:
    champion = decided(world, ledger, 5, 0.80)
    upstream = registered(world, ledger, 6, 0.70)
    ledger.withdraw(champion, "leaked label", actor={"dag": "rollback", "run": "x"}, at=NOW)
    return KeepChampion, upstream


def a_backfill_settles(world: World, ledger: Ledger) -> Any:
    decided(world, ledger, 7, 0.64)
    decided(world, ledger, 3, 0.70)
    return Settle, {}


def a_backfill_is_settled(world: World, ledger: Ledger) -> Any:
    decided(world, ledger, 3, 0.70)
    decided(world, ledger, 7, 0.80)
    return Settle, {}


def a_held_one_is_promoted_later(world: World, ledger: Ledger) -> Any:
    decided(world, ledger, 3, 0.60, trigger="manual")
    held = decided(world, ledger, 5, 0.61, trigger="manual")
    world.quality[held] = 0.80
    return DecideAgain, {"version": held, "second_look": "2013-06-01T00:00:00Z"}


def the_champion_is_rolled_back(world: World, ledger: Ledger) -> Any:
    decided(world, ledger, 5, 0.70)
    decided(world, ledger, 6, 0.80)
    return Withdraw, {}


SCENES: dict[str, Callable[[World, Ledger], Any]] = {
    made.__name__: made
    for made in (
        a_newer_one_is_promoted,
        an_older_one_is_promoted,
        one_falls_by_another_policy,
        one_is_kept_out,
        one_is_kept_out_whose_incumbent_was_quarantined,
        a_backfill_settles,
        a_backfill_is_settled,
        a_held_one_is_promoted_later,
        the_champion_is_rolled_back,
    )
}
SILENT = {an_older_one_is_promoted.__name__, one_is_kept_out.__name__, a_backfill_is_settled.__name__}


@pytest.mark.parametrize("name", SCENES)
def test_an_event_is_sent_if_and_only_if_the_champion_changed(
    name: str, scene: Callable[[str], Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene(name)
    store = one.copied()
    before = Ledger(store, "flight_delay").timeline().champion
    events = one.run(store, monkeypatch)
    after = Ledger(store, "flight_delay")
    assert bool(events) == (after.timeline().champion != before) == (name not in SILENT)
    for event in events:
        entry = after.entries()[event["event"]]
        assert (event["version"], event["before"]) == (after.timeline().champion, before)
        assert event["digest"] == entry.digest
        assert event["metric"] == "roc_auc" and event["value"] is not None and event["as_of"].startswith("2013")


@pytest.mark.parametrize("name", SCENES)
def test_a_task_killed_at_any_call_of_the_store_and_repeated_sends_the_change_that_it_wrote(
    name: str, scene: Callable[[str], Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene(name)
    counted = FaultyStore(one.copied())
    expected = [told(event) for event in one.run(counted, monkeypatch)]
    length = len(Ledger(counted.store, "flight_delay").entries())
    for number in range(1, counted.calls + 1):
        for mode in ("before", "after"):
            store = one.copied()
            with pytest.raises(Killed):
                one.run(FaultyStore(store, fail_at=number, mode=mode), monkeypatch)
            for _ in ("repeated", "cleared"):
                events = one.run(store, monkeypatch)
                assert [told(event) for event in events] == expected
                ledger = Ledger(store, "flight_delay").entries()
                assert all(ledger[event["event"]].digest == event["digest"] for event in events)
                assert len(ledger) == length


def told(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event without the digest, which no two ledgers share."""
    return {name: fact for name, fact in event.items() if name != "digest"}


def test_a_promotion_cleared_after_a_quarantine_sends_nothing(
    scene: Callable[[str], Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene(a_newer_one_is_promoted.__name__)
    store = one.copied()
    (event,) = one.run(store, monkeypatch)
    withdrawal = {"dag": "rollback", "run": "x", "task": "withdraw"}
    Ledger(store, "flight_delay").withdraw(event["version"], "leaked label", actor=withdrawal, at=NOW)
    assert one.run(store, monkeypatch) == []


def test_another_run_that_finds_the_decision_does_not_send_it_again(
    scene: Callable[[str], Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene(a_newer_one_is_promoted.__name__)
    store = one.copied()
    assert len(one.run(store, monkeypatch)) == 1
    assert one.run(store, monkeypatch, run="another") == []


def test_people_are_told_of_another_champion_by_settling_and_that_an_older_promotion_made_none(
    scene: Callable[[str], Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = scene(a_backfill_settles.__name__)
    (event,) = settled.run(settled.copied(), monkeypatch)
    assert settled.news.event == "promoted"
    assert settled.news.sentence.startswith(f"{event['version']} is in force instead of {event['before']}")
    older = scene(an_older_one_is_promoted.__name__)
    older.run(older.copied(), monkeypatch)
    champion = Ledger(older.world.store, "flight_delay").timeline().champion
    assert older.news.event == "promoted" and older.news.sentence.endswith(f"{champion} is in force.")

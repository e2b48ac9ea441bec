"""Settling tells whoever waits for another champion, and only then."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors
from worlds import NOW, World

from include.registry import measuring
from include.registry.ledger import Ledger
from include.storage.local import LocalStore
from ratchet_operators import Settle


def test_another_champion_after_settling_is_an_asset_event_and_the_same_one_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "store")
    world = World(store)
    ledger = Ledger(store, world.model.name)
    monkeypatch.setenv("RATCHET_STORE", store.url)
    monkeypatch.setattr(measuring, "measurer", lambda *_, **__: world.measure)
    actor: dict[str, Any] = {"trigger": "backfill"}

    def decide(month: int, quality: float) -> str:
        version = world.version(month, quality)
        ledger.register(version, actor=actor, at=NOW)
        ledger.decide(world.model, version.id, measure=world.measure, actor=actor, at=NOW)
        return version.id

    def settle() -> tuple[list[Any], Any]:
        task = Settle(task_id="settle", model=world.model.to_json(), handed=None)
        task.handed = {"mode": "enforce", "config": task._configure()[1]}
        run = SimpleNamespace(run_type="scheduled", dag_id="retrain_flight_delay", run_id="r")
        events = OutletEventAccessors()
        task.execute({"dag_run": run, "params": {}, "outlet_events": events})  # type: ignore[arg-type]
        return [event for outlet in task.outlets for event in events[outlet].asset_alias_events], task.news

    july = decide(7, 0.64)
    assert settle() == ([], None)
    march = decide(3, 0.70)
    assert ledger.timeline().champion == july, "the order is not settled yet"
    (event,), news = settle()
    assert ledger.timeline().champion == march
    assert event.dest_asset_key.uri == "x-ratchet://flight_delay/champion"
    assert event.extra == {"version": march, "before": july}
    assert news.event == "promoted" and march in news.sentence
    assert settle() == ([], None)

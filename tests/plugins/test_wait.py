"""Late rows are waited for by a deferred task: no worker is occupied, no try is used up, and the run goes on in the end."""

from __future__ import annotations

import asyncio
import importlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from chain_run import declare, month, parcels

from include.config.sections.notify import Notification
from include.data.snapshots import Snapshot
from include.storage.local import LocalStore
from ratchet_operators import Ingest, IngestInterval, ingest, score
from ratchet_operators import operator as base

AS_OF = month(7)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    rows = parcels()
    folder = tmp_path / "models" / "parcels"
    monkeypatch.setenv("RATCHET_MODELS", str(folder.parent))
    monkeypatch.setenv("RATCHET_STORE", (tmp_path / "store").as_uri())

    tasks: list[Any] = []

    def run(
        operator: Any, at: datetime, *, until: int, again: bool = False, kind: str = "scheduled", wait: str = "6h"
    ) -> Any:
        model = declare(folder, rows[rows["sent_at"] < month(until)], label_delay=f"0s\n  wait: {wait}")
        for module in (base, ingest, score):
            monkeypatch.setattr(module, "now", lambda context: at)
        task = operator(task_id="ingest", model=model.to_json())
        of = SimpleNamespace(
            run_type=kind, logical_date=AS_OF, run_after=AS_OF, start_date=AS_OF, dag_id="d", run_id="r"
        )
        context = {"dag_run": of, "params": {}}
        tasks.append(task)
        return task.look_again(context, event=at) if again else task.execute(context)

    run.tasks = tasks  # type: ignore[attr-defined]
    return run


@pytest.mark.parametrize("operator", [Ingest, IngestInterval])
def test_a_run_waits_for_late_rows_without_a_worker_and_then_takes_them(
    run: Any, tmp_path: Path, operator: Any
) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        run(operator, AS_OF + timedelta(minutes=2), until=6)
    assert deferred.value.trigger.serialize()[1]["moment"] == AS_OF + timedelta(minutes=7)
    assert deferred.value.method_name == "look_again"
    with pytest.raises(TaskDeferred) as deferred:
        run(operator, AS_OF + timedelta(hours=5, minutes=58), until=6, again=True)
    assert deferred.value.trigger.serialize()[1]["moment"] == AS_OF + timedelta(hours=6), "no longer than the wait"
    upstream = run(operator, AS_OF + timedelta(hours=3), until=7, again=True)
    snapshot = Snapshot.load(LocalStore(tmp_path / "store"), "parcels", upstream["snapshot"])
    assert snapshot.partitions[-2].slot == "2024-06" and snapshot.partitions[-2].rows


def test_a_run_goes_on_with_what_there_is_when_the_wait_is_over(run: Any, tmp_path: Path) -> None:
    upstream = run(IngestInterval, AS_OF + timedelta(hours=6), until=6, again=True)
    snapshot = Snapshot.load(LocalStore(tmp_path / "store"), "parcels", upstream["snapshot"])
    assert not any(pinned.rows for pinned in snapshot.partitions)


def test_a_backfill_of_old_dates_does_not_wait(run: Any) -> None:
    assert run(IngestInterval, datetime(2026, 1, 1, tzinfo=UTC), until=6)["snapshot"]


@pytest.mark.parametrize(
    ("kind", "until", "told"), [("scheduled", 6, True), ("scheduled", 7, False), ("backfill", 6, False)]
)
def test_people_are_told_when_the_wait_is_over_and_the_rows_are_not_there(
    run: Any, kind: str, until: int, told: bool
) -> None:
    run(IngestInterval, AS_OF + timedelta(hours=6), until=until, again=True, kind=kind)
    news = run.tasks[-1].news
    assert (news is not None) is told
    if told:
        assert (news.event, news.version) == ("late", None)
        assert (
            news.sentence
            == "Partition 2024-06 has no row after a wait of 6h; the run continued with the rows that there were."
        )
        assert Notification.model_validate({"via": "slack", "connection": "ops", "on": ["alarm"]}).wants(news.event)


@pytest.mark.parametrize("operator", [Ingest, IngestInterval])
def test_a_run_waits_for_a_marker_and_people_are_told_if_it_never_comes(
    run: Any, tmp_path: Path, operator: Any
) -> None:
    wait = "{at_most: 6h, until: file, file: done/%Y-%m/_SUCCESS}"
    with pytest.raises(TaskDeferred) as deferred:
        run(operator, AS_OF + timedelta(minutes=2), until=7, wait=wait)
    assert deferred.value.trigger.serialize()[1]["moment"] == AS_OF + timedelta(minutes=7)
    run(operator, AS_OF + timedelta(hours=6), until=7, again=True, wait=wait)
    news = run.tasks[-1].news
    assert news is not None and news.event == "late"
    assert news.sentence == (
        "Partition 2024-06 has no marker done/2024-06/_SUCCESS after a wait of 6h; the run continued with the rows that there were."
    )
    marker = tmp_path / "models" / "parcels" / "done" / "2024-06" / "_SUCCESS"
    marker.parent.mkdir(parents=True)
    marker.touch()
    upstream = run(operator, AS_OF + timedelta(minutes=12), until=7, again=True, wait=wait)
    assert run.tasks[-1].news is None
    snapshot = Snapshot.load(LocalStore(tmp_path / "store"), "parcels", upstream["snapshot"])
    assert next(pinned for pinned in snapshot.partitions if pinned.slot == "2024-06").rows


def test_the_trigger_of_the_wait_fires_at_its_moment_and_the_task_goes_on(run: Any, monkeypatch: Any) -> None:
    """The coroutine that a triggerer would run, with a moment that has just come."""
    with pytest.raises(TaskDeferred) as deferred:
        run(Ingest, AS_OF + timedelta(minutes=2), until=6)
    path, facts = deferred.value.trigger.serialize()
    module, _, name = path.rpartition(".")
    trigger = getattr(importlib.import_module(module), name)(**facts)

    async def first() -> Any:
        return await anext(trigger.run())

    event = asyncio.run(asyncio.wait_for(first(), 20))
    assert event.payload == facts["moment"]
    assert run(Ingest, AS_OF + timedelta(hours=3), until=7, again=True)["rows"]

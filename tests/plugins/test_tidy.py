"""The task that tidies: it removes only where the declaration or the form says so, and tasks of such a model keep what they need."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from chain_run import NOW
from fastapi.testclient import TestClient
from signed_world import SignedWorld

from include.retention.stored_bytes import StoredBytesLog
from include.storage.tombstones import State, Tombstones
from ratchet_operators import Audit, Tidy


@pytest.fixture
def world(signed_world: SignedWorld) -> SignedWorld:
    path = signed_world.folder / "model.yaml"
    path.write_text(f"{path.read_text()}\nretention: {{quarantine: 1s, versions: 1s}}\n")
    actor = {"trigger": "manual", "dag": "rollback_parcels", "run": "r"}
    signed_world.ledger.withdraw(signed_world.champion, "wrong units", actor=actor, at=NOW)
    time.sleep(1.1)  # until what the store has is older than a second
    return signed_world


def run(world: SignedWorld, run_type: str, *, remove: bool, run_id: str | None = None) -> Any:
    return tidied(world, run_type, remove=remove, run_id=run_id)[1]


def tidied(
    world: SignedWorld, run_type: str, *, remove: bool, run_id: str | None = None, after: datetime = NOW
) -> tuple[Tidy, Any]:
    facts = SimpleNamespace(
        run_type=run_type,
        logical_date=NOW,
        run_after=after,
        start_date=NOW,
        dag_id="tidy_parcels",
        run_id=run_id or run_type,
    )
    task = Tidy(task_id="tidy", model=world.model.to_json())
    return task, task.execute({"dag_run": facts, "params": {"remove": remove}})  # type: ignore[arg-type]


def test_a_scheduled_run_removes_only_if_that_is_declared_and_a_person_by_the_form(world: SignedWorld) -> None:
    def there() -> set[str]:
        return {key for key in world.store.list("") if "/stored_bytes/" not in key}

    before = there()
    done = run(world, "scheduled", remove=True)
    assert done["dry"] and done["marked"] and there() == before
    assert run(world, "manual", remove=False)["dry"] and there() == before
    done = run(world, "manual", remove=True)
    assert not done["dry"] and done["marked"] and not done["removed"]
    assert run(world, "manual", remove=True)["waiting"] == done["marked"]


def test_a_task_of_a_tidied_model_takes_back_what_it_needs(world: SignedWorld) -> None:
    run(world, "manual", remove=True)
    marked = {key for key, one in Tombstones(world.store, "parcels").read().items() if one.state is State.MARKED}
    key = sorted(marked)[0]
    task = Audit(task_id="other", model=world.model.to_json())
    task.open_store().get(key)
    assert key not in Tombstones(world.store, "parcels").read()


def test_what_was_removed_is_told_as_lineage(world: SignedWorld) -> None:
    task, done = tidied(world, "manual", remove=True)
    assert task.lineage is not None and all(one.removed is None for one in task.lineage.outputs)
    marked = Tombstones(world.store, "parcels").read().values()
    task, done = tidied(world, "manual", remove=True, run_id="late", after=datetime.now(UTC) + timedelta(days=30))
    assert task.lineage is not None and done["removed"] == len(marked)
    gone = {one.place.rpartition("/")[2]: one.removed for one in task.lineage.outputs if one.removed is not None}
    assert gone.keys() == {one.key.split("/")[1] for one in marked}
    assert sum(one.size for one in gone.values()) == sum(one.size for one in marked)


def test_the_models_page_shows_bytes_by_kind_and_how_they_grew(world: SignedWorld, client: TestClient) -> None:
    assert "Not counted yet" in section(client)
    run(world, "scheduled", remove=True)
    assert "<svg" not in section(client), "one count has no growth"
    (first,) = StoredBytesLog(world.store, "parcels").read()
    world.store.put_if_absent("parcels/scores/made-up", b"0" * 4_000_000)
    run(world, "scheduled", remove=True, run_id="a week later")
    run(world, "scheduled", remove=True, run_id="a week later")
    counted = StoredBytesLog(world.store, "parcels").read()
    assert len(counted) == 2 and counted[1].all.size > first.all.size + 4_000_000

    text = section(client)
    rows = [re.sub(r"(<[^>]+>|\s)+", " ", row).strip() for row in re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)[1:]]
    assert rows[0] == "scores 1 4.0 MB 4,000,000 +4.0 MB"
    model_files = counted[1].kinds["model files"]
    assert any(row.startswith(f"model files {model_files.objects} ") and f"{model_files.size:,}" in row for row in rows)
    assert len(rows) == len(counted[1].kinds) and "other" not in text
    assert len(re.findall(r"<circle", text)) == 2 and re.search(r'class="line estimate" d="M88.0,[0-9.]+ L944.0,', text)


def section(client: TestClient) -> str:
    (found,) = re.findall(
        r'<section aria-labelledby="stored">.*?</section>', client.get("/models/parcels").text, re.DOTALL
    )
    return str(found)

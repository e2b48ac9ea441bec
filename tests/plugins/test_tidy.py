"""The task that tidies: it removes only where the declaration or the form says so, and tasks of such a model keep what they need."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from chain_run import NOW
from signed_world import SignedWorld

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


def run(world: SignedWorld, run_type: str, *, remove: bool) -> Any:
    facts = SimpleNamespace(
        run_type=run_type, logical_date=NOW, run_after=NOW, start_date=NOW, dag_id="tidy_parcels", run_id=run_type
    )
    task = Tidy(task_id="tidy", model=world.model.to_json())
    return task.execute({"dag_run": facts, "params": {"remove": remove}})  # type: ignore[arg-type]


def test_a_scheduled_run_removes_only_if_that_is_declared_and_a_person_by_the_form(world: SignedWorld) -> None:
    before = set(world.store.list(""))
    done = run(world, "scheduled", remove=True)
    assert done["dry"] and done["marked"] and set(world.store.list("")) == before
    assert run(world, "manual", remove=False)["dry"] and set(world.store.list("")) == before
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

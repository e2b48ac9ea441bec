"""The audit's task: red while anything stands that was found wrong, said to people, counted, and shown on the model's page."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from chain_run import NOW
from fastapi.testclient import TestClient
from signed_world import SignedWorld

from ratchet_operators import Audit
from ratchet_ui import app as pages
from ratchet_ui.access import Viewer, get_user


class Somebody:
    def may_read(self, model: str) -> bool:
        return True

    def may_trigger(self, dag: str) -> bool:
        return False

    def may_see_import_errors(self) -> bool:
        return False


def page(path: str) -> str:
    pages.app.dependency_overrides = {get_user: lambda: None, Viewer: Somebody}
    try:
        answer = TestClient(pages.app).get(path)
        assert answer.status_code == 200, answer.text
        return str(answer.text)
    finally:
        pages.app.dependency_overrides = {}


def test_what_an_audit_finds_fails_the_task_and_is_told_counted_and_shown(
    signed_world: SignedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk._shared.observability.metrics import stats

    gauges: list[tuple[str, float]] = []
    backend = SimpleNamespace(gauge=lambda stat, value, *rest, tags: gauges.append((stat, value)))
    monkeypatch.setattr(stats, "_backend", backend)
    path = signed_world.folder / "model.yaml"
    path.write_text(path.read_text().replace("schedule: {", 'schedule: {audit: {cron: "@weekly", calls: 5000}, ', 1))

    def run(run_id: str) -> tuple[Any, Any]:
        task = Audit(task_id="audit", model=signed_world.model.to_json())
        facts = SimpleNamespace(
            run_type="scheduled", logical_date=NOW, run_after=NOW, start_date=NOW, dag_id="audit_parcels", run_id=run_id
        )
        try:
            return task.execute({"dag_run": facts, "params": {}}), task.news
        except AirflowFailException as error:
            return str(error), task.news

    done, news = run("first")
    assert done["complete"] and done["steps"][1] == done["steps"][2] and news is None
    assert gauges == [("ratchet.audit_findings", 0)]
    shown = page("/models/parcels")
    assert "All checked objects are unchanged." in shown

    golden = signed_world.path(next(iter(signed_world.store.list(f"parcels/golden/{signed_world.champion}"))))
    golden.write_bytes(golden.read_bytes() + b"x")
    said, news = run("second")
    assert said.startswith("2 objects that the ledger of parcels names are changed or missing")
    assert news.event == "alarm" and gauges[-1] == ("ratchet.audit_findings", 2)
    shown = page("/models/parcels")
    assert "2 wrong" in shown and f"golden rows of {signed_world.champion}" in shown
    assert "2 things on record are not what they were" in page("/models")

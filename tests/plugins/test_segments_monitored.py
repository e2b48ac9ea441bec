"""Segments as the monitor task and the Watch page show them."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors
from chain_run import NOW
from fastapi.testclient import TestClient
from turned_segments import DAYS, WITHDRAWING, champions_of, declared, july

from include.registry.ledger import Ledger
from ratchet_operators import Monitor
from ratchet_ui import app as pages
from ratchet_ui.access import Viewer, get_user


class Somebody:
    """Who may read everything and trigger nothing."""

    def may_read(self, model: str) -> bool:
        return True

    def may_trigger(self, dag: str) -> bool:
        return False


@pytest.fixture
def root(scored_segments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "w"
    shutil.copytree(scored_segments, root)
    world = declared(root, WITHDRAWING)
    monkeypatch.setenv("RATCHET_STORE", world.store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(root))
    return root


def test_a_worse_version_of_a_segment_is_told_of_withdrawn_and_shown(root: Path) -> None:
    world, news = declared(root, WITHDRAWING), []
    first, second = champions_of(world, "bee")
    for number in range(1, DAYS + 1):
        task: Any = Monitor(task_id="monitor", model=world.model.to_json())
        run = SimpleNamespace(
            run_type="scheduled", logical_date=july(number).until, run_after=NOW, start_date=NOW, dag_id="monitor_parcels",
            run_id=str(number), triggering_user_name=None, consumed_asset_events=[],
        )  # fmt: skip
        task.execute({"dag_run": run, "params": {}, "outlet_events": OutletEventAccessors()})
        news += task.news or ()
    (probation,) = [one for one in news if one.event == "probation" and "segment bee" in one.sentence]
    assert probation.sentence.startswith(f"{second} of segment bee on probation is worse: roc_auc differs by")
    assert any(one.event == "alarm" and "segment bee: roc_auc is" in one.sentence for one in news)
    ledger = Ledger(world.store, "parcels/segments/bee")
    assert ledger.timeline().champion == first and "Probation" in str(ledger.timeline()[second].withdrawn)
    pages.app.dependency_overrides = {get_user: lambda: None, Viewer: Somebody}
    try:
        page = TestClient(pages.app).get("/models/parcels/watch").text
    finally:
        pages.app.dependency_overrides = {}
    assert "Segments by carrier" in page and "surely no better than" not in page.partition("Segments by carrier")[0]
    assert first.partition("-")[2][:4] in page

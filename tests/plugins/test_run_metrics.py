"""A model's numbers go where Airflow's own metrics go; the dashboard asks for numbers that there are."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from worlds import NOW, PRIMARY_ONLY, World

from include.config.sections.evaluation import Approval
from include.config.settings import ROOT
from include.registry.approval import ApprovalAnswer, ApprovalReply
from include.registry.ledger import Ledger
from include.registry.versions import load_version
from ratchet_operators.run_metrics import report_rows, report_written


class Received:
    """Where Airflow sends its metrics, StatsD or OpenTelemetry elsewhere."""

    def __init__(self) -> None:
        self.numbers: list[tuple[str, str, Any, dict[str, str]]] = []

    def incr(self, stat: str, count: int = 1, rate: float = 1, *, tags: dict[str, str]) -> None:
        self.numbers.append(("count", stat, count, tags))

    def gauge(self, stat: str, value: float, rate: float = 1, delta: bool = False, *, tags: dict[str, str]) -> None:
        self.numbers.append(("gauge", stat, value, tags))


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Received:
    from airflow.sdk._shared.observability.metrics import stats

    backend = Received()
    monkeypatch.setattr(stats, "_backend", backend)
    return backend


def counted(received: Received) -> list[str]:
    return [tags["outcome"] for kind, stat, _, tags in received.numbers if stat == "ratchet.decisions"]


def test_rows_are_sent_where_airflow_sends_its_own(received: Received) -> None:
    report_rows("flights", 1234)
    assert received.numbers == [("gauge", "ratchet.rows", 1234, {"model": "flights"})]


def test_every_decision_is_counted_where_it_is_written_and_once(received: Received) -> None:
    world = World()
    ledger = Ledger(world.store, world.model.name, written=lambda entry: report_written("flights", entry))
    backfill = {"trigger": "backfill"}

    def decide(month: int, quality: float, **reply: Any) -> str:
        version = world.version(month, quality).id
        if version not in ledger.timeline():
            ledger.register(load_version(world.store, world.model.name, version), actor=backfill, at=NOW)
        ledger.decide(world.model, version, measure=world.measure, actor=backfill, at=NOW, **reply)
        return version

    decide(7, 0.64)
    decide(3, 0.70)
    assert counted(received) == ["PROMOTE", "PROMOTE"]
    decide(7, 0.64)  # its incumbent is another one now: decided and counted again
    decide(7, 0.64)  # found as it stands
    assert counted(received) == ["PROMOTE", "PROMOTE", "REJECT"]
    ledger.settle(measure=world.measure, actor=backfill, at=NOW)
    decide(2, 0.60)
    ledger.settle(measure=world.measure, actor=backfill, at=NOW)
    decided = [entry.body["outcome"] for entry in ledger.entries() if entry.kind == "decided"]
    again = [entry.body["again"] for entry in ledger.entries() if entry.kind == "decided"]
    assert counted(received) == decided and any(again)
    gauges = [value for kind, stat, value, _ in received.numbers if stat == "ratchet.score"]
    assert gauges == [0.64, 0.70, 0.64, 0.60], "what is settled says nothing of the newest challenger"


def test_a_void_approval_and_a_second_look_are_counted_too(received: Received) -> None:
    gate = PRIMARY_ONLY.gate.model_copy(update={"approval": Approval(when="always")})
    world = World(model=PRIMARY_ONLY.model_copy(update={"gate": gate}))
    ledger = Ledger(world.store, world.model.name, written=lambda entry: report_written("flights", entry))
    version, by = world.version(5, 0.70), {"trigger": "manual"}
    ledger.register(version, actor=by, at=NOW)
    void = ApprovalReply(
        ApprovalAnswer.APPROVED, "other evidence", None, user="ada", at="2026-01-01T00:00:00Z", note="fine"
    )
    ledger.decide(world.model, version.id, measure=world.measure, actor=by, at=NOW, reply=void)
    later = datetime(2013, 6, 1, tzinfo=UTC)
    ledger.reconsider(world.model, version.id, as_of=later, measure=world.measure, actor=by, at=NOW)
    assert counted(received) == ["HOLD", "HOLD"]


def test_the_dashboard_shows_every_number_of_ours() -> None:
    dashboard = json.loads((ROOT / "observability" / "grafana" / "ratchet.json").read_text())
    asked = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    source = (ROOT / "plugins" / "ratchet_operators" / "run_metrics.py").read_text()
    names = re.findall(r'"(ratchet\.\w+)"', source)
    assert names
    for name in names:
        assert f"airflow_{name.replace('.', '_')}" in asked

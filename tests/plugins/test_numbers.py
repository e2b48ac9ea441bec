"""A model's numbers go where Airflow's own metrics go; the dashboard asks for numbers that there are."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from include.config.settings import ROOT
from include.registry.gate import Judgement
from include.registry.timeline import Outcome
from ratchet_operators.numbers import report_judgement, report_rows


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


def test_rows_and_judgements_are_sent_where_airflow_sends_its_own(received: Received) -> None:
    primary = {"metric": "roc_auc", "challenger": 0.75, "gain": 0.01}
    report_rows("flights", 1234)
    report_judgement("flights", Judgement(Outcome.HOLD, "", (), primary))
    unknown = {**primary, "challenger": None, "gain": None}
    report_judgement("flights", Judgement(Outcome.INCOMPARABLE, "", (), unknown))
    flights, measured = {"model": "flights"}, {"model": "flights", "metric": "roc_auc"}
    assert received.numbers == [
        ("gauge", "ratchet.rows", 1234, flights),
        ("count", "ratchet.decisions", 1, {**flights, "outcome": "HOLD"}),
        ("gauge", "ratchet.score", 0.75, measured),
        ("gauge", "ratchet.gain", 0.01, measured),
        ("count", "ratchet.decisions", 1, {**flights, "outcome": "INCOMPARABLE"}),
    ]


def test_the_dashboard_shows_every_number_of_ours() -> None:
    dashboard = json.loads((ROOT / "observability" / "grafana" / "ratchet.json").read_text())
    asked = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    source = (ROOT / "plugins" / "ratchet_operators" / "numbers.py").read_text()
    for name in re.findall(r'"(ratchet\.\w+)"', source):
        assert f"airflow_{name.replace('.', '_')}" in asked

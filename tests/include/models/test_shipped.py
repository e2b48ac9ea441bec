"""Every model that ships goes through the chain, trips no wire, and is the same bytes again from its record alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from chain_run import NOW, run_chain

from include.config.load import load_model
from include.config.settings import ROOT
from include.leakage.tripwire import QUESTIONS
from include.registry.ledger import Ledger
from include.reproduction.report import Outcome
from include.reproduction.reproduce import reproduce
from include.storage.local import LocalStore

AS_OF = {
    "aircraft_segments": datetime(2013, 7, 1, tzinfo=UTC),
    "diabetes_progression": datetime(2025, 6, 1, tzinfo=UTC),
    "flight_delay": datetime(2013, 7, 1, tzinfo=UTC),
}
SHIPPED = sorted(path.parent.name for path in (ROOT / "include" / "models").glob("*/model.yaml"))


def test_each_of_them_is_among_those_tested() -> None:
    assert sorted(AS_OF) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_promoted_trips_no_wire_and_is_reproduced_bit_by_bit(tmp_path: Path, name: str) -> None:
    folder, store = ROOT / "include" / "models" / name, LocalStore(tmp_path / "store")
    model = load_model(folder / "model.yaml")
    done = run_chain(store, model, folder, AS_OF[name])
    ledger = Ledger(store, name)
    decision = ledger.timeline()[done["select"]].decision
    assert decision is not None and decision.outcome == "PROMOTE"
    wires = ledger.compare(decision).evidence.tripwires or ()
    assert {wire.name for wire in wires} == set(QUESTIONS)
    assert {wire.state for wire in wires} <= {"clear", "not_asked"}
    report = reproduce(store, model, folder, done["select"], at=NOW, connections=None)  # type: ignore[arg-type]
    assert report.outcome is Outcome.IDENTICAL and not report.differences

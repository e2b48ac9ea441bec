"""What the pages say of a ledger, without a browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.dom import minidom

import pytest
from fastapi.testclient import TestClient
from histories import tell

from include.evaluation.evidence import Churn, Measured
from include.evaluation.measure import load_evidence
from include.registry.ledger import Ledger
from include.storage.content import canonical_json, put_content
from include.storage.local import LocalStore
from include.storage.log import Log
from ratchet_ui import app as pages
from ratchet_ui.access import Viewer, get_user

NAME = "flight_delay"


class Ada:
    """Somebody who may do everything."""

    def may_read(self, model: str) -> bool:
        return True

    def may_trigger(self, dag: str) -> bool:
        return True

    def may_see_import_errors(self) -> bool:
        return True


class Place:
    def __init__(self, store: LocalStore) -> None:
        self.store = store
        self.ids = tell(store, versions=3, withdraw=None)
        self.ledger = Ledger(store, NAME)
        self.client = TestClient(pages.app)

    def text(self, path: str) -> str:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def version(self, version: str) -> str:
        return self.text(f"/models/{NAME}/versions/{version}")

    def append(self, kind: str, body: dict[str, Any]) -> None:
        Log(self.store, f"{NAME}/ledger/").append(lambda _: (kind, body), at="2026-01-02T00:00:00Z")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("RATCHET_STORE", (tmp_path / "store").as_uri())
    pages.app.dependency_overrides |= {get_user: lambda: "ada", Viewer: Ada}
    yield Place(LocalStore(tmp_path / "store"))
    pages.app.dependency_overrides.clear()


def test_a_promotion_over_the_gate_stays_visible_wherever_its_version_is_shown(place: Place) -> None:
    held = place.ledger.timeline()[place.ids[1]].decision
    assert held is not None and held.outcome == "HOLD"
    approval = {"answer": "approved", "gate": "HOLD", "user": "grace", "at": "2026-01-02T00:00:00Z", "note": "rush"}
    approval |= {"evidence": held.evidence, "incumbent": held.incumbent}
    promoted = replace(held, outcome="PROMOTE", approval=approval, reason="approved by grace, who wrote: rush")
    place.append("decided", promoted.__dict__)
    text = place.version(place.ids[1])
    assert "over the gate" in text
    assert "Approved by grace, 2 Jan 2026: “rush”. The gate alone said HOLD." in text
    assert "approved by grace, who wrote: rush" in place.text(f"/models/{NAME}/versions/{place.ids[1]}/card")
    assert place.text(f"/models/{NAME}").count("over the gate") >= 2, "in the table and on the timeline"


def test_what_can_be_rolled_back_is_in_line_and_what_was_never_promoted_can_only_be_quarantined(place: Place) -> None:
    def offered(version: str) -> set[str]:
        return {
            label for label in ("Roll back", "Quarantine", "Reproduce") if f">{label}</a>" in place.version(version)
        }

    promoted, held, champion = place.ids
    assert offered(promoted) == offered(champion) == {"Roll back", "Reproduce"}
    assert offered(held) == {"Quarantine", "Reproduce"}
    place.append("withdrawn", {"version": champion, "reason": "late feed", "actor": {"trigger": "manual"}})
    assert offered(champion) == {"Reproduce"}


def test_the_overview_names_each_models_alarms(place: Place) -> None:
    text = place.text("/models")
    assert f'data-alarms="{NAME}"><span class="badge stale">stale</span>' in text


def test_two_versions_side_by_side_tell_how_many_predictions_change(place: Place) -> None:
    first, second, _ = place.ids
    decision = place.ledger.timeline()[second].decision
    assert decision is not None
    churn = (
        Churn(("origin", "JFK"), 400, Measured(0.0456, 0.04, 0.05)),
        Churn(None, 10_000, Measured(0.0123, 0.01, 0.015)),
    )
    found = replace(load_evidence(place.store, NAME, decision.evidence), churn=churn)
    key = put_content(place.store, f"{NAME}/evidence", ".json", canonical_json(found.to_json()))
    place.append("decided", replace(decision, evidence=key).to_json())
    text = place.text(f"/models/{NAME}/compare?version={first}&version={second}")
    assert text.index("0.0123") < text.index("origin: JFK") < text.index("0.0456")
    assert "what share of the rows get another label" in text


@pytest.mark.parametrize("picture", ["gains", "curves"])
def test_the_pictures_of_an_approval_are_drawn_from_its_evidence(place: Place, picture: str) -> None:
    decision = place.ledger.timeline()[place.ids[1]].decision
    assert decision is not None
    answer = place.client.get(f"/{NAME}/evidence/{decision.evidence}/{picture}.svg")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    drawn = minidom.parseString(answer.text)
    assert drawn.documentElement.tagName == "svg"
    assert ("ROC AUC" if picture == "gains" else "Challenger") in answer.text
    assert place.client.get(f"/{NAME}/evidence/{'0' * 64}/{picture}.svg").status_code == 404

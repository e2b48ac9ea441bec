"""What the pages say of a ledger, without a browser."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.dom import minidom

import pytest
from fastapi.testclient import TestClient
from histories import tell
from worlds import MODELS

from include.command_line import ledger_queries
from include.data.ingestion.catalogue import Catalogue
from include.data.ingestion.readings import Observation
from include.evaluation.evidence import load_evidence
from include.evaluation.gains import Measured, PredictionChurn, SliceScores
from include.registry.history.trained_on import snapshot_of
from include.registry.ledger import Ledger
from include.registry.versions import Version, id_of, load_version
from include.storage.content import canonical_json, put_content, put_json, to_iso
from include.storage.local import LocalStore
from include.storage.log import Log
from include.training.fit_record import CrossValidated, FitRecord, load_fit
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

    def register(self, like: Version, fit: FitRecord) -> Version:
        """Register another version at the same instant, of another fit."""
        put_json(self.store, f"{NAME}/fits/{fit.key}.json", fit.to_json())
        made = replace(like, id=id_of(NAME, like.as_of, fit.key), fit=fit.key)
        put_json(self.store, f"{NAME}/versions/{made.id}.json", made.to_json())
        facts = {"as_of": to_iso(made.as_of), "model_file": made.model_file, "record": made.digest}
        self.append("registered", {"version": made.id, **facts, "actor": {"trigger": "manual"}})
        return made

    def append(self, kind: str, body: dict[str, Any]) -> None:
        Log(self.store, f"{NAME}/ledger/").append(lambda _: (kind, body), at="2026-01-02T00:00:00Z")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("RATCHET_STORE", (tmp_path / "store").as_uri())
    pages.app.dependency_overrides |= {get_user: lambda: "ada", Viewer: Ada}
    yield Place(LocalStore(tmp_path / "store"))
    pages.app.dependency_overrides.clear()


def test_a_champion_that_learned_from_rows_taken_back_since_is_named_wherever_it_is_shown(place: Place) -> None:
    champion = str(place.ledger.timeline().champion)
    snapshot = snapshot_of(place.ledger, champion)
    pinned = snapshot.partitions[0] if snapshot.partitions else None
    assert pinned is not None
    page = f"/models/{NAME}/versions/{champion}"
    shown = [page, f"{page}/card", f"/models/{NAME}", "/models"]
    assert not any("taken back" in place.text(path) for path in shown)
    catalogue = Catalogue(place.store, NAME, snapshot.source)
    reading = Observation(pinned.slot, pinned.content, pinned.file, pinned.rows, 1, "2026-01-01T00:00:00Z")
    ada, at = {"user": "ada"}, datetime(2026, 1, 2, tzinfo=UTC)
    catalogue.retract(reading, replace(reading, content="0" * 64, rows=0), "a broken sensor", ada, at)
    for path in shown:
        said = f"partition {pinned.slot}, taken back on 2 January 2026 by ada: a broken sensor"
        assert said in place.text(path), path
    catalogue.restore(reading, "it was right", ada, at)
    assert not any("taken back" in place.text(path) for path in shown)


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


def test_a_version_that_could_not_be_measured_says_why_and_has_no_card(place: Place) -> None:
    held = place.ledger.timeline()[place.ids[1]].decision
    assert held is not None
    place.append(
        "decided", replace(held, outcome="INCOMPARABLE", evidence=None, reason="its rows are damaged").__dict__
    )
    text = place.version(place.ids[1])
    assert "Nothing could be measured" in text and "its rows are damaged" in text and "Model card</a>" not in text
    assert place.client.get(f"/models/{NAME}/versions/{place.ids[1]}/card").status_code == 404
    assert place.ids[1] in place.text(f"/models/{NAME}/compare?version={place.ids[0]}&version={place.ids[1]}")


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


def test_a_promoted_version_can_be_sent_to_stages_and_their_questions_are_looked_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Promote to" not in place.version(place.ids[2]) and "promote_to" not in place.text("/models")
    monkeypatch.setenv("RATCHET_STAGES", "staging=s3://bucket/staging production=s3://other/production")
    monkeypatch.setenv("RATCHET_STAGE_MODELS", "production=/opt/production/models")
    promoted, held, champion = (place.version(one) for one in place.ids)
    assert ">Promote to staging</a>" in champion and ">Promote to production</a>" in promoted
    assert "Promote to" not in held and f'data-trigger="promote_to_production_{NAME}"' in champion
    asked = place.text("/models")
    assert f"promote_to_production_{NAME}" in asked and "promote_to_staging" not in asked, "there its own Airflow asks"


def test_the_overview_names_each_models_alarms(place: Place) -> None:
    text = place.text("/models")
    assert f'data-alarms="{NAME}"><span class="badge stale">stale</span>' in text


def test_two_versions_side_by_side_tell_how_many_predictions_change(place: Place) -> None:
    first, second, _ = place.ids
    decision = place.ledger.timeline()[second].decision
    assert decision is not None
    churn = (
        PredictionChurn(("origin", "JFK"), 400, Measured(0.0456, 0.04, 0.05)),
        PredictionChurn(None, 10_000, Measured(0.0123, 0.01, 0.015)),
    )
    found = replace(load_evidence(place.store, NAME, decision.evidence), churn=churn)
    key = put_content(place.store, f"{NAME}/evidence", ".json", canonical_json(found.to_json()))
    place.append("decided", replace(decision, evidence=key).to_json())
    text = place.text(f"/models/{NAME}/compare?version={first}&version={second}")
    assert text.index("0.0123") < text.index("origin: JFK") < text.index("0.0456")
    assert "what share of the rows get another label" in text


def test_two_versions_judged_on_the_same_rows_are_not_said_to_have_others_and_their_titles_differ(place: Place) -> None:
    """As of one table: another recipe, at the same instant, that the first one was never the incumbent of."""
    store, (first, second, _) = place.store, place.ids
    apart = place.text(f"/models/{NAME}/compare?version={first}&version={place.ids[2]}")
    assert "they were judged on other rows" not in apart and "Comparison on identical rows" in apart
    known = load_version(store, NAME, second)
    twin = place.register(known, replace(load_fit(store, NAME, known.fit), key="1" * 64))
    decision = place.ledger.timeline()[second].decision
    assert decision is not None
    place.append("decided", replace(decision, version=twin.id).to_json())
    text = place.text(f"/models/{NAME}/compare?version={second}&version={twin.id}")
    assert "Both were judged on the same 10,000 rows" in text and "other rows" not in text
    (title,) = re.findall("<h1>(.*?)</h1>", text)
    assert title == f"31 May 2013 ({second[17:]}) and 31 May 2013 ({twin.id[17:]})"
    assert "Nothing differs" in text


def test_the_beginning_of_an_id_is_an_address(place: Place) -> None:
    first, second, _ = place.ids
    assert first in place.version(first[17:23]) and first in place.version(first[:8])
    assert place.client.get(f"/models/{NAME}/versions/2013").status_code == 404, "it could mean three"
    text = place.text(f"/models/{NAME}/compare?version={second[17:24]}&version={first[17:24]}")
    assert text.index(first) < text.index(second)
    same = f"/models/{NAME}/compare?version={first}&version={first[17:24]}"
    assert "1 are chosen" in place.client.get(same).text


def test_the_overview_tells_owners_and_can_be_filtered_by_words(place: Place) -> None:
    def shown(query: str) -> set[str]:
        return set(re.findall(r'class="name" href="/ratchet/models/([a-z_]+)"', place.text(f"/models?q={query}")))

    assert shown("") == {"aircraft_segments", "diabetes_progression", "flight_delay"}
    assert shown("operations%20delay") == shown("DELAY") == {NAME}
    assert shown("clustering") == {"aircraft_segments"}
    text = place.text("/models?q=%3Cb%3E")
    assert shown("%3Cb%3E") == set() and "<b>" not in text and "0 of 3 hold" in text
    assert 'owned by <a href="/ratchet/models?q=operations">operations</a>' in place.text("/models")


def test_a_model_that_is_declared_no_more_leaves_the_overview_and_its_history_stays(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none").mkdir()
    monkeypatch.setenv("RATCHET_MODELS", str(tmp_path / "none"))
    assert NAME not in place.text("/models")
    text = place.text(f"/models/{NAME}")
    assert "No model.yaml declares it any more; its history stays." in text
    assert all(version in text for version in place.ids)
    assert all(version in ledger_queries.history(NAME, None) for version in place.ids)


def test_a_models_page_tells_estimators_which_version_is_next_and_how_the_champion_does_on_later_rows(
    place: Place,
) -> None:
    tell_more(place)
    text = place.text(f"/models/{NAME}")
    assert text.count("· hist_gradient_boosting") == len(place.ids)
    champion, after = place.ids[2], place.ids[3]
    (next_one,) = re.findall('After a rollback</dt><dd><a href="[^"]*/versions/([^"]+)"', text)
    assert next_one == place.ids[0]
    since = text[text.index('id="since"') :]
    assert f"/versions/{after}" in since[: since.index("</table>")] and "as before" in since
    assert text.count('class="mark since"') == 1
    assert f"The champion on the holdout of {after}" in text
    assert "would be in force" in place.version(champion) and place.ids[0] in place.version(champion)


def test_the_trend_is_drawn_by_any_metric_that_was_measured(place: Place) -> None:
    decision = place.ledger.timeline()[place.ids[2]].decision
    assert decision is not None
    found = load_evidence(place.store, NAME, decision.evidence)
    scores = {role: one | {"log_loss": Measured(0.5, 0.4, 0.6)} for role, one in found.scores.items()}
    found = replace(found, metrics=("roc_auc", "log_loss"), scores=scores)
    key = put_content(place.store, f"{NAME}/evidence", ".json", canonical_json(found.to_json()))
    place.append("decided", replace(decision, evidence=key).to_json())
    picked = place.text(f"/models/{NAME}?metric=log_loss")
    assert 'Log loss over time <small class="beside">lower is better' in picked
    assert picked[picked.index('id="trend"') :].count('class="mark promoted') == 1, "the only one measured by it"
    for other in ("roc_auc", "nonsense"):
        assert "ROC AUC over time" in place.text(f"/models/{NAME}?metric={other}")


def test_a_versions_page_tells_parameters_slices_and_the_candidates_that_lost(place: Place) -> None:
    store, (version, *_) = place.store, place.ids
    record = load_fit(store, NAME, load_version(store, NAME, version).fit)
    best = replace(record, key="1" * 64, cv=CrossValidated("roc_auc", 0.8123, 0.01, (0.8, 0.82)))
    lost = replace(best, key="2" * 64, candidate="plain", cv=CrossValidated("roc_auc", 0.7001, 0.01, (0.7, 0.7)))
    for fit in (best, lost):
        put_json(store, f"{NAME}/fits/{fit.key}.json", fit.to_json())
    value = replace(load_version(store, NAME, version), candidates={"plain": lost.key, "best": best.key})
    chosen = place.register(value, best)
    decision = place.ledger.timeline()[version].decision
    assert decision is not None
    level = SliceScores("origin", "JFK", 321, 60, {"challenger": {"roc_auc": Measured(0.7654, 0.7, 0.8)}})
    found = replace(load_evidence(store, NAME, decision.evidence), slice_scores=(level,))
    key = put_content(store, f"{NAME}/evidence", ".json", canonical_json(found.to_json()))
    place.append("decided", replace(decision, version=chosen.id, evidence=key).to_json())
    text = place.version(chosen.id)
    assert re.search("max_iter</dt><dd><code>200<", text)
    assert "ROC AUC by origin" in text and "0.7654" in text and "321 rows" in text
    assert text.index("0.8123") < text.index("0.7001"), "the best first"


def tell_more(place: Place) -> None:
    """Two more versions than `tell` told: after the champion, one that was rejected against it."""
    other = LocalStore(place.store.root.parent / "more")
    place.ids = tell(other, versions=4)
    place.store, place.ledger = other, Ledger(other, NAME)
    os.environ["RATCHET_STORE"] = other.url


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


def test_aliases_stand_beside_their_versions_with_every_move_and_tags_on_the_version(place: Place) -> None:
    first, held, champion = place.ids
    actor = {"trigger": "manual", "user": "grace"}
    given = {"alias": "canary", "given": True, "actor": actor}
    place.append("aliased", {"version": held, "reason": "try <b>it</b>", **given})
    place.append("aliased", {"version": champion, "reason": "went well", **given})
    place.append("tagged", {"version": first, "key": "risk", "value": "a<b", "reason": "read", "actor": actor})
    text = place.text(f"/models/{NAME}")
    assert "try &lt;b&gt;it&lt;/b&gt;" in text and text.index("went well") < text.index("try &lt;b&gt;")
    assert re.search(r"· champion · canary", text) and text.count("· canary") == 1
    assert "risk=a&lt;b" in place.version(first)
    assert '<span class="badge">canary</span>' in place.version(champion)
    assert '<span class="badge">canary</span>' not in place.version(held)
    assert place.version("canary") == place.version(champion)


@pytest.fixture
def renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Call the model ``delays`` from now on."""
    path = shutil.copytree(MODELS / NAME, tmp_path / "models" / "delays") / "model.yaml"
    path.write_text(path.read_text().replace(f"name: {NAME}\n", f"name: delays\nrenamed_from: {NAME}\n", 1))
    monkeypatch.setenv("RATCHET_MODELS", str(tmp_path / "models"))


def test_a_renamed_model_shows_its_history_under_its_name_and_by_links_of_its_former_one(
    place: Place, renamed: None
) -> None:
    overview = place.text("/models?q=flight_delay")
    assert "/models/delays/versions/" in overview and "retrain_delays" in overview
    text = place.text("/models/delays")
    assert f"Renamed from {NAME}." in text and "No model.yaml declares it" not in text
    assert all(f"/models/delays/versions/{version}" in text for version in place.ids)
    for route in ("", f"/versions/{place.ids[0]}", f"/compare?version={place.ids[0]}&version={place.ids[1]}"):
        assert place.text(f"/models/{NAME}{route}") == place.text(f"/models/delays{route}")
    measured = next(place.store.list(f"{NAME}/evidence/")).rpartition("/")[2].removesuffix(".json")
    card = put_content(place.store, f"{NAME}/cards", ".html", b"<p>card</p>")
    for name in (NAME, "delays"):
        assert place.text(f"/{name}/evidence/{measured}/gains.svg") and place.text(f"/{name}/cards/{card}")


def test_a_former_name_opens_nothing_to_who_may_not_read_the_model(
    place: Place, renamed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ada, "may_read", lambda self, model: model == NAME)
    for route in ("/models/delays", f"/models/{NAME}", f"/models/{NAME}/versions/{place.ids[0]}"):
        assert place.client.get(route).status_code == 404

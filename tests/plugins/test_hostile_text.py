"""Text that comes from rows, people and declarations stays text: on every page and picture, and in the form of an approval."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from xml.dom import minidom

import pytest
from fastapi.testclient import TestClient
from histories import tell
from markdown_it import MarkdownIt

from include.config.load import load_model
from include.config.settings import ROOT
from include.evaluation.evidence import UnlabelledRows, load_evidence
from include.evaluation.explanation.results import BehaviourResult, Dependence, Importance
from include.evaluation.gains import Measured, PredictionChurn, SliceScores
from include.leakage.tripwire import Tripwire
from include.registry.history.approval_form import approval_form
from include.registry.ledger import Ledger
from include.registry.version_states import Outcome
from include.registry.versions import load_version
from include.storage.content import canonical_json, put_content
from include.storage.local import LocalStore
from include.storage.log import Log
from ratchet_ui import app as pages
from ratchet_ui.access import Viewer, get_user
from tests.plugins.test_drawn_pages import Ada

NAME = "flight_delay"
PAYLOADS = {
    "script": "<script>planted()</script>",
    "image": '"><img src=x onerror=planted()>',
    "single quote": "' onmouseover='planted()",
    "double quote": '" autofocus onfocus="planted()',
    "svg": "<svg/onload=planted()>",
    "end of a style": "</style><script>planted()</script>",
    "end of a title": "</title></text></svg><script>planted()</script>",
    "frame": "<iframe srcdoc='<script>planted()</script>'></iframe>",
    "address": "javascript:planted()",
    "link of markdown": "[planted](javascript:planted())",
    "image of markdown": "![planted](https://evil.example/planted.png)",
    "link by itself": "https://evil.example/planted www.evil.example/planted planted@evil.example <https://evil.example>",
    "template": "{{ planted() }}{% raw %}{#planted#}",
    "entity": "&lt;script&gt;planted()&lt;/script&gt;&#60;b&#62;",
    "comment": "<!-- planted --><![CDATA[ planted ]]><!ENTITY planted>",
    "table": "planted | cell |\n|---|\n| <b>planted</b> | `code` ~~~ # ***",
}


class Elements(HTMLParser):
    """The elements and the text of a page, as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def require_harmless(page: str) -> Elements:
    found = Elements(page)
    for tag, attributes in found.elements:
        assert tag not in ("script", "iframe", "object", "embed", "base", "template", "b"), tag
        for name, value in attributes.items():
            assert not name.startswith("on") and name not in ("srcdoc", "autofocus", "style"), (tag, name)
            if name in ("href", "src", "action", "formaction", "xlink:href"):
                address = urlsplit((value or "").strip())
                assert address.scheme in ("", "data") and not address.netloc, (tag, name, value)
    return found


def words(text: str) -> str:
    return " ".join(text.split())


class Hostile:
    """A history in which every text that somebody else chose is hostile."""

    def __init__(self, root: Path, payload: str) -> None:
        self.store, self.models, self.payload = LocalStore(root / "store"), root / "models", payload
        folder = self.models / NAME
        folder.mkdir(parents=True)
        for file in ("model.yaml", "features.py", "source.py"):
            (folder / file).write_bytes((ROOT / "include" / "models" / NAME / file).read_bytes())
        self.model = load_model(folder / "model.yaml").model_copy(update={"owner": payload, "description": payload})
        self.ids = tell(self.store, self.model, versions=3)
        self.log = Log(self.store, f"{NAME}/ledger/")
        self.measure(self.ids[1])
        actor = {"trigger": "manual", "user": payload, "reason": payload, "dag": payload, "run": payload}
        more = {"reason": payload, "actor": actor}
        self.append("aliased", {"version": self.ids[1], "alias": "canary", "given": True, **more})
        self.append("tagged", {"version": self.ids[1], "key": "risk", "value": payload, **more})
        self.append("withdrawn", {"version": self.ids[2], **more})

    def append(self, kind: str, body: dict[str, Any]) -> None:
        self.log.append(lambda _: (kind, body), at="2026-01-02T00:00:00Z")

    def measure(self, version: str) -> None:
        text, store = self.payload, self.store
        decision = Ledger(store, NAME).timeline()[version].decision
        assert decision is not None
        found = load_evidence(store, NAME, decision.evidence)
        scores = {key: {"roc_auc": Measured(0.7, 0.6, 0.8)} for key in found.scores}
        like = found.gains[-1]
        found = replace(
            found,
            incomparable_because=None,
            notes=(text,),
            classes=("plain", text),
            slice_scores=(SliceScores("origin", text, 300, 60, scores), SliceScores(text, text, 300, 60, scores)),
            gains=(*found.gains, replace(like, slice=("origin", text), metric="roc_auc", against="incumbent")),
            importance=(Importance(text, 0.1, 0.01),),
            dependence=(Dependence(text, ((0.1,), (0.2,)), levels=(text, "plain")),),
            behaviours=(BehaviourResult(text, "case", "broken", 10, 3, text),),
            tripwires=(Tripwire("single_column", "tripped", text, text),),
            churn=(PredictionChurn(("origin", text), 400, Measured(0.04, 0.03, 0.05)),),
            unlabelled=(UnlabelledRows(None, 100, 5), UnlabelledRows(("origin", text), 50, 5)),
        )
        key = put_content(store, f"{NAME}/evidence", ".json", canonical_json(found.to_json()))
        approval = {"answer": "approved", "gate": "HOLD", "user": text, "at": "2026-01-02T00:00:00Z", "note": text}
        approval |= {"evidence": key, "incumbent": decision.incumbent}
        facts = {"outcome": Outcome.PROMOTE, "reason": text, "evidence": key, "approval": approval}
        self.append("decided", replace(decision, **facts).to_json())
        self.evidence: Any = found
        self.key = key


@pytest.fixture(params=PAYLOADS, ids=[name.replace(" ", "_") for name in PAYLOADS])
def hostile(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hostile]:
    world = Hostile(tmp_path, PAYLOADS[request.param])
    monkeypatch.setenv("RATCHET_STORE", world.store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(tmp_path / "models"))
    pages.app.dependency_overrides |= {get_user: lambda: "ada", Viewer: Ada}
    yield world
    pages.app.dependency_overrides.clear()


def test_no_page_and_no_picture_holds_hostile_text_as_anything_but_text(hostile: Hostile) -> None:
    client, one, other = TestClient(pages.app), hostile.ids[0], hostile.ids[1]
    page = f"/models/{NAME}"
    shown = {
        f"/models?q={NAME}": False,
        page: True,
        f"{page}/versions/{other}": True,
        f"{page}/versions/{hostile.ids[2]}": True,
        f"{page}/versions/{other}/card": True,
        f"{page}/compare?version={one}&version={other}": True,
    }
    for path, planted in shown.items():
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        found = require_harmless(answer.text)
        if planted:  # or the test would hold of a page that does not show it
            assert words(hostile.payload) in words(found.text), path
    for picture in ("gains", "curves"):
        drawn = client.get(f"/{NAME}/evidence/{hostile.key}/{picture}.svg").text
        minidom.parseString(drawn)
        require_harmless(drawn)
    asked = client.get("/models", params={"q": hostile.payload[:100]})
    assert asked.status_code == 200
    require_harmless(asked.text)


def test_in_the_form_of_an_approval_it_is_no_link_no_picture_and_no_markup(hostile: Hostile) -> None:
    ledger = Ledger(hostile.store, NAME)
    decision = ledger.timeline()[hostile.ids[1]].decision
    assert decision is not None
    assert load_version(hostile.store, NAME, hostile.ids[1])
    comparison = ledger.comparison(hostile.ids[1], decision.incumbent, hostile.key)
    judgement = replace(comparison.judge(hostile.model.gate), reason=hostile.payload)
    form = approval_form(hostile.model, comparison, judgement, at="/ratchet", card=f"{NAME}/cards/{'0' * 64}")
    # As GitHub's Markdown, with markup let through and addresses made links: laxer than Airflow's form.
    html = MarkdownIt("gfm-like", {"html": True, "linkify": True}).render(form.body)
    found = require_harmless(html)
    for tag, attributes in found.elements:
        assert tag not in ("svg", "style", "title", "del", "h1"), tag
        for name in ("href", "src"):
            assert attributes.get(name) is None or str(attributes[name]).startswith("/ratchet/"), (tag, attributes)
    assert words(found.text).count(words(hostile.payload)) >= 2, "in the reason, and as a level"
    assert re.search("Where it gains least", found.text)


def test_a_name_that_could_act_is_no_name_of_a_model(tmp_path: Path) -> None:
    for payload in PAYLOADS.values():
        assert TestClient(pages.app).get(f"/models/{quote(payload, safe='')}").status_code in (401, 404, 422)
        text = (ROOT / "include" / "models" / NAME / "model.yaml").read_text()
        (tmp_path / "model.yaml").write_text(text.replace(f"name: {NAME}", f"name: {payload!r}"))
        with pytest.raises(Exception, match="name"):
            load_model(tmp_path / "model.yaml")

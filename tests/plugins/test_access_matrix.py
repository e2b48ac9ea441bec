"""Who gets what of the pages: every route of the app, asked by each identity that Airflow's own auth manager tells apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow_site import ROUTES, page_addresses
from histories import tell
from watched import Watched

from include.config.load import load_model
from include.config.settings import ROOT
from include.storage.local import LocalStore

IDENTITIES = ("none", "viewer", "user", "op", "admin", "other team", "expired")
PERSON = dict.fromkeys(IDENTITIES, 200) | {"none": 401, "expired": 401}
"""Whoever is logged in."""
READER = PERSON | {"other team": 404}
"""Whoever may read the model's DAG; nobody else learns whether the page exists."""
RULES = {
    "/models": PERSON,
    "/static/{digest}/{name}": PERSON,
    "/models/{model}": READER,
    "/models/{model}/compare": READER,
    "/models/{model}/versions/{version}": READER,
    "/models/{model}/versions/{version}/card": READER,
    "/models/{model}/versions/{version}/distributions": READER,
    "/models/{model}/watch": READER,
    "/models/{model}/watch/{alarm}": READER,
    "/{model}/evidence/{digest}/{picture}.svg": READER,
    "/{model}/{folder}/{digest}": READER,
}
METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")

ASK = """
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.team import Team
from airflow.utils.session import create_session
from starlette.testclient import TestClient
from ratchet_ui.app import app

addresses, methods = json.loads(sys.argv[1])
with create_session() as session:
    ours, other, bundle = Team(name="ours"), Team(name="other"), DagBundleModel(name="ours")
    bundle.teams = [ours]
    session.add_all([ours, other, bundle])
    session.flush()
    for family in ("retrain", "score", "rollback", "reproduce", "monitor"):
        for model in ("flight_delay", "parcels"):
            session.add(DagModel(dag_id=f"{family}_{model}", bundle_name="ours", is_stale=False))
manager = create_auth_manager()
manager.init()

def token(role, team="ours", seconds=600):
    return manager.generate_jwt(SimpleAuthManagerUser(username=role, role=role, teams=[team]), expiration_time_in_seconds=seconds)

tokens = {role: token(role) for role in ("viewer", "user", "op", "admin")}
tokens |= {"none": None, "other team": token("op", "other"), "expired": token("admin", seconds=-600)}
client = TestClient(app)

def ask(identity, path, method="GET"):
    client.cookies.clear()
    if tokens[identity]:
        client.cookies.set("_token", tokens[identity])
    found = client.request(method, path)
    return {"status": found.status_code, "policy": found.headers.get("content-security-policy"), "text": found.text}

answer({
    route: {identity: {method: ask(identity, path, method) for method in ["GET", *methods]} for identity in tokens}
    for route, path in addresses.items()
})
"""


@pytest.fixture(scope="module")
def answers(april: Path, tmp_path_factory: pytest.TempPathFactory, in_airflow: Callable[..., Any]) -> Any:
    """What each identity was answered, by route, identity and method."""
    root = tmp_path_factory.mktemp("matrix") / "w"
    shutil.copytree(april, root)
    shutil.copytree(ROOT / "include" / "models" / "flight_delay", root / "flight_delay")
    store = LocalStore(root / "store")
    versions = tell(store, load_model(root / "flight_delay" / "model.yaml"), versions=3)
    watched = Watched(root / "parcels", store, load_model(root / "parcels" / "model.yaml"))
    for number in range(1, 15):
        watched.monitor(number)
    addresses = page_addresses(store, [versions[0], versions[2]], watched.model)
    return in_airflow(
        ASK,
        json.dumps([addresses, METHODS]),
        RATCHET_STORE=store.url,
        RATCHET_MODELS=str(root),
        apart=True,
        AIRFLOW__CORE__MULTI_TEAM="True",
        AIRFLOW__API_AUTH__JWT_SECRET="a secret of this test, long enough for its algorithm" * 2,
    )


def test_every_route_has_a_rule() -> None:
    assert set(ROUTES) == set(RULES), "a new route needs a rule of who may read it"


@pytest.mark.parametrize("route", ROUTES)
def test_each_identity_gets_what_the_rule_says(answers: Any, route: str) -> None:
    assert {who: answers[route][who]["GET"]["status"] for who in IDENTITIES} == RULES[route]


@pytest.mark.parametrize("route", ROUTES)
def test_nobody_changes_anything_by_any_other_method(answers: Any, route: str) -> None:
    found = {answers[route][who][method]["status"] for who in IDENTITIES for method in METHODS}
    assert found <= {401, 405}


@pytest.mark.parametrize("route", ROUTES)
def test_every_answer_even_a_refusal_has_a_strict_content_security_policy(answers: Any, route: str) -> None:
    for who in IDENTITIES:
        for method, answer in answers[route][who].items():
            policy = dict(part.strip().split(" ", 1) for part in answer["policy"].split(";"))
            assert policy["default-src"] == "'none'" and "script-src" not in policy, (who, method)
            assert policy["base-uri"] == "'none'" and policy["frame-ancestors"] == policy["form-action"] == "'self'"
            page_of_a_task = route.startswith("/{model}/") or route.endswith("/card")
            inline = "'unsafe-inline'" if page_of_a_task and answer["status"] == 200 else "'self'"
            assert policy["style-src"] == inline, (who, method)


def test_another_teams_people_do_not_learn_of_the_models(answers: Any) -> None:
    text = answers["/models"]["other team"]["GET"]["text"]
    assert "flight_delay" not in text and "parcels" not in text
    assert "flight_delay" in answers["/models"]["viewer"]["GET"]["text"]


def test_buttons_are_drawn_for_those_who_may_trigger(answers: Any) -> None:
    page = {who: answers["/models/{model}"][who]["GET"]["text"] for who in IDENTITIES}
    assert {who for who, text in page.items() if ">Retrain</a>" in text} == {"user", "op", "admin"}

"""A hundred models of three teams: each team sees its own and no other, on pages whose calls of the store do not grow with history."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient
from worlds import NOW, World

from include.config.load import load_model
from include.config.settings import ROOT
from include.registry.ledger import Ledger
from include.storage.local import LocalStore
from ratchet_operators.dag_arguments import dag_arguments
from ratchet_ui import access
from ratchet_ui import app as pages
from ratchet_ui.cache import page_cache
from tests.counting import CountingStore

TEAMS = {"growth": 40, "risk": 33, "supply": 27}
ACTOR = {"trigger": "scheduled", "dag": "retrain", "run": "r"}
SHIPPED = (ROOT / "include" / "models" / "flight_delay" / "model.yaml").read_text()


class RolesOfDags:
    """An auth manager that asks each DAG's own access control, as Airflow's with roles does; users are called like their roles."""

    def __init__(self, models: Path) -> None:
        declared = [load_model(path) for path in sorted(models.glob("*/model.yaml"))]
        self.access = {f"retrain_{one.name}": dag_arguments(one)["access_control"] or {} for one in declared}

    def get_authorized_dag_ids(self, *, user: str, method: str) -> set[str]:
        assert method == "GET"
        wanted = {"can_read", "can_edit"}
        return {
            dag
            for dag, roles in self.access.items()
            if user == "admin" or wanted & {name for one in (roles.get(user) or ()) for name in (str(one),)}
        }

    def is_authorized_dag(self, **_: Any) -> bool:
        return False

    def is_authorized_view(self, **_: Any) -> bool:
        return False


def decide(store: Any, model: Path, months: range, champion: float = 0.6) -> None:
    """Register and decide on a version a month, as the chain's tasks do: by the ledger's own operations."""
    config = load_model(model / "model.yaml")
    world, ledger = World(store, config), Ledger(store, config.name)
    for number in months:
        version = world.version(number, champion + number / 100)
        for one in ledger.timeline().standings:
            world.quality.setdefault(one.version, champion + one.as_of.month / 100)
        ledger.register(version, actor=ACTOR, at=NOW)
        ledger.decide(config, version.id, measure=world.measure, actor=ACTOR, at=NOW + timedelta(minutes=number))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many")
    store = LocalStore(root / "store")
    for team, count in TEAMS.items():
        for number in range(count):
            name = f"{team}_{number:02}"
            folder = root / "models" / name
            folder.mkdir(parents=True)
            text = SHIPPED.replace("name: flight_delay", f"name: {name}").replace("owner: operations", f"owner: {team}")
            text = text.replace("schedule: {", 'schedule: {audit: "@weekly", ' if team == "supply" else "schedule: {")
            text = re.sub(r"(?ms)^gate:.*?(?=^\S|\Z)", "gate:\n  primary: {metric: roc_auc}\n", text)
            (folder / "model.yaml").write_text(f"{text}\nairflow: {{access: {{{team}: [can_read]}}}}\n")
            decide(store, folder, range(1, 3))
    return root


class Site:
    def __init__(self, place: Path, store: CountingStore) -> None:
        self.place, self.store, self.client = place, store, TestClient(pages.app)

    def ask(self, user: str, path: str = "/models") -> tuple[int, str]:
        pages.app.dependency_overrides[get_user] = lambda: user
        answer = self.client.get(path)
        return answer.status_code, answer.text

    def shown(self, user: str, path: str = "/models") -> list[str]:
        status, text = self.ask(user, path)
        assert status == 200, text
        return shown_in(text)

    def calls(self, user: str, path: str = "/models") -> list[str]:
        before = len(self.store.calls)
        assert self.ask(user, path)[0] == 200
        return self.store.calls[before:]

    def anew(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Begin with an empty cache, as a page server that was just started."""
        page_cache.page_cache.cache_clear()
        monkeypatch.setattr(page_cache, "open_store", lambda *_, **__: self.store)


@pytest.fixture
def site(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    store = CountingStore(LocalStore(place / "store"))
    monkeypatch.setenv("RATCHET_STORE", store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(place / "models"))
    manager = RolesOfDags(place / "models")
    monkeypatch.setattr(access, "get_auth_manager", lambda: manager)
    monkeypatch.setattr(access.DagModel, "get_team_name", lambda _: None)  # asks Airflow's database
    made = Site(place, store)
    made.anew(monkeypatch)
    yield made
    pages.app.dependency_overrides.clear()
    page_cache.page_cache.cache_clear()


def shown_in(text: str) -> list[str]:
    """Return the models that the overview lists."""
    return re.findall(r'class="name" href="/ratchet/models/([a-z_0-9]+)"', text)


def names(team: str) -> list[str]:
    return [f"{team}_{number:02}" for number in range(TEAMS[team])]


@pytest.mark.parametrize("team", TEAMS)
def test_each_team_sees_its_own_models_and_hears_of_no_other(site: Site, team: str) -> None:
    others = [name for other in TEAMS if other != team for name in names(other)]
    status, text = site.ask(team)
    assert status == 200 and site.shown(team) == names(team)
    assert f"{TEAMS[team]} models that you may read" in text
    assert not [name for name in others if name in text]
    assert not [call for call in site.store.calls if call.split()[1].split("/")[0] in others], "nor is any looked up"
    assert site.shown(team, f"/models?q={others[0]}") == []
    for path in ("", "/watch", "/compare?version=2013&version=2014"):
        assert site.ask(team, f"/models/{others[0]}{path}")[0] == 404
    assert site.ask(team, f"/models/{names(team)[0]}")[0] == 200


IN_AIRFLOWS_WEB_APP = """
from airflow.api_fastapi.app import create_app
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.team import Team
from airflow.utils.session import create_session
from starlette.testclient import TestClient

teams, paths = json.loads(sys.argv[1])
with create_session() as session:
    for name, models in teams.items():
        team, bundle = Team(name=name), DagBundleModel(name=name)
        bundle.teams = [team]
        session.add_all([team, bundle])
        session.flush()
        session.add_all([DagModel(dag_id=f"retrain_{model}", bundle_name=name, is_stale=False) for model in models])
app = create_app()  # the web server's own, with the plugins that it mounts
client = TestClient(app)

def ask(path, token):
    client.cookies.clear()
    if token:
        client.cookies.set("_token", token)
    found = client.get("/ratchet" + path)
    return [found.status_code, found.text]

def token(role, of):
    return app.state.auth_manager.generate_jwt(SimpleAuthManagerUser(username=f"{role} of {of}", role=role, teams=of))

tokens = {team: token("viewer", [team]) for team in teams} | {"admin": token("admin", list(teams)), "nobody": None}
answer({who: {path: ask(path, one) for path in paths} for who, one in tokens.items()})
"""


def test_three_teams_that_are_logged_in_to_airflows_own_web_app_see_their_own_models(
    place: Path,
    in_airflow: Callable[..., Any],
) -> None:
    """With Airflow's auth manager and tokens, its database of DAGs and teams, and the app that its web server runs."""
    pages_of = {team: f"/models/{names(team)[-1]}" for team in TEAMS}
    paths = ["/models", "/models?page=2", *pages_of.values()]
    answers = in_airflow(
        IN_AIRFLOWS_WEB_APP,
        json.dumps([{team: names(team) for team in TEAMS}, paths]),
        RATCHET_STORE=(place / "store").as_uri(),
        RATCHET_MODELS=str(place / "models"),
        apart=True,
        AIRFLOW__CORE__MULTI_TEAM="True",
        AIRFLOW__API_AUTH__JWT_SECRET="a secret of this test, long enough for its algorithm" * 2,
    )
    for team in TEAMS:
        status, text = answers[team]["/models"]
        assert status == 200 and shown_in(text) == names(team)
        assert f"{TEAMS[team]} models that you may read" in text
        assert not [name for other in TEAMS if other != team for name in names(other) if name in text]
        assert {of: answers[team][page][0] for of, page in pages_of.items()} == {
            of: 200 if of == team else 404 for of in TEAMS
        }
    both = shown_in(answers["admin"]["/models"][1]) + shown_in(answers["admin"]["/models?page=2"][1])
    assert both == sorted(name for team in TEAMS for name in names(team))
    assert {answers["nobody"][path][0] for path in paths} == {401}


def test_whoever_may_read_all_turns_pages_and_each_model_is_on_one(site: Site) -> None:
    first, second = site.shown("admin"), site.shown("admin", "/models?page=2")
    assert len(first) == len(second) == 50
    assert first + second == sorted(name for team in TEAMS for name in names(team))
    text = site.ask("admin")[1]
    assert "Page 1 of 2, 100 models" in text and 'href="/ratchet/models?page=2"' in text and ">Before<" not in text
    assert site.shown("admin", "/models?page=9999") == second
    assert site.ask("admin", "/models?page=0")[0] == 422
    assert site.shown("admin", "/models?q=supply") == names("supply"), "a filter looks through all pages"
    assert "Page" not in site.ask("supply")[1]


def test_the_calls_of_a_view_depend_on_what_it_shows_and_not_on_the_history(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = site.calls("supply")
    again = site.calls("supply")
    assert len(first) <= 10 * TEAMS["supply"], "three of them to read the ledger"
    logs = [call for call in again if "/fits/" not in call and "/snapshots/" not in call]  # a world keeps neither
    assert sorted(logs) == [f"get {name}/ledger/00000004.json" for name in names("supply")], "the next event of each"
    of_each = len(again) // TEAMS["supply"]
    of_page, of_next = site.calls("admin"), site.calls("admin", "/models?page=2")
    settled = site.calls("admin")
    assert len(settled) == 50 * of_each, "a page of fifty is asked about, not a hundred models"
    assert of_page and of_next

    for name in names("supply"):  # three times the history
        decide(site.store.store, site.place / "models" / name, range(3, 7))
    site.anew(monkeypatch)
    assert len(site.calls("supply")) == len(first)
    assert len(site.calls("supply")) == len(again)


def test_a_view_asks_about_models_side_by_side_and_reads_each_ledger_once(site: Site) -> None:
    site.store.delay = 0.02
    for view in ("first", "later"):
        site.store.reset()
        assert site.ask("supply")[0] == 200
        assert site.store.trips < TEAMS["supply"], "no log of one model waits for that of another"
        ledgers = [call for call in site.store.calls if call.startswith("list") and call.endswith("/ledger")]
        assert len(ledgers) == len(set(ledgers)) == (TEAMS["supply"] if view == "first" else 0)
        audits = [call for call in site.store.calls if "/audit/log" in call]
        assert len(audits) == (TEAMS["supply"] if view == "first" else 0), (
            "each of them is audited, and has an empty log"
        )
        records = [call for call in site.store.calls if "/versions/" in call]
        assert len(records) == len(set(records))

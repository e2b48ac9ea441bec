"""Every route asks Airflow who is asking, and none changes anything: the matrix is made from the app's own routes."""

from __future__ import annotations

import json

import pytest
from airflow_site import ROLES, ROUTES, Site, page_addresses
from starlette.routing import Route

from include.config.load import load_model
from ratchet_ui.app import app
from ratchet_ui.files import FILES, address

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
RUNS = "/api/v2/dags/retrain_flight_delay/dagRuns"


@pytest.fixture(scope="module")
def addresses(site: Site) -> dict[str, str]:
    """One address that exists for every route; a route with a parameter that is unknown fails the tests."""
    watched = load_model(site.models / "parcels" / "model.yaml")
    found = page_addresses(site.store, [site.versions[0], site.versions[4]], watched)
    return {route: f"/ratchet{path}" for route, path in found.items()}


def test_nothing_but_routes_that_are_asked_for_is_served():
    assert all(isinstance(route, Route) for route in app.routes), "a mount would answer without asking Airflow"
    assert all(route.methods == {"GET"} for route in app.routes)


@pytest.mark.parametrize("route", ROUTES)
def test_whoever_may_read_the_dag_gets_the_page_and_who_is_not_known_gets_nothing(site, addresses, route):
    assert {user: site.ask(addresses[route], user=user)[0] for user in ROLES} == dict.fromkeys(ROLES, 200)
    assert site.ask(addresses[route])[0] == 401
    assert site.ask(addresses[route], Authorization="Bearer forged")[0] in (401, 403)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("method", METHODS[1:])
def test_no_method_but_get_is_answered(site, addresses, route, method):
    answers = {user: site.ask(addresses[route], method=method, user=user)[0] for user in (*ROLES, None)}
    assert set(answers.values()) <= {401, 403, 405}, answers


@pytest.mark.parametrize("route", ROUTES)
def test_a_foreign_page_can_read_nothing_even_with_the_cookie(site, addresses, route):
    foreign = {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "cors"}
    status, headers, _ = site.ask(addresses[route], user="admin", **foreign)
    assert status == 403
    assert "access-control-allow-origin" not in headers
    followed = site.ask(addresses[route], user="admin", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert followed[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/ratchet/docs",
        "/ratchet/redoc",
        "/ratchet/openapi.json",
        "/ratchet/static/pages.css",
        "/ratchet/static/../app.py",
    ],
)
def test_there_is_no_schema_page_and_no_folder_of_files(site, path):
    assert {site.ask(path, user=user)[0] for user in (*ROLES, None)} <= {401, 404, 422}


def test_every_file_of_the_page_asks_as_well(site):
    for name in FILES:
        assert (site.ask(f"/ratchet/{address(name)}")[0], site.ask(f"/ratchet/{address(name)}", user="vera")[0]) == (
            401,
            200,
        )


@pytest.mark.parametrize(("user", "status"), [(None, 401), ("vera", 403), ("uma", 200), ("admin", 200)])
def test_the_server_decides_who_may_trigger_whatever_the_page_shows(site, user, status):
    body = {"logical_date": None, "conf": {"mode": "dry_run"}}
    found = site.ask(RUNS, method="POST", user=user, body=body)
    assert found[0] == status, found[2]


def test_a_foreign_page_can_not_trigger(site):
    preflight = site.ask(RUNS, method="OPTIONS", Origin="https://evil.example", Access_Control_Request_Method="POST")
    assert "access-control-allow-origin" not in preflight[1]
    before = json.loads(site.ask(RUNS, user="admin")[2])["total_entries"]
    simple = site.ask(RUNS, method="POST", user="admin", body={"logical_date": None}, Content_Type="text/plain")
    assert simple[0] >= 400, "a form of another site could send this without a preflight"
    assert json.loads(site.ask(RUNS, user="admin")[2])["total_entries"] == before


def test_a_get_leaves_the_store_as_it_was(site, addresses):
    before = sorted(site.store.list(""))
    for path in addresses.values():
        site.ask(path, user="admin")
    assert sorted(site.store.list("")) == before

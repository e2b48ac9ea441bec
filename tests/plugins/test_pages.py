"""Pages are served whole, to those who may read the model's DAG and to nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient

from include.storage.content import put_content
from include.storage.local import LocalStore
from ratchet_ui import access
from ratchet_ui import app as pages


class Readers:
    """An auth manager under which ``ada`` may read one DAG."""

    def get_authorized_dag_ids(self, *, user: str, method: str) -> set[str]:
        return {"retrain_flight_delay"} if (user, method) == ("ada", "GET") else set()


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RATCHET_STORE", (tmp_path / "store").as_uri())
    digest = put_content(LocalStore(tmp_path / "store"), "flight_delay/cards", ".html", b"<p>card</p>")
    return f"/flight_delay/cards/{digest}"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(access, "get_auth_manager", Readers)
    pages.app.dependency_overrides[get_user] = lambda: "ada"
    yield TestClient(pages.app)
    pages.app.dependency_overrides.clear()


def test_a_reader_of_the_dag_gets_the_page(client: TestClient, page: str) -> None:
    answer = client.get(page)
    assert (answer.status_code, answer.text) == (200, "<p>card</p>")
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_nobody_else_learns_whether_it_exists(client: TestClient, page: str) -> None:
    pages.app.dependency_overrides[get_user] = lambda: "eve"
    missing = page[:-4] + "0000"
    assert client.get(page).status_code == client.get(missing).status_code == 404
    assert client.get(page).json() == client.get(missing).json()


def test_without_a_token_there_is_no_answer(page: str) -> None:
    assert TestClient(pages.app).get(page).status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/flight_delay/ledger/" + "0" * 64, "/flight_delay/cards/..%2f..%2fx", "/../cards/x", "/docs", "/openapi.json"],
)
def test_nothing_but_pages_can_be_asked_for(client: TestClient, path: str) -> None:
    assert client.get(path).status_code in (404, 422)


def test_no_method_changes_anything(client: TestClient, page: str) -> None:
    for method in ("post", "put", "patch", "delete"):
        assert getattr(client, method)(page).status_code == 405


def test_a_changed_page_is_not_served(client: TestClient, page: str, tmp_path: Path) -> None:
    (file,) = (tmp_path / "store").rglob("*.html")
    file.chmod(0o644)
    file.write_bytes(b"<p>cart</p>")
    assert client.get(page).status_code == 503

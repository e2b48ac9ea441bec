"""A running Airflow as tests see it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from starlette.routing import Route

from include.config.model import ModelConfig
from include.monitoring.report.watch_report import watch_report
from include.storage.content import put_content
from include.storage.local import LocalStore
from ratchet_ui.app import app
from ratchet_ui.files import address

ROUTES = [route.path for route in app.routes if isinstance(route, Route)]
ROLES = {"vera": "viewer", "uma": "user", "admin": "admin"}
LONG = "a_model_whose_name_takes_all_the_room_that_a_name_may_ever_take"


@dataclass
class Site:
    """A running Airflow: what it answers to whom."""

    address: str
    tokens: dict[str, str]
    store: LocalStore
    models: Path
    versions: list[str]

    def ask(
        self, path: str, *, method: str = "GET", user: str | None = None, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Return status, headers and text of an answer; the user's token travels as the cookie that browsers send."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if user:
            sent["Cookie"] = f"_token={self.tokens[user]}"
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        request = Request(f"{self.address}{path}", method=method, data=data, headers=sent)
        try:
            with urlopen(request, timeout=300) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read().decode()
        except HTTPError as error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read().decode()


def page_addresses(store: LocalStore, versions: list[str], watched: ModelConfig) -> dict[str, str]:
    """Return an address that exists for every route of the pages; a parameter that is unknown here is an error.

    Parameters
    ----------
    versions : list of str
        Two versions of ``flight_delay``, of which the store tells the history.
    watched : ModelConfig
        A model that was watched, with an alarm.
    """
    page = put_content(store, "flight_delay/cards", ".html", b"<p>card</p>")
    measured = next(store.list("flight_delay/evidence/")).rpartition("/")[2].removesuffix(".json")
    report = watch_report(store, watched)
    assert report is not None
    known = {"model": "flight_delay", "version": versions[0], "folder": "cards", "picture": "gains"}
    known["alarm"] = report.alarms[0].id
    queries = {"/models/{model}/compare": f"?version={versions[0]}&version={versions[1]}"}
    files = {"/static/{digest}/{name}": "/" + address("models.js")}

    def filled(route: str) -> str:
        of = known | {"model": watched.name} if "/watch" in route else known
        return route.format(**of, digest=measured if "evidence" in route else page) + queries.get(route, "")

    return {route: files.get(route) or filled(route) for route in ROUTES}

"""A running Airflow as tests see it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from include.storage.local import LocalStore

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
            with urlopen(request, timeout=60) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read().decode()
        except HTTPError as error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read().decode()

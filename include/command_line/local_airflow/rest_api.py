"""Client of Airflow's public REST API, for the commands."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from include.errors import RatchetError


@dataclass
class AirflowApi:
    """Airflow's REST API on the loopback address.

    Parameters
    ----------
    port : int
    user, password : str
    since : float
        When this Airflow was started, in seconds of the epoch: what is older does not count as ready.
    """

    port: int
    user: str
    password: str = field(repr=False)
    since: float
    _token: str | None = field(default=None, repr=False)

    def get(self, path: str, **query: Any) -> Any:
        """Return the answer to a GET of ``/api/v2/<path>``."""
        return self._ask("GET", f"/api/v2/{path}{'?' + urlencode(query, doseq=True) if query else ''}")

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """PATCH the fields that the body holds."""
        return self._ask("PATCH", f"/api/v2/{path}?{urlencode({'update_mask': list(body)}, doseq=True)}", body)

    def put(self, path: str) -> Any:
        """PUT ``/api/v2/<path>``, which takes no body."""
        return self._ask("PUT", f"/api/v2/{path}")

    def is_ready(self) -> bool:
        """Tell whether Airflow answers and its scheduler, started no earlier than this Airflow, is alive."""
        try:
            scheduler = self._send("GET", "/api/v2/monitor/health", None, {})["scheduler"]
            # The API for tasks builds itself on its first request, for which no task should have to wait.
            self._send("GET", "/execution/health", None, {})
        except (OSError, HTTPException, ValueError):
            return False
        beat = scheduler["latest_scheduler_heartbeat"]
        return scheduler["status"] == "healthy" and beat is not None and self._is_new(beat)

    def is_parsed(self, dag: str) -> bool:
        """Tell whether a DAG was read from its current file; raises `RatchetError` with what is wrong in the file."""
        try:
            found = self.get(f"dags/{quote(dag)}")
        except HTTPError as error:
            if error.code != 404:
                raise
            found = {"last_parsed_time": None, "has_import_errors": False}
        if found["last_parsed_time"] and self._is_new(found["last_parsed_time"]) and not found["has_import_errors"]:
            return True
        errors = [e for e in self.get("importErrors")["import_errors"] if self._is_new(e["timestamp"])]
        if errors:
            raise RatchetError(
                f"Airflow can't read the DAG {dag}.",
                found=errors[0]["stack_trace"].strip().splitlines()[-1],
                where=errors[0]["filename"],
                remedy="mend the file; the whole message: " + errors[0]["stack_trace"],
            )
        return False

    def _is_new(self, instant: str) -> bool:
        return datetime.fromisoformat(instant).timestamp() >= self.since

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        if self._token is None:
            login = {"username": self.user, "password": self.password}
            self._token = self._send("POST", "/auth/token", login, {})["access_token"]
        return self._send(method, path, body, {"Authorization": f"Bearer {self._token}"})

    def _send(self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]) -> Any:
        request = Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **headers},
        )
        with urlopen(request, timeout=30) as answer:  # noqa: S310 (always http on the loopback address)
            return json.loads(answer.read() or b"null")

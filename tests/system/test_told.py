"""Processes that die under a real scheduler: whoever is declared in `notify` is told, once, and of those that can speak by themselves.

Airflow calls no callback of a task whose process was killed, and calls that of a lost worker elsewhere, without a reason.
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from dying_site import CANARY, ENDINGS, PLANTED, SECRET, DyingSite
from waiting import until

from include.command_line.local_airflow.environment import USER

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]


def test_whoever_is_to_be_told_is_told_once_of_every_way_to_die(dying: DyingSite) -> None:
    running, airflow, hook = dying.site, dying.airflow, dying.hook
    date = "2024-04-01T00:00:00Z"
    runs = {}
    for name in ENDINGS:
        airflow.api.patch(f"dags/retrain_{name}", {"is_paused": False})
        # As Airflow's own form sends it: with a logical date, and an As of that was left empty.
        body = {"logical_date": date, "conf": {"as_of": None}}
        path = f"/api/v2/dags/retrain_{name}/dagRuns"
        runs[name] = json.loads(running.ask(path, method="POST", user=USER, body=body)[2])["dag_run_id"]

    def state(name: str) -> dict[str, Any]:
        found: dict[str, Any] = airflow.api.get(f"dags/retrain_{name}/dagRuns/{runs[name]}")
        return found

    for name in ENDINGS:
        until(lambda name=name: state(name)["state"] == "failed", f"the end of {name}")  # type: ignore[misc]
        until(lambda name=name: any(one["model"] == name for one in hook.got), f"a word of {name}")  # type: ignore[misc]
    time.sleep(10)  # for a second word that must not come
    for name, (_, _, sentence) in ENDINGS.items():
        words = [one for one in hook.got if one["model"] == name]
        assert len(words) == 1, words
        assert words[0]["event"] == "alarm" and sentence in words[0]["sentence"]
        assert state(name)["note"] == "As of 2024-04-01 00:00 UTC: the run's logical date."


def test_a_run_leaves_no_value_of_a_row_and_no_secret_in_airflows_database_and_logs(dying: DyingSite) -> None:
    running, airflow, hook = dying.site, dying.airflow, dying.hook
    connection = {
        "connection_id": "planted_hook",
        "conn_type": "http",
        "host": f"http://127.0.0.1:{hook.server_port}",
        "login": "ratchet",
        "password": SECRET,
    }
    assert running.ask("/api/v2/connections", method="POST", user=USER, body=connection)[0] == 201
    airflow.api.patch(f"dags/retrain_{PLANTED}", {"is_paused": False})
    body = {"logical_date": "2024-04-01T00:00:00Z", "conf": {"as_of": None}}
    path = f"/api/v2/dags/retrain_{PLANTED}/dagRuns"
    run = json.loads(running.ask(path, method="POST", user=USER, body=body)[2])["dag_run_id"]
    until(lambda: airflow.api.get(f"dags/retrain_{PLANTED}/dagRuns/{run}")["state"] == "success", "the end of the run")
    until(lambda: any(one["model"] == PLANTED for one in hook.got), "a word of its decision")
    login = f"Basic {base64.b64encode(f'ratchet:{SECRET}'.encode()).decode()}"
    assert login in hook.logins, "the secret was used"

    home = running.models.parent / "home"
    left = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    database = [path for path in left if path.name.startswith("airflow.db")]
    assert any(run.encode() in left[path] and b"planted_hook" in left[path] for path in database)
    tasks = {path for path in left if f"dag_id=retrain_{PLANTED}" in str(path)}
    assert len(tasks) >= 8 and any(b"rows" in left[path] for path in tasks)
    planted = [CANARY, SECRET, login.removeprefix("Basic ")]
    assert [(path, text) for path, body in left.items() for text in planted if text.encode() in body] == []
    store = running.store
    holding = {key for key in store.list("") if any(text.encode() in store.get(key) for text in planted)}
    assert holding and {key.split("/")[1] for key in holding} <= {"partitions", "golden", "quarantine"}

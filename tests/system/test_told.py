"""Processes that die under a real scheduler: whoever is declared in `notify` is told, once, and of those that can speak by themselves.

Airflow calls no callback of a task whose process was killed, and calls that of a lost worker elsewhere, without a reason.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from airflow_site import Site
from chain_run import declare, parcels
from waiting import until

from include.command_line.local_airflow import standalone as local
from include.command_line.local_airflow.environment import USER, password
from include.command_line.local_airflow.standalone import LocalAirflow, free_port, local_airflow
from include.config.settings import ROOT
from include.storage.local import LocalStore

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

KILLED = "import os, signal\n\n\ndef read(start, end):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
LOST = "import os, signal\n\n\ndef read(start, end):\n    os.kill(os.getppid(), signal.SIGKILL)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
RAISED = "def read(start, end):\n    raise RuntimeError('the warehouse is away')\n"
KILLED_IN_TRAINING = """
import os, signal, traceback


def derive(frame):
    if any(call.filename.endswith("ratchet_operators/train.py") for call in traceback.extract_stack()):
        os.kill(os.getpid(), signal.SIGKILL)
    return frame.assign(evening=frame["sent_at"].dt.hour >= 18)
"""
SILENT = "ended without a word: killed, out of memory, or lost with the worker."
ENDINGS = {
    "killed": ("source.py", KILLED, f"ingest {SILENT}"),
    "lost": ("source.py", LOST, f"ingest {SILENT}"),
    "raised": ("source.py", RAISED, "ingest failed: the warehouse is away"),
    "mapped": ("features.py", KILLED_IN_TRAINING, f"train[0], train[1], train[2] {SILENT}"),
}
# As it is, but that a task is not tried again: that would take minutes.
DAGS = """
import pathlib
import ratchet_operators

shared = ratchet_operators.defaults
ratchet_operators.defaults = lambda model: {**shared(model), "retries": 0}
exec(compile(pathlib.Path(%r).read_text(), __file__, "exec"))  # from airflow.sdk import DAG
ratchet_operators.defaults = shared
"""


PLANTED, CANARY, SECRET = "planted", "canary-7f3a", "canary-secret-9c1e"


def canaries() -> pd.DataFrame:
    """Return rows of which each has an id and a text that nobody else has."""
    rows = parcels()
    rows["parcel"] = [f"{CANARY}-{number}" for number in rows["parcel"]]
    return rows.assign(note=[f"said {CANARY}-{number}" for number in range(len(rows))])


class Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.logins.append(self.headers.get("Authorization"))  # type: ignore[attr-defined]
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def hook() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.got, server.logins = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, hook: Any, migrated: Callable[[Path], Path]
) -> Iterator[tuple[Site, LocalAirflow]]:
    folder = tmp_path_factory.mktemp("told")
    for name, (file, code, _) in ENDINGS.items():
        declare(folder / "models" / name, name=name)
        path = folder / "models" / name / "model.yaml"
        path.write_text(path.read_text() + "\nnotify:\n  - {via: webhook, connection: ops_hook}\n")
        (path.parent / file).write_text(code)
    declare(folder / "models" / PLANTED, canaries(), name=PLANTED)
    path = folder / "models" / PLANTED / "model.yaml"
    path.write_text(path.read_text() + "\nnotify:\n  - {via: webhook, connection: planted_hook}\n")
    (folder / "dags").mkdir()
    (folder / "dags" / "retrain.py").write_text(DAGS % str(ROOT / "dags" / "retrain.py"))
    given = local.airflow_environment

    def environment(*arguments: Any) -> dict[str, str]:
        return given(*arguments) | {
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "12",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        }

    with pytest.MonkeyPatch.context() as patch:
        connection = {"conn_type": "http", "host": f"http://127.0.0.1:{hook.server_port}"}
        patch.setenv("AIRFLOW_CONN_OPS_HOOK", json.dumps(connection))
        patch.setenv("RATCHET_STORE", (folder / "store").as_uri())
        patch.setenv("RATCHET_MODELS", str(folder / "models"))
        patch.setattr(local, "airflow_environment", environment)
        with local_airflow(migrated(folder / "home"), port=free_port(8150), triggerer=False) as airflow:
            for name in (*ENDINGS, PLANTED):
                airflow.wait_ready(f"retrain_{name}")
            running = Site(airflow.address, {}, LocalStore(folder / "store"), folder / "models", [])
            login = {"username": USER, "password": password(folder / "home")}
            running.tokens[USER] = json.loads(running.ask("/auth/token", method="POST", body=login)[2])["access_token"]
            yield running, airflow


def test_whoever_is_to_be_told_is_told_once_of_every_way_to_die(site: tuple[Site, LocalAirflow], hook: Any) -> None:
    running, airflow = site
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


def test_a_run_leaves_no_value_of_a_row_and_no_secret_in_airflows_database_and_logs(
    site: tuple[Site, LocalAirflow], hook: Any
) -> None:
    running, airflow = site
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

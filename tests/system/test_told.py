"""Processes that die under a real scheduler: whoever is declared in `notify` is told, once, and of those that can speak by themselves.

Airflow calls no callback of a task whose process was killed, and calls that of a lost worker elsewhere, without a reason.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from airflow_site import Site
from chain_run import declare

from include.command_line.local_airflow import standalone as local
from include.command_line.local_airflow.environment import USER, password
from include.command_line.local_airflow.standalone import LocalAirflow, free_port, local_airflow
from include.config.settings import ROOT
from include.storage.local import LocalStore

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

PATIENCE = 300
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


class Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def hook() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.got = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, hook: Any) -> Iterator[tuple[Site, LocalAirflow]]:
    folder = tmp_path_factory.mktemp("told")
    for name, (file, code, _) in ENDINGS.items():
        declare(folder / "models" / name, name=name)
        path = folder / "models" / name / "model.yaml"
        path.write_text(path.read_text() + "\nnotify:\n  - {via: webhook, connection: ops_hook}\n")
        (path.parent / file).write_text(code)
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
        with local_airflow(folder / "home", port=free_port(8150), triggerer=False) as airflow:
            for name in ENDINGS:
                airflow.wait_ready(f"retrain_{name}")
            running = Site(airflow.address, {}, LocalStore(folder / "store"), folder / "models", [])
            login = {"username": USER, "password": password(folder / "home")}
            running.tokens[USER] = json.loads(running.ask("/auth/token", method="POST", body=login)[2])["access_token"]
            yield running, airflow


def until(found: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.5)
    return answer


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

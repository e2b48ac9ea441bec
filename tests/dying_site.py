"""An Airflow that notices a lost task within seconds, and models whose tasks die in every way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from airflow_site import Site
from chain_run import declare, parcels

from include.command_line.local_airflow import standalone as local
from include.command_line.local_airflow.environment import USER, password
from include.command_line.local_airflow.standalone import LocalAirflow, free_port, local_airflow
from include.config.settings import ROOT
from include.storage.local import LocalStore

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
FAULTY_FEATURES = """
import os, signal, time, traceback
from pathlib import Path

HERE = Path({folder!r})


def first():
    try:
        (HERE / "begun").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def derive(frame):
    if any(call.filename.endswith("ratchet_operators/train.py") for call in traceback.extract_stack()) and first():
        {fault}
    return frame.assign(evening=frame["sent_at"].dt.hour >= 18)
"""
FAULTS = {
    # The task goes on without the process that started it, beside its own retry.
    "orphan": "os.kill(os.getppid(), signal.SIGKILL), time.sleep(30), (HERE / 'went_on').touch()",
    "unanswered": "time.sleep(10)",
    "restarted": "time.sleep(10)",
}
# As it is, but that a task of the first models is not tried again, which would take minutes, and one of the others at once.
DAGS = """
import datetime, pathlib
import ratchet_operators

def patient(model):
    return {"retry_delay": datetime.timedelta(seconds=1)} if model.name in %r else {"retries": 0}

shared = ratchet_operators.defaults
ratchet_operators.defaults = lambda model: {**shared(model), **patient(model)}
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


@dataclass
class DyingSite:
    """Models in a folder, and the Airflow that runs them: started again if it has ended."""

    folder: Path
    hook: Any
    _started: ExitStack = field(default_factory=ExitStack)
    _airflow: LocalAirflow | None = None

    @property
    def store(self) -> LocalStore:
        """Where the runs leave what they find."""
        return LocalStore(self.folder / "store")

    @property
    def airflow(self) -> LocalAirflow:
        """The Airflow, which knows all models by now."""
        if self._airflow is None or self._airflow.process.poll() is not None:
            self.end()
            made = local_airflow(self.folder / "home", port=free_port(8150), triggerer=False)
            self._airflow = self._started.enter_context(made)
            for name in (*ENDINGS, PLANTED, *FAULTS):
                self._airflow.wait_ready(f"retrain_{name}")
        return self._airflow

    @property
    def site(self) -> Site:
        """The same, as a logged-in user sees it."""
        running = Site(self.airflow.address, {}, self.store, self.folder / "models", [])
        login = {"username": USER, "password": password(self.folder / "home")}
        running.tokens[USER] = json.loads(running.ask("/auth/token", method="POST", body=login)[2])["access_token"]
        return running

    def end(self) -> None:
        """End the Airflow."""
        self._started.close()


@pytest.fixture(scope="session")
def dying(tmp_path_factory: pytest.TempPathFactory, migrated: Callable[[Path], Path]) -> Iterator[DyingSite]:
    """One for all tests of a process."""
    folder = tmp_path_factory.mktemp("dying")
    migrated(folder / "home")
    hook: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    hook.got, hook.logins = [], []
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    for name, (file, code, _) in ENDINGS.items():
        _declare_told(folder / "models" / name, parcels(), "ops_hook")
        (folder / "models" / name / file).write_text(code)
    _declare_told(folder / "models" / PLANTED, canaries(), "planted_hook")
    for name, fault in FAULTS.items():
        declare(folder / "models" / name, parcels(), name=name)
        (folder / name).mkdir()
        code = FAULTY_FEATURES.format(folder=str(folder / name), fault=fault)
        (folder / "models" / name / "features.py").write_text(code)
    (folder / "dags").mkdir()
    (folder / "dags" / "retrain.py").write_text(DAGS % (tuple(FAULTS), str(ROOT / "dags" / "retrain.py")))
    given = local.airflow_environment

    def environment(home: Path, *more: Any) -> dict[str, str]:
        if home != folder / "home":
            return given(home, *more)
        return given(home, *more) | {
            "RATCHET_STORE": (folder / "store").as_uri(),
            "RATCHET_MODELS": str(folder / "models"),
            "AIRFLOW_CONN_OPS_HOOK": json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{hook.server_port}"}),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "12",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "airflow_environment", environment)
        site = DyingSite(folder, hook)
        yield site
        site.end()
    hook.shutdown()


def _declare_told(folder: Path, rows: pd.DataFrame, connection: str) -> None:
    declare(folder, rows, name=folder.name)
    path = folder / "model.yaml"
    path.write_text(path.read_text() + f"\nnotify:\n  - {{via: webhook, connection: {connection}}}\n")

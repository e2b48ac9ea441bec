"""Whoever is declared in `notify` is told how every task ended, mapped ones included; by a real server that is posted to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from chain_run import declare, month, parcels

NOTIFY = "\nnotify:\n  - {via: webhook, connection: ops_hook}\n"

CALLBACKS = """
from airflow.serialization.serialized_objects import DagSerialization
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
found = {}
for name, dag in bag.dags.items():
    # What the scheduler goes by, which reads no DAG file.
    served = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    found[name] = {"run": served.has_on_failure_callback} | {
        task.task_id: [getattr(task, f"has_on_{state}_callback") for state in ("success", "skipped", "failure")] for task in served.tasks
    }
answer({"errors": bag.import_errors, "found": found})
"""

RUN = """
import pendulum
dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["retrain_parcels"].partial_subset(sys.argv[2])
for task in dag.tasks:
    task.retry_delay = pendulum.duration(seconds=0)
run = dag.test(logical_date=pendulum.parse(sys.argv[1]))
answer({f"{ti.task_id}{ti.map_index if ti.map_index >= 0 else ''}": ti.state for ti in run.get_task_instances()})
"""


class Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), Hook)
    server.got = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def told(folder: Path, **replaced: Any) -> None:
    """Declare the small model with a webhook."""
    declare(folder, **replaced)
    path = folder / "model.yaml"
    path.write_text(path.read_text() + NOTIFY)


def test_every_task_of_every_dag_has_callbacks_and_so_has_every_run(
    in_airflow: Callable[..., Any], tmp_path: Path
) -> None:
    told(tmp_path / "parcels")
    found = in_airflow(CALLBACKS, RATCHET_MODELS=str(tmp_path))
    assert found["errors"] == {}
    assert sorted(found["found"]) == [
        f"{family}_parcels" for family in ("reconsider", "reproduce", "retract", "retrain", "rollback", "score")
    ]
    for name, tasks in found["found"].items():
        assert tasks.pop("run") is True, name
        assert tasks and all(has == [True, True, True] for has in tasks.values()), (name, tasks)


BROKEN_IN_TRAINING = """
import traceback


def derive(frame):
    if any(call.filename.endswith("ratchet_operators/train.py") for call in traceback.extract_stack()):
        raise RuntimeError("only here")
    return frame.assign(evening=frame["sent_at"].dt.hour >= 18)
"""
BROKEN_SOURCE = "def read(start, end):\n    raise RuntimeError('the warehouse is away')\n"


@pytest.mark.parametrize(
    ("broken", "task", "event", "page"),
    [
        ("source", "ingest", "alarm", "/tasks/ingest"),
        ("rows", "check", "refused", "/ratchet/parcels/checks/"),
        ("settings", "train1", "alarm", "/tasks/train"),
        ("derive", "train0", "alarm", "/tasks/train"),
        (None, "promote", "promoted", "/plugin/models/parcels/versions/"),
    ],
)
def test_people_are_told_how_a_task_ended(
    broken: str | None,
    task: str,
    event: str,
    page: str,
    in_airflow: Callable[..., Any],
    hook: Any,
    tmp_path: Path,
) -> None:
    rows, folder = parcels(), tmp_path / "models" / "parcels"
    if broken == "rows":
        rows.loc[rows.index % 50 == 0, "carrier"] = "dog"
    told(folder, rows=rows)
    if broken == "settings":
        path = folder / "model.yaml"
        path.write_text(path.read_text().replace("max_depth: 4", "max_depth: -4"))
    if broken == "derive":
        (folder / "features.py").write_text(BROKEN_IN_TRAINING)
    if broken == "source":
        (folder / "source.py").write_text(BROKEN_SOURCE)
    connection = {"conn_type": "http", "host": f"http://127.0.0.1:{hook.server_port}"}
    states = in_airflow(
        RUN,
        month(4).isoformat(),
        task.rstrip("01"),  # what comes after it is not waited for
        RATCHET_MODELS=str(tmp_path / "models"),
        RATCHET_STORE=(tmp_path / "store").as_uri(),
        AIRFLOW_CONN_OPS_HOOK=json.dumps(connection),
    )
    # One candidate that can't be fitted is told of, and is no reason for its task to fail.
    assert states[task] == ("success" if broken in ("settings", None) else "failed")
    first = hook.got[0]
    assert (first["event"], first["model"]) == (event, "parcels")
    assert page in first["link"]
    assert "ended without a word" not in first["sentence"]

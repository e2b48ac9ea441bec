"""What a model.yaml says to Airflow reaches its DAGs as the scheduler reads them, and Airflow does it."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from include.config.settings import ROOT

DECLARED = """
airflow:
  dagrun_timeout: 2d
  deadline: 8h
  max_consecutive_failed_dag_runs: 3
  owner_link: mailto:operations@example.org
  access: {operations: [can_read, can_edit], audit: [can_read]}
notify: [{via: webhook, connection: ops_hook}]
resources:
  execution_timeout: 1h
  retries: 1
  tasks: {train: {execution_timeout: 6h, retries: 4}}
score: {deliver: [{kind: table, connection: warehouse, table: scores}, {kind: files, path: "file:///lake"}]}
"""
SCHEDULE = "schedule: {retrain: {on: [s3://lake/flights, planes], cron: '0 4 * * 1'}, score: '@daily', timezone: America/New_York, start: 2013-05-01, end: 2014-01-01}"

STORED = """
from airflow.dag_processing.dagbag import sync_bag_to_db
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.session import create_session
logging.disable(logging.NOTSET)
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"], bundle_path=__import__("pathlib").Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]), bundle_name="dags-folder")
assert not bag.import_errors, bag.import_errors
with create_session() as session:
    session.merge(DagBundleModel(name="dags-folder"))
sync_bag_to_db(bag, "dags-folder", None)
stored = {dag_id: SerializedDagModel.get(dag_id).dag for dag_id in bag.dags}
"""

DESCRIBE = (
    STORED
    + """
def seconds(length):
    return length and length.total_seconds()
answer({dag_id: {
    "tasks": {task.task_id: [seconds(task.execution_timeout), task.retries] for task in dag.tasks},
    "after": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
    "policy": sorted({type(getattr(task, "retry_policy", None) or task.partial_kwargs["retry_policy"]).__name__ if not task.is_mapped else type(task.partial_kwargs["retry_policy"]).__name__ for task in bag.dags[dag_id].tasks}),
    "timeout": seconds(dag.dagrun_timeout),
    "failures": dag.max_consecutive_failed_dag_runs,
    "deadlines": len(dag.deadline or ()),
    "links": dag.owner_links,
    "access": {role: sorted(allowed["DAGs"]) for role, allowed in (dag.access_control or {}).items()},
    "types": sorted(dag.allowed_run_types) if dag.allowed_run_types else None,
    "schedule": dag.timetable.summary,
    "zone": str(getattr(getattr(dag.timetable, "timetable", dag.timetable), "_timezone", None)),
    "start": dag.start_date,
    "inlets": sorted(getattr(ref, "uri", None) or ref.name for task in bag.dags[dag_id].tasks if task.task_id == "ingest" for ref in getattr(task, "inlets", ())),
} for dag_id, dag in stored.items()})
"""
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("declared")
    for name in ("declared", "plain"):
        shutil.copytree(ROOT / "include" / "models" / "flight_delay", folder / name)
        path = folder / name / "model.yaml"
        text = path.read_text().replace("name: flight_delay", f"name: {name}")
        if name == "declared":
            (line,) = (line for line in text.splitlines() if line.startswith("schedule:"))
            text = text.replace(line, SCHEDULE) + DECLARED
        path.write_text(text)
    return folder


@pytest.fixture(scope="module")
def found(in_airflow: Callable[..., Any], models: Path) -> Any:
    return in_airflow(DESCRIBE, RATCHET_MODELS=str(models))


def test_what_is_declared_of_tasks_reaches_each_of_them(found: Any) -> None:
    tasks = found["retrain_declared"]["tasks"]
    assert tasks.pop("train") == [6 * 3600, 4]
    assert set(map(tuple, tasks.values())) == {(3600, 1)}
    assert set(map(tuple, found["score_declared"]["tasks"].values())) == {(3600, 1)}
    assert set(map(tuple, found["retrain_plain"]["tasks"].values())) == {(None, 2)}
    assert {name for dag in found.values() for name in dag["policy"]} == {"ExceptionRetryPolicy"}


def test_scores_are_delivered_where_a_model_declares_places_and_only_there(found: Any) -> None:
    assert found["score_declared"]["after"] == {"ingest": ["score"], "score": ["deliver"], "deliver": []}
    assert found["score_plain"]["after"] == {"ingest": ["score"], "score": []}


@pytest.mark.parametrize("family", ["retrain", "score"])
def test_limits_of_runs_are_of_the_dags_that_repeat_by_themselves(found: Any, family: str) -> None:
    dag = found[f"{family}_declared"]
    assert (dag["timeout"], dag["failures"], dag["deadlines"]) == (2 * 86400, 3, 1)
    for other in ("rollback", "retract", "reconsider", "reproduce"):
        dag = found[f"{other}_declared"]
        assert (dag["timeout"], dag["failures"], dag["deadlines"]) == (None, 0, 0)


def test_people_are_told_and_let_in_on_every_dag_of_the_model(found: Any) -> None:
    for name, dag in found.items():
        declared = name.endswith("_declared")
        assert dag["links"] == ({"operations": "mailto:operations@example.org"} if declared else {})
        assert dag["access"] == ({"audit": ["can_read"], "operations": ["can_edit", "can_read"]} if declared else {})


def test_only_what_is_taken_back_is_by_hand_only(found: Any) -> None:
    by_hand = {f"{family}_{model}" for family in ("retract", "rollback") for model in ("declared", "plain")}
    assert {name for name, dag in found.items() if dag["types"]} == by_hand
    assert found["rollback_plain"]["types"] == ["manual"]


def test_a_schedule_has_its_assets_its_ticks_and_their_zone(found: Any) -> None:
    assert found["retrain_declared"]["schedule"] == "Asset or 0 4 * * 1"
    assert {found[f"{family}_declared"]["zone"] for family in ("retrain", "score")} == {"America/New_York"}
    assert found["retrain_declared"]["start"] == "2013-05-01 04:00:00+00:00", "as it is written, in that zone"
    assert found["retrain_plain"]["zone"] == "UTC"
    assert found["retrain_declared"]["inlets"] == ["planes", "s3://lake/flights"], "lineage says what it was made of"


LIVE = (
    STORED
    + """
import asyncio
from airflow.api.common.trigger_dag import trigger_dag
from airflow.assets.manager import asset_manager
from airflow.models.asset import AssetDagRunQueue
from airflow.models.deadline import Deadline
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset
from airflow.sdk.module_loading import import_string
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select
told = {}
def refused(**asked):
    try:
        trigger_dag("rollback_declared", conf={"reason": "tried"}, **asked)
    except ValueError as error:
        return str(error)
told["rollback"] = [
    refused(triggered_by=DagRunTriggeredByType.OPERATOR, run_type=DagRunType.OPERATOR_TRIGGERED),
    refused(triggered_by=DagRunTriggeredByType.REST_API, triggering_user_name="ada"),
]
made = [Asset(name="flights of another team", uri="s3://lake/flights"), Asset(name="planes", uri="s3://lake/planes")]
unrelated = Asset(name="other", uri="s3://lake/other")
with DAG("producer", schedule=None) as producer:
    EmptyOperator(task_id="write", outlets=[*made, unrelated])
bag.bag_dag(producer)
with create_session() as session:
    session.get(DagModel, "retrain_declared").is_paused = False  # a paused DAG is not woken
sync_bag_to_db(bag, "dags-folder", None)
told["woken"] = []
for asset in [unrelated, *made]:
    with create_session() as session:
        asset_manager.register_asset_change(asset=asset, session=session)
    with create_session() as session:
        told["woken"].append(sorted(session.scalars(select(AssetDagRunQueue.target_dag_id))))
trigger_dag("retrain_declared", triggered_by=DagRunTriggeredByType.REST_API, triggering_user_name="ada")
with create_session() as session:
    (deadline,) = session.scalars(select(Deadline)).all()
    told["allowed"] = (deadline.deadline_time - deadline.dagrun.queued_at).total_seconds()
    deadline.handle_miss(session)
    session.flush()
    told["callback"] = type(deadline.callback).__name__
    called = json.loads(json.dumps(deadline.callback.data, default=str))
for kind in ("manual", "backfill"):
    called["kwargs"]["context"]["dag_run"]["run_type"] = kind
    asyncio.run(import_string(called["path"])(**called["kwargs"]))
answer(told)
"""
)


@pytest.fixture
def hook() -> Iterator[HTTPServer]:
    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))  # type: ignore[attr-defined]
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.got = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_airflow_refuses_wakes_and_warns_as_the_model_says(
    in_airflow: Callable[..., Any], models: Path, hook: HTTPServer
) -> None:
    connection = {"conn_type": "http", "host": f"http://127.0.0.1:{hook.server_port}"}
    told = in_airflow(LIVE, RATCHET_MODELS=str(models), AIRFLOW_CONN_OPS_HOOK=json.dumps(connection))
    another_dag, person = told["rollback"]
    assert "does not allow operator_triggered runs" in another_dag and person is None
    woken = "retrain_declared"
    assert told["woken"] == [[], [woken], [woken, woken]], (
        "by an asset's URI, whatever its maker calls it, or by its name"
    )
    assert (told["allowed"], told["callback"]) == (8 * 3600, "TriggererCallback")
    (message,) = hook.got  # type: ignore[attr-defined]
    assert message["event"] == "alarm" and "retrain_declared is still queued 8h" in message["sentence"]
    assert "/dags/retrain_declared/runs/manual__" in message["link"]

"""A model that is watched has one DAG more, and its retraining is woken by alarms; every other model is as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.config.settings import ROOT

DESCRIBE = """
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
dags = {}
for name, dag in bag.dags.items():
    condition = getattr(dag.timetable, "asset_condition", None)
    dags[name] = {
        "graph": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
        "schedule": getattr(dag.timetable, "expression", None) or getattr(getattr(dag.timetable, "timetable", None), "expression", None),
        "woken": sorted(asset.uri for asset in getattr(condition, "objects", ())) if condition else [],
        "params": dag.params.validate() if name.startswith("monitor_") else None,
        "outlets": {task.task_id: sorted(asset.name for asset in task.outlets) for task in dag.tasks if task.outlets},
    }
answer({"errors": bag.import_errors, "dags": dags})
"""


WOKEN = """
from pathlib import Path
from airflow.assets.manager import asset_manager
from airflow.dag_processing.dagbag import sync_bag_to_db
from airflow.models.asset import AssetDagRunQueue
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.utils.session import create_session
from ratchet_operators.alarm_asset import alarm_asset
from sqlalchemy import select
logging.disable(logging.NOTSET)
folder = os.environ["AIRFLOW__CORE__DAGS_FOLDER"]
bag = DagBag(folder, bundle_path=Path(folder), bundle_name="dags-folder")
with create_session() as session:
    session.merge(DagBundleModel(name="dags-folder"))
sync_bag_to_db(bag, "dags-folder", None)
with create_session() as session:
    for name in ("retrain_asks", "retrain_tells"):
        session.get(DagModel, name).is_paused = False
for _ in range(20):
    for name in ("asks", "tells"):
        with create_session() as session:
            asset_manager.register_asset_change(asset=alarm_asset(name), session=session)
with create_session() as session:  # of these models: other tests leave queues of theirs in the same database
    queued = select(AssetDagRunQueue.target_dag_id).where(AssetDagRunQueue.target_dag_id.in_(bag.dags))
    answer(sorted(session.scalars(queued)))
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, monitor, watch in (
        ("asks", '"@daily"', "on_performance"),
        ("tells", '"0 6 * * *"', "never"),
        ("plain", None, "on_drift"),
    ):
        shutil.copytree(ROOT / "include" / "models" / "flight_delay", folder / name)
        path = folder / name / "model.yaml"
        text = path.read_text().replace("name: flight_delay", f"name: {name}")
        if monitor:
            text = text.replace("schedule: {", f"schedule: {{monitor: {monitor}, ")
        if name == "plain":
            text = text.replace("schedule: {", 'schedule: {audit: "@weekly", ')
            text += '\nretention: {scores: 13mo, cron: "0 5 * * 0"}\n'
        path.write_text(f"{text}\nwatch: {{retrain: {watch}}}\n")
    return folder


@pytest.fixture(scope="module")
def found(in_airflow: Callable[..., Any], models: Path) -> Any:
    found = in_airflow(DESCRIBE, RATCHET_MODELS=str(models))
    assert found["errors"] == {}
    return found["dags"]


def test_only_a_model_that_is_watched_has_a_monitor(found: Any) -> None:
    assert {name for name in found if name.startswith("monitor_")} == {"monitor_asks", "monitor_tells"}
    assert found["monitor_tells"]["schedule"] == "0 6 * * *"
    assert found["monitor_asks"]["params"] == {"as_of": None}
    assert found["monitor_asks"]["graph"] == {"monitor": ["reconsider"], "reconsider": []}


def test_only_a_model_that_is_audited_has_an_audit(found: Any) -> None:
    assert {name for name in found if name.startswith("audit_")} == {"audit_plain"}
    assert found["audit_plain"]["schedule"] == "0 0 * * 0" and found["audit_plain"]["graph"] == {"audit": []}


def test_only_a_model_that_says_how_long_it_keeps_what_is_tidied(found: Any) -> None:
    assert {name for name in found if name.startswith("tidy_")} == {"tidy_plain"}
    assert found["tidy_plain"]["schedule"] == "0 5 * * 0" and found["tidy_plain"]["graph"] == {"tidy": []}


def test_alarms_wake_the_retraining_of_a_model_that_declares_it(found: Any) -> None:
    assert found["retrain_asks"]["woken"] == ["x-ratchet://asks/alarm"]
    assert found["retrain_asks"]["schedule"] == "0 0 1 * *"
    assert found["retrain_tells"]["woken"] == found["retrain_plain"]["woken"] == []


def test_twenty_events_of_an_alarm_queue_one_run_of_the_model_that_asks_and_none_of_another(
    in_airflow: Callable[..., Any], models: Path
) -> None:
    assert in_airflow(WOKEN, RATCHET_MODELS=str(models)) == ["retrain_asks"]


def test_what_a_monitor_sends_are_events_of_alarms_and_of_the_champion(found: Any) -> None:
    assert found["monitor_asks"]["outlets"]["monitor"] == ["asks_champion_changed", "asks_retraining_asked"]

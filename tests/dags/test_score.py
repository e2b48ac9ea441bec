"""Scores, rollbacks and reproductions: short graphs, forms that can be sent when they say enough."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from chain_run import declare, month

DESCRIBE = """
from airflow.exceptions import ParamValidationError
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
def facts(dag):
    try:
        params = dag.params.validate()
    except ParamValidationError as error:
        params = f"not valid: {error}"
    return {
        "graph": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
        "params": params,
        "schedule": getattr(dag.timetable, "expression", None),
        "outlets": {task.task_id: [getattr(asset, "uri", asset.name) for asset in task.outlets] for task in dag.tasks if task.outlets},
        "retries": sorted({task.retries for task in dag.tasks}),
        "doc": dag.doc_md,
    }
names = ["score_diabetes_progression", "score_flight_delay", "rollback_flight_delay", "retract_flight_delay", "reproduce_flight_delay", "reconsider_flight_delay"]
short = {name: name.partition("_")[0] for name in names} | {"score_diabetes_progression": "score_of_table"}
answer({"errors": bag.import_errors, **{short[name]: facts(bag.dags[name]) for name in names}})
"""

FILLED = """
import copy
from airflow.exceptions import ParamValidationError
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
def valid(name, filled):
    params = copy.deepcopy(bag.dags[name].params)
    try:
        params.update(filled)
        params.validate()
    except ParamValidationError:
        return False
    return True
answer([valid(name, filled) for name, filled in json.loads(sys.argv[1])])
"""


@pytest.fixture(scope="module")
def described(in_airflow: Callable[..., Any]) -> Any:
    found = in_airflow(DESCRIBE)
    assert found["errors"] == {}
    return found


def test_the_graphs(described: Any) -> None:
    assert described["score"]["graph"] == {"ingest": ["score"], "score": []}
    assert described["score_of_table"]["graph"] == described["score"]["graph"]
    assert described["rollback"]["graph"] == {"withdraw": []}
    assert described["retract"]["graph"] == {"retract": []}
    assert described["reproduce"]["graph"] == {"reproduce": []}
    assert described["reconsider"]["graph"] == {
        "reconsider": ["approve", "decide"],
        "approve": ["decide"],
        "decide": ["settle"],
        "settle": [],
    }
    assert described["reconsider"]["params"] == {"version": None, "as_of": None, "reason": None}
    for family in ("score", "rollback", "retract", "reproduce", "reconsider"):
        assert described[family]["retries"] == [2]
        assert "more than 15 minutes late" in described[family]["doc"]


def test_only_scores_are_scheduled(described: Any) -> None:
    assert described["score"]["schedule"] == "0 0 1 * *"
    assert described["rollback"]["schedule"] is described["reproduce"]["schedule"] is None


def test_scores_and_a_changed_champion_are_asset_events(described: Any) -> None:
    assert described["score"]["outlets"] == {"score": ["x-ratchet://flight_delay/scores"]}
    assert described["rollback"]["outlets"] == {"withdraw": ["flight_delay_champion_changed"]}


def test_the_forms_of_score_and_reproduce_are_valid_as_they_open(described: Any) -> None:
    assert described["score"]["params"] == {"as_of": None}
    assert described["reproduce"]["params"] == {"version": None, "rebuild": False, "tolerance": 0.001}


def test_a_rollback_asks_for_a_reason_and_takes_a_version(described: Any, in_airflow: Callable[..., Any]) -> None:
    assert described["rollback"]["params"].startswith("not valid")
    version = "20130901T000000Z-0123456789"
    cases = [
        ({"reason": "wrong units"}, True),
        ({"reason": "wrong units", "version": version}, True),
        ({"reason": "no"}, False),
        ({"reason": None}, False),
        ({"version": version}, False),
    ]

    filled = json.dumps([("rollback_flight_delay", form) for form, _ in cases])
    assert in_airflow(FILLED, filled) == [valid for _, valid in cases]


def test_a_retraction_asks_for_partition_reading_and_reason(described: Any, in_airflow: Callable[..., Any]) -> None:
    assert described["retract"]["params"].startswith("not valid")
    whole = {"partition": "2013-04", "reading": "0123abcd", "reason": "wrong units"}
    cases = [
        (whole, True),
        (whole | {"partition": "2013-04-01T05", "restore": True}, True),
        (whole | {"partition": "April"}, False),
        (whole | {"reading": "0123"}, False),
        *(({name: value for name, value in whole.items() if name != left}, False) for left in whole),
    ]
    filled = json.dumps([("retract_flight_delay", form) for form, _ in cases])
    assert in_airflow(FILLED, filled) == [valid for _, valid in cases]


DELIVERED = """
import pendulum
told = []
for name, date in (("retrain_parcels", sys.argv[1]), ("score_parcels", sys.argv[2])):
    dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags[name]
    run = dag.test(logical_date=pendulum.parse(date), run_conf={"as_of": date})
    told.append([str(run.state), {ti.task_id: str(ti.state) for ti in run.get_task_instances()}])
    told[-1].append({task.task_id: [asset.uri for asset in task.outlets if hasattr(asset, "uri")] for task in dag.tasks})
answer(told)
"""


def test_scores_are_delivered_to_each_place_by_a_mapped_task_that_sends_an_event(
    in_airflow: Callable[..., Any], tmp_path: Path
) -> None:
    folder, places = tmp_path / "models" / "parcels", [(tmp_path / name).as_uri() for name in ("lake", "other")]
    declare(folder)
    path = folder / "model.yaml"
    text = path.read_text().replace("end: 2025-01-01}", 'end: 2025-01-01, score: "@monthly"}')
    assert "@monthly" in text
    path.write_text(f"{text}score: {{deliver: {json.dumps([{'kind': 'files', 'path': place} for place in places])}}}\n")
    settings = {"RATCHET_MODELS": str(tmp_path / "models"), "RATCHET_STORE": (tmp_path / "store").as_uri()}
    _, (state, tasks, outlets) = in_airflow(DELIVERED, month(4).isoformat(), month(6).isoformat(), **settings)
    assert state == "success" and tasks["deliver"] == "success"
    assert outlets["deliver"] == ["x-ratchet://parcels/delivered"]
    rows = [
        sum(pq.read_table(one).num_rows for one in (tmp_path / name).rglob("*.parquet")) for name in ("lake", "other")
    ]
    assert rows[0] == rows[1] > 100

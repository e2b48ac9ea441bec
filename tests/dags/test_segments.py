"""A model per segment in Airflow: a DAG of as many tasks whatever the number of segments, which are mapped when it runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chain_run import month
from segmented import declare_segments, opposed

from include.registry.ledger import Ledger
from include.storage.local import LocalStore

GRAPH = """
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
dag = bag.dags["retrain_parcels"]
answer({
    "errors": bag.import_errors,
    "graph": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
    "mapped": sorted(task.task_id for task in dag.tasks if task.is_mapped),
    "rollback": bag.dags["rollback_parcels"].params.dump(),
})
"""

RUN = """
import pendulum
from sqlalchemy import select
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["retrain_parcels"]
run = dag.test(logical_date=pendulum.parse(sys.argv[1]))
with create_session() as session:
    handed = session.execute(select(XComModel.task_id, XComModel.value).where(XComModel.run_id == run.run_id)).all()
back = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["rollback_parcels"]
undone = back.test(run_conf={"segment": "ant", "reason": "wrong labels"})
answer({
    "state": run.state,
    "tasks": {f"{ti.task_id}{ti.map_index if ti.map_index >= 0 else ''}": ti.state for ti in run.get_task_instances()},
    "names": [ti.rendered_map_index for ti in run.get_task_instances() if ti.task_id == "retrain_segment"],
    "handed": [value if isinstance(value, str) else json.dumps(value) for task, value in handed if "segment" in task],
    "undone": undone.state,
})
"""


def test_the_dag_has_two_tasks_more_whatever_the_number_of_segments(
    in_airflow: Callable[..., Any], tmp_path: Path
) -> None:
    declare_segments(tmp_path / "models" / "parcels")
    few = in_airflow(GRAPH, RATCHET_MODELS=str(tmp_path / "models"))
    declare_segments(tmp_path / "models" / "parcels", segments="{column: carrier, min_rows: 100, at_most: 20}")
    many = in_airflow(GRAPH, RATCHET_MODELS=str(tmp_path / "models"))
    assert few["errors"] == {} and few["graph"] == many["graph"]
    assert few["graph"]["list_segments"] == ["retrain_segment"]
    assert few["graph"]["check"] == ["list_segments", "select", "train"]
    assert few["graph"]["select"] == ["evaluate", "retrain_segment"]
    assert few["mapped"] == ["retrain_segment", "train"]
    assert "segment" in few["rollback"]


def test_a_run_trains_each_segment_and_a_person_rolls_one_back(in_airflow: Callable[..., Any], tmp_path: Path) -> None:
    rows = opposed()
    rows.loc[rows["carrier"] == "cat", "late"] = False  # one class: it can't be trained
    declare_segments(tmp_path / "models" / "parcels", rows)
    settings = {"RATCHET_MODELS": str(tmp_path / "models"), "RATCHET_STORE": (tmp_path / "store").as_uri()}
    found = in_airflow(RUN, month(4).isoformat(), **settings)
    states = {name: found["tasks"][f"retrain_segment{place}"] for place, name in enumerate(("ant", "bee", "cat"))}
    assert states == {"ant": "success", "bee": "success", "cat": "skipped"}
    assert (found["state"], found["tasks"]["promote"], found["undone"]) == ("success", "success", "success")
    assert found["names"] == ["ant", "bee", "cat"]
    assert json.dumps(["ant", "bee", "cat"]) in found["handed"], "XCom carries names, and no row"
    assert max(map(len, found["handed"])) < 500
    store = LocalStore(tmp_path / "store")
    (standing,) = Ledger(store, "parcels/segments/ant").timeline().standings
    assert standing.withdrawn == "wrong labels"
    bee = Ledger(store, "parcels/segments/bee").timeline()
    assert bee.champion is not None and bee.standings[0].trigger.value == "manual"

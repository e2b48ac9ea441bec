"""DAG files of the release before make the same DAGs with this release's operators: a run keeps the DAG file of its bundle's commit.

`tests/dags/released` holds the DAG files as that release shipped them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from include.config.settings import ROOT

PARSE = """
def inputs(task):
    given = {name: getattr(task, name, None) for name in ("upstream", "approval", "fitted")}
    if task.is_mapped:
        given = {former.get(name, name): value for name, value in task.partial_kwargs.items()}
    return {name: value.operator.task_id for name, value in given.items() if hasattr(value, "operator")}

former = {"handed": "upstream", "answered": "approval"}
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
answer({
    "errors": list(bag.import_errors.values()),
    "dags": {
        dag.dag_id: {task.task_id: [task.task_type, sorted(task.downstream_task_ids), inputs(task)] for task in dag.tasks}
        for dag in bag.dags.values()
    },
})
"""
RELEASED = Path(__file__).parent / "released"


def test_dag_files_of_the_release_before_make_the_same_dags(in_airflow: Callable[..., Any]) -> None:
    now = in_airflow(PARSE)
    before = in_airflow(
        PARSE, AIRFLOW__CORE__DAGS_FOLDER=str(RELEASED), RATCHET_MODELS=str(ROOT / "include" / "models")
    )
    assert now["errors"] == before["errors"] == []
    assert now["dags"]["retrain_flight_delay"]["promote"][2] == {"upstream": "gate", "approval": "approve"}
    assert before["dags"] == now["dags"]

"""A run ends with a mirror where an MLflow server is set; whatever becomes of it, the run is what it would be without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

GRAPH = """
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
found = {}
for name, dag in bag.dags.items():
    if dag.has_task("mirror"):
        task = dag.get_task("mirror")
        before = {one.task_id for one in dag.tasks if one is not task and not one.downstream_list or "mirror" in one.downstream_task_ids}
        found[name] = [sorted(before - {"mirror"}), task.is_teardown, task.on_failure_fail_dagrun, bool(task.downstream_list)]
answer([bag.import_errors, found])
"""


def test_every_dag_that_writes_to_the_ledger_ends_with_a_mirror_that_fails_no_run(
    in_airflow: Callable[..., Any],
) -> None:
    errors, found = in_airflow(GRAPH, RATCHET_MLFLOW="http://127.0.0.1:9")
    assert errors == {}
    last = {"retrain": "settle", "reconsider": "settle", "rollback": "withdraw", "reproduce": "reproduce"}
    expected = {f"{family}_flight_delay": [[task], True, False, False] for family, task in last.items()}
    assert {name: facts for name, facts in found.items() if name in expected} == expected
    assert not {name for name in found if name.startswith(("score_", "audit_"))}
    assert in_airflow(GRAPH) == [{}, {}]

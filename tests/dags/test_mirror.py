"""A run ends with a mirror where an MLflow server is set; whatever becomes of it, the run is what it would be without."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from signed_world import SignedWorld

from include.mirror.mlflow_mirror import mirror

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

ROLL_BACK = """
dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["rollback_parcels"]
run = dag.test(run_conf={"reason": "wrong labels"})
answer([str(run.state), {ti.task_id: str(ti.state) for ti in run.get_task_instances()}])
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


def test_a_rollback_moves_the_alias_and_stands_while_mlflow_is_away(
    in_airflow: Callable[..., Any], mlflow_address: str, signed_world: SignedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs mlflow-skinny, of requirements-mlflow.txt")
    client = mlflow.MlflowClient(mlflow_address, mlflow_address)
    monkeypatch.setenv("RATCHET_MLFLOW", mlflow_address)
    monkeypatch.setenv("RATCHET_MLFLOW_NAME", "rollback-{model}")
    settings = {name: value for name, value in os.environ.items() if name.startswith("RATCHET_")}
    first, second = (standing.version for standing in signed_world.ledger.timeline().standings)

    def alias() -> str | None:
        aliases = client.get_registered_model("rollback-parcels").aliases
        found = client.get_model_version("rollback-parcels", aliases["champion"]) if aliases else None
        return None if found is None else str(found.tags["ratchet.version"])

    assert mirror(signed_world.ledger).champion == alias() == second
    assert in_airflow(ROLL_BACK, **settings) == ["success", {"withdraw": "success", "mirror": "success"}]
    assert signed_world.champion == alias() == first

    away = {**settings, "RATCHET_MLFLOW": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    assert in_airflow(ROLL_BACK, **away) == ["success", {"withdraw": "success", "mirror": "failed"}]
    assert signed_world.ledger.timeline().champion is None and alias() == first
    assert mirror(signed_world.ledger).champion is None and alias() is None

"""What a model declares about where its tasks run reaches every task of its parsed DAGs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from include.config.names import TASKS
from include.config.settings import ROOT

DECLARED = """
resources:
  pool: operations
  priority: 3
  pod: {cpu: 500m, memory: 1Gi}
  tasks:
    train: {queue: large, pool_slots: 2, priority: 7, pod: {cpu: 4, memory: 16Gi, node_selector: {disk: fast}, tolerations: [{key: batch, operator: Exists, effect: NoSchedule}]}}
"""

EVERYTHING = "score: {deliver: [{kind: files, path: file:///tmp/scores}]}\nretention: {scores: 13mo}\nsegments: {column: carrier}\n"

SCRIPT = """
from airflow.serialization.serialized_objects import DagSerialization
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
assert not bag.import_errors, bag.import_errors
def pod(task):
    found = task.executor_config.get("pod_override")
    return found and found.to_dict()["spec"]
found = {}
for dag in bag.dags.values():
    stored = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    found[dag.dag_id] = {
        task.task_id: [task.pool, task.pool_slots, task.queue, task.priority_weight, pod(task)] for task in stored.tasks
    }
answer(found)
"""


@pytest.fixture(scope="module")
def found(in_airflow: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every task as the scheduler reads it from the database, by DAG and task id."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "include" / "models" / "flight_delay", folder / "flight_delay")
    shutil.copytree(ROOT / "include" / "models" / "flight_delay", folder / "plain")
    path = folder / "flight_delay" / "model.yaml"
    path.write_text(path.read_text() + DECLARED)
    path = folder / "plain" / "model.yaml"
    path.write_text(
        path.read_text()
        .replace("name: flight_delay", "name: plain")
        .replace("schedule: {", "schedule: {monitor: '@daily', audit: '@daily', ")
        + EVERYTHING
    )
    stages = f"staging={folder.as_uri()}/staging"
    settings = {"RATCHET_MODELS": str(folder), "RATCHET_MLFLOW": "http://127.0.0.1:9", "RATCHET_STAGES": stages}
    answered: dict[str, dict[str, Any]] = in_airflow(SCRIPT, **settings)
    return answered


def test_pool_queue_and_priority_reach_every_task_and_a_mapped_one_has_its_own(found: dict[str, Any]) -> None:
    for dag, tasks in found.items():
        for task, (pool, slots, queue, priority, _) in tasks.items():
            expected: tuple[Any, ...] = ("operations", 1, "default", 3)
            if dag.endswith("_plain"):
                expected = ("default_pool", 1, "default", 1)
            elif task == "train":
                expected = ("operations", 2, "large", 7)
            assert (pool, slots, queue, priority) == expected, (dag, task)
    assert found["retrain_flight_delay"]["train"][2] == "large"


@pytest.mark.skipif(find_spec("kubernetes") is None, reason="the Kubernetes provider is not installed")
def test_a_pod_asks_for_what_is_declared(found: dict[str, Any]) -> None:
    spec = found["retrain_flight_delay"]["train"][4]
    (container,) = spec["containers"]
    assert container["name"] == "base"
    assert container["resources"]["requests"] == {"cpu": "4", "memory": "16Gi"}
    assert container["resources"]["limits"] == {"memory": "16Gi"}
    assert spec["node_selector"] == {"disk": "fast"}
    assert [(t["key"], t["operator"], t["effect"]) for t in spec["tolerations"]] == [("batch", "Exists", "NoSchedule")]
    (container,) = found["score_flight_delay"]["score"][4]["containers"]
    assert container["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    assert found["retrain_plain"]["train"][4] is None


def test_the_tasks_that_may_be_named_are_those_that_there_are(found: dict[str, Any]) -> None:
    assert {task for tasks in found.values() for task in tasks} == TASKS


def test_a_misspelt_task_is_answered_with_the_nearest(tmp_path: Path) -> None:
    from include.config.load import load_model
    from include.errors import ConfigError

    shutil.copytree(ROOT / "include" / "models" / "flight_delay", tmp_path / "flight_delay")
    path = tmp_path / "flight_delay" / "model.yaml"
    path.write_text(path.read_text() + "resources: {tasks: {trian: {queue: large}}}\n")
    with pytest.raises(ConfigError, match="did you mean `train`"):
        load_model(path)

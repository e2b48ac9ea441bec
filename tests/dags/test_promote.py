"""DAGs that send champions to another stage are there where `RATCHET_STAGES` names one, and cost nothing elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.config.settings import ROOT
from tests.chain_run import declare

PARSE = """
opened = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
bag = DagBag(os.path.join(os.environ["AIRFLOW__CORE__DAGS_FOLDER"], "promote.py"))
answer({
    "errors": list(bag.import_errors.values()),
    "yaml": sorted(path for path in opened if path.endswith("model.yaml")),
    "dags": {name: {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks} for name, dag in bag.dags.items()},
    "params": {name: sorted(dag.params) for name, dag in bag.dags.items()},
    "stages": {name: {task.task_id: task.stage for task in dag.tasks} for name, dag in bag.dags.items()},
    "rules": {name: {task.task_id: task.model["gate"].get("approval") for task in dag.tasks} for name, dag in bag.dags.items()},
})
"""
MODELS = ROOT / "include" / "models"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for stage in ("models", "production"):
        declare(tmp_path / stage / "parcels")
    path = tmp_path / "production" / "parcels" / "model.yaml"
    path.write_text(path.read_text().replace("gate:\n", "gate:\n  approval: always\n"))
    return tmp_path


def test_without_stages_there_are_none_and_no_file_is_read(in_airflow: Callable[..., Any], place: Path) -> None:
    settings = {"RATCHET_MODELS": str(place / "models"), "RATCHET_STORE": (place / "store").as_uri()}
    found = in_airflow(PARSE, **settings)
    assert (found["dags"], found["yaml"], found["errors"]) == ({}, [], [])
    own = in_airflow(PARSE, **settings, RATCHET_STAGES=f"dev={settings['RATCHET_STORE']}")
    assert (own["dags"], own["yaml"]) == ({}, []), "a store is no stage of its own"


def test_a_stage_decides_here_where_its_models_are_named_and_elsewhere_in_its_own_airflow(
    in_airflow: Callable[..., Any], place: Path
) -> None:
    shutil.copytree(MODELS / "diabetes_progression", place / "models" / "diabetes_progression")
    settings = {
        "RATCHET_MODELS": str(place / "models"),
        "RATCHET_STORE": (place / "store").as_uri(),
        "RATCHET_STAGES": "staging=s3://bucket/staging production=s3://other/production",
        "RATCHET_STAGE_MODELS": f"production={place / 'production'}",
    }
    found = in_airflow(PARSE, **settings)
    assert found["errors"] == []
    assert found["dags"] == {
        "promote_to_staging_parcels": {"send": []},
        "promote_to_production_parcels": {
            "send": ["reconsider"],
            "reconsider": ["approve", "decide"],
            "approve": ["decide"],
            "decide": ["settle"],
            "settle": [],
        },
    }, "a table without time is sent nowhere"
    assert found["params"]["promote_to_staging_parcels"] == ["reason", "version"]
    inside = found["stages"]["promote_to_production_parcels"]
    assert inside.pop("send") is None and set(inside.values()) == {"production"}
    rules = found["rules"]["promote_to_production_parcels"]
    assert rules["approve"] and rules["approve"]["when"] == "always" and (rules["send"] or {}).get("when") != "always"
    one = in_airflow(PARSE, **settings, _AIRFLOW_PARSING_CONTEXT_DAG_ID="promote_to_production_parcels")
    assert list(one["dags"]) == ["promote_to_production_parcels"]
    other = in_airflow(PARSE, **settings, _AIRFLOW_PARSING_CONTEXT_DAG_ID="retrain_parcels")
    assert (other["dags"], other["yaml"]) == ({}, [])


def test_two_stages_whose_names_give_one_dag_are_refused(in_airflow: Callable[..., Any], place: Path) -> None:
    declare(place / "models" / "eu_parcels", name="eu_parcels")
    found = in_airflow(
        PARSE,
        RATCHET_MODELS=str(place / "models"),
        RATCHET_STAGES="prod=s3://bucket/prod prod_eu=s3://bucket/eu",
        RATCHET_STORE=(place / "store").as_uri(),
    )
    (error,) = found["errors"]
    assert "promote_to_prod_eu_parcels, of stages prod and prod_eu" in error


@pytest.mark.parametrize(("variable", "value"), [("MODELS", "/models"), ("CONNECTIONS", "aws")])
def test_a_setting_of_no_stage_is_refused(in_airflow: Callable[..., Any], variable: str, value: str) -> None:
    settings = {f"RATCHET_STAGE_{variable}": f"prodution={value}"}
    (error,) = in_airflow(PARSE, RATCHET_STAGES="production=s3://bucket/x", **settings)["errors"]
    assert "There is no such stage" in error and f"RATCHET_STAGE_{variable}" in error

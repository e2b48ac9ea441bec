"""OpenLineage hears from real tasks what they read and wrote: names, columns, numbers and checks, and no value of any row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain_run import declare, month, parcels
from openlineage_receiver import receiver

pytest.importorskip("airflow.providers.openlineage", reason="needs requirements-openlineage.txt")

RUN = """
import pendulum
dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["retrain_parcels"].partial_subset("check")
run = dag.test(logical_date=pendulum.parse(sys.argv[1]), run_conf={"as_of": sys.argv[1]})
answer([str(run.state), {ti.task_id: str(ti.state) for ti in run.get_task_instances()}])
"""


def test_a_run_tells_its_source_its_partitions_with_columns_and_rows_and_each_check(
    in_airflow: Callable[..., Any], tmp_path: Path
) -> None:
    rows = parcels()
    folder = tmp_path / "models" / "parcels"
    model = declare(folder, rows, source="{kind: files, path: rows.parquet, format: parquet}")
    with receiver() as (address, events):
        settings = {
            "RATCHET_MODELS": str(tmp_path / "models"),
            "RATCHET_STORE": (tmp_path / "store").as_uri(),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "http", "url": address, "endpoint": "lineage"}),
        }
        told = in_airflow(RUN, month(4).isoformat(), **settings)
    assert told == ["success", {"ingest": "success", "check": "success"}]
    done = {one["job"]["name"]: one for one in events if one["eventType"] == "COMPLETE"}

    ingest = done["retrain_parcels.ingest"]
    assert [(one["namespace"], one["name"]) for one in ingest["inputs"]] == [("file", str(folder / "rows.parquet"))]
    (made,) = ingest["outputs"]
    assert made["namespace"] == "file" and made["name"].startswith(f"{tmp_path}/store/parcels/partitions/")
    columns = {one["name"]: one["type"] for one in made["facets"]["schema"]["fields"]}
    assert columns["weight"] == "float" and set(columns) == set(rows)
    pinned = made["outputFacets"]["outputStatistics"]["rowCount"]
    assert pinned > 300

    check = done["retrain_parcels.check"]
    (read,) = check["inputs"]
    assert read["name"] == made["name"] and read["inputFacets"]["inputStatistics"]["rowCount"] == pinned
    assertions = read["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert {(one["assertion"], one["column"], one["success"]) for one in assertions} == {
        ("expect_column_values_to_be_between", "weight", False),  # rows are set aside
        ("expect_column_values_to_be_in_set", "carrier", True),
    }
    assert len(model.quality.expectations) == len(assertions)


def test_a_run_that_is_refused_tells_which_check_failed_and_no_value(
    in_airflow: Callable[..., Any], tmp_path: Path
) -> None:
    rows = parcels()
    rows["carrier"] = rows["carrier"].where(rows["carrier"] != "ant", "canary-street")
    declare(tmp_path / "models" / "parcels", rows)
    with receiver() as (address, events):
        settings = {
            "RATCHET_MODELS": str(tmp_path / "models"),
            "RATCHET_STORE": (tmp_path / "store").as_uri(),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "http", "url": address, "endpoint": "lineage"}),
        }
        assert in_airflow(RUN, month(4).isoformat(), **settings)[1]["check"] == "failed"
    (failed,) = [one for one in events if one["eventType"] == "FAIL" and one["job"]["name"].endswith(".check")]
    assertions = failed["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert {one["column"]: one["success"] for one in assertions}["carrier"] is False
    assert "canary-street" not in json.dumps(events)

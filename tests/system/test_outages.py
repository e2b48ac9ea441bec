"""The store and Airflow's database go away under a real scheduler, and half a run is cleared: the store ends as that of an undisturbed run."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import sqlalchemy as sa
from chain_run import declare, parcels
from undisturbed import is_as_undisturbed
from waiting import until

from benchmarks.serving_resilience import Gate
from include.command_line.local_airflow import standalone as local
from include.command_line.local_airflow.standalone import LocalAirflow, free_port, local_airflow
from include.errors import RatchetError
from include.registry.ledger import Ledger
from include.storage.s3 import S3Store
from include.storage.store import ObjectStore
from tests.postgres_server import away, postgres_server

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

STORE_AWAY = 60
DATABASE_AWAY = 20
"""Seconds."""
MODELS = ("unstored", "unrecorded", "cleared")
FEATURES = """
import time
from pathlib import Path

def derive(frame):
    try:
        (Path({folder!r}) / "begun").touch(exist_ok=False)
        time.sleep(8)
    except FileExistsError:
        pass
    return frame.assign(evening=frame["sent_at"].dt.hour >= 18)
"""


@dataclass
class World:
    """Models in a folder, a store in S3 behind a gate, and Airflow's database."""

    folder: Path
    store: ObjectStore
    gate: Gate
    database: sa.Engine

    @contextmanager
    def running(self) -> Iterator[LocalAirflow]:
        address = self.database.url.render_as_string(hide_password=False)
        home = self.folder / "home"
        with local_airflow(home, port=free_port(8190), triggerer=False, database=address) as airflow:
            for name in MODELS:
                airflow.wait_ready(f"retrain_{name}")
                airflow.api.patch(f"dags/retrain_{name}", {"is_paused": False})
            yield airflow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, s3_server: str) -> Iterator[World]:
    folder, port = tmp_path_factory.mktemp("outages"), urlsplit(s3_server).port
    assert port is not None
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    client = boto3.client("s3", endpoint_url=s3_server)
    client.create_bucket(Bucket="outages")
    for name in MODELS:
        declare(folder / "models" / name, parcels(), name=name)
        (folder / name).mkdir()
        (folder / "models" / name / "features.py").write_text(FEATURES.format(folder=str(folder / name)))
    gate, given = Gate(port), local.airflow_environment

    def environment(*arguments: Any) -> dict[str, str]:
        # Nothing here awaits a query, and the driver for that is another one.
        return given(*arguments) | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": ""}

    with pytest.MonkeyPatch.context() as patch, postgres_server() as database:
        patch.setenv("RATCHET_STORE", "s3://outages")
        patch.setenv("RATCHET_MODELS", str(folder / "models"))
        patch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{gate.server_address[1]}")
        patch.setattr(local, "airflow_environment", environment)
        yield World(folder, S3Store(client, "outages"), gate, database)
    gate.shutdown()


@pytest.fixture(scope="module")
def airflow(world: World) -> Iterator[LocalAirflow]:
    with world.running() as airflow:
        yield airflow


def trigger(airflow: LocalAirflow, name: str) -> str:
    asked = {"logical_date": "2024-07-01T00:00:00Z", "dag_run_id": "one"}
    airflow.api._ask("POST", f"/api/v2/dags/retrain_{name}/dagRuns", asked)
    return f"dags/retrain_{name}/dagRuns/one"


def succeeds(airflow: LocalAirflow, run: str) -> None:
    def ended() -> bool:
        airflow.check()
        try:
            state: str = airflow.api.get(run)["state"]
        except (OSError, HTTPException):  # its database is away
            return False
        assert state != "failed", airflow.api.get(f"{run}/taskInstances?limit=100")
        return state == "success"

    until(ended, f"the end of {run}")


def tries(airflow: LocalAirflow, run: str) -> int:
    found = airflow.api.get(f"{run}/taskInstances?limit=100")["task_instances"]
    return sum(one["try_number"] - 1 for one in found if one["try_number"])


def test_a_store_that_is_away_for_a_minute_changes_nothing(world: World, airflow: LocalAirflow) -> None:
    run = trigger(airflow, "unstored")
    until((world.folder / "unstored" / "begun").exists, "the training")
    world.gate.shut = True
    time.sleep(STORE_AWAY)
    world.gate.shut = False
    succeeds(airflow, run)
    assert tries(airflow, run) > 0, "it did not matter"
    is_as_undisturbed(world.store, world.folder, "unstored")


def test_the_half_of_a_run_that_is_cleared_finds_what_it_decided(world: World, airflow: LocalAirflow) -> None:
    run = trigger(airflow, "cleared")
    succeeds(airflow, run)
    before = Ledger(world.store, "cleared").entries()
    half = {"dag_run_id": "one", "task_ids": ["evaluate"], "include_downstream": True}
    asked = {**half, "dry_run": False, "only_failed": False, "reset_dag_runs": True}
    cleared = airflow.api._ask("POST", "/api/v2/dags/retrain_cleared/clearTaskInstances", asked)
    assert {one["task_id"] for one in cleared["task_instances"]} >= {"evaluate", "gate", "promote", "settle"}
    succeeds(airflow, run)
    assert Ledger(world.store, "cleared").entries() == before
    is_as_undisturbed(world.store, world.folder, "cleared")


def test_a_database_that_is_away_with_all_its_connections_changes_nothing(world: World, airflow: LocalAirflow) -> None:
    run = trigger(airflow, "unrecorded")
    until((world.folder / "unrecorded" / "begun").exists, "the training")
    with away(world.database):
        time.sleep(DATABASE_AWAY)
    try:
        succeeds(airflow, run)
    except RatchetError:  # a component has ended; whoever runs Airflow starts it again
        with world.running() as again:
            succeeds(again, run)
    is_as_undisturbed(world.store, world.folder, "unrecorded")

"""A command reads the store as tasks do, by the deployment's Airflow connection, though it is no task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from worlds import NOW, World

from include.config.settings import ROOT
from include.registry.ledger import Ledger
from include.storage.s3 import S3Store


def command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command as in a container: nothing says where the store is but the connection."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS", "RATCHET"))}
    return subprocess.run(
        [sys.executable, "-m", "include", *arguments],
        cwd=ROOT,
        env={**kept, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, **settings},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def settings(s3_store: S3Store, s3_server: str, tmp_path: Any) -> dict[str, str]:
    world = World(s3_store)
    ledger, version, actor = Ledger(s3_store, world.model.name), world.version(7, 0.64), {"trigger": "backfill"}
    ledger.register(version, actor=actor, at=NOW)
    ledger.decide(world.model, version.id, measure=world.measure, actor=actor, at=NOW + timedelta(days=1))
    connection = {
        "conn_type": "aws",
        "login": "testing",
        "password": "testing",
        "extra": {"endpoint_url": s3_server, "region_name": "us-east-1"},
    }
    return {
        "AIRFLOW_HOME": str(tmp_path),
        "RATCHET_STORE": s3_store.url,
        "RATCHET_STORE_CONNECTION": "team_store",
        "AIRFLOW_CONN_TEAM_STORE": json.dumps(connection),
    }


def test_a_command_opens_the_store_by_the_deployments_connection(settings: dict[str, str]) -> None:
    for arguments in (("champion", "flight_delay"), ("models",)):
        done = command(*arguments, **settings)
        assert done.returncode == 0, done.stderr
        assert "20130701T000000Z" in done.stdout


def test_a_connection_that_is_not_there_is_answered_and_not_passed_over(settings: dict[str, str]) -> None:
    del settings["AIRFLOW_CONN_TEAM_STORE"]
    done = command("champion", "flight_delay", **settings)
    assert done.returncode == 1
    assert "There is no Airflow connection team_store" in done.stderr
    assert "set AIRFLOW_CONN_TEAM_STORE" in done.stderr

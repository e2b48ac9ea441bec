"""DAG files are parsed in processes of their own, as Airflow does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.config.settings import ROOT

PRELUDE = """
import json, logging, os, sys
logging.disable(logging.CRITICAL)
from airflow.dag_processing.dagbag import DagBag
def answer(value):
    print("ANSWER" + json.dumps(value, default=str))
"""


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Airflow's database, migrated."""
    home = tmp_path_factory.mktemp("airflow")
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(command, env=environment(home), check=True, capture_output=True, timeout=300)
    return home


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "RATCHET"))}
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        **more,
    }


@pytest.fixture(scope="session")
def in_airflow(airflow_home: Path) -> Callable[..., Any]:
    """Run a script in a fresh process that has Airflow, and return what it answers."""

    def run(script: str, *arguments: str, **settings: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", PRELUDE + script, *arguments],
            env=environment(airflow_home, **settings),
            capture_output=True,
            text=True,
            timeout=300,
        )
        answers = [line.removeprefix("ANSWER") for line in done.stdout.splitlines() if line.startswith("ANSWER")]
        assert answers, done.stdout[-4000:] + done.stderr[-4000:]
        return json.loads(answers[-1])

    return run

"""Scripts that parse and run DAGs, in processes of their own, as Airflow does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forked import ForkServer
from migrated import copy_database
from once import Once

from include.config.settings import ROOT

PRELUDE = """
import json, logging, os, sys
logging.disable(logging.CRITICAL)
from airflow.dag_processing.dagbag import DagBag
def answer(value):
    print("ANSWER" + json.dumps(value, default=str))
"""
APART = """
from airflow import settings
settings.configure_vars()
settings.reconfigure_orm()
"""


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


AT_IMPORT = ("AIRFLOW__", "PYTHON")
"""How variables begin that are read when Airflow is imported: with others than the usual ones, a process begins from nothing."""
WHEN_USED = (
    "AIRFLOW__API_AUTH__",
    "AIRFLOW__CORE__DAGS_FOLDER",
    "AIRFLOW__CORE__MULTI_TEAM",
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_",
    "AIRFLOW__OPENLINEAGE__",
)
"""How those of them begin that are read later."""


@pytest.fixture(scope="session")
def in_airflow(once: Once, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Run a script in a process that has Airflow and its database, and return what it answers.

    The process is a fork of one that has imported what a task does, as those of Airflow's executor are. With ``fresh``,
    or with settings that Airflow reads while it is imported, it is one that has imported nothing. With ``apart``, its
    database is one that no other script has.
    """
    home = tmp_path_factory.mktemp("airflow")
    usual = environment(home)
    server = ForkServer(usual | {"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}, home)

    def migrate(folder: Path) -> None:
        server.run("from airflow.utils.db import upgradedb; upgradedb()", environment=usual)
        copy_database(home, folder)

    empty = once("empty_database", migrate)
    copy_database(empty, home)

    def run(script: str, *arguments: str, fresh: bool = False, apart: bool = False, **settings: str) -> Any:
        own, script = environment(home, **settings), PRELUDE + script
        if apart:
            place = tmp_path_factory.mktemp("apart")
            copy_database(empty, place)
            own["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{place / 'airflow.db'}"
            script = APART + script
        read = {name for name in settings if name.startswith(AT_IMPORT) and not name.startswith(WHEN_USED)}
        if fresh or read:
            command = [sys.executable, "-c", script, *arguments]
            done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=300)
            out, error = done.stdout, done.stderr
        else:
            out, error = server.run(script, *arguments, environment=own)
        answers = [line.removeprefix("ANSWER") for line in out.splitlines() if line.startswith("ANSWER")]
        assert answers, out[-4000:] + error[-4000:]
        return json.loads(answers[-1])

    yield run
    server.close()

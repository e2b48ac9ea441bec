"""A migrated database for every Airflow that tests start: made once, then copied."""

from __future__ import annotations

import fcntl
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from include.command_line.local_airflow import standalone
from include.command_line.local_airflow.environment import airflow_environment
from include.config.settings import ROOT

PATIENCE = 900.0
"""Seconds until a test gives up an Airflow that does not answer; other tests may take most of the machine."""


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Callable[[Path], Path]]:
    """Give a folder that is to be an Airflow's home a database that needs no migration, and return the folder."""
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "migrated"
    shared.mkdir(exist_ok=True)

    def give(home: Path) -> Path:
        made = _made(shared)
        home.mkdir(parents=True)
        with (
            closing(sqlite3.connect(made / "airflow.db")) as whole,
            closing(sqlite3.connect(home / "airflow.db")) as copy,
        ):
            whole.backup(copy)
        (home / "airflow.cfg").write_text((made / "airflow.cfg").read_text().replace(str(made), str(home)))
        standalone._migrated(home).touch()
        return home

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standalone, "PATIENCE", PATIENCE)
        yield give


def _made(shared: Path) -> Path:
    """Return the home whose database is copied; whichever process of the test run asks first makes it."""
    home = shared / "home"
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not standalone._migrated(home).exists():
            command = [sys.executable, "-m", "airflow", "db", "migrate"]
            subprocess.run(command, cwd=ROOT, env=airflow_environment(home, 0), check=True, capture_output=True)
            standalone._migrated(home).touch()
    return home

"""A migrated database for every Airflow that tests start: made once, then copied."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from once import Once

from include.command_line.local_airflow import standalone
from include.command_line.local_airflow.environment import airflow_environment
from include.config.settings import ROOT

PATIENCE = 900.0
"""Seconds until a test gives up an Airflow that does not answer; other tests may take most of the machine."""


@pytest.fixture(scope="session")
def migrated(once: Once) -> Iterator[Callable[[Path], Path]]:
    """Give a folder that is to be an Airflow's home a database that needs no migration, and return the folder."""

    def give(home: Path) -> Path:
        made = once("migrated", _migrate)
        home.mkdir(parents=True)
        copy_database(made, home)
        (home / "airflow.cfg").write_text((made / "airflow.cfg").read_text().replace(str(made), str(home)))
        standalone._migrated(home).touch()
        return home

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standalone, "PATIENCE", PATIENCE)
        yield give


def _migrate(home: Path) -> None:
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(command, cwd=ROOT, env=airflow_environment(home, 0), check=True, capture_output=True)


def copy_database(source: Path, to: Path) -> None:
    """Copy the database of one folder to another."""
    with (
        closing(sqlite3.connect(source / "airflow.db")) as whole,
        closing(sqlite3.connect(to / "airflow.db")) as copy,
    ):
        whole.backup(copy)

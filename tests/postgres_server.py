"""A PostgreSQL server of a test's own, on a socket in a folder of its own."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa


@contextmanager
def postgres_server() -> Iterator[sa.Engine]:
    """Run a server as long as the context; the test is skipped where its programs or a driver are missing."""
    programs, driver = _programs(), next((one for one in ("psycopg2", "psycopg") if importlib.util.find_spec(one)), "")
    if programs is None or not driver:
        pytest.skip("needs the programs of PostgreSQL and psycopg2 or psycopg")
    # PostgreSQL refuses to run as root.
    user = "postgres" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), "-D", f"{folder}/data", *arguments]
            subprocess.run(command, check=True, capture_output=True, user=user)

        run("initdb", "-A", "trust", "-U", "tester", "--no-sync", "-E", "UTF8", "--locale=C")
        run("pg_ctl", "-w", "-l", f"{folder}/log", "-o", f"-k {folder} -c listen_addresses= -c fsync=off", "start")
        try:
            engine = sa.create_engine(f"postgresql+{driver}://tester@/postgres?host={folder}")
            yield engine
            engine.dispose()
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")


def _programs() -> Path | None:
    found = [Path(shutil.which("postgres") or "/none"), *Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return next((one.parent for one in found if one.exists()), None)

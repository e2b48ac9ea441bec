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
    user = _user()
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)

        _run(folder, "initdb", "-A", "trust", "-U", "tester", "--no-sync", "-E", "UTF8", "--locale=C")
        _start(folder)
        try:
            engine = sa.create_engine(f"postgresql+{driver}://tester@/postgres?host={folder}")
            yield engine
            engine.dispose()
        finally:
            _stop(folder)


@contextmanager
def away(engine: sa.Engine) -> Iterator[None]:
    """Let the server of an engine be gone, with all its connections, as long as the context."""
    folder = str(engine.url.query["host"])
    _stop(folder)
    try:
        yield
    finally:
        _start(folder)


def _start(folder: str) -> None:
    settings = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=200"
    _run(folder, "pg_ctl", "-w", "-l", f"{folder}/log", "-o", settings, "start")


def _stop(folder: str) -> None:
    _run(folder, "pg_ctl", "-w", "-m", "immediate", "stop")


def _run(folder: str, program: str, *arguments: str) -> None:
    programs = _programs()
    assert programs is not None
    command = [str(programs / program), "-D", f"{folder}/data", *arguments]
    subprocess.run(command, check=True, capture_output=True, user=_user())


def _user() -> str | None:
    """PostgreSQL refuses to run as root."""
    return "postgres" if os.getuid() == 0 else None


def _programs() -> Path | None:
    found = [Path(shutil.which("postgres") or "/none"), *Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return next((one.parent for one in found if one.exists()), None)

"""A local Airflow that ends with the process that started it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from include.command_line.local_airflow import process_group
from include.command_line.local_airflow.changed_declarations import ChangedDeclarations
from include.command_line.local_airflow.environment import USER, airflow_environment, password
from include.command_line.local_airflow.rest_api import AirflowApi
from include.config.settings import ROOT, Settings
from include.errors import RatchetError

PATIENCE = 240.0
"""Seconds until an Airflow that has not answered is given up; 15 to 25 are usual on two cores."""

# The scheduler's log server would listen on every interface and on a fixed port; the API server reads the files itself.
_COMPONENTS = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
}
_TRIGGERER = {"triggerer": ["triggerer", "--skip-serve-logs"]}


@dataclass
class LocalAirflow:
    """A running Airflow: its address, its API, and whether it still runs."""

    home: Path
    port: int
    process: subprocess.Popen[str]
    api: AirflowApi
    environment: dict[str, str]

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://127.0.0.1:{self.port}"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of Airflow's own commands on it."""
        return subprocess.run(  # noqa: S603 (our own program)
            [sys.executable, "-m", "airflow", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def check(self) -> None:
        """Raise `RatchetError` if a component has ended."""
        if self.process.poll() is None:
            return
        assert self.process.stdout is not None  # noqa: S101 (it is a pipe)
        name, _, code = (self.process.stdout.read().strip() or "keeper ?").partition(" ")
        log = self.home / "logs" / "components" / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        raise RatchetError(
            f"Airflow's {name} ended with status {code}.",
            found="\n    ".join(["", *lines[-8:]]),
            where=log,
            remedy="read the log; `make clean` starts afresh",
        )

    def wait_ready(self, dag: str | None = None) -> None:
        """Wait until Airflow answers, its scheduler runs and, if one is named, a DAG is parsed from its current file.

        Raises
        ------
        RatchetError
            When a component ends, the DAG file has an error, or it takes too long.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.check()
            if self.api.is_ready() and (dag is None or self.api.is_parsed(dag)):
                _migrated(self.home).touch()
                return
            time.sleep(0.2)
        raise RatchetError(
            f"Airflow did not get ready in {PATIENCE:.0f} seconds.",
            expected="a healthy scheduler" + (f" and the DAG {dag}" if dag else ""),
            where=self.home / "logs" / "components",
            remedy="read the logs there; `make clean` starts afresh",
        )

    def wait_end(self) -> NoReturn:
        """Wait until a component ends, which none should; a declaration that changes meanwhile is read at once."""
        changed = ChangedDeclarations(Settings.from_environment().models, ROOT / "dags")
        while True:
            self.check()
            changed.look()
            time.sleep(0.5)


@contextmanager
def local_airflow(
    home: Path, *, port: int, triggerer: bool, database: str | None = None, paused: str | None = None
) -> Iterator[LocalAirflow]:
    """Start Airflow; on leaving in any way, end every process of it.

    Parameters
    ----------
    home : Path
        Airflow's folder; made and its database migrated if need be.
    port : int
        A free port.
    triggerer : bool
        Whether to start a triggerer, which deferred tasks need.
    database : str, optional
        SQLAlchemy's address of another database than an SQLite file in ``home``.
    paused : str, optional
        A DAG that the scheduler is to find paused, so that it goes on with nothing that was under way.
    """
    logs = home / "logs" / "components"
    logs.mkdir(parents=True, exist_ok=True)
    environment = airflow_environment(home, port, database)
    airflow = [sys.executable, "-m", "airflow"]
    components = _COMPONENTS | (_TRIGGERER if triggerer else {})
    wanted = {
        "logs": str(logs),
        "first": [
            *([[*airflow, "db", "migrate"]] if _to_migrate(home) else []),
            *([[*airflow, "dags", "pause", paused]] if paused and (home / "airflow.db").exists() else []),
        ],
        "together": {name: [*airflow, *arguments] for name, arguments in components.items()},
    }
    started = time.time()
    process = subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-m", process_group.__name__, json.dumps(wanted)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        running = LocalAirflow(home, port, process, AirflowApi(port, USER, password(home), since=started), environment)
        yield running
    finally:
        # A second Ctrl-C must not leave half of it running; the keeper needs a few seconds at most.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        assert process.stdin is not None  # noqa: S101 (it is a pipe)
        process.stdin.close()
        if process.wait() < 0:
            process_group.end_session(process.pid)
        for number, handler in before.items():
            signal.signal(number, handler)


def become_airflow(home: Path, port: int, arguments: Sequence[str]) -> NoReturn:
    """Become one of Airflow's own commands, with the settings and on the database of the local Airflow."""
    environment, airflow = airflow_environment(home, port), [sys.executable, "-m", "airflow"]
    if _to_migrate(home):
        subprocess.run([*airflow, "db", "migrate"], env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 (our own program)
        _migrated(home).touch()
    os.chdir(ROOT)
    os.execve(sys.executable, [*airflow, *arguments], environment)  # noqa: S606 (no shell is wanted)


def _to_migrate(home: Path) -> bool:
    return not ((home / "airflow.db").exists() and _migrated(home).exists())


def _migrated(home: Path) -> Path:
    """Return the mark of a database of this Airflow's version: to migrate it once more changes nothing but takes seconds."""
    return home / f"migrated-{version('apache-airflow-core')}"


def free_port(wanted: int) -> int:
    """Return ``wanted`` if that port is free, else another free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise RatchetError("No port is free on the loopback address.", expected=f"port {wanted} or any other")

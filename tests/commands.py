"""The commands that start an Airflow, each as a process of its own, as a person starts it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from include.command_line.local_airflow.process_group import session_members
from include.command_line.local_airflow.standalone import free_port
from include.config.settings import ROOT


class Command:
    """A running command, and every process that it ever had."""

    def __init__(self, *arguments: str, home: Path, **environment: str) -> None:
        # Tests beside this one start Airflows, too: the port that is asked for by default would be theirs as well.
        port = () if "--port" in arguments else ("--port", str(free_port(0)))
        self.home = home
        self.output = home.parent / f"{home.name}-output"
        self.seen: dict[int, float] = {}
        self._sessions: set[int] = set()
        with self.output.open("w") as output:
            self.process = psutil.Popen(
                [sys.executable, "-m", "include", *arguments, *port, "--home", str(home)],
                cwd=ROOT,
                env={**os.environ, "RATCHET_STORE": (home / "store").as_uri(), **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def look(self) -> None:
        """Take note of the processes that it has now, by descent and by session."""
        try:
            found = self.process.children(recursive=True)
        except psutil.NoSuchProcess:
            found = []
        for process in found:
            try:
                self._sessions.add(os.getsid(process.pid))
            except ProcessLookupError:
                continue
        for pid in {process.pid for process in found} | {
            pid for pid in psutil.pids() if _session(pid) in self._sessions
        }:
            try:
                self.seen.setdefault(pid, psutil.Process(pid).create_time())
            except psutil.NoSuchProcess:
                continue

    def until(self, true: Callable[[], object], seconds: float = 600) -> None:
        """Wait for something while it runs."""
        deadline = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            self.look()
            time.sleep(0.1)

    def end(self, seconds: float = 1500) -> int:
        """Wait for its end and return its status."""
        deadline = time.monotonic() + seconds
        while (status := self.process.poll()) is None:
            assert time.monotonic() < deadline, self.said()
            self.look()
            time.sleep(0.1)
        return int(status)

    def left(self) -> list[psutil.Process]:
        """Return what still runs of all that it ever had."""
        alive = {pid for session in self._sessions for pid in session_members(session)}
        for pid, created in self.seen.items():
            try:
                process = psutil.Process(pid)
                if process.create_time() == created and process.status() != psutil.STATUS_ZOMBIE:
                    alive.add(pid)
            except psutil.NoSuchProcess:
                continue
        return [psutil.Process(pid) for pid in alive]

    def kill(self) -> None:
        """Kill it, and wait for the end of what it had started, for which it can no longer wait itself."""
        self.process.kill()
        assert self.end(60) == -signal.SIGKILL
        deadline = time.monotonic() + 60
        while self.left():
            assert time.monotonic() < deadline, self.left()
            time.sleep(0.1)

    def said(self) -> str:
        """Return everything it printed."""
        return self.output.read_text()

    def logs(self, pattern: str) -> list[Path]:
        """Return log files of its Airflow."""
        return list((self.home / "airflow" / "logs").glob(pattern))


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Start a command; ended with the test, however that ends."""
    started: list[Command] = []

    def start(*arguments: str, home: str = "home", **environment: str) -> Command:
        started.append(Command(*arguments, home=tmp_path / home, **environment))
        return started[-1]

    yield start
    for command in started:
        if command.process.poll() is None:
            command.process.terminate()
            command.process.wait(60)
        for process in command.left():
            process.kill()


def declared_until(folder: Path, end: str) -> Path:
    """Return a folder of models with a copy of flight_delay whose schedule ends earlier."""
    copy = folder / "models" / "flight_delay"
    shutil.copytree(ROOT / "include" / "models" / "flight_delay", copy)
    path = copy / "model.yaml"
    path.write_text(re.sub(r"end: [-\d]+", f"end: {end}", path.read_text()))
    return copy.parent

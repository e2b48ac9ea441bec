"""Supervise a group of processes, and end all of them when the parent process has ended.

This module runs as a separate program in its own session. When the parent process ends, in whatever way, the standard input of
this program ends; it then ends the whole session. A process group is not enough, since every Airflow task creates its own.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ASKED = 0
COMPONENT_ENDED = 3
GRACE = 6.0
"""Seconds between asking a process to end and ending it."""


def session_members(session: int) -> set[int]:
    """Return the running processes of a session, without this process."""
    found = set()
    for pid in psutil.pids():
        try:
            if (
                pid != os.getpid()
                and os.getsid(pid) == session
                and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
            ):
                found.add(pid)
        except (ProcessLookupError, PermissionError, psutil.Error):
            continue
    return found


def end_session(session: int) -> None:
    """End every process of a session: ask, wait, insist, until none is left."""
    asked: set[int] = set()
    deadline = time.monotonic() + GRACE
    while left := session_members(session):
        insist = time.monotonic() > deadline
        for pid in left if insist else left - asked:
            try:
                os.kill(pid, signal.SIGKILL if insist else signal.SIGTERM)
            except ProcessLookupError:
                continue
        asked |= left
        time.sleep(0.05)


def keep_processes(first: list[list[str]], together: dict[str, list[str]], logs: Path) -> int:
    """Run ``first`` one after the other, then ``together`` until one of them ends or the starter goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        asked = True

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)

    def gone(seconds: float) -> bool:
        return asked or bool(select.select([sys.stdin], [], [], seconds)[0])

    def start(name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (logs / f"{name}.log").open("wb") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603

    for command in first:
        process = start("preparation", command)
        while process.poll() is None:
            if gone(0.05):
                return ASKED
        if process.returncode:
            return _report("preparation", process.returncode)
    running = {name: start(name, command) for name, command in together.items()}
    while not gone(0.1):
        for name, process in running.items():
            if process.poll() is not None:
                return _report(name, process.returncode)
    return ASKED


def _report(name: str, code: int) -> int:
    sys.stdout.write(f"{name} {code}\n")
    return COMPONENT_ENDED


if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    try:
        status = keep_processes(wanted["first"], wanted["together"], Path(wanted["logs"]))
    finally:
        end_session(os.getsid(0))
    sys.exit(status)

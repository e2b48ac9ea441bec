from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from include.command_line.local_airflow import process_group

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(300)"
)
# As every Airflow task does: a child of a child, in a process group of its own.
OWN_GROUP = "import os, time; os.fork() or os.setpgid(0, 0); print('up', flush=True); time.sleep(300)"


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that starts a keeper, prints the keeper's id, and then does what it is told on its input."""
    started: list[subprocess.Popen[str]] = []

    def start(first: list[str], together: dict[str, str]) -> subprocess.Popen[str]:
        wanted = {
            "logs": str(tmp_path),
            "first": [[sys.executable, "-c", code] for code in first],
            "together": {name: [sys.executable, "-c", code] for name, code in together.items()},
        }
        code = (
            "import subprocess, sys\n"
            f"k = subprocess.Popen([sys.executable, '-m', 'include.command_line.local_airflow.process_group', {json.dumps(wanted)!r}],"
            " stdin=subprocess.PIPE, start_new_session=True)\n"
            "print(k.pid, flush=True)\n"
            "sys.exit(k.wait())\n"
        )
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def keeper_of(starter: subprocess.Popen[str]) -> int:
    assert starter.stdout is not None
    return int(starter.stdout.readline())


def until(true: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_everything_ends_when_the_starter_is_killed(starter, tmp_path):
    process = starter([], {"stubborn": STUBBORN, "grouped": OWN_GROUP})
    session = keeper_of(process)
    until(lambda: (tmp_path / "stubborn.log").exists() and (tmp_path / "stubborn.log").read_text() == "up\n")
    until(lambda: (tmp_path / "grouped.log").exists() and (tmp_path / "grouped.log").read_text() == "up\nup\n")
    assert (
        len(process_group.session_members(session)) == 4
    )  # the keeper, the stubborn one, the grouped one and its child

    process.kill()

    until(lambda: not process_group.session_members(session))


def test_everything_ends_when_the_starter_is_killed_during_the_preparation(starter, tmp_path):
    process = starter(["print('up', flush=True); import time; time.sleep(300)"], {"never": "open('never', 'w')"})
    session = keeper_of(process)
    until(lambda: (tmp_path / "preparation.log").exists() and (tmp_path / "preparation.log").read_text())

    process.kill()

    until(lambda: not process_group.session_members(session))
    assert not (tmp_path / "never.log").exists()


def test_one_component_that_ends_takes_the_others_with_it_and_is_named(starter, tmp_path):
    process = starter([], {"short": "import sys; sys.exit(7)", "grouped": OWN_GROUP})
    session = keeper_of(process)

    assert process.wait(120) == process_group.COMPONENT_ENDED
    assert process.stdout.read() == "short 7\n"
    assert not process_group.session_members(session)


def test_a_preparation_that_fails_is_named_and_nothing_is_started(starter, tmp_path):
    process = starter(["import sys; sys.exit(2)"], {"never": "pass"})
    keeper_of(process)

    assert process.wait(120) == process_group.COMPONENT_ENDED
    assert process.stdout.read() == "preparation 2\n"
    assert not (tmp_path / "never.log").exists()


def test_an_interrupt_does_not_end_the_keeper_before_what_it_keeps(starter, tmp_path):
    process = starter([], {"grouped": OWN_GROUP})
    session = keeper_of(process)
    until(lambda: (tmp_path / "grouped.log").exists() and (tmp_path / "grouped.log").read_text() == "up\nup\n")

    os.kill(session, signal.SIGTERM)
    os.kill(session, signal.SIGTERM)

    assert process.wait(120) == process_group.ASKED
    assert not process_group.session_members(session)


def test_a_session_without_its_keeper_can_be_ended(starter, tmp_path):
    process = starter([], {"grouped": OWN_GROUP})
    session = keeper_of(process)
    until(lambda: (tmp_path / "grouped.log").exists() and (tmp_path / "grouped.log").read_text() == "up\nup\n")
    os.kill(session, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(session))
    assert len(process_group.session_members(session)) == 2

    process_group.end_session(session)

    assert not process_group.session_members(session)

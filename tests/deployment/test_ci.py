"""CI goes on without what it could not install, ends what it started, and its status is that of the checks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from include.config.settings import ROOT

TOOLS = ("sh", "dirname", "mktemp", "mv", "rm", "seq", "setpriv", "sleep", "tail", "timeout", "touch")
pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason="`.ci/run` starts an engine with tools of Linux"
)


class Machine:
    """One that has the programs that a test gives it, and no others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for tool in TOOLS:
            (folder / tool).symlink_to(shutil.which(tool) or "")
        self.has("id", "echo 0")
        self.has("make", "exit 7")
        for name in ("chromium", "docker-compose", "mmdebstrap"):
            self.has(name, "exit 0")

    def has(self, name: str, script: str) -> None:
        program = self.folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def start(self, **more: str) -> subprocess.Popen[str]:
        environment = {"PATH": str(self.folder), "HERE": str(self.folder), **more}
        return subprocess.Popen([ROOT / ".ci" / "run"], env=environment, stdout=subprocess.PIPE, text=True)

    def run(self, **more: str) -> tuple[int, str]:
        ran = self.start(**more)
        said, _ = ran.communicate(timeout=50)
        return ran.returncode, said


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def engine(machine: Machine) -> Path:
    """The file of the ids of an engine and of what it has started; it answers once it runs."""
    ids = machine.folder / "ids"
    machine.has("docker", '[ "$1" = info ] && [ -e "$HERE/ids" ]')
    machine.has("dockerd", 'sleep 600 & echo $! $$ >"$HERE/new"; mv "$HERE/new" "$HERE/ids"; wait')
    return ids


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def wait_for_the_end_of(ids: Path) -> None:
    """Whoever takes over an orphan may take a moment to notice its end."""
    wait_until(lambda: not any(psutil.pid_exists(int(pid)) for pid in ids.read_text().split()))


@pytest.mark.parametrize("apt", [None, "exit 100"])
def test_what_cannot_be_installed_does_not_fail_it(machine: Machine, apt: str | None) -> None:
    for name in ("chromium", "docker-compose", "mmdebstrap"):
        (machine.folder / name).unlink()
    if apt:
        machine.has("apt-get", apt)
    status, said = machine.run()
    assert status == 7
    assert "the browser tests will be skipped" in said
    assert "the test of docker-compose.yaml will be skipped" in said


def test_an_engine_that_does_not_start_does_not_fail_it(machine: Machine) -> None:
    machine.has("docker", "exit 1")
    machine.has("dockerd", "echo it is not permitted; exit 1")
    status, said = machine.run()
    assert status == 7
    assert "it is not permitted" in said
    assert "the test of docker-compose.yaml will be skipped" in said


def test_an_engine_that_it_started_ends_with_it(machine: Machine, engine: Path) -> None:
    status, said = machine.run()
    assert (status, said) == (7, "")
    wait_for_the_end_of(engine)


def test_an_engine_ends_when_ci_is_killed(machine: Machine, engine: Path) -> None:
    machine.has("make", 'sleep 600 & echo $! >"$HERE/check"; wait')
    ran = machine.start()
    wait_until((machine.folder / "check").exists)
    ran.kill()
    wait_for_the_end_of(engine)
    os.kill(int((machine.folder / "check").read_text()), signal.SIGKILL)
    ran.communicate()


def test_an_engine_that_answers_is_left_alone(machine: Machine) -> None:
    machine.has("docker", "exit 0")
    machine.has("dockerd", 'touch "$HERE/started"')
    assert machine.run() == (7, "")
    assert not (machine.folder / "started").exists()


def test_an_engine_elsewhere_that_does_not_answer_is_not_replaced(machine: Machine) -> None:
    machine.has("docker", "exit 1")
    machine.has("dockerd", 'touch "$HERE/started"')
    assert machine.run(DOCKER_HOST="unix:///nonexistent")[0] == 7
    assert not (machine.folder / "started").exists()

"""The commands under a real Airflow: each test starts them as a person would, as a process of their own."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
from commands import Command, declared_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]


def test_a_component_that_is_killed_ends_the_demo_with_its_name(start, tmp_path: Path):
    command = start("demo", RATCHET_MODELS=str(declared_until(tmp_path, "2013-05-01")))
    command.until(lambda: _called(command, "dag-processor"))
    for process in _called(command, "dag-processor"):
        process.kill()

    assert command.end(300) == 1
    assert "Airflow's dag-processor ended with status -9" in command.said()
    assert not command.left()


def test_a_failed_run_is_named_with_its_task_its_error_and_its_log(start, tmp_path: Path):
    models = declared_until(tmp_path, "2013-05-01")
    path = models / "flight_delay" / "model.yaml"
    path.write_text(path.read_text().replace("value_set: [EWR, JFK, LGA]", "value_set: [ZZZ]"))

    command = start("demo", RATCHET_MODELS=str(models))

    assert command.end() == 1
    said = command.said()
    assert "1 of 1 runs failed: 2013-05-01" in said
    assert "task check" in said
    assert "expect_column_values_to_be_in_set" in said
    log = Path(re.search(r"log: (.+)", said)[1])
    assert log.exists()
    assert not command.left()


def test_up_serves_people_on_another_port_if_its_own_is_busy_and_a_second_one_in_its_folder_is_refused(
    start, migrated: Callable[[Path], Path], tmp_path: Path
):
    migrated(tmp_path / "home" / "airflow")
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        command = start("up", "--port", str(port))
        command.until(lambda: "password:" in command.said())
    assert f"Port {port} is busy" in command.said()
    address = re.search(r"http://127.0.0.1:\d+", command.said().split("Airflow:")[1])[0]
    assert "<html" in urlopen(address).read().decode()
    passwords = json.loads((command.home / "airflow" / "secrets" / "passwords.json").read_text())
    assert f"password:  {passwords['admin']}" in command.said()
    listening = {c.laddr.ip for pid in command.seen for c in _connections(pid) if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}

    second = start("demo")
    assert second.end(60) == 1
    assert "already running" in second.said()

    command.process.send_signal(signal.SIGINT)

    assert command.end(60) == 130
    assert not command.left()


def _called(command: Command, word: str) -> list[psutil.Process]:
    """Return the processes of a command that run and have a word among their arguments."""
    found = []
    for pid in command.seen:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            found += [process] if word in process.cmdline() else []
    return found


def _connections(pid: int) -> list[object]:
    try:
        return psutil.Process(pid).net_connections(kind="inet")
    except psutil.NoSuchProcess:
        return []

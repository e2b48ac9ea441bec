"""The commands under a real Airflow: each test starts them as a person would, as a process of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from include.command_line.local_airflow.process_group import session_members
from include.config.settings import ROOT
from include.registry.ledger import Ledger
from include.storage.opening import open_store

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]


class Command:
    """A running command, and every process that it ever had."""

    def __init__(self, *arguments: str, home: Path, **environment: str) -> None:
        self.home = home
        self.output = home.parent / f"{home.name}-output"
        self.seen: dict[int, float] = {}
        self._sessions: set[int] = set()
        with self.output.open("w") as output:
            self.process = psutil.Popen(
                [sys.executable, "-m", "include", *arguments, "--home", str(home)],
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
        for pid in {process.pid for process in found}.union(*map(session_members, self._sessions)):
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

    def said(self) -> str:
        """Return everything it printed."""
        return self.output.read_text()

    def logs(self, pattern: str) -> list[Path]:
        """Return log files of its Airflow."""
        return list((self.home / "airflow" / "logs").glob(pattern))


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


MOMENTS: dict[str, Callable[[Command], object]] = {
    "migrating": lambda it: it.logs("components/preparation.log"),
    "starting": lambda it: it.logs("components/scheduler.log"),
    "starting, all at work": lambda it: len(it.seen) > 8,
    "in a task": lambda it: it.logs("dag_id=*/*/task_id=ingest/*.log"),
}


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("migrating", signal.SIGTERM),
        ("starting", signal.SIGINT),
        ("starting, all at work", signal.SIGKILL),
        ("in a task", signal.SIGINT),
        ("in a task", signal.SIGKILL),
    ],
)
def test_nothing_is_left_of_a_demo_that_is_ended(start, moment: str, number: signal.Signals):
    command = start("demo")
    command.until(lambda: MOMENTS[moment](command))
    command.look()

    command.process.send_signal(number)

    assert command.end(60) == (-number if number == signal.SIGKILL else 128 + number)
    if number == signal.SIGKILL:  # then it could not wait for the end of what it had started
        deadline = time.monotonic() + 30
        while command.left() and time.monotonic() < deadline:
            time.sleep(0.1)
    assert len(command.seen) >= 2
    assert not command.left()


def test_a_component_that_is_killed_ends_the_demo_with_its_name(start):
    command = start("demo")
    command.until(lambda: command.logs("components/scheduler.log") and len(command.seen) > 4)
    for process in [psutil.Process(pid) for pid in command.seen if psutil.pid_exists(pid)]:
        if "dag-processor" in process.cmdline():
            process.kill()

    assert command.end(120) == 1
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


def test_a_second_one_in_one_folder_is_refused(start):
    first = start("demo")
    first.until(lambda: (first.home / "lock").exists() and (first.home / "lock").read_text())
    second = start("up")
    assert second.end(60) == 1
    assert "already running" in second.said()


def test_up_serves_people_on_another_port_if_its_own_is_busy(start):
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

    command.process.send_signal(signal.SIGINT)

    assert command.end(60) == 130
    assert not command.left()


def test_a_demo_that_is_interrupted_is_completed_by_the_next_and_repeating_it_changes_nothing(start, tmp_path: Path):
    models = str(declared_until(tmp_path, "2013-08-01"))
    interrupted = start("demo", RATCHET_MODELS=models)
    interrupted.until(lambda: interrupted.logs("dag_id=*/*/task_id=train/*/*.log"))
    interrupted.process.send_signal(signal.SIGKILL)
    interrupted.end(60)
    deadline = time.monotonic() + 30
    while interrupted.left() and time.monotonic() < deadline:
        time.sleep(0.1)

    database = interrupted.home / "airflow" / "airflow.db"
    before = closed_backfills(database)
    tear_backfills(database)
    completed = start("demo", RATCHET_MODELS=models)
    completed.until(lambda: closed_backfills(database) >= before + 2)  # what was interrupted, and what was torn
    mend_backfills(database)
    assert completed.end() == 0, completed.said()
    assert not completed.left()
    ledger = Ledger(open_store((completed.home / "store").as_uri()), "flight_delay")
    entries, timeline = ledger.entries(), ledger.timeline()
    assert [standing.as_of.month for standing in timeline.standings] == [5, 6, 7, 8]
    assert all(standing.version in completed.said() for standing in timeline.standings)
    assert timeline.champion is not None

    began = time.monotonic()
    second = start("demo", RATCHET_MODELS=models)
    assert second.end() == 0
    assert time.monotonic() - began < 30
    assert "Airflow runs" not in second.said()
    assert timeline.champion in second.said()

    repeated = start("demo", "--again", RATCHET_MODELS=models)
    assert repeated.end() == 0, repeated.said()
    assert "Airflow runs" in repeated.said()
    assert Ledger(open_store((completed.home / "store").as_uri()), "flight_delay").entries() == entries


def declared_until(folder: Path, end: str) -> Path:
    """Return a folder of models with a copy of flight_delay whose schedule ends earlier."""
    copy = folder / "models" / "flight_delay"
    shutil.copytree(ROOT / "include" / "models" / "flight_delay", copy)
    path = copy / "model.yaml"
    path.write_text(re.sub(r"end: [-\d]+", f"end: {end}", path.read_text()))
    return copy.parent


def tear_backfills(database: Path) -> None:
    """Let Airflow fail in the middle of the creation of a backfill and keep what it has of it, as when SQLite is busy."""
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.execute(
            "CREATE TRIGGER torn BEFORE INSERT ON backfill_dag_run WHEN NEW.sort_ordinal = 3 "
            "BEGIN SELECT abs(-9223372036854775808); END"
        )


def mend_backfills(database: Path) -> None:
    """Let Airflow create backfills again."""
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.execute("DROP TRIGGER torn")


def closed_backfills(database: Path) -> int:
    """Return how many backfills Airflow holds for ended."""
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        return int(connection.execute("SELECT count(*) FROM backfill WHERE completed_at IS NOT NULL").fetchone()[0])


def _connections(pid: int) -> list[object]:
    try:
        return psutil.Process(pid).net_connections(kind="inet")
    except psutil.NoSuchProcess:
        return []

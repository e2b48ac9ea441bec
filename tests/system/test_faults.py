"""What Airflow itself can suffer while a model is trained, under a real scheduler: the store ends as that of a run that nothing disturbed."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from chain_run import declare, parcels
from undisturbed import is_as_undisturbed
from waiting import until

from include.command_line.local_airflow import standalone as local
from include.command_line.local_airflow.standalone import LocalAirflow, free_port, local_airflow
from include.config.settings import ROOT
from include.errors import RatchetError
from include.storage.local import LocalStore

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]

AWAY = 60
"""Seconds for which the API server does not answer."""
FEATURES = """
import os, signal, time, traceback
from pathlib import Path

HERE = Path({folder!r})


def first():
    try:
        (HERE / "begun").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def derive(frame):
    if any(call.filename.endswith("ratchet_operators/train.py") for call in traceback.extract_stack()) and first():
        {fault}
    return frame.assign(evening=frame["sent_at"].dt.hour >= 18)
"""
FAULTS = {
    # The task goes on without the process that started it, beside its own retry.
    "orphan": "os.kill(os.getppid(), signal.SIGKILL), time.sleep(30), (HERE / 'went_on').touch()",
    "unanswered": "time.sleep(10)",
    "restarted": "time.sleep(10)",
}
# As it is, but that a task is tried again at once.
DAGS = """
import datetime, pathlib
import ratchet_operators

shared = ratchet_operators.defaults
ratchet_operators.defaults = lambda model: {**shared(model), "retry_delay": datetime.timedelta(seconds=1)}
exec(compile(pathlib.Path(%r).read_text(), __file__, "exec"))  # from airflow.sdk import DAG
ratchet_operators.defaults = shared
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, migrated: Callable[[Path], Path]) -> Iterator[Path]:
    """A folder with the models, whose settings let Airflow notice a lost task within seconds."""
    folder = tmp_path_factory.mktemp("faults")
    migrated(folder / "home")
    for name, fault in FAULTS.items():
        declare(folder / "models" / name, parcels(), name=name)
        (folder / name).mkdir()
        code = FEATURES.format(folder=str(folder / name), fault=fault)
        (folder / "models" / name / "features.py").write_text(code)
    (folder / "dags").mkdir()
    (folder / "dags" / "retrain.py").write_text(DAGS % str(ROOT / "dags" / "retrain.py"))
    given = local.airflow_environment

    def environment(*arguments: Any) -> dict[str, str]:
        return given(*arguments) | {
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "12",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RATCHET_STORE", (folder / "store").as_uri())
        patch.setenv("RATCHET_MODELS", str(folder / "models"))
        patch.setattr(local, "airflow_environment", environment)
        yield folder


@contextlib.contextmanager
def running(world: Path) -> Iterator[LocalAirflow]:
    with local_airflow(world / "home", port=free_port(8170), triggerer=False) as airflow:
        for name in FAULTS:
            airflow.wait_ready(f"retrain_{name}")
        yield airflow


@pytest.fixture(scope="module")
def airflow(world: Path) -> Iterator[LocalAirflow]:
    """For all tests; the last one ends it."""
    with running(world) as airflow:
        yield airflow


def trigger(airflow: LocalAirflow, name: str) -> str:
    airflow.api.patch(f"dags/retrain_{name}", {"is_paused": False})
    asked = {"logical_date": "2024-07-01T00:00:00Z", "dag_run_id": "one"}
    airflow.api._ask("POST", f"/api/v2/dags/retrain_{name}/dagRuns", asked)
    return "one"


def succeeds(airflow: LocalAirflow, name: str, run: str) -> None:
    def ended() -> bool:
        state: str = airflow.api.get(f"dags/retrain_{name}/dagRuns/{run}")["state"]
        assert state != "failed"
        return state == "success"

    until(ended, f"the end of {name}")


def tries(airflow: LocalAirflow, name: str, run: str) -> int:
    """Return how often the most tried training was tried."""
    found = airflow.api.get(f"dags/retrain_{name}/dagRuns/{run}/taskInstances?limit=100")["task_instances"]
    return max(one["try_number"] for one in found if one["task_id"] == "train")


def component(airflow: LocalAirflow, name: str) -> list[psutil.Process]:
    """Return the processes of one part of Airflow, the one that was started first at the beginning."""
    started = psutil.Process(airflow.process.pid).children()
    (main,) = [one for one in started if name in " ".join(one.cmdline()).replace("_", "-")]
    return [main, *main.children(recursive=True)]


def test_a_task_that_goes_on_beside_its_retry_changes_nothing(world: Path, airflow: LocalAirflow) -> None:
    run = trigger(airflow, "orphan")
    succeeds(airflow, "orphan", run)
    assert tries(airflow, "orphan", run) > 1
    until((world / "orphan" / "went_on").exists, "the end of the orphan")
    is_as_undisturbed(LocalStore(world / "store"), world, "orphan")


def test_an_api_server_that_is_away_for_a_minute_changes_nothing(world: Path, airflow: LocalAirflow) -> None:
    run = trigger(airflow, "unanswered")
    until((world / "unanswered" / "begun").exists, "the training")
    stopped = component(airflow, "api-server")
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    time.sleep(AWAY)
    for process in stopped:
        process.send_signal(signal.SIGCONT)
    succeeds(airflow, "unanswered", run)
    is_as_undisturbed(LocalStore(world / "store"), world, "unanswered")


def test_a_scheduler_that_is_killed_and_started_again_changes_nothing(world: Path, airflow: LocalAirflow) -> None:
    run = trigger(airflow, "restarted")
    until((world / "restarted" / "begun").exists, "the training")
    component(airflow, "scheduler")[0].kill()
    with pytest.raises(RatchetError, match="scheduler ended with status -9"):
        until(airflow.check, "the end of Airflow")
    with running(world) as again:
        succeeds(again, "restarted", run)
        assert tries(again, "restarted", run) > 1
    is_as_undisturbed(LocalStore(world / "store"), world, "restarted")

"""What Airflow itself can suffer while a model is trained, under a real scheduler: the store ends as that of a run that nothing disturbed."""

from __future__ import annotations

import signal
import time

import psutil
import pytest
from dying_site import DyingSite
from undisturbed import is_as_undisturbed
from waiting import until

from include.command_line.local_airflow.standalone import LocalAirflow
from include.errors import RatchetError

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

AWAY = 60
"""Seconds for which the API server does not answer."""


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


def test_a_task_that_goes_on_beside_its_retry_changes_nothing(dying: DyingSite) -> None:
    airflow, folder = dying.airflow, dying.folder
    run = trigger(airflow, "orphan")
    succeeds(airflow, "orphan", run)
    assert tries(airflow, "orphan", run) > 1
    until((folder / "orphan" / "went_on").exists, "the end of the orphan")
    is_as_undisturbed(dying.store, folder, "orphan")


def test_an_api_server_that_is_away_for_a_minute_changes_nothing(dying: DyingSite) -> None:
    airflow, folder = dying.airflow, dying.folder
    run = trigger(airflow, "unanswered")
    until((folder / "unanswered" / "begun").exists, "the training")
    stopped = component(airflow, "api-server")
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    time.sleep(AWAY)
    for process in stopped:
        process.send_signal(signal.SIGCONT)
    succeeds(airflow, "unanswered", run)
    is_as_undisturbed(dying.store, folder, "unanswered")


def test_a_scheduler_that_is_killed_and_started_again_changes_nothing(dying: DyingSite) -> None:
    airflow, folder = dying.airflow, dying.folder
    run = trigger(airflow, "restarted")
    until((folder / "restarted" / "begun").exists, "the training")
    component(airflow, "scheduler")[0].kill()
    with pytest.raises(RatchetError, match="scheduler ended with status -9"):
        until(airflow.check, "the end of Airflow")
    succeeds(dying.airflow, "restarted", run)
    assert tries(dying.airflow, "restarted", run) > 1
    dying.end()  # nothing else needs it, and beside other tests it takes a tenth of a core
    is_as_undisturbed(dying.store, folder, "restarted")

"""Run a DAG over past dates as an Airflow backfill, and wait until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

from include.command_line.local_airflow.standalone import LocalAirflow
from include.errors import RatchetError

_ENDED = ("success", "failed")
_ATTEMPTS = 15
_PASSING = ("sqlite3.OperationalError", "AlreadyRunningBackfill")
"""What passes: a busy SQLite, and a backfill that has ended and that the scheduler has not yet marked so, within 30 seconds."""
_PAUSE = 2.0  # seconds between two looks; each costs the tasks a twentieth of a core-second
_AT_WORK = ("running", "up_for_retry", "deferred", "awaiting_input")


@dataclass(frozen=True)
class Task:
    """A try of a task that is at work or has failed."""

    run: str
    as_of: str
    name: str
    """The task's id, with its index if it is mapped."""
    task: str
    map_index: int
    attempt: int
    state: str


@dataclass(frozen=True)
class Progress:
    """The progress of a backfill."""

    runs: dict[str, str]
    """The state of each run, by its date."""
    at_work: tuple[Task, ...]
    failed: tuple[Task, ...]

    @property
    def ended(self) -> list[str]:
        """The dates whose run has ended, successful or failed."""
        return [date for date, state in self.runs.items() if state in _ENDED]

    @property
    def unsuccessful(self) -> list[str]:
        """The dates whose run failed."""
        return [date for date, state in self.runs.items() if state == "failed"]


def backfill(
    airflow: LocalAirflow,
    dag: str,
    start: datetime,
    end: datetime,
    *,
    at_once: int,
    show: Callable[[Progress], None],
    backwards: bool = False,
) -> Progress:
    """Run ``dag``, which is paused, at each of its dates from ``start`` to ``end``, those that ran before once more; wait for all.

    Parameters
    ----------
    airflow : LocalAirflow
    dag : str
    start, end : datetime
        The first and the last date, both included.
    at_once : int
        How many runs may be at work at the same time.
    show : callable
        Is given the progress every two seconds.
    backwards : bool
        Whether to run the newest date first.
    """
    _close_open(airflow, dag)
    _create(airflow, dag, start, end, at_once, backwards)
    unpaused = False
    while True:
        airflow.check()
        try:
            if not unpaused:
                airflow.api.patch(f"dags/{quote(dag)}", {"is_paused": False})
                unpaused = True
            progress = _progress(airflow, dag, start, end)
        except (OSError, HTTPException) as error:
            if isinstance(error, HTTPError) and error.code < 500:
                raise
            time.sleep(1)  # a busy API server; `check` says so when it has ended
            continue
        show(progress)
        if progress.runs and len(progress.ended) == len(progress.runs):
            return progress
        time.sleep(_PAUSE)


def _create(airflow: LocalAirflow, dag: str, start: datetime, end: datetime, at_once: int, backwards: bool) -> None:
    """Create the backfill with Airflow's command, in a new process for each try.

    SQLite refuses, without waiting, a transaction that began with a read and writes after another process has written.
    Airflow then keeps the backfill with only some of its runs, accepts no second one, and its API server may stay in that
    state for a long time.
    """
    wanted = {
        "dag-id": dag,
        "from-date": start.isoformat(),
        "to-date": end.isoformat(),
        "max-active-runs": str(at_once),
    }
    arguments = [f"--{name}={value}" for name, value in wanted.items()]
    arguments += ["--reprocess-behavior=completed", *(["--run-backwards"] if backwards else [])]
    for attempt in range(_ATTEMPTS):
        done = airflow.run("backfill", "create", *arguments)
        if done.returncode == 0:
            return
        if not any(error in done.stderr for error in _PASSING) or attempt == _ATTEMPTS - 1:
            raise RatchetError(
                f"Airflow refused the backfill of {dag}.",
                expected=f"dates of its schedule between {start:%Y-%m-%d} and {end:%Y-%m-%d}",
                found="\n    ".join(["", *done.stderr.strip().splitlines()[-8:]]),
            )
        airflow.check()
        if "sqlite3" in done.stderr:
            _close_open(airflow, dag)


def _close_open(airflow: LocalAirflow, dag: str) -> None:
    """Cancel what an interrupted backfill left open, and end its runs; of a paused DAG the scheduler touches none beside it."""
    for attempt in range(_ATTEMPTS):
        try:
            for left in airflow.api.get("backfills", dag_id=dag)["backfills"]:
                if left["completed_at"] is None:
                    airflow.api.put(f"backfills/{left['id']}/cancel")
            under_way = airflow.api.get(f"dags/{quote(dag)}/dagRuns", run_type="backfill", state=["queued", "running"])
            for run in under_way["dag_runs"]:
                airflow.api.patch(f"dags/{quote(dag)}/dagRuns/{quote(run['dag_run_id'])}", {"state": "failed"})
            return
        except (OSError, HTTPException) as error:
            if attempt == _ATTEMPTS - 1 or (isinstance(error, HTTPError) and error.code < 500 and error.code != 409):
                raise
            airflow.check()
            time.sleep(1)  # a busy SQLite


def _progress(airflow: LocalAirflow, dag: str, start: datetime, end: datetime) -> Progress:
    dates = {"logical_date_gte": start.isoformat(), "logical_date_lte": end.isoformat(), "limit": 100}
    runs = airflow.api.get(f"dags/{quote(dag)}/dagRuns", **dates, run_type="backfill", order_by="logical_date")[
        "dag_runs"
    ]
    tasks = airflow.api.get(
        f"dags/{quote(dag)}/dagRuns/~/taskInstances", **dates, state=[*_AT_WORK, "failed"], order_by="logical_date"
    )["task_instances"]
    known = {run["dag_run_id"]: run["logical_date"][:10] for run in runs}
    mine = [_task(task, known[task["dag_run_id"]]) for task in tasks if task["dag_run_id"] in known]
    return Progress(
        runs={run["logical_date"][:10]: run["state"] for run in runs},
        at_work=tuple(task for task in mine if task.state != "failed"),
        failed=tuple(task for task in mine if task.state == "failed"),
    )


def _task(found: dict[str, Any], as_of: str) -> Task:
    index = found["map_index"]
    return Task(
        run=found["dag_run_id"],
        as_of=as_of,
        name=found["task_id"] if index < 0 else f"{found['task_id']}[{found.get('rendered_map_index') or index}]",
        task=found["task_id"],
        map_index=index,
        attempt=found["try_number"],
        state=found["state"],
    )

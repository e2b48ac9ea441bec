"""Many retrainings queued at once on two workers, beside one alone: what each of them costs, under a real Airflow.

    python -m benchmarks.queued                    # 200 runs, some ten minutes; writes its part of docs/performance.md
    python -m benchmarks.queued --print --models 3

Of 25 equal small models each has eight runs, one after the other, as its DAG says; all are asked for before the first begins.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any
from unittest.mock import patch

from benchmarks.page import machine, put
from include.command_line.local_airflow import standalone
from include.command_line.local_airflow.environment import airflow_environment
from include.command_line.local_airflow.standalone import LocalAirflow, free_port, local_airflow
from tests.chain_run import declare, month, parcels

SLOTS = 2
MODELS = 25
ALONE = 3
MONTHS = range(5, 13)  # those whose windows the small model's rows fill
PATIENCE = 1200.0  # seconds without a run that ends, until it is given up
LOOK = 3.0  # seconds between two looks
GOAL = 1.1


def declare_models(folder: Path, number: int) -> list[str]:
    """Write the declarations of some equal small models under names of their own, and return the names."""
    rows, names = parcels(), [f"parcels_{one:03d}" for one in range(number)]
    for name in names:
        declare(folder / name, rows, name=name)
    return names


@contextmanager
def two_workers(folder: Path, dag: str) -> Iterator[LocalAirflow]:
    """Start Airflow on the models in ``folder`` with two slots in all."""

    def with_slots(home: Path, port: int, address: str | None = None) -> dict[str, str]:
        return {**airflow_environment(home, port, address), "AIRFLOW__CORE__PARALLELISM": str(SLOTS)}

    where = {"RATCHET_STORE": (folder / "store").as_uri(), "RATCHET_MODELS": str(folder / "models")}
    with (
        patch.dict(os.environ, where),
        patch.object(standalone, "airflow_environment", with_slots),
        local_airflow(folder / "home", port=free_port(8080), triggerer=False) as airflow,
    ):
        airflow.wait_ready(dag)
        yield airflow


def trigger(airflow: LocalAirflow, name: str, as_of: datetime) -> None:
    """Ask for a run of a model's retraining."""
    asked = {"logical_date": as_of.isoformat(), "dag_run_id": f"asked-{as_of:%Y-%m}"}
    airflow.api._ask("POST", f"/api/v2/dags/retrain_{name}/dagRuns", asked)


def pause(airflow: LocalAirflow, name: str, *, paused: bool) -> None:
    """Pause a model's retraining, or let it go on."""
    airflow.api.patch(f"dags/retrain_{name}", {"is_paused": paused})


def ended(airflow: LocalAirflow, number: int) -> list[dict[str, Any]]:
    """Wait until so many runs have ended, and return all of them in the order of their ends."""
    seen, since = 0, time.monotonic()
    while True:
        airflow.check()
        counts = {state: _count(airflow, state) for state in ("success", "failed")}
        if counts["failed"]:
            raise SystemExit(f"Runs failed: see the logs in {airflow.home / 'logs'}")
        if counts["success"] > seen:
            seen, since = counts["success"], time.monotonic()
        if seen >= number:
            break
        if time.monotonic() - since > PATIENCE:
            raise SystemExit(f"No run ended in {PATIENCE:.0f} seconds; {seen} of {number} had before.")
        time.sleep(LOOK)
    runs: list[dict[str, Any]] = []
    while len(runs) < seen:
        runs += airflow.api.get("dags/~/dagRuns", limit=100, offset=len(runs), order_by="end_date")["dag_runs"]
    return runs


def _count(airflow: LocalAirflow, state: str) -> int:
    return int(airflow.api.get("dags/~/dagRuns", state=[state], limit=1)["total_entries"])


def seconds(runs: list[dict[str, Any]]) -> float:
    """Return the seconds from the first start of some runs to the last end."""
    starts, ends = ([datetime.fromisoformat(run[field]) for run in runs] for field in ("start_date", "end_date"))
    return (max(ends) - min(starts)).total_seconds()


def measure(airflow: LocalAirflow, names: list[str]) -> tuple[list[float], list[float], float]:
    """Return the seconds of each run alone, those after which each queued one had ended, and the tasks' seconds of a queued one."""
    first, *others = names
    alone: list[float] = []
    for number, place in enumerate(MONTHS[: ALONE + 1], 1):
        trigger(airflow, first, month(place))
        alone.append(seconds(ended(airflow, number)[-1:]))
        print(f"alone: {alone[-1]:.1f}", flush=True)  # noqa: T201 (a benchmark's progress)
    for name in others:
        pause(airflow, name, paused=True)
    for place in MONTHS:
        for name in others:
            trigger(airflow, name, month(place))
    for name in others:
        pause(airflow, name, paused=False)
    queued = ended(airflow, len(alone) + len(others) * len(MONTHS))[len(alone) :]
    began = min(datetime.fromisoformat(run["start_date"]) for run in queued)
    ends = [(datetime.fromisoformat(run["end_date"]) - began).total_seconds() for run in queued]
    return alone[1:], ends, _work(airflow, queued)  # the first run alone finds nothing warm


def _work(airflow: LocalAirflow, runs: list[dict[str, Any]]) -> float:
    """Return the mean of what the tasks of some runs took together."""
    took = []
    for run in runs[:: max(1, len(runs) // 10)]:
        path = f"dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"
        took.append(sum(task["duration"] or 0 for task in airflow.api.get(path, limit=100)["task_instances"]))
    return fmean(took)


def table(alone: list[float], ends: list[float], work: float, names: int) -> str:
    """Return the part of the page."""
    one, quarter = median(alone), len(ends) // 4
    parts = {
        f"all {len(ends)}": ends[-1] / len(ends),
        "the first quarter": ends[quarter - 1] / quarter,
        "the last quarter": (ends[-1] - ends[-quarter - 1]) / quarter,
    }
    lines = [machine(), "", f"| {names} models | seconds x {SLOTS} slots a run | of one alone |", "|---|---|---|"]
    lines.append(f"| one run alone, which can't use both slots all the time: seconds | {one:.1f} | |")
    lines += [f"| {name} | {took * SLOTS:.1f} | {took * SLOTS / one:.2f} |" for name, took in parts.items()]
    lines.append(f"| goal | | at most {GOAL} |")
    share = work / (parts[f"all {len(ends)}"] * SLOTS)
    said = f"The tasks of a queued run take {work:.1f} s in all, from start to end of each: {share:.2f} of what the slots give it."
    return "\n".join([*lines, "", said])


def main() -> None:
    """Measure, print the table, and write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    parser.add_argument("--models", type=int, default=MODELS, help="how many, of eight runs each")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = Path(name)
        names = declare_models(folder / "models", arguments.models + 1)
        airflow = stack.enter_context(two_workers(folder, f"retrain_{names[-1]}"))
        alone, ends, work = measure(airflow, names)
    print(json.dumps({"alone": alone, "ends": ends}))  # noqa: T201
    found = table(alone, ends, work, arguments.models)
    print(found)  # noqa: T201
    if not arguments.print:
        put("queued", found)


if __name__ == "__main__":
    main()

"""One retraining and six months of them: Ratchet under Airflow beside the same work in a plain script, in one run.

    python -m benchmarks.retraining                # some minutes; writes its part of docs/performance.md
    python -m benchmarks.retraining --print

Everything is measured on the machine as it is; compare the ratios, not the seconds. Let nothing else run beside it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import psutil

from benchmarks.page import machine, put
from include.command_line.airflow_environment import shared_settings
from include.command_line.backfill import backfill
from include.command_line.local_airflow import LocalAirflow, free_port, local_airflow

DAG = "retrain_flight_delay"
SINGLE = ["2013-09-01", "2013-10-01", "2013-11-01"]
SIX = ["2013-06-01", "2013-07-01", "2013-08-01", "2013-09-01", "2013-10-01", "2013-11-01"]
STEPS = ("ingest", "check", "train", "select", "evaluate", "gate", "promote", "keep_champion", "settle")
GOALS = {"cold": 0.9, "warm": 1.1, "two": 1.15}
QUIET = 20.0  # seconds over which the idle system is watched


def plain(folder: Path, dates: list[str], *, threads: int | None) -> subprocess.Popen[str]:
    """Start the plain script on some dates, one after the other in one process."""
    limits = {} if threads is None else {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-m", "benchmarks.plain", str(folder), *dates],
        env={**os.environ, **limits},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def ended(*processes: subprocess.Popen[str]) -> list[list[float]]:
    """Wait, and return the seconds that each says its dates took."""
    answers = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("The plain script failed; run it by hand: python -m benchmarks.plain FOLDER DATE")
    return [[float(line) for line in answer.splitlines()] for answer in answers]


def plain_times(folder: Path) -> dict[str, float]:
    """Return the seconds of a cold script, of a warm loop's date, and of six months in two processes."""
    ended(plain(folder / "cold", ["2013-08-01"], threads=None))  # a champion to measure against, and warm file caches
    cold = []
    for date in SINGLE:
        began = time.perf_counter()
        ended(plain(folder / "cold", [date], threads=None))
        cold.append(time.perf_counter() - began)
    (warm,) = ended(plain(folder / "warm", ["2013-08-01", *SINGLE], threads=None))
    began = time.perf_counter()
    ended(*(plain(folder / name, SIX[first::2], threads=1) for name, first in (("odd", 0), ("even", 1))))
    return {"cold": median(cold), "warm": median(warm[1:]), "two": time.perf_counter() - began}


def run(airflow: LocalAirflow, dates: list[str], *, at_once: int) -> tuple[list[float], dict[str, float]]:
    """Backfill some dates; return the seconds from the first run's start to each one's end, in order, and those of each step."""
    first, last = (datetime.fromisoformat(date).replace(tzinfo=UTC) for date in (dates[0], dates[-1]))
    airflow.api.patch(f"dags/{DAG}", {"is_paused": True})
    progress = backfill(airflow, DAG, first, last, at_once=at_once, show=lambda progress: None)
    if progress.unsuccessful:
        raise SystemExit(f"Runs failed: {progress.failed}")
    within = {"logical_date_gte": first.isoformat(), "logical_date_lte": last.isoformat(), "limit": 100}
    runs = airflow.api.get(f"dags/{DAG}/dagRuns", **within)["dag_runs"]
    tasks = airflow.api.get(f"dags/{quote(DAG)}/dagRuns/~/taskInstances", **within)["task_instances"]
    took = {step: sum(task["duration"] or 0 for task in tasks if task["task_id"] == step) for step in STEPS}
    starts, ends = ([datetime.fromisoformat(one[field]) for one in runs] for field in ("start_date", "end_date"))
    return sorted((end - min(starts)).total_seconds() for end in ends), took


def idle(airflow: LocalAirflow) -> tuple[float, float]:
    """Return the cores and the GiB that Airflow uses while nothing runs."""
    members = [p for p in psutil.process_iter() if _session(p.pid) == airflow.process.pid]

    def spent() -> float:
        return sum(sum(p.cpu_times()[:2]) for p in members if p.is_running())

    before = spent()
    time.sleep(QUIET)
    used = (spent() - before) / QUIET
    return used, sum(p.memory_full_info().pss for p in members if p.is_running()) / 2**30


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def ratchet_times(folder: Path, database: str | None) -> dict[str, Any]:
    """Return the seconds of a retraining after others, and of six months, each into an empty store.

    The months two at a time, and on SQLite one by one as well: on all cores, and on one.
    """
    found: dict[str, Any] = {}
    cores = os.sched_getaffinity(0)
    for part in ("single", "two", *(["alone", "on one core"] if database is None else [])):
        os.environ["RATCHET_STORE"] = (folder / part / "store").as_uri()
        address = database and database + part
        if part == "on one core":
            os.sched_setaffinity(0, {min(cores)})  # every process that is started from here on inherits it
        try:
            with local_airflow(
                folder / part / "home", port=free_port(8080), triggerer=False, database=address
            ) as airflow:
                airflow.wait_ready(DAG)
                if part == "single":
                    run(airflow, ["2013-08-01"], at_once=1)
                    each = [run(airflow, [date], at_once=1) for date in SINGLE]
                    found["one"] = median(ends[-1] for ends, _ in each)
                    found["steps"] = {step: median(took[step] for _, took in each) for step in STEPS}
                else:
                    run(airflow, ["2013-05-01"], at_once=1)  # as the plain loop: the machine has seen the files
                    found[part], _ = run(airflow, SIX, at_once=2 if part == "two" else 1)
        finally:
            os.sched_setaffinity(0, cores)
        print(part, found[part if part != "single" else "one"], flush=True)  # noqa: T201
    return found


VARIANTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "as it comes": ({}, {}),
    "each task imports for itself": ({"RATCHET_WARM": "0"}, {}),
    "the scheduler looks once a second, as Airflow ships it": (
        {},
        {"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1"},
    ),
    "the scheduler looks ten times a second": ({}, {"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1"}),
}
"""What a setting costs and gives: changed variables of the environment, and changed settings of airflow.env."""


def variant_times(folder: Path) -> dict[str, tuple[float, float, float]]:
    """Return of each variant the seconds of a retraining, and the cores and GiB of the idle system."""
    found = {}
    for number, (name, (variables, settings)) in enumerate(VARIANTS.items()):
        store = (folder / str(number) / "store").as_uri()
        shared = shared_settings() | settings
        with (
            patch.dict(os.environ, {"RATCHET_STORE": store, **variables}),
            patch("include.command_line.airflow_environment.shared_settings", return_value=shared),
            local_airflow(folder / str(number) / "home", port=free_port(8080), triggerer=False) as airflow,
        ):
            airflow.wait_ready(DAG)
            run(airflow, ["2013-08-01"], at_once=1)
            still = idle(airflow)
            found[name] = (median(run(airflow, [date], at_once=1)[0][-1] for date in SINGLE[:2]), *still)
        print(name, found[name], flush=True)  # noqa: T201
    return found


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Serve an empty PostgreSQL on a free port; its address."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if programs is None:
        raise SystemExit("PostgreSQL is not installed; `--database sqlite` measures without it.")
    port = free_port(5433)
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder.mkdir(parents=True)
    if user:
        subprocess.run(["/bin/chown", "postgres", str(folder)], check=True)  # noqa: S603
    data, log = folder / "data", folder / "log"
    subprocess.run(  # noqa: S603
        [*user, str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "airflow"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    control = [*user, str(programs / "pg_ctl"), "-D", str(data), "-w"]
    start = [*control, "-l", str(log), "-o", options, "start"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL, cwd=folder)  # noqa: S603
    try:
        for name in ("single", "two"):
            subprocess.run(  # noqa: S603
                [*user, str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "airflow", name],
                check=True,
                cwd=folder,
            )
        yield f"postgresql+psycopg2://airflow@127.0.0.1:{port}/"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, stdout=subprocess.DEVNULL, cwd=folder)  # noqa: S603


def table(
    theirs: dict[str, float], ours: dict[str, dict[str, Any]], variants: dict[str, tuple[float, float, float]]
) -> str:
    """Return the part of the page."""
    lines = ["| | seconds | of the cold script | of the warm loop | of two processes |", "|---|---|---|---|---|"]
    lines.append(f"| plain script, cold | {theirs['cold']:.1f} | | | |")
    lines.append(f"| plain loop, warm, a month | {theirs['warm']:.1f} | | | |")
    lines.append(f"| plain, six months, two processes of one thread | {theirs['two']:.1f} | | | |")
    for name, found in ours.items():
        cold, warm = found["one"] / theirs["cold"], found["one"] / theirs["warm"]
        lines.append(f"| **Ratchet**, one retraining, {name} | {found['one']:.1f} | {cold:.2f} | {warm:.2f} | |")
        two = found["two"][-1]
        lines.append(f"| **Ratchet**, six months, two at a time, {name} | {two:.1f} | | | {two / theirs['two']:.2f} |")
    goal = [f"| goal | | at most {GOALS['cold']} | at most {GOALS['warm']} | at most {GOALS['two']} |"]
    share = ["", "Of one retraining, seconds in each step (`train` summed over tasks that run side by side):", ""]
    steps = [step for step in STEPS if any(found["steps"][step] for found in ours.values())]
    share += ["| | " + " | ".join(steps) + " |", "|---" * (len(steps) + 1) + "|"]
    for name, found in ours.items():
        share.append(f"| {name} | " + " | ".join(f"{found['steps'][step]:.1f}" for step in steps) + " |")
    months = ["", "Months of one backfill, and what each of them cost against one retraining by itself (SQLite):", ""]
    months += ["| months | one by one, s | a month | of one retraining |", "|---" * 4 + "|"]
    found = ours.get("SQLite", {"alone": []})
    for number, seconds in enumerate(found["alone"], start=1):
        if number in (1, 3, len(SIX)):
            each = seconds / number
            months.append(f"| {number} | {seconds:.1f} | {each:.1f} | {each / found['one']:.2f} |")
    months += ["", "Six months on the cores that there are (SQLite):", ""]
    months += ["| | seconds | speed-up | of what the cores could give |", "|---" * 4 + "|"]
    if found["alone"]:
        alone = found["on one core"][-1]
        parts = {"one by one, on one core": alone, "one by one": found["alone"][-1], "two at a time": found["two"][-1]}
        for name, seconds in parts.items():
            share = "" if seconds == alone else f"{alone / seconds / (os.cpu_count() or 1):.2f}"
            months.append(f"| {name} | {seconds:.1f} | {alone / seconds:.2f} | {share} |")
    settings = ["", "What settings give and cost (SQLite):", ""]
    settings += ["| | one retraining, s | idle, cores | idle, GiB |", "|---" * 4 + "|"]
    settings += [f"| {name} | {one:.1f} | {cores:.2f} | {size:.1f} |" for name, (one, cores, size) in variants.items()]
    return "\n".join([machine(), "", *lines, *goal, *share, *months, *settings])


def main() -> None:
    """Measure, print the table, and write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--database", action="append", choices=("sqlite", "postgresql"), help="which ones; default both"
    )
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    arguments = parser.parse_args()
    ours: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        theirs = plain_times(folder / "plain")
        print(theirs, flush=True)  # noqa: T201 (a command's answer)
        for database in arguments.database or ("sqlite", "postgresql"):
            if database == "sqlite":
                ours["SQLite"] = ratchet_times(folder / database, None)
            else:
                with postgres(folder / "server") as address:
                    ours["PostgreSQL"] = ratchet_times(folder / database, address)
            print(ours, flush=True)  # noqa: T201
        variants = variant_times(folder / "variants")
    found = table(theirs, ours, variants)
    print(found)  # noqa: T201
    if not arguments.print:
        put("retraining", found)


if __name__ == "__main__":
    main()
